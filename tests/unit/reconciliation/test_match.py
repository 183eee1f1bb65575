"""The match: each kind of difference by itself, and what holds for any two books whatsoever."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as books
from chalicelib.ledger.model import ProviderLine
from chalicelib.providers.ports import BalanceLine
from chalicelib.reconciliation import model
from chalicelib.reconciliation.model import Movement, OrderSide, Result, Run, match, movement, spans
from tests.builders.ledger import NOW, Books
from tests.builders.reconciliation import line, move

LAG = 2 * 3600
LATER = NOW.plus(hours=10)


def told(ours: list[Movement], theirs: list[BalanceLine], now: Instant = LATER) -> Result:
    return match(ours, theirs, now, LAG)


def kinds(result: Result) -> list[str]:
    return [item.kind for item in result.differences]


def test_a_movement_and_its_line_match() -> None:
    """Same charge, same way, same amount and currency; a refund's line is negative as ours is."""
    result = told([move(), move("re_1", -5000)], [line(), line("re_1", -5000, fee=0)])
    assert [found.theirs.line_id for found in result.matched] == ["txn_ch_1", "txn_re_1"]
    assert (result.in_flight, result.differences) == ((), ())


def test_a_refund_that_came_back_matches_beside_its_refund() -> None:
    """Both lines name the same refund; the sign tells them apart."""
    ours = [move("re_1", -5000, entry_id="a"), move("re_1", 5000, entry_id="b")]
    theirs = [line("re_1", -5000), line("re_1", 5000, category="refund_failure", line_id="txn_back")]
    assert len(told(ours, theirs).matched) == 2


def test_a_refund_that_never_arrived_is_undone_by_the_line_that_takes_it_back() -> None:
    """Nothing happened for our books, however old it is; as long as only its first line is there, something did."""
    gone = line("re_1", -5000, fee=0)
    back = line("re_1", 5000, fee=0, category="refund_failure", line_id="txn_back")
    result = told([], [back, gone])
    assert (result.undone, result.differences, result.in_flight) == ((gone, back), (), ())
    assert kinds(told([], [gone])) == ["missing_here"]


@pytest.mark.parametrize(
    "back",
    [
        line("re_1", 4999, fee=0, category="refund_failure", line_id="txn_back"),
        line("re_1", 5000, "USD", fee=0, category="refund_failure", line_id="txn_back"),
        line("re_1", 5000, fee=3, category="refund_failure", line_id="txn_back"),
        line("re_2", 5000, fee=0, category="refund_failure", line_id="txn_back"),
        line("re_1", 5000, fee=0, category="payment", line_id="txn_back"),
    ],
)
def test_only_what_takes_all_of_it_back_undoes_a_refund(back: BalanceLine) -> None:
    """Else both are missing here."""
    assert kinds(told([], [line("re_1", -5000, fee=0), back])) == ["missing_here"] * 2


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "effect"),
    [
        ([], [line()], "missing_here", 12_723),
        ([move()], [], "missing_there", -12_800),
        ([move()], [line(amount=12_700)], "amount", -177),
        ([move(), move(entry_id="entry:again:2")], [line()], "duplicate", -12_800),
        ([move()], [line(), line(line_id="txn_again")], "duplicate", 12_723),
        ([], [line("po_1", -9000, category="payout", fee=0)], "unknown_category", -9000),
    ],
)
def test_each_kind_of_difference(ours: list[Movement], theirs: list[BalanceLine], kind: str, effect: int) -> None:
    """One thing is wrong, and it is called by its name, with what it does to the balance."""
    (item,) = told(ours, theirs).differences
    assert (item.kind, dict(item.effect)) == (kind, {"CNY": effect})


def test_another_currency_is_its_own_kind() -> None:
    """128.00 CNY here, 128.00 USD there: both books are off."""
    (item,) = told([move()], [line(currency="USD")]).differences
    assert (item.kind, item.ours, item.theirs) == ("currency", (12_800, "CNY"), (12_800, "USD"))
    assert item.effect == {"CNY": -12_800, "USD": 12_723}


def test_what_is_younger_than_the_lag_is_in_flight_to_the_millisecond() -> None:
    """Two hours old to the millisecond is a difference; a millisecond less is not. A wrong amount never waits."""
    for ours, theirs in (([move()], []), ([], [line()])):
        young = told(ours, theirs, NOW.plus(seconds=LAG, ms=-1))
        assert (len(young.in_flight), young.differences) == (1, ())
        old = told(ours, theirs, NOW.plus(seconds=LAG))
        assert (old.in_flight, len(old.differences)) == ((), 1)
    assert kinds(told([move()], [line(amount=1)], NOW)) == ["amount"]


def test_the_equal_one_of_two_lines_is_the_match() -> None:
    """Whichever came first, the other is the second one."""
    wrong_first = told([move()], [line(amount=1, line_id="txn_a", at=NOW.plus(seconds=-5)), line(line_id="txn_b")])
    assert [found.theirs.line_id for found in wrong_first.matched] == ["txn_b"]
    assert [(item.kind, item.ref) for item in wrong_first.differences] == [("duplicate", "txn_a")]


def test_a_fee_that_changed_after_it_was_booked_is_a_difference() -> None:
    """77 was booked, 80 is on the line now."""
    result = told([move()], [line(fee=80)])
    kept = ProviderLine("ord_ch_1", "txn_ch_1", "ch_1", "CNY", 12_800, 77, NOW, NOW)
    (item,) = model.fee_differences(result.matched, {"txn_ch_1": kept})
    assert (item.kind, item.ours, item.theirs, item.effect) == ("fee", (77, "CNY"), (80, "CNY"), {"CNY": -3})
    assert model.fee_differences(result.matched, {}) == []


def test_an_order_that_says_otherwise_than_the_journal_is_a_state_difference() -> None:
    """Paid here and unpaid there, another currency, or no such order; agreement is silence."""

    def side(said: Any) -> OrderSide:
        return OrderSide("ord_1", NOW, "CNY", 12_800, 0, said)

    assert model.state_differences([side((12_800, 0, "CNY"))]) == []
    found = model.state_differences(
        [side((0, 0, "CNY")), side((12_800, 100, "CNY")), side((12_800, 0, "USD")), side(None)]
    )
    assert [(item.kind, item.effect) for item in found] == [("state", {})] * 4


def test_a_refund_that_the_bank_returned_is_neither_captured_nor_refunded() -> None:
    """However often it goes and comes back; the last one arrived."""
    order = Books()
    paid = order.captured().on("A.psp:stripe")
    for number in range(2):
        order.add("refund_succeeded", books.refund_succeeded(paid, "stripe"), ref=f"re_{number}")
        order.add("refund_returned", books.refund_returned(paid, "stripe"), ref=f"re_{number}")
    for count, refunded in enumerate((0, paid, 0, paid, 0), 1):
        assert model.captured_and_refunded(order.entries[:count], "A.psp:stripe") == (paid, refunded)


def test_only_entries_on_the_providers_account_are_movements() -> None:
    """An earning is none, nor is the provider's own fee."""
    order = Books()
    captured, earned = order.captured(), order.earned()
    fee = books.entry(
        model.FEE_EVENT, "txn_1", 1, at=NOW, currency="CNY", legs=books.provider_fee(60, "stripe"), ref="ch_1"
    )
    found = movement(captured, "A.psp:stripe")
    assert found is not None
    assert (found.amount_minor, found.ref, found.order_id) == (8500, captured.ref, order.order_id)
    assert movement(earned, "A.psp:stripe") is None
    assert movement(fee, "A.psp:stripe") is None
    assert movement(captured, "A.psp:wechat_pay") is None


@st.composite
def two_books(draw: st.DrawFn) -> tuple[list[Movement], list[BalanceLine]]:
    """Two books that may have anything wrong with them, over few charges so that things collide."""
    refs = st.sampled_from(["ch_1", "ch_2", "re_1", "re_2", "ch_3"])
    amounts = st.integers(-300, 300).filter(bool)
    currencies = st.sampled_from(["CNY", "CNY", "USD"])
    minutes = st.integers(-600, 600)
    categories = st.sampled_from(["", "", "", "payout", "adjustment"])
    ours = [
        move(ref, amount, currency, at=NOW.plus(minutes=minute), entry_id=f"e:{i}")
        for i, (ref, amount, currency, minute) in enumerate(
            draw(st.lists(st.tuples(refs, amounts, currencies, minutes), max_size=8))
        )
    ]
    theirs = [
        line(ref, amount, currency, fee=fee, category=category, line_id=f"txn_{i}", at=NOW.plus(minutes=minute))
        for i, (ref, amount, currency, fee, category, minute) in enumerate(
            draw(st.lists(st.tuples(refs, amounts, currencies, st.integers(0, 9), categories, minutes), max_size=8))
        )
    ]
    # Books that agree somewhere, too.
    for i, found in enumerate(draw(st.lists(st.sampled_from(ours), max_size=4)) if ours else []):
        theirs.append(line(found.ref, found.amount_minor, found.currency, line_id=f"txn_same_{i}", at=found.at))
    return ours, theirs


@given(two_books())
def test_nothing_is_lost_and_every_cent_is_explained(given_books: tuple[list[Movement], list[BalanceLine]]) -> None:
    """Their balance less our books is what the differences, the lines in flight and the matched fees add up to."""
    ours, theirs = given_books
    result = told(ours, theirs)
    between: dict[str, int] = defaultdict(int)
    for found in theirs:
        between[found.amount.currency] += found.amount.amount_minor - found.fee.amount_minor
    for moved in ours:
        between[moved.currency] -= moved.amount_minor
    explained = defaultdict(int, model.effects([*result.differences, *result.in_flight]))
    for pair in result.matched:
        explained[pair.theirs.fee.currency] -= pair.theirs.fee.amount_minor
    assert {c: a for c, a in between.items() if a} == {c: a for c, a in explained.items() if a}
    names = [(item.kind, item.ref, item.day) for item in (*result.differences, *result.in_flight)]
    sides = 2 * len(result.matched) + sum(
        2 if item.ours and item.theirs else 1 for item in (*result.differences, *result.in_flight)
    )
    assert sides + len(result.undone) == len(ours) + len(theirs)
    assert all(item.kind in model.KINDS for item in result.differences), names


@given(two_books(), st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_what_is_read_change_nothing(
    given_books: tuple[list[Movement], list[BalanceLine]], dice: random.Random
) -> None:
    """Shuffled, and with lines and entries read twice over."""
    ours, theirs = given_books
    again, shuffled = [*ours, *ours[:3]], [*theirs, *theirs[:3]]
    dice.shuffle(again)
    dice.shuffle(shuffled)
    assert told(again, shuffled) == told(ours, theirs)


@given(st.lists(st.tuples(st.integers(1, 9999), st.booleans(), st.booleans()), max_size=60))
def test_what_agrees_matches_whatever_else_is_missing(facts: list[tuple[int, bool, bool]]) -> None:
    """Any subset of lines may be lost on either side: exactly the others match."""
    ours = [move(f"ch_{i}", amount) for i, (amount, here, _) in enumerate(facts) if here]
    theirs = [line(f"ch_{i}", amount) for i, (amount, _, there) in enumerate(facts) if there]
    result = told(ours, theirs)
    both = sum(here and there for _, here, there in facts)
    expected = Counter(missing_there=len(ours) - both, missing_here=len(theirs) - both)
    assert len(result.matched) == both
    assert Counter(kinds(result)) == +expected


def test_days_are_read_in_groups_and_reported_one_by_one() -> None:
    """Near days share a reading; a counterpart on the next day is found and counted on the line's own day."""
    days = [date(2026, 11, 1), date(2026, 11, 9), date(2026, 11, 30)]
    assert spans(reversed(days)) == [days[:2], days[2:]]
    midnight = Instant.parse("2026-11-23T00:00:00.000Z")
    result = match([move(at=midnight)], [line(at=midnight.plus(ms=-1))], midnight.plus(hours=9), LAG)
    assert len(result.of_days({date(2026, 11, 22)}).matched) == 1
    assert result.of_days({date(2026, 11, 23)}).matched == ()


def test_a_run_says_how_its_day_stands() -> None:
    """A difference weighs more than something in flight; the balance must be explained to the cent."""
    day = date(2026, 11, 22)
    assert [Run("stripe", day, 5, f, d).state for f, d in ((0, 0), (1, 0), (1, 1))] == [
        "matched",
        "in_flight",
        "differences",
    ]
    assert Run("stripe", day, balance={"CNY": (100, 90, 10)}).balanced
    assert not Run("stripe", day, balance={"CNY": (100, 90, 9)}).balanced


def test_what_was_not_compared_is_neither_explained_nor_a_hole() -> None:
    """One currency without a reading leaves the run open, unless another has a hole."""
    day = date(2026, 11, 22)
    unread = {"CNY": (None, 90, 10)}
    assert Run("stripe", day, balance=unread).balanced is None
    assert Run("stripe", day, balance={**unread, "USD": (5, 5, 0)}).balanced is None
    assert Run("stripe", day, balance={**unread, "USD": (5, 4, 0)}).balanced is False


def test_lines_that_came_later_are_taken_off_the_balance_net_and_by_currency() -> None:
    """A charge and a refund of 128.00 and 50.00; a currency that is not compared changes nothing."""
    newer = [line(), line("re_1", -5000, fee=0), line("ch_2", currency="USD")]
    assert model.less_newer({"CNY": 20_000}, newer) == {"CNY": 20_000 - 12_723 + 5000}
