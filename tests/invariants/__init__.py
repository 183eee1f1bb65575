"""What must be true whatever has happened: each invariant one function, which looks at one reading of the tables and of
the provider's book and names the rows that break it.

They stand in tuples by when they are promised:

ALWAYS          at any moment between two writes, under any faults
AT_REST         when nothing is under way: webhooks, queues and refunds have run their course
AFTER_A_SWEEP   at rest, after the minute's sweep has run with a provider that answers
AFTER_A_NIGHT   at rest, after reconciliation and settlement have run again
FAITHFUL        where clients repeat a request only in its own words and under its own key, and nobody else pays
HONEST          after a night, where the provider's book was not tampered with
BETWEEN         of two readings of one world, the earlier first: what may never change

`broken(shops=…)` looks at some shops only, so that tests beside each other do not see one another's; without it
everything is looked at, and what can only be said of the whole as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from tests.invariants import (
    between,
    calendar,
    city,
    ledger,
    news,
    numbers,
    orders,
    provider,
    reconciliation,
    refunds,
    reviews,
    settlement,
    states,
)
from tests.invariants.reading import Book, Raw, Scan, Seen, Sent, read

Check = Callable[[Seen], list[str]]

ALWAYS: tuple[Check, ...] = (
    *calendar.ALWAYS,
    *city.ALWAYS,
    *reviews.ALWAYS,
    *ledger.ALWAYS,
    *orders.ALWAYS,
    *refunds.ALWAYS,
    *provider.ALWAYS,
    *states.ALWAYS,
    *settlement.ALWAYS,
    *reconciliation.ALWAYS,
    *news.ALWAYS,
    *numbers.ALWAYS,
)
AT_REST: tuple[Check, ...] = (*provider.AT_REST, *refunds.AT_REST, *reviews.AT_REST, *news.AT_REST)
AFTER_A_SWEEP: tuple[Check, ...] = (
    *orders.AFTER_A_SWEEP,
    *provider.AFTER_A_SWEEP,
    *states.AFTER_A_SWEEP,
    *city.AFTER_A_SWEEP,
)
AFTER_A_NIGHT: tuple[Check, ...] = (*settlement.AFTER_A_NIGHT, *reconciliation.AFTER_A_NIGHT)
FAITHFUL: tuple[Check, ...] = (*orders.FAITHFUL, *provider.FAITHFUL)
HONEST: tuple[Check, ...] = reconciliation.HONEST
BETWEEN: tuple[Callable[[Seen, Seen], list[str]], ...] = between.BETWEEN
EVERY: tuple[Check, ...] = (*ALWAYS, *AT_REST, *AFTER_A_SWEEP, *AFTER_A_NIGHT, *FAITHFUL, *HONEST)


def faults(seen: Seen, checks: Iterable[Check]) -> list[str]:
    """Every fault that is found in a reading, each with the name of the invariant that it breaks."""
    return [f"{check.__name__}: {fault}" for check in checks for fault in check(seen)]


def broken(
    shops: Collection[str] | None = None,
    *,
    at_rest: bool = False,
    also: Iterable[Check] = (),
    without: Collection[Check] = (),
) -> list[str]:
    """`faults` of a fresh reading: what always holds, what holds `at_rest`, and whatever else is asked for; `without`
    what a test has made impossible."""
    checks = (*ALWAYS, *(AT_REST if at_rest else ()), *also)
    return faults(read(shops=shops), (check for check in checks if check not in without))


def changed(before: Seen, after: Seen) -> list[str]:
    """What may not have changed between two readings and has, each with the name of the invariant that it breaks."""
    return [f"{check.__name__}: {fault}" for check in BETWEEN for fault in check(before, after)]


__all__ = [
    "AFTER_A_NIGHT",
    "AFTER_A_SWEEP",
    "ALWAYS",
    "AT_REST",
    "BETWEEN",
    "EVERY",
    "FAITHFUL",
    "HONEST",
    "Book",
    "Check",
    "Raw",
    "Scan",
    "Seen",
    "Sent",
    "broken",
    "changed",
    "faults",
    "read",
]
