"""`linli audit verify`: the audit log against itself and its anchors, and the journal against its chains and orders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.ledger import model as books
from chalicelib.ledger import projections
from chalicelib.ledger import service as ledger
from chalicelib.orders import service as orders
from chalicelib.runtime import audit
from chalicelib.runtime.context import Context

ORDER = "ord_"
READERS = 16  # at the same time; each subject is three reads one after the other
CROWD = 256


@dataclass
class Verified:
    """What was looked at, and what is broken: (subject, what is wrong). `day` is up to where a window was read."""

    entries: int = 0
    anchors: int = 0
    subjects: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    day: str = ""


def log(ctx: Context, seen: Verified) -> None:
    """The whole audit log: a chain has no part that could be looked at alone."""
    entries = list(audit.entries())
    anchors = list(audit.anchors(ctx.ports.files))
    seen.entries, seen.anchors = len(entries), len(anchors)
    seen.broken += [("audit log", failure) for failure in audit.failures(entries, anchors)]


def journal(
    ctx: Context, seen: Verified, since: Instant | None, until: Instant | None, progress: Callable[[int, int], None]
) -> None:
    """Every order, statement and provider's line that has entries in [since, until); all of them, and every order
    besides, when neither is given: an order whose entries are all gone stands in no journal."""
    known: set[str] = set()
    found = _window(ctx, seen, since, until, progress) if since or until else _everything(progress)

    def fresh() -> Iterator[str]:
        for subject in found:
            if subject not in known:
                known.add(subject)
                yield subject

    subjects = fresh()
    with ThreadPoolExecutor(READERS) as pool:
        while crowd := list(islice(subjects, CROWD)):
            for subject, failures in zip(crowd, pool.map(_faults, crowd), strict=True):
                seen.broken += [(subject, failure) for failure in failures]
                seen.subjects += 1


def _faults(subject: str) -> list[str]:
    try:
        if subject.startswith(ORDER):
            return orders.faults(subject)
        return books.chain_failures(ledger.entries_of(subject))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        # A row that somebody wrote by hand need not even be readable.
        return [f"it cannot be read: {error!r}"]


def _everything(progress: Callable[[int, int], None]) -> Iterator[str]:
    total = projections.about_how_many()
    yield from orders.every_id()
    for count, entry in enumerate(projections.every_entry(), 1):
        yield entry.business_id
        progress(count, total)


def _window(
    ctx: Context, seen: Verified, since: Instant | None, until: Instant | None, progress: Callable[[int, int], None]
) -> Iterator[str]:
    """Day by day, so that it can be said how far it is."""
    end = min(until, ctx.now.plus(ms=1)) if until else ctx.now.plus(ms=1)
    start = since or end.plus(days=-ledger.FIRST_LOOK_DAYS)
    total = max(1, -(-end.since(start) // DAY_MS))
    for i in range(total):
        day = start.plus(days=i)
        seen.day = str(day)[:10]
        for entry in ledger.posted_between(day, min(day.plus(days=1), end)):
            yield entry.business_id
        progress(i + 1, total)
