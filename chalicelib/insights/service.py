"""The watch: reads what should not be through the slices that own it, a few units at a time, and says since when.

Nothing is scanned. Each payment and each entry of the journal is looked at once (and once more within its first hour);
what is found open is remembered until it is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from chalicelib.insights import model, tables
from chalicelib.insights.model import Facts, Memory, Oldest, Payment
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.ledger import service as ledger
from chalicelib.ledger.postings import REFUND_PAYABLE
from chalicelib.orders import service as orders
from chalicelib.payments import service as payments
from chalicelib.providers.ports import SUCCEEDED
from chalicelib.runtime import log, outbox, schedules
from chalicelib.runtime.context import Context

JOB = "watch"
OVERLAP_MS = 120_000  # the provider's clock and ours, and facts that it lists late
MAX_PAYMENTS = 2_000  # of one run; the rest is the next run's
MAX_ENTRIES = 20_000
SILENT_PROVIDER = "the provider does not answer"

T = TypeVar("T")


class Incomplete(Exception):
    """Something could not be read, so its gauge is missing; the others were read."""


def watch(ctx: Context) -> tuple[Facts, list[str]]:
    """The facts as they are now, and the names of those that could not be read (theirs are empty then)."""
    memory = tables.memory() or _beginning(ctx)
    failed: list[str] = []

    def guarded(name: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except Exception as error:  # one that cannot be read must not hide the others
            log.error("not watched", error, what=name)
            failed.append(name)
            return otherwise

    nothing: Oldest = None
    unconfirmed, memory = guarded("unconfirmed", lambda: _payments(ctx, memory), (nothing, memory))
    suspense, memory = guarded("books", lambda: _books(ctx, memory), (nothing, memory))
    found = Facts(
        unconfirmed=unconfirmed,
        suspense=suspense,
        refund=guarded("refund", tables.oldest_owed, None),
        news=guarded("news", outbox.oldest, None),
        parked=guarded("parked", payments.parked_count, 0),
        schedule=guarded("schedule", lambda: _schedule(ctx, memory), None),
    )
    tables.remember(memory)
    return found, failed


def _beginning(ctx: Context) -> Memory:
    """Before the first run: a day of payments, and the journal as far back as a first look goes."""
    return Memory(ctx.now, Instant(ctx.now.ms - DAY_MS), ctx.now.plus(days=-ledger.FIRST_LOOK_DAYS))


def _payments(ctx: Context, memory: Memory) -> tuple[Oldest, Memory]:
    """Money that the provider has and of which no order knows. Nobody knows of what came since it fell silent."""
    since = max(memory.payments_until, Instant(ctx.now.ms - DAY_MS))
    told: dict[str, Payment] = dict(memory.unheard)
    until = ctx.now
    try:
        events = ctx.ports.payments.events_since(Instant(since.ms - OVERLAP_MS))
        for count, event in enumerate(events, 1):
            intent = event.intent
            # Money without an order of ours on it is not ours to confirm; the sweep parks it.
            if intent is not None and intent.state == SUCCEEDED and ids.is_id(intent.order_id, "ord"):
                told.setdefault(intent.intent_id, Payment(intent.order_id, event.created))
            if count >= MAX_PAYMENTS:
                until = max(since, event.created)
                break
    except Unavailable as error:
        log.warning("the provider did not answer the watch", code=error.code)
        until = memory.payments_until
    unaware = orders.unaware_of(ctx, {intent: each.order_id for intent, each in told.items()})
    unheard = model.remembered({intent: told[intent] for intent in unaware}, ctx.now)
    silent: Oldest = (SILENT_PROVIDER, until) if until < ctx.now else None
    oldest = model.elder(model.oldest_payment(unheard), silent)
    return oldest, replace(memory, payments_until=until, unheard=unheard)


def _books(ctx: Context, memory: Memory) -> tuple[Oldest, Memory]:
    """What stands in suspense; and the projection of owed refunds is brought up to now."""
    entries = list(islice(ledger.posted_between(memory.books_until, ctx.now.plus(ms=1)), MAX_ENTRIES))
    for order_id in {entry.business_id for entry in entries if entry.on(REFUND_PAYABLE)}:
        tables.keep_owed(order_id, model.owed(ledger.entries_of(order_id)))
    settled = Instant(ctx.now.ms - model.SETTLED_DOWN_MS)
    if len(entries) == MAX_ENTRIES:
        settled = min(settled, entries[-1].at)
    until = max(memory.books_until, settled)
    suspense = model.folded(memory.suspense, (entry for entry in entries if entry.at < until))
    current = model.folded(suspense, (entry for entry in entries if entry.at >= until))
    return model.oldest_standing(current), replace(memory, books_until=until, suspense=suspense)


def _schedule(ctx: Context, memory: Memory) -> Oldest:
    # This run is the watch's own sign of life; that there is none is for CloudWatch to see.
    return schedules.most_overdue({**schedules.last_runs(), JOB: ctx.now}, memory.first_run)
