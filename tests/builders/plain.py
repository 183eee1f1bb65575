"""Orders and provider facts as plain values, for decisions that need no tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.ledger.model import Entry, Terms
from chalicelib.orders import changes, tables
from chalicelib.orders.changes import Change, Clocks
from chalicelib.orders.model import Booking, Charge, Event, Line, Order
from chalicelib.payments.model import Attempt, attempt_id
from chalicelib.providers.ports import Intent, Refund

CLOCKS = Clocks(hold_extension=900, accept=86_400, auto_complete=172_800)
PROVIDER = "stripe"
NOW = Instant.parse("2026-11-22T04:00:00Z")
POLICY = ((7200, 10_000), (0, 5_000))


def order(
    *,
    state: str = "pending_payment",
    price_minor: int = 12_800,
    confirmation: str = "instant",
    commission_bps: int = 1200,
    starts_in_minutes: int = 2880,
    coupon_minor: int = 0,
    points_minor: int = 0,
    now: Instant = NOW,
    **changed: Any,
) -> Order:
    """A pending order of one line and one open charge; further keywords replace fields of it."""
    account = ids.derived("acc", "somebody")
    order_id = ids.owned("ord", account, "place", "key")
    shop_id = ids.derived("shp", "somewhere")
    start = now.plus(minutes=starts_in_minutes)
    booking = Booking(
        ids.owned("stf", shop_id, "1"),
        "",
        start,
        start.plus(minutes=60),
        start,
        start.plus(minutes=60),
    )
    line = Line(
        id=tables.line_id(order_id, 0),
        offer_id=ids.owned("ofr", shop_id, "cut"),
        offer_version=1,
        kind="appointment",
        option_ids=(),
        quantity=1,
        unit_price_minor=price_minor,
        discounts=(),
        fulfilment_state="expected",
        booking=booking,
    )
    cash = price_minor - coupon_minor - points_minor
    deadline = now.plus(minutes=15)
    made = Order(
        id=order_id,
        account_id=account,
        merchant_id=ids.derived("mch", "somebody"),
        shop_id=shop_id,
        zone="Asia/Shanghai",
        state=state,
        lines=(line,),
        charges=(Charge(tables.charge_id(order_id, 0), "booking", cash, "open"),) if cash else (),
        terms=Terms("CNY", cash, coupon_minor, points_minor, commission_bps),
        policy=POLICY,
        confirmation=confirmation,
        deadline=deadline,
        due_at=deadline,
        created_at=now,
        request_hash=ids.digest("body"),
        timeline=(Event("placed", now, "customer"),),
    )
    return replace(made, **changed)


def attempt(of: Order, number: int = 1, *, method: str = "alipay", state: str = "requires_action") -> Attempt:
    charge = of.charges[0]
    own_id = attempt_id(of.id, charge.id, number, method)
    return Attempt(own_id, number, method, "web", state, f"pi_{number}", ids.digest(str(number), length=19), NOW, NOW)


def intent(
    of: Order, number: int = 1, state: str = "succeeded", *, received: int | None = None, method: str = "alipay"
) -> Intent:
    """The provider's word on intent `pi_<number>`, which pays the order's first charge."""
    charge = of.charges[0]
    paid = (charge.amount_minor if received is None else received) if state == "succeeded" else 0
    return Intent(
        intent_id=f"pi_{number}",
        state=state,
        amount=Money(charge.amount_minor, of.currency),
        received=Money(paid, of.currency),
        method=method,
        order_id=of.id,
        charge_id=charge.id,
        attempt_id=attempt_id(of.id, charge.id, number, method),
        charge_ref=f"py_{number}" if state == "succeeded" else None,
    )


def refund(of: Order, refund_id: str, tries: int, state: str) -> Refund:
    """The provider's word on one try of a refund."""
    record = next(one for one in of.refunds if one.id == refund_id)
    return Refund(
        provider_id=f"re_{refund_id}_{tries}",
        state=state,
        amount=Money(record.amount_minor, of.currency),
        order_id=of.id,
        refund_id=f"{refund_id}.{tries}",
        intent_id=record.intent_id,
    )


class Books:
    """An order as the tables would hold it: what is decided is packed, read back, and its entries are kept."""

    def __init__(self, begun: Order) -> None:
        self.order = begun
        self.entries: list[Entry] = []
        self.holds_slot = True

    def take(self, change: Change | None, now: Instant = NOW) -> Order:
        if change is not None:
            after, entries = changes.chained(change, self.order, now)
            self.order = tables._order(tables._row(after))
            assert self.order == after
            self.entries += entries
            self.holds_slot = (self.holds_slot or change.claims) and not change.releases
        return self.order
