"""Since when something should not be: suspense by currency, refunds by order, and the seconds of a gauge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.insights import model
from chalicelib.insights.model import Gauge, Payment, Standing
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.ledger.model import Entry, Leg, entry
from chalicelib.ledger.postings import REFUND_PAYABLE

NOW = Instant.parse("2026-11-22T10:00:00.000Z")
ORDER = "ord_00000000000000000000000001"


def moved(account: str, *amounts: int, currency: str = "CNY") -> list[Entry]:
    """Entries of one order a minute apart, chained; an amount is a debit of the account."""
    made: list[Entry] = []
    for n, amount in enumerate(amounts, 1):
        legs = [Leg(account, amount), Leg("A.psp:stripe", -amount)]
        last = made[-1].hash if made else ""
        at = NOW.plus(minutes=n)
        made.append(entry("moved", ORDER, n, at=at, currency=currency, legs=legs, previous_hash=last))
    return made


def test_a_gauge_says_how_long_and_what() -> None:
    """Whole seconds since it should not have been; nothing before that."""
    assert model.late(None, NOW) == Gauge(0)
    assert model.late(("later", NOW.plus(seconds=5)), NOW) == Gauge(0)
    assert model.late(("news", NOW), NOW.plus(seconds=61, ms=999)) == Gauge(61, "news")
    assert model.elder(None, ("a", NOW)) == ("a", NOW)
    assert model.elder(("b", NOW.plus(ms=1)), ("a", NOW)) == ("a", NOW)
    assert model.elder(None, None) is None


def test_suspense_is_as_old_as_its_last_way_from_zero() -> None:
    """What was cleared in between does not count, and each currency stands by itself."""
    books = [*moved(model.SUSPENSE, -500, 500, -300, -200), *moved(model.SUSPENSE, -9, currency="USD")]
    stands = model.folded({}, books)
    assert stands == {"CNY": Standing(-500, NOW.plus(minutes=3)), "USD": Standing(-9, NOW.plus(minutes=1))}
    assert model.oldest_standing(stands) == ("USD", NOW.plus(minutes=1))
    assert model.folded(stands, moved(model.SUSPENSE, 500)) == {"USD": stands["USD"]}
    assert model.oldest_standing({}) is None


@given(st.lists(st.integers(-50, 50).filter(bool), max_size=14), st.integers(0, 14))
def test_folding_in_two_goes_is_folding_in_one(amounts: list[int], cut: int) -> None:
    """So a run can go on where the last one stopped; the amount is the sum of all."""
    books = moved(model.SUSPENSE, *amounts)
    whole = model.folded({}, books)
    assert model.folded(model.folded({}, books[:cut]), books[cut:]) == whole
    assert (whole["CNY"].amount_minor if whole else 0) == sum(amounts)


def test_a_refund_is_owed_since_its_own_moment() -> None:
    """The first one paid leaves the second, owed since it was approved."""
    books = moved(REFUND_PAYABLE, -800, -300, 800)
    found = model.owed(books)
    assert found.standing == Standing(300, NOW.plus(minutes=2))
    assert found.moments == (NOW.plus(minutes=1), NOW.plus(minutes=2))
    assert model.owed(books[:1]).standing == Standing(800, NOW.plus(minutes=1))
    assert model.owed([]).standing is None


@given(st.lists(st.integers(1, 100), max_size=8), st.lists(st.integers(1, 100), max_size=8))
def test_what_is_owed_is_what_came_less_what_was_paid(came: list[int], paid: list[int]) -> None:
    """However many refunds and payments there were; and its moment is one of the moments."""
    left = sum(came)
    payments = []
    for amount in paid:
        payments.append(min(amount, left))
        left -= payments[-1]
    found = model.owed(moved(REFUND_PAYABLE, *(-amount for amount in came), *(amount for amount in payments if amount)))
    assert (found.standing.amount_minor if found.standing else 0) == left
    assert found.standing is None or found.standing.since in found.moments
    assert len(found.moments) == len(came)


def test_payments_that_nobody_knows_are_kept_a_week_and_the_oldest_of_them() -> None:
    """Memory is bounded; what decides the gauge is never what is left out."""
    old = {"pi_old": Payment(ORDER, Instant(NOW.ms - 7 * DAY_MS))}
    many = {f"pi_{n:04}": Payment(ORDER, Instant(NOW.ms - n)) for n in range(model.MAX_UNHEARD + 5)}
    kept = model.remembered(old | many, NOW)
    assert len(kept) == model.MAX_UNHEARD
    assert "pi_old" not in kept
    assert model.oldest_payment(kept) == (ORDER, Instant(NOW.ms - model.MAX_UNHEARD - 4))
    assert model.oldest_payment({}) is None
