"""Orders that have forgotten a decision get it back from the refund, or the entry, that it has left behind."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from chalicelib.kernel.money import Money
from chalicelib.ledger.model import Entry
from chalicelib.orders import changes, decisions, restored
from chalicelib.orders.model import Order, proof_of
from chalicelib.providers.ports import Refund
from tests.builders import plain
from tests.builders.plain import CLOCKS, NOW, PROVIDER, Books

prices = st.integers(100, 50_000)
parts = st.integers(0, 40)


def paid(price: int, coupon_percent: int, points_percent: int, **changed: int) -> Books:
    """A paid order; parts of its price are coupons and points."""
    coupon, points = price * coupon_percent // 100, price * points_percent // 100
    books = Books(plain.order(price_minor=price, coupon_minor=coupon, points_minor=points, **changed))
    opened = decisions.attempt_opened(books.order, books.order.charges[0].id, plain.attempt(books.order), NOW)
    books.take(opened)
    books.take(decisions.intent_fact(books.order, plain.intent(books.order), NOW, CLOCKS, PROVIDER))
    return books


def sent(order: Order) -> Refund:
    """The order's refund as the provider knows it."""
    (record,) = order.refunds
    return plain.refund(order, record.id, record.tries, "succeeded")


def goes_back_to(books: Books) -> Books:
    """The same order as a restore brings it back."""
    made = Books(books.order)
    made.entries = list(books.entries)
    return made


@given(prices, parts, parts, st.integers(1, 3000))
def test_a_refund_brings_back_the_end_of_its_order(price: int, coupon: int, points: int, minutes: int) -> None:
    """Whatever was kept by the policy is kept again, to the cent of cash; the proof holds, and nothing is owed."""
    books = paid(price, coupon, points, starts_in_minutes=minutes)
    copy = goes_back_to(books)
    books.take(decisions.cancelled(books.order, "customer", NOW))
    assume(books.order.refunds)
    fact = sent(books.order)
    books.take(decisions.refund_fact(books.order, fact, NOW, PROVIDER))

    copy.take(restored.refund_found(copy.order, fact, NOW))
    copy.take(decisions.refund_fact(copy.order, fact, NOW, PROVIDER))
    assert copy.order.state == "cancelled"
    assert copy.order.refunded_minor == books.order.refunded_minor
    assert [refund.id for refund in copy.order.refunds] == [refund.id for refund in books.order.refunds]
    assert proof_of(copy.order, copy.entries).failures == []
    assert not copy.holds_slot


@given(prices, st.integers(1, 3000), st.sampled_from(["cancelled", "declined", "no_show"]))
def test_an_entry_brings_back_the_end_of_its_order(price: int, minutes: int, how: str) -> None:
    """A row that its journal has left behind: it ends as the entry says, and writes no second one."""
    books = paid(price, 0, 0, starts_in_minutes=minutes, confirmation="request")
    if how == "no_show":
        books.take(decisions.accepted(books.order, NOW))
    copy = goes_back_to(books)
    act, by = {"cancelled": ("cancel", "customer"), "declined": ("decline", "merchant")}.get(how, ("no_show",) * 2)
    books.take(decisions.cancelled(books.order, by, NOW, act))
    entry = books.entries[-1]
    assert entry.event == how
    copy.entries.append(entry)

    behind = replace(copy.order, behind=True)
    change = restored.decided(behind, entry, CLOCKS, NOW)
    assert change is not None
    after, entries = restored_chain(behind, change, copy)
    assert entries == []
    assert (after.last_hash, after.behind, after.cancel_reason) == (
        entry.hash,
        False,
        {"cancelled": "operator"}.get(how, how),
    )
    assert [refund.amount_minor for refund in after.refunds] == [one.amount_minor for one in books.order.refunds]
    assert [refund.id for refund in after.refunds] == [refund.id for refund in books.order.refunds]
    assert proof_of(after, copy.entries).failures == []


def restored_chain(behind: Order, change: changes.Change, copy: Books) -> tuple[Order, list[Entry]]:
    return changes.chained(change, behind, NOW, copy.entries)


def test_a_refund_of_nobody_we_know_changes_nothing() -> None:
    """Made by hand at the provider, of another currency, of more than there was, or of a visit that was given."""
    books = paid(12_800, 0, 0)
    ours = Refund("re_1", "succeeded", Money(12_800, "CNY"), books.order.id, "ref_" + "0" * 26 + ".0", "pi_1")
    for other in (
        replace(ours, refund_id=""),
        replace(ours, refund_id="ref_" + "0" * 26 + ".x"),
        replace(ours, amount=Money(12_800, "USD")),
        replace(ours, amount=Money(12_801, "CNY")),
        replace(ours, intent_id="pi_2"),
    ):
        assert restored.refund_found(books.order, other, NOW) is None
    assert restored.refund_found(replace(books.order, state="completed"), ours, NOW) is None
    assert restored.refund_found(books.order, ours, NOW) is not None


def test_a_payment_that_is_sent_back_takes_over_the_refund_that_is_on_its_way() -> None:
    """The fact decides the refund anew; what the provider has is that refund, under its own id."""
    books = paid(12_800, 0, 0)
    books.take(decisions.intent_fact(books.order, plain.intent(books.order, 2), NOW, CLOCKS, PROVIDER))
    (record,) = books.order.refunds
    assert record.reason == "duplicate"
    known = Refund("re_9", "succeeded", Money(12_800, "CNY"), books.order.id, "ref_" + "7" * 26 + ".2", "pi_2")
    books.take(restored.refund_found(books.order, known, NOW))
    books.take(decisions.refund_fact(books.order, known, NOW, PROVIDER))
    assert [(one.id, one.tries, one.reason, one.state) for one in books.order.refunds] == [
        ("ref_" + "7" * 26, 2, "duplicate", "succeeded")
    ]
    assert restored.refund_found(books.order, replace(known, refund_id="ref_" + "8" * 26 + ".0"), NOW) is None
    assert proof_of(books.order, books.entries).failures == []
