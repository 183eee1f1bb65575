"""The acts of the demo, in order. Each looks at what it finds and raises `DemoFailed` when it is not as it must be."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from rich.table import Table

from infra.ops.demo_stage import DemoFailed, Person, Stage, in_shop_time, yuan
from infra.ops.seed import CONSUMER_PHONE, MERCHANT_PHONE, OPERATOR_PHONE

PEOPLES_SQUARE = {"lat": "31.2304", "lng": "121.4737", "datum": "gcj02"}
LOOK_AHEAD_DAYS = 7
DAYS_TO_STATEMENT = 4  # a day of the shop, two for disputes of the service, and two until the provider pays out
HOURS_TO_LAG = 3  # what one side does not show is in flight for two hours, and a difference from then on

Json = dict[str, Any]


@dataclass
class Cast:
    """Who and what the acts are about; filled as the story goes."""

    stage: Stage
    customer: Person
    owner: Person
    operator: Person
    shop: Json = field(default_factory=dict)
    offer: Json = field(default_factory=dict)
    figures: Json = field(default_factory=dict)
    open_before: int = 0


# ---------------------------------------------------------------------------------------------- find


def sign_in(stage: Stage) -> Cast:
    stage.step("手机号登录", "Three people sign in by phone, codes come by SMS")
    customer = stage.sign_in(CONSUMER_PHONE, "customer 顾客")
    owner = stage.sign_in(MERCHANT_PHONE, "owner    店主")
    operator = stage.sign_in(OPERATOR_PHONE, "operator 运营")
    cast = Cast(stage, customer, owner, operator)
    cast.open_before = len(open_differences(cast))
    if cast.open_before:
        stage.say(f"{cast.open_before} difference(s) stood open before this demo; they are left alone")
    return cast


def search(cast: Cast) -> None:
    stage = cast.stage
    stage.step("找理发", "Hairdressers within 3 km of People's Square 人民广场")
    query = urlencode({**PEOPLES_SQUARE, "radius_m": "3000", "category": "hair", "limit": "5", "include": "total"})
    found = stage.call("GET", f"/v1/search?{query}").body
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("   店 shop", "距离 distance", "评分 rating", "起价 from", ""):
        table.add_column(name, no_wrap=True)
    for hit in found["items"]:
        table.add_row(
            f"   {hit['name']}",
            f"{hit['distance_m']} m",
            f"{hit['rating']:.2f} ({hit['rating_count']})",
            yuan(hit["price_from"]),
            hit["reason"] or "",
        )
    stage.show(table)
    stage.check(all(hit["distance_m"] <= 3000 for hit in found["items"]), f"{found['total']} shops are near", found)
    merchants = {one["merchant_id"] for one in cast.owner.get("/v1/me")["memberships"]}
    pages = (stage.call("GET", f"/v1/shops/{hit['shop_id']}").body for hit in found["items"])
    shop = next((page for page in pages if page["merchant_id"] in merchants), None)
    if shop is None:
        raise DemoFailed("one of the shops near People's Square should belong to the demo's owner", found)
    cast.shop = shop


def look(cast: Cast) -> None:
    stage, shop = cast.stage, cast.shop
    stage.step("看店", "The shop, its people and what it offers")
    stage.say(f"{shop['name']}  {shop['rating']:.2f} ★  {shop['address']}", shop["description"])
    stage.say("发型师 staff: " + "、".join(f"{one['name']}（{one['title']}）" for one in shop["staff"]))
    offers = stage.call("GET", f"/v1/shops/{shop['id']}/offers?limit=20").body["items"]
    for offer in offers[:4]:
        stage.say(f"{offer['name']}  {yuan(offer['price'])}  {offer['duration_minutes']} min  {offer['description']}")
    ready = [one for one in offers if one["kind"] == "appointment" and one["confirmation"] == "instant"]
    stage.check(bool(ready), "something can be booked at once", offers)
    cast.offer = ready[0]


def free_start(cast: Cast, staff_id: str | None = None) -> Json:
    """The first bookable start from tomorrow on."""
    zone = ZoneInfo(cast.shop["zone"])
    tomorrow = cast.stage.now().astimezone(zone).date() + timedelta(days=1)
    query = {"from": str(tomorrow), "to": str(tomorrow + timedelta(days=LOOK_AHEAD_DAYS))}
    if staff_id:
        query["staff_id"] = staff_id
    found = cast.stage.call("GET", f"/v1/offers/{cast.offer['id']}/availability?{urlencode(query)}").body["items"]
    if not found:
        raise DemoFailed(f"{cast.offer['name']} should be bookable within {LOOK_AHEAD_DAYS} days")
    return dict(found[0])


# ---------------------------------------------------------------------------------------------- book and pay


def book(cast: Cast) -> Json:
    stage, shop, offer = cast.stage, cast.shop, cast.offer
    stylist = next(one for one in shop["staff"] if one["id"] in offer["staff_ids"])
    stage.step("选时间", f"When {stylist['name']} is free")
    start = free_start(cast, stylist["id"])
    stage.say(f"first free start: {in_shop_time(start['starts_at'], shop['zone'])} ({shop['zone']})")
    stage.check(start["staff_ids"] == [stylist["id"]], f"{stylist['name']} is free then", start)

    stage.step("报价下单", "A quote, and an order that holds the place")
    order, quote = place(cast, start["starts_at"], stylist["id"])
    stage.say(f"{offer['name']} {yuan(quote['total'])}; " + "；".join(one["text"] for one in offer["policy"]["steps"]))
    held = datetime.fromisoformat(order["hold_expires_at"]) - datetime.fromisoformat(order["server_time"])
    minutes = round(held.total_seconds() / 60)
    stage.check(order["state"] == "pending_payment" and minutes > 0, f"the place is held for {minutes} minutes", order)
    taken = free_start(cast, stylist["id"])
    stage.check(taken["starts_at"] != start["starts_at"], "nobody else is offered that start any more", taken)
    return order


def place(cast: Cast, starts_at: str, staff_id: str | None = None) -> tuple[Json, Json]:
    """An order and its quote; the same request sent twice is one order."""
    wanted = {"offer_id": cast.offer["id"], "starts_at": starts_at, **({"staff_id": staff_id} if staff_id else {})}
    quote = cast.customer.post("/v1/quotes", wanted, expect=201)
    key = secrets.token_hex(12)
    order = cast.customer.ask("POST", "/v1/orders", {"quote_id": quote["id"]}, key=key, expect=201).body
    again = cast.customer.ask("POST", "/v1/orders", {"quote_id": quote["id"]}, key=key, expect=201)
    once = again.body["id"] == order["id"] and again.headers.get("Idempotent-Replayed") == "true"
    cast.stage.check(once, "the same request sent twice is one order", again.body)
    return order, quote


def pay(cast: Cast, order: Json, method: str) -> Json:
    """Pay at the provider, wait for the provider's webhook to confirm, and for the message."""
    stage, customer = cast.stage, cast.customer
    since = stage.mark()
    paid = approve(cast, order, method)
    text = stage.wait_for("the SMS", lambda: stage.sms(customer.phone, "order.confirmed", since))
    stage.check(True, f"📱 {text}")
    return paid


def approve(cast: Cast, order: Json, method: str) -> Json:
    """Pay at the provider, and wait for the provider's webhook to confirm."""
    stage, customer = cast.stage, cast.customer
    offered = customer.get(f"/v1/orders/{order['id']}/payment-methods?client=web")["items"]
    stage.check(method in offered, f"{method} is among the methods: {', '.join(offered)}", offered)
    opened = customer.post(f"/v1/orders/{order['id']}/payments", {"method": method, "client": "web"}, expect=201)
    stage.say(f"attempt {opened['attempt_id']} asks for {yuan(opened['amount'])}: {opened['next_action']['type']}")
    stage.pay(opened["attempt_id"])

    def confirmed() -> Json:
        seen = dict(customer.get(f"/v1/orders/{order['id']}"))
        return seen if seen["state"] != "pending_payment" else {}

    paid = stage.wait_for("the provider's webhook confirms the order", confirmed)
    good = (paid["state"], paid["payment_state"]) == ("confirmed", "paid")
    stage.check(good, "the webhook confirmed the order", paid)
    return {**paid, "attempt_id": opened["attempt_id"]}


# ---------------------------------------------------------------------------------------------- serve


def serve(cast: Cast, order: Json) -> None:
    stage, owner = cast.stage, cast.owner
    booking = order["booking"]
    stage.step("到店服务", f"The day comes: {in_shop_time(booking['starts_at'], booking['time_zone'])}")
    stage.advance_to(booking["starts_at"])
    merchant_sees = owner.get(f"/v1/merchant/orders/{order['id']}")
    stage.say(f"owner sees: {merchant_sees['offer']['name']} with {booking['staff_name']}")
    for act, state in (("check-in", "checked_in"), ("start", "in_service")):
        now = owner.post(f"/v1/merchant/orders/{order['id']}/{act}")
        stage.check(now["lines"][0]["fulfilment_state"] == state, f"{act}: {state}", now)
    stage.advance_to(booking["ends_at"])
    done = owner.post(f"/v1/merchant/orders/{order['id']}/finish")
    stage.check(done["state"] == "fulfilled", "finish: the order is fulfilled, the merchant has earned", done)


def prove(cast: Cast, order_id: str) -> Json:
    """The books of an order agree with the provider's facts; returns the proof."""
    stage = cast.stage
    proof = dict(cast.customer.get(f"/v1/orders/{order_id}/proof"))
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("   分录 entry", "账户 account", "借 debit", "贷 credit"):
        table.add_column(name, no_wrap=True, justify="right" if name[0] in "借贷" else "left")
    for entry in proof["entries"]:
        for number, leg in enumerate(entry["legs"]):
            amounts = {leg["side"]: yuan(leg["amount"])}
            label = f"   {entry['event']}" if number == 0 else ""
            table.add_row(label, leg["account"].partition(":")[0], amounts.get("debit", ""), amounts.get("credit", ""))
    stage.show(table)
    parts = {name: amount for name, amount in proof["equation"].items() if amount}
    stage.say("  ".join(f"{name} {yuan(amount)}" for name, amount in parts.items()))
    stage.check(proof["holds"], f"the proof holds; chain {proof['hash'][:12]}…", proof)
    return proof


def settle(cast: Cast, order: Json) -> None:
    stage, owner = cast.stage, cast.owner
    stage.step("结算", "Days later: the night's schedules, a statement, a balance")
    stage.advance(DAYS_TO_STATEMENT * 86_400)
    for schedule in ("sweep", "reconcile", "settle"):
        stage.run(schedule)
    seen = cast.customer.get(f"/v1/orders/{order['id']}")
    stage.check(seen["state"] == "completed", "the order is completed", seen)
    for each in owner.get("/v1/merchant/statements?limit=10")["items"]:
        statement = owner.get(f"/v1/merchant/statements/{each['id']}")
        line = next((one for one in statement["lines"] if one["order_id"] == order["id"]), None)
        if line is not None:
            break
    else:
        raise DemoFailed("the order should stand on a statement")
    opening, closing = (statement[name]["amount_minor"] for name in ("opening", "closing"))
    net = line["net"]["amount_minor"]
    stage.say(
        f"statement no. {statement['number']}: {in_shop_time(statement['period_start'], cast.shop['zone'])} to "
        f"{in_shop_time(statement['period_end'], cast.shop['zone'])}, {statement['line_count']} line(s)",
        f"{line['kind']}: gross {yuan(line['gross'])} − discounts {yuan(line['discounts'])} − commission "
        f"{yuan(line['commission'])} ({line['commission_bps'] / 100:g} %) = net {yuan(line['net'])}"
        f"   (provider's fee {yuan(line['psp_fee'])}, borne by Linli)",
    )
    adds_up = line["gross"]["amount_minor"] - line["discounts"]["amount_minor"] - line["commission"]["amount_minor"]
    stage.check(adds_up == net, "the line adds up", line)
    total = sum(one["net"]["amount_minor"] for one in statement["lines"])
    stage.check(
        opening + total == closing, f"opening {yuan(opening)} + lines {yuan(total)} = {yuan(closing)}", statement
    )
    balance = owner.get("/v1/merchant/balance")
    stage.say("balance: " + "  ".join(f"{name} {yuan(amount)}" for name, amount in balance.items()))
    stage.check(balance["available"]["amount_minor"] >= net, "the merchant can withdraw it", balance)
    cast.figures |= {"gross_minor": line["gross"]["amount_minor"], "net_minor": net, "statement": statement["id"]}


# ---------------------------------------------------------------------------------------------- refund


def cancel(cast: Cast, order: Json) -> Json:
    stage, customer = cast.stage, cast.customer
    stage.step("取消退款", "The customer thinks better of it: cancelled, refunded")
    since = stage.mark()
    offered = customer.get(f"/v1/orders/{order['id']}/cancel-quote")
    stage.say(f"cancelling now gives back {yuan(offered['refund'])}, {yuan(offered['kept'])} is kept")
    customer.post(f"/v1/orders/{order['id']}/cancel")

    def refunded() -> Json:
        seen = dict(customer.get(f"/v1/orders/{order['id']}"))
        return seen if seen["refunds"] and all(one["state"] == "succeeded" for one in seen["refunds"]) else {}

    done = stage.wait_for("the refund arrives", refunded, seconds=20, every_seconds=0.2)
    back = sum(one["amount"]["amount_minor"] for one in done["refunds"])
    stage.check(
        back == offered["refund"]["amount_minor"], f"{yuan(back)} went back by {done['refunds'][0]['id']}", done
    )
    text = stage.wait_for("the SMS", lambda: stage.sms(customer.phone, "order.refunded", since))
    stage.check(True, f"📱 {text}")
    return done


# ---------------------------------------------------------------------------------------------- reconcile


def open_differences(cast: Cast) -> list[Json]:
    return list(cast.operator.get("/v1/operator/reconciliation/differences?state=open&limit=100")["items"])


def reconcile(cast: Cast) -> None:
    stage = cast.stage
    stage.step("对账", "The reconciliation: our books, the provider's lines, the orders")
    stage.run("reconcile")
    run = every_cent(cast)
    stage.check(len(open_differences(cast)) == cast.open_before, "0 differences", run)
    cast.figures["matched"] = run["matched"]


def every_cent(cast: Cast) -> Json:
    """The newest run, after a look at what the provider holds and what our books say."""
    stage = cast.stage
    run = dict(cast.operator.get("/v1/operator/reconciliation/runs?limit=1")["items"][0])
    stage.say(
        f"{run['provider']} {run['day']}: {run['matched']} matched, {run['in_flight']} in flight, {run['differences']} "
        f"differences"
    )
    for balance in run["balances"]:
        stage.say(
            f"the provider holds {yuan(balance['provider'])} = our books {yuan(balance['books'])} + explained "
            f"{yuan(balance['explained'])}"
        )
    stage.check(all(balance["holds"] for balance in run["balances"]), "every cent at the provider is explained", run)
    return run


def damage(cast: Cast, kept: Json, refunded: Json) -> list[str]:
    """Falsify the provider's book in two places; returns the lines."""
    stage = cast.stage
    stage.step("做手脚", "Somebody tampers with the provider's book")
    gone = _line_of(stage, _intent(stage, kept["attempt_id"]), "charges")
    wrong = _line_of(stage, _intent(stage, refunded["attempt_id"]), "refunds")
    stage.provider("DELETE", f"/local/balance_transactions/{gone}")
    stage.say(f"deleted  {gone}: the payment of {short(kept['id'])}")
    stage.provider("POST", f"/local/balance_transactions/{wrong}", {"amount_delta": 1})
    stage.say(f"altered  {wrong}: the refund of {short(refunded['id'])}, by ¥0.01")
    return [gone, wrong]


def find_damage(cast: Cast, kept: Json, refunded: Json) -> None:
    stage = cast.stage
    stage.step("查出差异", "The reconciliation finds both, each by its kind")
    stage.advance(HOURS_TO_LAG * 3_600)
    stage.run("reconcile")
    found = open_differences(cast)
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("   差异 kind", "订单 order", "我方 ours", "对方 theirs", "时长 age"):
        table.add_column(name, no_wrap=True)
    for one in found:
        ours, theirs = (yuan(one[side]) if one[side] else "—" for side in ("ours", "theirs"))
        table.add_row(f"   {one['kind']}", short(one["order_id"]), ours, theirs, f"{one['age_seconds'] / 3600:.1f} h")
    stage.show(table)
    kinds = {one["order_id"]: one["kind"] for one in found}
    stage.check(len(found) == cast.open_before + 2, "there are two differences more", found)
    stage.check(kinds.get(kept["id"]) == "missing_there", "what was deleted is missing_there", found)
    stage.check(kinds.get(refunded["id"]) == "amount", "what was altered is a difference of amount", found)
    every_cent(cast)


def repair(cast: Cast, lines: list[str], kept: Json, refunded: Json) -> None:
    stage = cast.stage
    stage.step("修复", "The provider corrects its book, the differences close by themselves")
    restore(cast, lines)
    stage.run("reconcile")
    repaired = cast.operator.get("/v1/operator/reconciliation/differences?state=repaired&limit=100")["items"]
    mine = [one["kind"] for one in repaired if one["order_id"] in (kept["id"], refunded["id"])]
    stage.check(sorted(mine) == ["amount", "missing_there"], "both are repaired", repaired)
    stage.check(len(open_differences(cast)) == cast.open_before, "0 differences", repaired)


def short(order_id: str | None) -> str:
    """An order's id as short as a table needs it; "—" for none."""
    return f"ord_…{order_id[-6:]}" if order_id else "—"


def restore(cast: Cast, lines: list[str]) -> None:
    """Put the provider's lines back as they were."""
    for line in lines:
        cast.stage.provider("POST", f"/local/balance_transactions/{line}/restore")


def _intent(stage: Stage, attempt_id: str) -> str:
    query = urlencode({"metadata_key": "attempt_id", "metadata_value": attempt_id})
    return str(stage.provider("GET", f"/local/payment_intents?{query}")["items"][0]["id"])


def _line_of(stage: Stage, intent_id: str, kind: str) -> str:
    """The balance transaction of an intent's charge or refund."""
    found = stage.provider("GET", f"/v1/{kind}?payment_intent={intent_id}&limit=1")["data"]
    return str(found[0]["balance_transaction"])
