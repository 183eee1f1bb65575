"""Weekly hours become instants, in every time zone and on every day that the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog.hours import (
    Hours,
    between,
    clip,
    common,
    every_day,
    faults,
    first_instant,
    intervals_of,
    is_open,
    join,
    without,
)
from chalicelib.kernel.instant import HOUR_MS, MINUTE_MS, Instant, local_midnight, zone

# `localtime` is the machine's own, and differs from one to the next.
ZONES = sorted(available_timezones() - {"localtime"})
QUARTER_MS = 15 * MINUTE_MS

days = st.dates(date(2001, 1, 1), date(2098, 12, 31))
zones = st.sampled_from(ZONES)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """Up to three of a day, in order, the last perhaps over midnight."""
    cuts = sorted(draw(st.sets(st.integers(0, 1439), min_size=2, max_size=6)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    if pairs and draw(st.booleans()):
        pairs[-1] = (pairs[-1][0], draw(st.integers(1440, pairs[-1][0] + 1440)))
    return tuple(pairs)


hours = st.builds(
    Hours,
    st.dictionaries(st.integers(0, 6), intervals(), max_size=7),
    st.dictionaries(days, intervals(), max_size=2),
)


def wall(at: Instant, zone_name: str) -> datetime:
    return datetime.fromtimestamp(at.ms / 1000, UTC).astimezone(zone(zone_name)).replace(tzinfo=None)


@given(days, st.integers(0, 2880), zones)
def test_the_first_instant_of_a_clock_time_is_the_first(day: date, minute: int, zone_name: str) -> None:
    """At it the clock has reached the time; a moment earlier it never had."""
    at = first_instant(day, minute, zone_name)
    wanted = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    assert wall(at, zone_name) >= wanted
    for earlier_ms in (1, QUARTER_MS, HOUR_MS, 3 * HOUR_MS):
        assert wall(at.plus(ms=-earlier_ms), zone_name) < wanted


@given(days, st.integers(0, 2880), st.integers(0, 2880), zones)
def test_later_clock_times_never_come_earlier(day: date, one: int, other: int, zone_name: str) -> None:
    low, high = sorted((one, other))
    assert first_instant(day, low, zone_name) <= first_instant(day, high, zone_name)


def _changes() -> list[tuple[str, date]]:
    """Every day of 2026 that is not 24 hours long, in every zone."""
    found = []
    for zone_name in ZONES:
        day = date(2026, 1, 1)
        begin = local_midnight(day, zone_name)
        while day < date(2027, 1, 1):
            day += timedelta(days=1)
            end = local_midnight(day, zone_name)
            if end.ms - begin.ms != 24 * HOUR_MS:
                found.append((zone_name, day - timedelta(days=1)))
            begin = end
    return found


def test_on_days_of_23_and_25_hours_the_whole_day_is_open_and_joins_its_neighbours() -> None:
    """In every zone: open around the clock leaves no gap and no overlap, and split hours keep their clock times."""
    changes = _changes()
    assert len({zone_name for zone_name, _ in changes}) > 100
    around, split = every_day((0, 1440)), every_day((0, 90), (90, 150), (150, 1440))
    for zone_name, day in changes:
        begin, end = local_midnight(day, zone_name), local_midnight(day + timedelta(days=1), zone_name)
        assert intervals_of(around, day, zone_name) == [(begin, end)]
        assert join(intervals_of(split, day, zone_name)) == [(begin, end)]
        assert (end.ms - begin.ms) % QUARTER_MS == 0


@settings(max_examples=120)
@given(hours, days, zones)
def test_intervals_are_in_order_and_apart(of: Hours, day: date, zone_name: str) -> None:
    found = intervals_of(of, day, zone_name)
    assert all(begin < end for begin, end in found)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(found))


@settings(max_examples=120)
@given(hours, days, st.integers(0, 47), zones)
def test_open_is_what_a_clock_on_the_wall_says(of: Hours, day: date, half_hours: int, zone_name: str) -> None:
    """On days without a change of clocks, the weekday's minutes decide, and yesterday's over midnight."""
    at = local_midnight(day, zone_name).plus(minutes=30 * half_hours + 7)
    spread = {wall(at.plus(hours=shift), zone_name) - timedelta(hours=shift) for shift in range(-50, 27, 4)}
    if len(spread) > 1:  # the clocks change near: the other tests look at that
        return
    local = wall(at, zone_name)
    minute = local.hour * 60 + local.minute
    yesterday = local.date() - timedelta(days=1)
    expected = any(a <= minute < b for a, b in of.of(local.date())) or any(
        a <= minute + 1440 < b for a, b in of.of(yesterday)
    )
    assert is_open(of, at, zone_name) == expected


@settings(max_examples=120)
@given(hours, days, st.integers(0, 96), zones)
def test_a_span_holds_exactly_the_moments_that_are_open(of: Hours, day: date, quarters: int, zone_name: str) -> None:
    begin = local_midnight(day, zone_name)
    end = begin.plus(hours=36)
    found = between(of, begin, end, zone_name)
    at = begin.plus(ms=quarters * QUARTER_MS)
    assert any(a <= at < b for a, b in found) == is_open(of, at, zone_name)
    assert all(begin <= a < b <= end for a, b in found)


def test_a_bar_is_open_past_midnight_and_a_holiday_is_not() -> None:
    """Friday's hours reach into Saturday, even when Saturday is closed by an exception."""
    of = Hours({4: ((1080, 1560),)}, {date(2026, 11, 28): ()})
    assert is_open(of, Instant.parse("2026-11-27T17:59:00Z"), "Asia/Shanghai")  # Saturday 01:59
    assert not is_open(of, Instant.parse("2026-11-27T18:00:00Z"), "Asia/Shanghai")
    closed = Hours(of.weekly, {date(2026, 11, 27): ()})
    assert not is_open(closed, Instant.parse("2026-11-27T12:00:00Z"), "Asia/Shanghai")


def test_a_skipped_opening_time_is_the_moment_the_clocks_change() -> None:
    """New York, 8 March 2026: 02:30 does not exist, the shop that opens then opens at 03:00."""
    begin, end = intervals_of(every_day((150, 240)), date(2026, 3, 8), "America/New_York")[0]
    assert (str(begin), str(end)) == ("2026-03-08T07:00:00.000Z", "2026-03-08T08:00:00.000Z")
    assert intervals_of(every_day((125, 175)), date(2026, 3, 8), "America/New_York") == []


stretches = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (Instant(pair[0]), Instant(sum(pair)))),
    max_size=5,
)


@given(stretches, stretches, st.integers(0, 90))
def test_union_intersection_and_difference_are_those_of_sets(one: list, other: list, at_ms: int) -> None:
    at = Instant(at_ms)

    def holds(found: list) -> bool:
        return any(begin <= at < end for begin, end in found)

    left, right = join(one), join(other)
    assert holds(left) == holds(one)
    assert holds(common(left, right)) == (holds(one) and holds(other))
    assert holds(without(left, right)) == (holds(one) and not holds(other))
    assert holds(clip(left, Instant(10), Instant(30))) == (holds(one) and 10 <= at_ms < 30)


@pytest.mark.parametrize(
    ("given_hours", "count"),
    [
        (every_day((600, 1320)), 0),
        (every_day((600, 720), (780, 1560)), 0),
        (every_day((0, 1440)), 0),
        (every_day((720, 600)), 1),
        (every_day((600, 600)), 1),
        (every_day((-5, 600)), 1),
        (every_day((600, 2041)), 1),
        (every_day((600, 900), (800, 1000)), 1),
        (Hours({7: ((600, 700),)}), 1),
        (every_day(*((i * 60, i * 60 + 30) for i in range(7))), 1),
        (Hours({}, {date(2026, 1, 1) + timedelta(days=i): () for i in range(121)}), 1),
    ],
)
def test_hours_that_make_no_sense_are_named(given_hours: Hours, count: int) -> None:
    assert len(faults(given_hours)) == count
