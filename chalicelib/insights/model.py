"""What should not be, and since when: facts become gauges, entries become what is still owed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from chalicelib.kernel.instant import DAY_MS, HOUR_MS, Instant
from chalicelib.ledger.model import Entry, in_order
from chalicelib.ledger.postings import REFUND_PAYABLE

SUSPENSE = "L.suspense"
# An entry carries the instant at which its use case began, and the journal's index shows it a little later: what is
# older than this has been seen by whoever read up to it.
SETTLED_DOWN_MS = HOUR_MS
FORGOTTEN_MS = 7 * DAY_MS  # by then a payment that no order knows of is a difference that the reconciliation keeps
MAX_UNHEARD = 500

Oldest = tuple[str, Instant] | None
"""What has waited longest, by its name, and since when it should not have; None when nothing waits."""


@dataclass(frozen=True)
class Facts:
    """What was read: the oldest of each kind. For news and schedules the instant is when they were due."""

    unconfirmed: Oldest
    suspense: Oldest
    refund: Oldest
    news: Oldest
    parked: int
    schedule: Oldest


@dataclass(frozen=True)
class Gauge:
    """A figure, and what it is about; `what` is empty when it is about nothing."""

    value: int
    what: str = ""


def late(oldest: Oldest, now: Instant) -> Gauge:
    """For how many whole seconds it has waited; 0 for what is not late yet."""
    if oldest is None or oldest[1] >= now:
        return Gauge(0)
    return Gauge(now.since(oldest[1]) // 1000, oldest[0])


def elder(one: Oldest, other: Oldest) -> Oldest:
    found = [each for each in (one, other) if each is not None]
    return min(found, key=lambda each: each[1], default=None)


# ---------------------------------------------------------------------------------------------- the books


@dataclass(frozen=True)
class Standing:
    """An amount that is not zero, and since when it has not been."""

    amount_minor: int
    since: Instant


def folded(before: Mapping[str, Standing], entries: Iterable[Entry]) -> dict[str, Standing]:
    """What stands in suspense by currency after these entries, which come in order of time."""
    after = dict(before)
    for entry in entries:
        moved = entry.on(SUSPENSE)
        if not moved:
            continue
        stood = after.pop(entry.currency, Standing(0, entry.at))
        if stood.amount_minor + moved:
            after[entry.currency] = replace(stood, amount_minor=stood.amount_minor + moved)
    return after


def oldest_standing(found: Mapping[str, Standing]) -> Oldest:
    return min(((currency, each.since) for currency, each in found.items()), key=lambda each: each[1], default=None)


@dataclass(frozen=True)
class Owed:
    """What of an order's refunds has not been paid out, in minor units, and since when the oldest part of it is owed.
    `moments` are all instants at which something came to be owed."""

    standing: Standing | None
    moments: tuple[Instant, ...]


def owed(entries: Iterable[Entry]) -> Owed:
    """The refunds that an order owes by its own entries; what is paid out pays the oldest first."""
    moves = [(-entry.on(REFUND_PAYABLE), entry.at) for entry in in_order(entries)]
    paid = -sum(moved for moved, _ in moves if moved < 0)
    came = [Standing(moved, at) for moved, at in moves if moved > 0]
    left = sum(each.amount_minor for each in came) - paid
    since = None
    for each in came:
        if each.amount_minor > paid:
            since = each.since
            break
        paid -= each.amount_minor
    return Owed(Standing(left, since) if since else None, tuple(each.since for each in came))


# ---------------------------------------------------------------------------------------------- payments


@dataclass(frozen=True)
class Payment:
    """Money at the provider: which order it is for, and when it came there."""

    order_id: str
    at: Instant


@dataclass(frozen=True)
class Memory:
    """What one run leaves for the next. `payments_until` and `books_until`: up to where the provider's facts and the
    journal have been looked at; `unheard` payments that no order knew of, by intent; `suspense` as of `books_until`."""

    first_run: Instant
    payments_until: Instant
    books_until: Instant
    unheard: Mapping[str, Payment] = field(default_factory=dict)
    suspense: Mapping[str, Standing] = field(default_factory=dict)


def remembered(unheard: Mapping[str, Payment], now: Instant) -> dict[str, Payment]:
    """The oldest ones, for they decide; those that have become the reconciliation's are let go."""
    fresh = [(intent, each) for intent, each in unheard.items() if now.since(each.at) < FORGOTTEN_MS]
    return dict(sorted(fresh, key=lambda pair: (pair[1].at, pair[0]))[:MAX_UNHEARD])


def oldest_payment(unheard: Mapping[str, Payment]) -> Oldest:
    return min(((each.order_id, each.at) for each in unheard.values()), key=lambda each: each[1], default=None)
