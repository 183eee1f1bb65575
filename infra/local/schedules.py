"""Schedule expressions of EventBridge, `rate(5 minutes)` and `cron(0 18 * * ? *)`, as values that know when to fire.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html. Times are UTC. Of cron, the
signs `, - * ? /` and the names of months and days are understood; `L`, `W` and `#` are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}


@dataclass(frozen=True)
class Every:
    """A rate."""

    seconds: int


@dataclass(frozen=True)
class At:
    """A cron expression; each field holds the values that match. Day of week: 1 is Sunday."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days_of_month: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]
    years: frozenset[int]

    def matches_day(self, day: datetime) -> bool:
        """Tell whether the expression can fire on `day`."""
        return (
            day.year in self.years
            and day.month in self.months
            and day.day in self.days_of_month
            and day.isoweekday() % 7 + 1 in self.days_of_week
        )

    def last_between(self, after: datetime, until: datetime) -> datetime | None:
        """Return the latest instant in (after, until] at which it fires, or None. Both are aware."""
        floor = after.astimezone(UTC)
        day = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        while day > floor - timedelta(days=1):
            if self.matches_day(day):
                for hour in sorted(self.hours, reverse=True):
                    for minute in sorted(self.minutes, reverse=True):
                        moment = day.replace(hour=hour, minute=minute)
                        if floor < moment <= until:
                            return moment
            day -= timedelta(days=1)
        return None


def parse(expression: str) -> Every | At:
    """Read a schedule expression.

    Raises `ValueError`, with the expression in its text, for what EventBridge would refuse or we do not understand.

    >>> parse("rate(5 minutes)")
    Every(seconds=300)
    """
    matched = re.fullmatch(r"(rate|cron)\((.*)\)", expression.strip())
    if not matched:
        raise ValueError(f"{expression!r} is neither rate(…) nor cron(…)")
    kind, inside = matched.groups()
    try:
        return _parse_rate(inside) if kind == "rate" else _parse_cron(inside)
    except ValueError as error:
        raise ValueError(f"{expression!r}: {error}") from error


def _parse_rate(inside: str) -> Every:
    matched = re.fullmatch(r"([1-9]\d*) (minute|hour|day)(s?)", inside)
    if not matched:
        raise ValueError("a rate is a positive number and minute(s), hour(s) or day(s)")
    count, unit, plural = int(matched[1]), matched[2], matched[3]
    if (count == 1) == bool(plural):
        raise ValueError("EventBridge wants the singular for 1 and the plural for more")
    return Every(count * _UNIT_SECONDS[unit])


def _parse_cron(inside: str) -> At:
    fields = inside.split()
    if len(fields) != 6:
        raise ValueError("cron has six fields: minutes, hours, day of month, month, day of week, year")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError("exactly one of day of month and day of week is `?`")
    return At(
        minutes=_parse_field(fields[0], 0, 59),
        hours=_parse_field(fields[1], 0, 23),
        days_of_month=_parse_field(fields[2].replace("?", "*"), 1, 31),
        months=_parse_field(fields[3], 1, 12, _MONTHS),
        days_of_week=_parse_field(fields[4].replace("?", "*"), 1, 7, _DAYS),
        years=_parse_field(fields[5], 1970, 2199),
    )


def _parse_field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """Return the values from `low` to `high` that one field matches."""

    def number(word: str) -> int:
        value = (names or {}).get(word.upper())
        if value is None and not word.isdecimal():
            raise ValueError(f"{word!r} is not understood")
        value = int(word) if value is None else value
        if not low <= value <= high:
            raise ValueError(f"{word} is not within {low} and {high}")
        return value

    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else number(first)
        # `5/15` means from 5 on; a lone `5` means 5 only.
        end = number(last) if dash else (high if slash or span == "*" else start)
        if slash and (not step.isdecimal() or int(step) == 0):
            raise ValueError(f"{part!r} is not understood")
        values.update(range(start, end + 1, int(step) if slash else 1))
    if not values:
        raise ValueError(f"{text!r} matches nothing")
    return frozenset(values)
