"""Weekly hours and the instants they mean, right on days of 23, 24 and 25 hours.

A stretch is a pair (begin, end) of instants, half-open. Lists of stretches are in order and do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from chalicelib.kernel.instant import SECOND_MS, Instant, at_local, zone

Minutes = tuple[tuple[int, int], ...]
"""Half-open intervals in minutes of the local clock since 00:00; an end past 1,440 is over midnight."""

Stretch = tuple[Instant, Instant]

DAY_MINUTES = 1440
MAX_INTERVALS = 6  # of one day
MAX_EXCEPTIONS = 120


@dataclass(frozen=True)
class Hours:
    """`weekly[0]` is Monday; a weekday that is missing is closed. An exception replaces the whole of its date."""

    weekly: Mapping[int, Minutes] = field(default_factory=dict)
    exceptions: Mapping[date, Minutes] = field(default_factory=dict)

    def of(self, day: date) -> Minutes:
        """The intervals that begin on a local day."""
        return self.exceptions[day] if day in self.exceptions else self.weekly.get(day.weekday(), ())


def every_day(*intervals: tuple[int, int], closed: Iterable[int] = ()) -> Hours:
    """The same intervals on each weekday, except those closed (0 = Monday)."""
    shut = set(closed)
    return Hours({weekday: tuple(intervals) for weekday in range(7) if weekday not in shut})


def faults(hours: Hours) -> list[str]:
    """What is wrong with these hours, as sentences; empty when nothing is."""
    found: list[str] = []
    if len(hours.exceptions) > MAX_EXCEPTIONS:
        found.append(f"at most {MAX_EXCEPTIONS} exceptions")
    if any(weekday not in range(7) for weekday in hours.weekly):
        found.append("weekdays are 0 (Monday) to 6")
    for intervals in [*hours.weekly.values(), *hours.exceptions.values()]:
        found += _interval_faults(intervals)
    return sorted(set(found))


def _interval_faults(intervals: Minutes) -> list[str]:
    found = []
    if len(intervals) > MAX_INTERVALS:
        found.append(f"at most {MAX_INTERVALS} intervals a day")
    for begin, end in intervals:
        if not (0 <= begin < DAY_MINUTES and begin < end <= begin + DAY_MINUTES):
            found.append("an interval begins within its day, ends after it begins and lasts at most 24 hours")
    if any(later[0] < earlier[1] for earlier, later in pairwise(intervals)):
        found.append("intervals of a day are in order and do not overlap")
    return found


def first_instant(day: date, minute: int, zone_name: str) -> Instant:
    """The first instant at which the local clock has reached this minute of the day.

    A time that occurs twice is its first occurrence; one that the clocks skip is the moment they change. So a later
    time of the clock never comes before an earlier one, which `instant.at_local` does not promise.
    """
    found = at_local(day, minute, zone_name)
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
    if found.local(zone_name).replace(tzinfo=None) == wall:
        return found
    tz = zone(zone_name)
    # The clocks change after `low`, which reads the skipped time by the new offset, and not after `high`.
    low = Instant.of(wall.replace(tzinfo=tz, fold=1)).seconds
    high = found.seconds
    offset = Instant(low * SECOND_MS).local(zone_name).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if Instant(middle * SECOND_MS).local(zone_name).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return Instant(high * SECOND_MS)


@lru_cache(maxsize=4096)  # shops of a city share their days, zone and mostly their hours
def _stretches(intervals: Minutes, day: date, zone_name: str) -> tuple[Stretch, ...]:
    found = [(first_instant(day, begin, zone_name), first_instant(day, end, zone_name)) for begin, end in intervals]
    return tuple((begin, end) for begin, end in found if begin < end)


def intervals_of(hours: Hours, day: date, zone_name: str) -> list[Stretch]:
    """When hours that begin on a local day begin and end, as instants, in order.

    An interval that falls into skipped time altogether is no stretch.
    """
    return list(_stretches(hours.of(day), day, zone_name))


def between(hours: Hours, begin: Instant, end: Instant, zone_name: str) -> list[Stretch]:
    """The open stretches within [begin, end), those over midnight included, touching ones joined."""
    day = begin.local_date(zone_name) - timedelta(days=2)
    last = end.local_date(zone_name)
    found: list[Stretch] = []
    while day <= last:
        found += intervals_of(hours, day, zone_name)
        day += timedelta(days=1)
    return clip(join(found), begin, end)


def is_open(hours: Hours, at: Instant, zone_name: str) -> bool:
    today = at.local_date(zone_name)
    return any(
        begin <= at < end
        for back in (0, 1, 2)
        for begin, end in intervals_of(hours, today - timedelta(days=back), zone_name)
    )


def join(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The union, in order, touching ones joined."""
    found: list[Stretch] = []
    for begin, end in sorted(stretches):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def clip(stretches: Iterable[Stretch], begin: Instant, end: Instant) -> list[Stretch]:
    cut = [(max(a, begin), min(b, end)) for a, b in stretches]
    return [(a, b) for a, b in cut if a < b]


def common(one: Sequence[Stretch], other: Sequence[Stretch]) -> list[Stretch]:
    """What lies in both."""
    return [part for begin, end in one for part in clip(other, begin, end)]


def without(stretches: Sequence[Stretch], taken: Iterable[Stretch]) -> list[Stretch]:
    """What is left when `taken` is cut out."""
    left = list(stretches)
    for begin, end in taken:
        left = [part for a, b in left for part in ((a, min(b, begin)), (max(a, end), b)) if part[0] < part[1]]
    return left
