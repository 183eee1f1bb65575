"""Rate limits: fixed one-minute windows in DynamoDB, taken in leases so that most requests write nothing.

A process takes `rate_lease` calls of a window at once and spends them from memory. The sum of all leases never passes
the limit, so the limit holds over all processes; the price is that a little of a window may go unused.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from chalicelib.kernel.errors import TooMany
from chalicelib.kernel.instant import MINUTE_MS, Instant
from chalicelib.runtime.dynamo import IntegerAttribute, Row, table_name
from chalicelib.runtime.transaction import Transaction

_REMEMBERED = 20_000
_lock = threading.Lock()
_leases: dict[str, _Lease] = {}


class WindowRow(Row):
    """pk `<scope>#<whom>`, sk the window's number since 1970, in minutes. A41."""

    class Meta:
        table_name = table_name("rate_windows")
        ttl_attribute = "t"

    taken = IntegerAttribute(attr_name="n", default=0)
    ttl = IntegerAttribute(attr_name="t")


@dataclass
class _Lease:
    window: int
    left: int
    taken: int


@dataclass(frozen=True)
class Standing:
    """What the RateLimit headers say."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(self.remaining, 0)),
            "RateLimit-Reset": str(self.reset_seconds),
        }


def take(scope: str, whom: str, limit: int, lease: int, now: Instant) -> Standing:
    """Spends one call of this minute's window. Raises TooMany with the seconds until the next one."""
    window = now.ms // MINUTE_MS
    reset_seconds = -(-((window + 1) * MINUTE_MS - now.ms) // 1000)
    key = f"{scope}#{whom}"
    with _lock:
        held = _leases.get(key)
        if held is not None and held.window == window and held.left > 0:
            held.left -= 1
            return Standing(limit, limit - held.taken + held.left, reset_seconds)
    size = max(1, min(lease, limit // 10))
    taken = _lease_from_store(key, window, limit, size, reset_seconds)
    with _lock:
        if len(_leases) >= _REMEMBERED:
            _leases.clear()
        _leases[key] = _Lease(window, size - 1, taken)
    return Standing(limit, limit - taken + size - 1, reset_seconds)


def _lease_from_store(key: str, window: int, limit: int, size: int, reset_seconds: int) -> int:
    """How many calls of the window are taken by all processes, after this lease."""
    refused = TooMany(
        retry_after_seconds=reset_seconds,
        detail_args={"seconds": str(reset_seconds)},
    )
    room = WindowRow.taken.does_not_exist() | (WindowRow.taken <= limit - size)
    row = WindowRow(key, str(window), taken=0, ttl=window * 60 + 3600)
    tx = Transaction()
    tx.update(
        row,
        [
            WindowRow.taken.set((WindowRow.taken | 0) + size),
            WindowRow.ttl.set(window * 60 + 3600),
        ],
        room,
        refused,
    )
    tx.commit()
    # What is shown as remaining counts this process's own knowledge; the store's condition is what guards.
    with _lock:
        held = _leases.get(key)
        before = held.taken if held is not None and held.window == window else 0
    return before + size
