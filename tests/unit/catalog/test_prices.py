"""The history of a price against a diary that is kept quarter day by quarter day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalog import prices
from chalicelib.catalog.packing_terms import of_history, to_history
from chalicelib.catalog.prices import MAX_POINTS, ListPriceNotAsked, PriceHistory
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.kernel.money import Money

BEGIN = Instant.parse("2026-03-01T00:00:00Z")
TICK_MS = DAY_MS // 4
DAY = 4  # ticks

Diary = list[int | None]
"""What was asked in each quarter of a day; None: nothing."""


def at(tick: int) -> Instant:
    return Instant(BEGIN.ms + tick * TICK_MS)


def kept(diary: Diary) -> PriceHistory:
    """What the store keeps when each change is written as it happens, and packed and unpacked each time."""
    history = PriceHistory()
    for tick, amount in enumerate(diary):
        if tick == 0 or amount != diary[tick - 1]:
            history = to_history(of_history(prices.recorded(history, amount, at(tick))))
    return history


def told(diary: Diary) -> int | None:
    """The highest list price at the diary's end, read off the diary."""
    asked = [tick for tick, amount in enumerate(diary) if amount is not None]
    if not asked:
        return None
    present = diary[asked[-1]]
    earlier = [tick for tick in asked if diary[tick] != present]
    began = min(tick for tick in asked if not earlier or tick > earlier[-1])
    if began <= len(diary) - 30 * DAY:
        return None
    window = [amount for amount in diary[max(began - 30 * DAY, 0) : began] if amount is not None]
    return min(window) if len(window) >= 7 * DAY else None


def diaries(longest: int, runs: int) -> st.SearchStrategy[Diary]:
    run = st.tuples(st.sampled_from([None, 9_800, 12_800, 15_800, 20_000]), st.integers(1, longest))
    return st.lists(run, min_size=1, max_size=runs).map(lambda found: [amount for amount, n in found for _ in range(n)])


@given(diaries(longest=35 * DAY, runs=12))
def test_the_highest_list_price_is_what_a_diary_says(diary: Diary) -> None:
    """However often the price moved and the offer came and went."""
    assert prices.highest_list_price(kept(diary), at(len(diary))) == told(diary)


@given(diaries(longest=35 * DAY, runs=12))
def test_the_lowest_price_of_thirty_days_is_what_a_diary_says(diary: Diary) -> None:
    """The price of this very moment among them."""
    asked = [amount for amount in diary[-30 * DAY :] if amount is not None]
    history = kept(diary)
    assert prices.lowest_30d(history, at(len(diary))) == min(asked, default=None)
    shown = prices.recent(history, at(len(diary)))
    assert all(point.since > at(len(diary) - 30 * DAY) for point in shown[1:])
    changes = sum(diary[tick] != diary[tick - 1] for tick in range(max(len(diary) - 30 * DAY + 1, 1), len(diary)))
    assert len(shown) in (changes, changes + 1)


@given(diaries(longest=3, runs=200))
def test_what_was_too_much_to_keep_never_allows_more(diary: Diary) -> None:
    """A price that changes several times a day for weeks is kept in few points, and only refuses more often."""
    history = kept(diary)
    assert len(history.points) <= MAX_POINTS
    allowed, exact = prices.highest_list_price(history, at(len(diary))), told(diary)
    assert allowed in (None, exact)
    asked = [amount for amount in diary[-30 * DAY :] if amount is not None]
    lowest = prices.lowest_30d(history, at(len(diary)))
    assert lowest is None or lowest <= min(asked, default=lowest)


def test_a_price_raised_the_day_before_is_no_price_to_strike_through() -> None:
    """Two months at 128, a day at 300, now 118: what was asked is 128."""
    history = kept([12_800] * 60 * DAY + [30_000] * DAY + [11_800])
    now = at(61 * DAY + 1)
    assert prices.highest_list_price(history, now) == 12_800
    with pytest.raises(ListPriceNotAsked):
        prices.require_asked(Money(30_000, "CNY"), history, now)
    prices.require_asked(Money(12_800, "CNY"), history, now)


def test_a_struck_through_price_goes_after_thirty_days() -> None:
    """And is only shown while it is above the price."""
    history = kept([20_000] * 40 * DAY + [12_800])
    list_price, price = Money(20_000, "CNY"), Money(12_800, "CNY")
    assert prices.shown(list_price, price, history, at(69 * DAY)) == list_price
    assert prices.shown(list_price, price, history, at(70 * DAY)) is None
    assert prices.shown(price, price, history, at(41 * DAY)) is None
    assert prices.shown(Money(20_001, "CNY"), price, history, at(41 * DAY)) is None
    assert prices.shown(None, price, history, at(41 * DAY)) is None


def test_a_price_that_nobody_could_pay_was_not_asked() -> None:
    """Six days on the shelf are too few, however long it lay in the drawer."""
    assert prices.highest_list_price(kept([20_000] * 6 * DAY + [12_800]), at(6 * DAY + 1)) is None
    assert prices.highest_list_price(kept([None] * 40 * DAY + [20_000] * 7 * DAY + [12_800]), at(48 * DAY)) == 20_000
    assert prices.highest_list_price(kept([None] * 40 * DAY + [12_800]), at(41 * DAY)) is None


def test_two_prices_at_one_moment_leave_the_second() -> None:
    """And a clock that runs behind does not turn the order around."""
    history = prices.recorded(PriceHistory(), 20_000, at(10))
    history = prices.recorded(history, 30_000, at(20))
    history = prices.recorded(history, 12_800, at(15))
    assert [(point.since, point.amount_minor) for point in history.points] == [(at(10), 20_000), (at(20), 12_800)]
