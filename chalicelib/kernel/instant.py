"""Instants: aware UTC with milliseconds. Local days belong to a zone and are only ever derived from one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# Year 2000 to 2100: outside it a date is a slip of the keyboard, and arithmetic on it overflows.
EARLIEST_MS = 946_684_800_000
LATEST_MS = 4_102_444_800_000


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name. Raises ValueError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error


@dataclass(frozen=True, order=True)
class Instant:
    """A point in time as milliseconds since 1970-01-01 UTC."""

    ms: int

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Reads RFC 3339 with an offset. Raises ValueError for anything else and for years outside 2000 to 2100."""
        match = _RFC3339.fullmatch(text)
        if match is None:
            raise ValueError("not an RFC 3339 instant with an offset")
        moment = datetime.fromisoformat(f"{text[:19]}{'+00:00' if match[8] == 'Z' else match[8]}")
        fraction_ms = int((match[7] or "0").ljust(3, "0")[:3])
        return cls.of(moment, fraction_ms)

    @classmethod
    def of(cls, moment: datetime, extra_ms: int = 0) -> Instant:
        """From an aware datetime. Raises ValueError when it is naive or outside 2000 to 2100."""
        if moment.tzinfo is None:
            raise ValueError("a naive datetime is not an instant")
        ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) + extra_ms
        if not EARLIEST_MS <= ms < LATEST_MS:
            raise ValueError("instant outside the years 2000 to 2100")
        return cls(ms)

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.ms // 1000, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{self.ms % 1000:03d}Z"

    @property
    def seconds(self) -> int:
        return self.ms // 1000

    def plus(self, *, days: int = 0, hours: int = 0, minutes: int = 0, seconds: int = 0, ms: int = 0) -> Instant:
        """Elapsed time, so a day is always 24 hours here; calendar days are `local_date` arithmetic."""
        return Instant(self.ms + days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS + ms)

    def since(self, earlier: Instant) -> int:
        """Milliseconds from the earlier instant to this one."""
        return self.ms - earlier.ms

    def local(self, zone_name: str) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, zone(zone_name))

    def local_date(self, zone_name: str) -> date:
        return self.local(zone_name).date()


def local_midnight(day: date, zone_name: str) -> Instant:
    """The instant at which a local day begins; where a change of clocks skips midnight, the first instant after it."""
    tz = zone(zone_name)
    return Instant.of(datetime(day.year, day.month, day.day, tzinfo=tz))


def at_local(day: date, minute_of_day: int, zone_name: str) -> Instant:
    """The instant of a wall-clock time, in minutes from 00:00 (1,440 and more falls on the next day).

    A time that the change of clocks skips moves forward by the gap; one that occurs twice is its first occurrence.
    """
    days, minute = divmod(minute_of_day, 1440)
    wall = datetime(day.year, day.month, day.day) + timedelta(days=days, minutes=minute)
    return Instant.of(wall.replace(tzinfo=zone(zone_name)))
