"""When and how what was bought may be used: the structured part of an offer's usage rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from chalicelib.catalog.hours import Minutes

MAX_VALID_DAYS = 730
MAX_BLACKOUT = 60
MAX_PER_VISIT = 100


@dataclass(frozen=True)
class Usage:
    """Each field is optional; None or empty says nothing.

    `valid_days` counts from the purchase. `blackout` are local dates in order. `weekly` are the hours of use by weekday
    (0 = Monday) as in `hours.Hours`: a weekday that is missing from hours that are given is excluded.
    """

    valid_days: int | None = None
    blackout: tuple[date, ...] = ()
    weekly: Mapping[int, Minutes] = field(default_factory=dict)
    per_visit: int | None = None
    stackable: bool | None = None
    reservation: bool | None = None


def stretches(days: Iterable[date]) -> list[tuple[date, date]]:
    """(first, last) of each run of consecutive dates."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and found[-1][1] + timedelta(days=1) == day:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def alike(weekly: Mapping[int, Minutes]) -> list[tuple[int, int, Minutes]]:
    """(first weekday, last weekday, intervals) of each run of weekdays with the same hours."""
    found: list[tuple[int, int, Minutes]] = []
    for weekday in sorted(weekly):
        if found and found[-1][1] == weekday - 1 and found[-1][2] == weekly[weekday]:
            found[-1] = (found[-1][0], weekday, weekly[weekday])
        else:
            found.append((weekday, weekday, weekly[weekday]))
    return found
