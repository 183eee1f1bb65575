"""What an order becomes in the table, and how large."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.orders import decisions, tables
from chalicelib.orders.model import ORDER, Booking, Charge, Discount, Event, Line, request_mark
from chalicelib.payments.model import ATTEMPT, REFUND, Attempt, RefundRecord, attempt_id
from tests.builders import plain
from tests.builders.plain import CLOCKS, NOW, PROVIDER
from tests.unit.orders.test_decisions import in_state

PLAIN_ROW_BYTES = 1024  # one write unit

instants = st.integers(946_684_800_000, 4_102_444_799_999).map(Instant)
amounts = st.integers(0, 99_999_999)
names = st.sampled_from(["a", "stf_0", "wrong_amount", "z" * 24]) | st.text("abcxyz_", min_size=1, max_size=24)
texts = st.text(max_size=30)
bookings = st.builds(Booking, names, st.just("") | names, instants, instants, instants, instants)
discounts = st.builds(Discount, st.sampled_from(["platform", "merchant"]), names, amounts)
actors = st.sampled_from(["customer", "merchant", "operator", "provider", "system"])


@st.composite
def orders(draw: st.DrawFn):
    begun = plain.order()
    lines = tuple(
        Line(
            tables.line_id(begun.id, i),
            draw(names),
            draw(st.integers(1, 9999)),
            draw(st.sampled_from(["appointment", "class"])),
            tuple(draw(st.lists(names, max_size=3))),
            draw(st.integers(1, 20)),
            draw(amounts),
            tuple(draw(st.lists(discounts, max_size=2))),
            draw(st.sampled_from(["expected", "finished"])),
            draw(st.none() | bookings),
        )
        for i in range(draw(st.integers(1, 5)))
    )
    charges = []
    for i in range(draw(st.integers(0, 3))):
        charge_id = tables.charge_id(begun.id, i)
        attempts = []
        for ordinal in range(1, draw(st.integers(0, 3)) + 1):
            method = draw(st.sampled_from(["card", "alipay"]))
            attempts.append(
                Attempt(
                    attempt_id(begun.id, charge_id, ordinal, method),
                    ordinal,
                    method,
                    draw(st.sampled_from(["", "web"])),
                    draw(st.sampled_from(ATTEMPT.states)),
                    draw(names),
                    draw(st.just("") | names),
                    draw(instants | st.just(Instant(0))),
                    draw(instants),
                    draw(amounts),
                    draw(st.just("") | names),
                )
            )
        purpose = draw(st.sampled_from(["booking", "tip"]))
        charges.append(Charge(charge_id, purpose, draw(amounts), draw(st.sampled_from(["open", "paid"])), (*attempts,)))
    refunds = st.builds(
        RefundRecord,
        names,
        amounts,
        st.sampled_from(REFUND.states),
        names,
        names,
        st.integers(0, 5),
        st.just("") | names,
        instants,
    )
    return replace(
        begun,
        state=draw(st.sampled_from(ORDER.states)),
        lines=lines,
        charges=tuple(charges),
        policy=tuple(draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10_000)), max_size=8))),
        confirmation=draw(st.sampled_from(["instant", "request"])),
        deadline=draw(instants),
        due_at=draw(instants),
        created_at=draw(instants),
        version=draw(st.integers(1, 999)),
        payment_state=draw(st.sampled_from(["none", "processing", "paid", "late"])),
        refund_state=draw(st.sampled_from(["none", "partial", "full"])),
        dispute_state=draw(st.sampled_from(["none", "open"])),
        cancel_reason=draw(st.sampled_from(["", "customer", "timeout"])),
        cancel_mark=draw(st.sampled_from(["", "0123456789abc"])),
        kept_minor=draw(amounts),
        extended=draw(st.booleans()),
        refunds=tuple(
            replace(
                one, intent_id=draw(st.sampled_from([a.intent_id for c in charges for a in c.attempts] or ["pi_x"]))
            )
            if draw(st.booleans())
            else one
            for one in draw(st.lists(refunds, max_size=3))
        ),
        timeline=tuple(draw(st.lists(st.builds(Event, names, instants, actors), max_size=6))),
        note=draw(texts),
        last_hash=draw(st.sampled_from(["", "ab" * 32])),
        earned_at=draw(st.none() | instants),
    )


@settings(max_examples=60, deadline=None)
@given(orders())
def test_an_order_is_read_as_it_was_written(order) -> None:
    """Every field, through the row and the engine's own form of it."""
    item = tables._row(order).serialize()
    row = tables.OrderRow()
    row.deserialize(item)
    assert tables._order(row) == order


@pytest.mark.parametrize("state", [*ORDER.states, "refunded"])
def test_a_plain_order_is_one_write_unit_in_every_state(state: str) -> None:
    """One line with a stylist and a chair, a price in five digits, one attempt, real ids, two days between its
    events: never above 1,024 bytes, also when its refund is through."""
    books = in_state("cancelled" if state == "refunded" else state)
    if state == "refunded":
        record = books.order.refunds[0]
        told = plain.refund(books.order, record.id, 0, "succeeded")
        books.take(decisions.refund_fact(books.order, told, NOW.plus(days=20), PROVIDER), NOW.plus(days=20))
    order = with_real_ids(books.order)
    assert tables.size_of(order) <= PLAIN_ROW_BYTES, tables.size_of(order)


def test_an_order_that_was_paid_late_refunded_and_asked_twice_still_fits_two_units() -> None:
    """The dear cases are dear, but bounded."""
    order = in_state("cancelled").order
    for number in (2, 3):
        told = plain.intent(order, number)
        change = decisions.intent_fact(order, told, NOW, CLOCKS, PROVIDER)
        assert change is not None
        order = change.after
    assert tables.size_of(with_real_ids(order)) <= 2 * PLAIN_ROW_BYTES


def with_real_ids(order):
    """Ids as long as the provider's, a chair beside the stylist, and the last hash of a chain."""

    def attempt(one):
        intent = "pi_" + ids.digest(one.intent_id, length=24)
        charge = one.charge_ref and "py_" + ids.digest("c", length=24)
        return replace(one, intent_id=intent, charge_ref=charge, client="android", key=request_mark("a", "k", "h"))

    charges = tuple(replace(c, attempts=tuple(attempt(a) for a in c.attempts)) for c in order.charges)
    refunds = tuple(
        replace(r, intent_id="pi_" + ids.digest(r.intent_id, length=24), provider_id="pyr_" + "x" * 24)
        for r in order.refunds
    )
    line = order.lines[0]
    assert line.booking is not None
    booking = replace(line.booking, chair_id=ids.owned("chr", order.shop_id, "1"))
    return replace(
        order,
        charges=charges,
        refunds=refunds,
        lines=(replace(line, booking=booking),),
        cancel_mark=request_mark("a", "k", "h") if order.cancel_reason else "",
        timeline=tuple(replace(event, at=order.created_at.plus(days=2 * n)) for n, event in enumerate(order.timeline)),
        last_hash=order.last_hash or ("ab" * 32 if order.payment_state == "paid" else ""),
    )
