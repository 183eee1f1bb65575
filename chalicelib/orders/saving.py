"""Writes a Change: the order, its journal entries, its slot and its news, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date

from chalicelib.booking import service as booking
from chalicelib.booking.model import Block
from chalicelib.kernel.errors import NotFound, Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import Entry
from chalicelib.orders import changes, tables
from chalicelib.orders.changes import Change, Clocks
from chalicelib.orders.model import Changed, Order
from chalicelib.orders.news import news_of
from chalicelib.runtime import log, metrics, outbox
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction

_TRIES = 8

Also = Callable[[Transaction, Order], None]
"""What a slice above adds to the transaction that makes an order so. Changed, from its conditions, decides again."""


def clocks(ctx: Context) -> Clocks:
    s = ctx.settings
    return Clocks(
        hold_extension=s.hold_extension_seconds, accept=s.accept_seconds, auto_complete=s.auto_complete_seconds
    )


def blocks_of(order: Order) -> list[Block]:
    """What the order holds in the calendar."""
    return [
        Block(order.shop_id, order.zone, b.staff_id, b.chair_id, b.occupied_from, b.occupied_until)
        for line in order.lines
        if (b := line.booking) is not None
    ]


def write(
    ctx: Context, before: Order, change: Change, *, due_by: Instant | None = None, also: Also | None = None
) -> Order:
    """The order as it now stands. Raises Changed when somebody else moved it, SlotTaken when a claim fails."""
    try:
        return _write(ctx, before, change, ledger.entries_of(before.id) if before.behind else (), due_by, also)
    except AlreadyDone:
        # The journal knows the move and the row does not: a restore has cut their transaction. The row follows.
        log.warning("an order follows its journal", order_id=before.id)
        return _write(ctx, before, change, ledger.entries_of(before.id), due_by, also)


def _write(
    ctx: Context,
    before: Order,
    change: Change,
    standing: Collection[Entry],
    due_by: Instant | None,
    also: Also | None,
) -> Order:
    after, entries = changes.chained(change, before, ctx.now, standing)
    tx = Transaction()
    tables.save(tx, before, after, due_by=due_by)
    if change.claims:
        booking.claim(tx, after.id, blocks_of(after))
    if change.releases:
        booking.release(tx, after.id, blocks_of(after))
    doubted: list[date] = []
    if change.claims or change.releases:
        doubted = booking.doubt(ctx, tx, after.id, after.shop_id, blocks_of(after))
    for entry in entries:
        ledger.post(tx, entry)
    if also is not None:
        also(tx, after)
    outbox.publish(tx, *news_of(after, change.news, ctx.now))
    tx.commit()
    if after.state == "confirmed" and before.state != "confirmed":
        metrics.count(metrics.ORDERS_CONFIRMED)
    if change.claims or change.releases:
        booking.note_days(ctx, after.shop_id, blocks_of(after), doubted)
    return after


def change(
    ctx: Context,
    order_id: str,
    decide: Callable[[Order], Change | None],
    *,
    due_by: Instant | None = None,
    also: Also | None = None,
) -> Order:
    """Reads, decides and writes until the write meets what was read. `decide` answers None when nothing is to change.

    Raises NotFound for an unknown order, whatever `decide` raises, and Unavailable when contention does not end.
    """
    for _ in range(_TRIES):
        before = tables.order(order_id)
        if before is None:
            raise NotFound
        wanted = decide(before)
        if wanted is None:
            return before
        try:
            return write(ctx, before, wanted, due_by=due_by, also=also)
        except Changed:
            continue
    raise Unavailable(retry_after_seconds=1)
