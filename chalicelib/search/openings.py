"""The calendars of a city by number: which are open now, and until when something of a day can be booked.

Shops share calendars, and calendars share hours. What is known of one holds for a while and is worked out again when
that is over, one by one as it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chalicelib.catalog.hours import Hours, intervals_of
from chalicelib.kernel.instant import Instant, local_midnight
from chalicelib.search.base import Base
from chalicelib.search.calendar import Calendar
from chalicelib.search.model import last_call

Array = NDArray[Any]
Flags = NDArray[np.bool_]

_CLOSED, _OPEN, _UNKNOWN = 0, 1, 2
_AT_ONCE = 256  # so many unknown hours are worked out without being asked for
_REMEMBERED = 2_048
_DAYS = 8  # whose bookable calendars are kept
_NEVER, _UNASKED = -1, -2
_FIRST, _LAST = -(2**62), 2**62


def state(hours: Hours, zone: str, now: Instant) -> tuple[bool, Instant, Instant]:
    """Whether it is open now, and from when until when (half-open) the answer holds at least."""
    today = now.local_date(zone)
    since, until = local_midnight(today, zone), local_midnight(today + timedelta(days=2), zone)
    is_open = False
    for back in (2, 1, 0, -1):
        for begin, end in intervals_of(hours, today - timedelta(days=back), zone):
            is_open = is_open or begin <= now < end
            for border in (begin, end):
                if border <= now:
                    since = max(since, border)
                else:
                    until = min(until, border)
    return is_open, since, until


class Openings:
    """Numbers below those of the base's calendars are the base's, the others were added since."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._opening_starts = base.array("openings.starts")
        self._work_starts = base.array("works.starts")
        self._of_base = len(self._work_starts) - 1
        self._opening_of = base.array("opening_of").copy()
        self._known: dict[int, Calendar] = {}
        self._added: list[Calendar] = []
        self._numbers: dict[Calendar, int] = {}
        self._opening_numbers: dict[bytes, int] = {}
        openings = len(self._opening_starts) - 1
        self._added_openings: list[Calendar] = []
        self._state: Array = np.full(openings, _UNKNOWN, np.uint8)
        self._since: Array = np.zeros(openings, np.int64)
        self._until: Array = np.zeros(openings, np.int64)
        self._holds = (_FIRST, _LAST)
        self._open: Array = np.full(self._of_base, _UNKNOWN, np.uint8)
        self._days: dict[date, _Day] = {}

    @property
    def nbytes(self) -> int:
        own = (self._opening_of, self._state, self._since, self._until, self._open)
        return sum(array.nbytes for array in own) + sum(day.until.nbytes for day in self._days.values())

    def calendar(self, number: int) -> Calendar:
        if number >= self._of_base:
            return self._added[number - self._of_base]
        found = self._known.get(number)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            begin, end = self._work_starts[number : number + 2].tolist()
            work = self._base.part("works", begin, end)
            found = self._known[number] = Calendar(self._opening(int(self._opening_of[number])), work)
        return found

    def _opening(self, number: int) -> bytes:
        of_base = len(self._opening_starts) - 1
        if number >= of_base:
            return self._added_openings[number - of_base].opening
        begin, end = self._opening_starts[number : number + 2].tolist()
        return self._base.part("openings", begin, end)

    def number(self, calendar: Calendar) -> int:
        """The number of a calendar, a new one when none was added that is equal."""
        found = self._numbers.get(calendar)
        if found is None:
            found = self._numbers[calendar] = self._of_base + len(self._added)
            self._added.append(calendar)
            opening = self._opening_numbers.get(calendar.opening)
            if opening is None:
                opening = self._opening_numbers[calendar.opening] = len(self._state)
                self._added_openings.append(calendar)
                self._state = np.append(self._state, np.uint8(_UNKNOWN))
                self._since, self._until = np.append(self._since, 0), np.append(self._until, 0)
            self._opening_of = np.append(self._opening_of, np.uint32(opening))
            self._open = np.append(self._open, self._state[opening])
            for day in self._days.values():
                day.until = np.append(day.until, _UNASKED)
        return found

    def are_open(self, numbers: Array, now: Instant) -> Flags:
        """Whether each of these calendars is open."""
        self._forget(now)
        found = self._open.take(numbers)
        if found.max(initial=0) == _UNKNOWN:
            self._ask(np.unique(self._opening_of[numbers[found == _UNKNOWN]]).tolist(), now)
            found = self._open.take(numbers)
        return found.view(np.bool_)

    def is_open(self, number: int, now: Instant) -> bool:
        self._forget(now)
        found = int(self._open[number])
        if found == _UNKNOWN:
            self._ask([int(self._opening_of[number])], now)
            found = int(self._open[number])
        return found == _OPEN

    def _forget(self, now: Instant) -> None:
        """What no longer holds becomes unknown."""
        since, until = self._holds
        if since <= now.ms < until:
            return
        over = (self._state != _UNKNOWN) & ((self._since > now.ms) | (self._until <= now.ms))
        self._state[over] = _UNKNOWN
        kept = self._state != _UNKNOWN
        self._holds = int(self._since[kept].max(initial=_FIRST)), int(self._until[kept].min(initial=_LAST))
        unknown = np.flatnonzero(over)
        self._ask(unknown.tolist() if len(unknown) <= _AT_ONCE else [], now)

    def _ask(self, openings: Iterable[int], now: Instant) -> None:
        since, until = self._holds
        for opening in openings:
            calendar = Calendar(self._opening(opening), b"[]")
            is_open, begin, end = state(calendar.hours, calendar.zone, now)
            self._state[opening] = _OPEN if is_open else _CLOSED
            self._since[opening], self._until[opening] = begin.ms, end.ms
            since, until = max(since, begin.ms), min(until, end.ms)
        self._holds = since, until
        self._open = self._state[self._opening_of]

    def until(self, numbers: Array, day: date, now: Instant) -> Array:
        """Until when (ms) something of a local day can be booked with each of these calendars; negative for never."""
        known = self._days.get(day)
        if known is None or not known.since <= now.ms < known.end:
            if len(self._days) >= _DAYS:
                self._days.pop(next(iter(self._days)))
            known = self._days[day] = _Day(len(self._opening_of))
        found = known.until.take(numbers)
        unasked = found == _UNASKED
        if unasked.any():
            for number in np.unique(numbers[unasked]).tolist():
                known.ask(number, self.calendar(number), day, now)
            found = known.until.take(numbers)
        return found


class _Day:
    """Of one day: until when each calendar can be booked, seen from a moment between `since` and `end`, in which no
    zone's date changes."""

    def __init__(self, calendars: int) -> None:
        self.until: Array = np.full(calendars, _UNASKED, np.int64)
        self.since, self.end = _FIRST, _LAST

    def ask(self, number: int, calendar: Calendar, day: date, now: Instant) -> None:
        call = last_call(calendar, day, now)
        self.until[number] = _NEVER if call is None else call.ms
        today = now.local_date(calendar.zone)
        self.since = max(self.since, local_midnight(today, calendar.zone).ms)
        self.end = min(self.end, local_midnight(today + timedelta(days=1), calendar.zone).ms)
