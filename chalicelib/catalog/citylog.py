"""The log of a city: whoever writes a listing appends to it, and whoever holds the city in memory follows it.

The sequence moves on condition, so the log has no gap and no order to guess: it costs two units for the number and two
for each kilobyte of the entry. A write that was not the next is repeated with the number that is, and nothing of it is
decided again, for its own conditions stand beside the number's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.catalog import tables
from chalicelib.catalog.changes import Change, LogTrimmed
from chalicelib.kernel.errors import Conflict, Unavailable
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction

TRIES = 40  # to be the next: of many at once, one gets in at a time
PAGE = 1_000


class _Moved(Conflict):
    """Somebody else has written the next entry: write the one after it."""


def sequence(city: str, *, consistent: bool = False) -> int:
    """The number of the last entry; 0 before the first. Half a read unit, one when consistent."""
    return tables.city_sequence(city, consistent=consistent)


def changes_after(city: str, seen: int, limit: int = PAGE) -> list[Change]:
    """The entries that follow one, in order and without a gap, at most `limit`; ask again for the rest.

    For who knows that there are some: where the reading lags it is repeated strongly. Raises LogTrimmed when the next
    entry does not stand there any more, or never did: a release before the log counted on without writing it."""
    for consistent in (False, True):
        found = tables.log_after(city, seen, limit, consistent=consistent)
        unbroken = [change for place, change in enumerate(found, seen + 1) if change.sequence == place]
        if unbroken:
            return unbroken
    raise LogTrimmed(f"{city}: nothing follows {seen}")


def tell(ctx: Context, city: str, told: Any, write: Callable[[Transaction], None]) -> None:
    """Appends what a slice above has to say, plain values, in one transaction with what that slice writes; see
    `commit`."""
    commit(ctx, {city: Change(0, told=told)}, write)


def commit(ctx: Context, news: Mapping[str, Change], write: Callable[[Transaction], None]) -> None:
    """Commits what `write` adds to a transaction together with the next entry of each of these cities' logs.

    `write` is called for every try, and the last one counts. What its conditions mean is raised, and Unavailable when
    too many want to be next. The numbers of `news` are set here."""
    for attempt in range(TRIES):
        tx = Transaction()
        write(tx)
        for city, change in sorted(news.items()):
            following = tables.city_sequence(city, consistent=True) + 1
            tables.put_change(tx, city, replace(change, sequence=following), ctx.now, _Moved())
        try:
            tx.commit()
            return
        except _Moved:
            # Full jitter: losers must not meet again.
            time.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 4)))  # noqa: S311  # not a secret
    raise Unavailable(retry_after_seconds=1)
