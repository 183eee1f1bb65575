"""Money through the whole app: attempts, webhooks of every kind, refunds, and the sweep behind them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.kernel import ids
from chalicelib.kernel.money import Money
from chalicelib.orders import tables
from chalicelib.payments import service as payments
from chalicelib.payments.model import Parked, attempt_id
from chalicelib.payments.tables import InboxRow
from chalicelib.providers.ports import IntentRequest
from tests import world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.orders import Visit, expect

pytestmark = pytest.mark.usefixtures("sound")


def try_to_pay(visit: Visit, key: str = "", **body: Any) -> Any:
    asked = {"method": "alipay", **body}
    return visit.customer.client.post(f"/v1/orders/{visit.id}/payments", asked, key=key or secrets.token_hex(8))


def parked(order_id: str = "", event: str = "") -> list[InboxRow]:
    return [row for row in InboxRow.scan(consistent_read=True) if row.open and event in row.pk]


# ---------------------------------------------------------------------------------------------- attempts


@pytest.mark.parametrize(
    ("method", "action"), [("card", "client_secret"), ("alipay", "redirect"), ("wechat_pay", "qr_code")]
)
def test_each_method_tells_the_payer_what_to_do(method: str, action: str) -> None:
    """And pays the same order the same way."""
    visit = build.booked()
    offered = expect(visit.customer.client.get(f"/v1/orders/{visit.id}/payment-methods"), 200)["items"]
    assert method in offered
    attempt = visit.open_payment(method)
    assert (attempt["state"], attempt["next_action"]["type"]) == ("requires_action", action)
    world.payer_does(attempt["attempt_id"], "succeed")
    world.settle_down()
    assert visit.read()["state"] == "confirmed"


def test_a_method_that_is_not_offered_is_unavailable() -> None:
    """Nothing is written for it."""
    visit = build.booked()
    reply = try_to_pay(visit, method="unionpay")
    assert (reply.status, reply.code) == (422, "method_unavailable")
    assert visit.stored().charges[0].attempts == ()


def test_the_same_key_is_the_same_attempt_and_another_body_is_refused() -> None:
    """With what the payer needs, also the second time."""
    visit = build.booked()
    first = expect(try_to_pay(visit, "k1"), 201)
    again = try_to_pay(visit, "k1")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert (again.json["attempt_id"], again.json["next_action"]) == (first["attempt_id"], first["next_action"])
    for other in ({"method": "card"}, {"client": "ios"}, {"return_url": "https://example.com/back"}):
        reply = try_to_pay(visit, "k1", **other)
        assert (reply.status, reply.code) == (422, "idempotency_key_reused"), other
    world.payer_does(first["attempt_id"], "succeed")
    world.settle_down()
    replay = try_to_pay(visit, "k1")
    assert (replay.status, replay.json["order_state"], replay.json["state"]) == (201, "confirmed", "succeeded")


def test_a_new_attempt_ends_the_living_one_at_the_provider_first() -> None:
    """At most one intent of a charge can be paid."""
    visit = build.booked()
    first, second = visit.open_payment("alipay"), visit.open_payment("wechat_pay")
    states = {one["metadata"]["attempt_id"]: one["status"] for one in world.book("payment_intent")}
    assert states[first["attempt_id"]] == "canceled"
    assert states[second["attempt_id"]] == "requires_action"
    world.payer_does(second["attempt_id"], "succeed")
    world.settle_down()
    assert [a.state for a in visit.stored().charges[0].attempts] == ["canceled", "succeeded"]


def test_a_new_attempt_waits_while_the_old_one_is_moving_money_and_sees_when_it_has() -> None:
    """409 payment_processing, and 409 already_paid once it is."""
    visit = build.booked()
    world.payer_does(visit.open_payment()["attempt_id"], "delay", seconds=60)
    assert try_to_pay(visit, method="card").code == "payment_processing"
    world.advance(seconds=61)
    assert try_to_pay(visit, method="card").code == "already_paid"
    assert visit.read()["state"] == "confirmed"


def test_a_declined_payment_is_tried_again() -> None:
    """On a new attempt; the order tells both."""
    visit = build.booked()
    visit.pay("decline")
    assert (visit.order["state"], visit.order["payment_state"]) == ("pending_payment", "none")
    visit.pay("succeed", "card")
    assert visit.order["state"] == "confirmed"
    assert visit.events().count("payment_failed") == 1


def test_an_old_fact_is_not_believed_when_the_provider_says_otherwise() -> None:
    """`processing` before `failed`: told again by every sweep, it changes nothing any more."""
    visit = build.booked()
    attempt = visit.open_payment()["attempt_id"]
    world.payer_does(attempt, "delay", seconds=600)
    world.settle_down()
    world.payer_does(attempt, "decline")
    world.settle_down()
    version = visit.read()["version"]
    assert visit.order["payment_state"] == "none"
    for _ in range(3):
        build.sweep(minutes=1)
    assert visit.read()["version"] == version
    assert visit.events().count("payment_failed") == 1


def test_a_charge_is_not_tried_for_ever() -> None:
    """Eight attempts, then 409."""
    visit = build.booked()
    for number in range(8):
        visit.open_payment("alipay" if number % 2 else "card")
    reply = try_to_pay(visit)
    assert (reply.status, reply.code) == (409, "too_many_attempts")


def test_an_attempt_is_asked_for_at_the_provider_while_the_payer_has_to_act() -> None:
    """The app polls it while the webhook is lost; a provider that does not answer leaves what we know."""
    visit = build.booked()
    attempt = visit.open_payment()
    path = f"/v1/orders/{visit.id}/payments/{attempt['attempt_id']}"
    world.payer_does(attempt["attempt_id"], "lose")
    with world.provider_answers(503):
        assert expect(visit.customer.client.get(path), 200)["state"] == "requires_action"
    found = expect(visit.customer.client.get(path), 200)
    assert (found["state"], found["order_state"]) == ("succeeded", "confirmed")


def test_a_provider_that_is_away_opens_nothing() -> None:
    """503 with Retry-After; the same key works when it is back."""
    visit = build.booked()
    with world.provider_answers(503):
        reply = try_to_pay(visit, "k")
    assert (reply.status, reply.code) == (503, "provider_unavailable")
    assert reply.headers["Retry-After"]
    expect(try_to_pay(visit, "k"), 201)


# ---------------------------------------------------------------------------------------------- webhooks


@pytest.mark.parametrize("outcome", ["succeed", "duplicate", "shuffle", "lose", "late"])
def test_a_payment_is_booked_once_however_it_is_told(outcome: str) -> None:
    """Promptly, three times, backwards, by the sweep alone, or twenty minutes after."""
    visit = build.booked()
    visit.pay(outcome)
    build.sweep()
    assert visit.read()["state"] == "confirmed"
    build.sweep(minutes=25)
    assert [entry["event"] for entry in visit.proof()["entries"]] == ["payment_confirmed"]


def test_a_webhook_may_come_before_our_own_row() -> None:
    """The process died between the provider's answer and our write: the money counts all the same."""
    visit = build.booked()
    world.payer_does(build.stray_intent(visit.stored()), "succeed")
    world.settle_down()
    assert visit.read()["state"] == "confirmed"
    assert len(visit.stored().charges[0].attempts) == 1


def test_an_attempt_that_was_told_before_it_was_written_is_replaced() -> None:
    """Its early fact stands in the row without a key; the next request ends it and opens another."""
    visit = build.booked()
    early = build.stray_intent(visit.stored())
    world.settle_down()
    visit.pay()
    assert visit.order["state"] == "confirmed"
    states = {one["metadata"]["attempt_id"]: one["status"] for one in world.book("payment_intent")}
    assert states[early] == "canceled"


def test_a_fact_about_an_order_that_is_not_here_yet_is_parked_and_applied_later() -> None:
    """200 to the provider; the sweep tries again until the order is there."""
    shop, customer = salons.salon(), identity.person()
    start = build.free_slots(shop)[0]["starts_at"]
    order_id = ids.owned("ord", customer.account_id, "place", "soon")
    charge_id = tables.charge_id(order_id, 0)
    own_id = attempt_id(order_id, charge_id, 1, "alipay")
    intent = wiring.ports().payments.create_intent(
        IntentRequest(
            secrets.token_hex(8), order_id, charge_id, own_id, Money(12_800, "CNY"), "alipay", "web", "", None
        )
    )
    world.payer_does(own_id, "succeed")
    outcomes = [world.send(webhook).json["outcome"] for webhook in world.due_webhooks()]
    assert "parked" in outcomes
    assert parked(event=intent.intent_id)
    build.sweep(minutes=1)
    assert parked(event=intent.intent_id)
    made = build.quote(shop, customer, start)
    order = expect(customer.client.post("/v1/orders", {"quote_id": made["id"]}, key="soon"), 201)
    assert order["id"] == order_id
    build.sweep(minutes=1)
    assert Visit(shop, customer, order).read()["state"] == "confirmed"
    assert not parked(event=intent.intent_id)


def test_a_fact_that_nobody_claims_is_tried_for_three_days_and_kept() -> None:
    """Afterwards it stands for a person to look at, and is not asked about any more."""
    order_id = ids.random_id("ord")
    own_id = ids.random_id("att")
    intent = wiring.ports().payments.create_intent(
        IntentRequest(
            secrets.token_hex(8), order_id, ids.random_id("chg"), own_id, Money(500, "CNY"), "alipay", "web", "", None
        )
    )
    world.payer_does(own_id, "succeed")
    world.settle_down()
    build.sweep(minutes=60)
    assert parked(event=intent.intent_id)
    build.sweep(minutes=3 * 24 * 60)
    assert not parked(event=intent.intent_id)
    assert [row.reason for row in InboxRow.scan(InboxRow.pk.contains(intent.intent_id))]


def test_a_parked_fact_that_is_gone_by_its_age_stops_no_sweep() -> None:
    """The store has taken the row away since the sweep read it; closing it is nothing then."""
    fact = Parked("stripe", "intent", "pi_gone", "evt_gone", "unknown_order", world.now())
    payments.close_parked(fact)
    assert not list(InboxRow.scan(InboxRow.pk.contains("pi_gone")))


@pytest.mark.parametrize(("price", "currency"), [(0, "CNY"), (12_800, "USD")])
def test_money_that_no_charge_of_the_order_can_take_is_parked(price: int, currency: str) -> None:
    """An order that costs nothing, or is priced in another currency: a person has to look what it was for."""
    visit = build.booked(price_minor=price)
    own_id = ids.random_id("att")
    charge_id = tables.charge_id(visit.id, 0)
    intent = wiring.ports().payments.create_intent(
        IntentRequest(
            secrets.token_hex(8), visit.id, charge_id, own_id, Money(900, currency), "alipay", "web", "", None
        )
    )
    state = visit.order["state"]
    world.payer_does(own_id, "succeed")
    world.settle_down()
    assert parked(event=intent.intent_id)
    assert visit.read()["state"] == state
    assert visit.stored().captured_minor == 0


def test_one_bad_fact_does_not_stop_the_sweep() -> None:
    """An object that the provider does not know any more stays parked; holds expire all the same."""
    from chalicelib.payments import service as payments
    from chalicelib.providers.ports import Intent, ProviderEvent

    ctx = identity.context()
    nothing = Money(0, "CNY")
    ghost = Intent("pi_ghost", "succeeded", nothing, nothing, "card", "", "", "")
    payments.park(ctx, ProviderEvent("evt_ghost", "payment_intent.succeeded", ctx.now, intent=ghost), "unknown_order")
    visit = build.booked()
    build.sweep(minutes=16)
    assert visit.read()["state"] == "cancelled"
    build.sweep(minutes=3 * 24 * 60 + 1)
    assert not parked(event="pi_ghost")


def test_a_forged_webhook_is_refused_and_changes_nothing() -> None:
    """400 whatever is wrong with it: signature, age, encoding."""
    from tests.client import Client

    visit = build.booked()
    world.payer_does(visit.open_payment()["attempt_id"], "succeed")
    webhook = next(one for one in world.due_webhooks() if "payment_intent.succeeded" in one.payload)
    good = webhook.signature
    bodies = {
        webhook.payload.replace("12800", "1"): good,
        webhook.payload: good[:-1] + ("0" if good[-1] != "0" else "1"),
        webhook.payload + " ": "",
        webhook.payload + "  ": "t=1,v1=00",
        webhook.payload + "   ": "t=x,v1=é",
    }
    for body, signature in bodies.items():
        reply = Client().request("POST", "/webhooks/stripe", body.encode(), {"Stripe-Signature": signature})
        assert (reply.status, reply.code) == (400, "signature_invalid"), signature
    reply = Client().request("POST", "/webhooks/stripe", b"\xff\xfe", {"Stripe-Signature": good})
    assert reply.status == 400
    assert visit.read()["state"] == "pending_payment"
    for minutes in (6, -6):
        world.advance(minutes=minutes)
        if minutes > 0:
            late = Client().request("POST", "/webhooks/stripe", webhook.payload.encode(), {"Stripe-Signature": good})
            assert late.status == 400


# ---------------------------------------------------------------------------------------------- unwanted money


def test_late_money_revives_the_order_when_its_place_is_free() -> None:
    """The slot is taken again and the order is confirmed, in one transaction."""
    visit = expired_in_silence()
    world.payer_does(visit.stored().charges[0].attempts[0].id, "succeed")
    world.settle_down()
    order = visit.read()
    assert (order["state"], order["payment_state"], order["cancel_reason"]) == ("confirmed", "paid", None)
    assert visit.events()[-3:] == ["paid", "revived", "confirmed"]


def test_late_money_goes_back_when_the_place_is_gone() -> None:
    """Somebody else sits there: the order stays cancelled, fully refunded."""
    visit = expired_in_silence()
    booking = visit.order["booking"]
    build.booked(visit.salon, starts_at=booking["starts_at"], staff_id=booking["staff_id"])
    world.payer_does(visit.stored().charges[0].attempts[0].id, "succeed")
    world.settle_down()
    order = visit.read()
    assert (order["state"], order["payment_state"], order["refund_state"]) == ("cancelled", "late", "full")
    assert visit.refunds() == [("late", 12_800, "succeeded")]


def test_late_money_goes_back_when_the_customer_had_cancelled() -> None:
    """What a person ended is not brought back by money."""
    visit = build.booked()
    stray = build.stray_intent(visit.stored())
    visit.cancel()
    world.payer_does(stray, "succeed")
    world.settle_down()
    assert visit.read()["state"] == "cancelled"
    assert visit.refunds() == [("late", 12_800, "succeeded")]


def expired_in_silence() -> Visit:
    """An order whose hold ran out while the provider did not answer: its intent can still be paid."""
    visit = build.booked()
    visit.open_payment()
    world.advance(minutes=21)
    with world.provider_answers(503):
        world.run_schedule("sweep")
    assert visit.read()["state"] == "cancelled"
    return visit


def test_a_second_success_of_a_charge_goes_back_by_itself() -> None:
    """The order stays confirmed; a later cancel gives back the first payment, not the second again."""
    visit = build.paid()
    world.payer_does(build.stray_intent(visit.stored(), 2), "succeed")
    world.settle_down()
    assert visit.read()["state"] == "confirmed"
    assert visit.refunds() == [("duplicate", 12_800, "succeeded")]
    visit.cancel()
    world.settle_down()
    assert visit.refunds() == [("duplicate", 12_800, "succeeded"), ("cancelled", 12_800, "succeeded")]
    by_intent = [
        refund["payment_intent"] for refund in world.book("refund") if refund["metadata"]["order_id"] == visit.id
    ]
    assert len(set(by_intent)) == 2


def test_a_wrong_amount_goes_back_and_the_order_can_still_be_paid() -> None:
    """And when it is cancelled then, the refund is of the right payment."""
    visit = build.booked()
    visit.pay("wrong_amount")
    assert (visit.order["state"], visit.order["payment_state"]) == ("pending_payment", "none")
    assert visit.refunds() == [("wrong_amount", 12_799, "succeeded")]
    visit.pay()
    assert visit.order["state"] == "confirmed"
    visit.cancel()
    world.settle_down()
    assert visit.refunds()[1] == ("cancelled", 12_800, "succeeded")


def test_a_wrong_amount_on_an_order_that_is_never_paid_goes_back_too() -> None:
    """The hold expires beside it."""
    visit = build.booked()
    visit.pay("wrong_amount")
    build.sweep(minutes=16)
    assert (visit.read()["state"], visit.order["refund_state"]) == ("cancelled", "full")
