"""Where the base file of a city is, and what such files are called."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from chalicelib.kernel.instant import HOUR_MS, Instant

PREFIX = "search/"
GRACE_MS = HOUR_MS


@dataclass(frozen=True)
class Pointer:
    """The base that stands: file `key`, with `count` shops as they were at `sequence` of the city's log or later.
    `before` is the file that it took the place of, `release` the code that wrote it."""

    city: str
    version: int
    key: str
    sequence: int
    count: int
    built_at: Instant
    release: str
    before: str = ""


def folder(city: str) -> str:
    return f"{PREFIX}{city}/"


def new_key(city: str, version: int, now: Instant) -> str:
    """A key that nobody else takes: of two builders of one version each has a file of its own."""
    return f"{folder(city)}{version:06d}-{now.ms}-{secrets.token_hex(4)}"


def left_over(key: str, pointer: Pointer, now: Instant) -> bool:
    """May a file be removed? Not the one that stands, nor the one before it, which somebody may be reading just now,
    nor one that another builder has just written and not named yet."""
    stamp = key.rpartition("/")[2].split("-")[1:2]
    written_at = Instant(int(stamp[0])) if stamp and stamp[0].isdecimal() else Instant(0)
    return key not in (pointer.key, pointer.before) and now.since(written_at) > GRACE_MS
