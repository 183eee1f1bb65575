"""What booking tells search, apart from everything that answers searches: a first order loads no more than this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from chalicelib.kernel.instant import Instant

just_told: set[str] = set()
"""The cities in whose logs this process has just written: its next search there looks at once."""


@dataclass(frozen=True)
class Note:
    """What booking says of a shop's day: until when something is free. The newer revision stands."""

    bookable_until: Instant | None
    revision: int


@dataclass(frozen=True)
class Doubt:
    """Days of a shop whose last free start `order_id` may have moved at an instant. It stands from the commit that did
    so until somebody has looked at the days again."""

    order_id: str
    at: Instant
    shop_id: str
    days: tuple[date, ...]


def pack(day: date, shop_id: str, note: Note) -> dict[str, Any]:
    """A note as a city's log has it."""
    until = None if note.bookable_until is None else note.bookable_until.ms
    return {"day": day.isoformat(), "shop": shop_id, "until": until, "revision": note.revision}


def unpack(told: dict[str, Any]) -> tuple[date, str, Note]:
    until = None if told["until"] is None else Instant(told["until"])
    return date.fromisoformat(told["day"]), told["shop"], Note(until, told["revision"])
