"""The provider's facts once more, for orders as they stood at an earlier instant: what webhooks do, told for each fact.

Facts that the tables know already change nothing, so all of this may be repeated, and done beside webhooks.
"""

from __future__ import annotations

from chalicelib.booking.model import SlotNotHeld
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.orders import decisions, orphans, paying, restored, saving, tables
from chalicelib.orders.model import Order
from chalicelib.orders.paying import UnknownOrder
from chalicelib.payments import service as payments
from chalicelib.providers.ports import CANCELED, PROCESSING, SUCCEEDED, Intent, ProviderEvent, Refund
from chalicelib.runtime import jobs, log
from chalicelib.runtime.context import Context

REPLAYED, KNOWN, PARKED, ORPHAN, CANCELLED, IGNORED = "replayed", "known", "parked", "orphans", "cancelled", "ignored"
_FORGOTTEN = "forgotten_order"


def event(ctx: Context, fact: ProviderEvent, *, dry_run: bool = False) -> str:
    """What became of a fact: REPLAYED, KNOWN, PARKED, or IGNORED for one without an order here, whose payment is
    looked at by `intent`. A dry run changes nothing. Raises Unavailable."""
    about = fact.intent or fact.refund
    before = after = _order(about.order_id) if about else None
    if before is None or after is None:
        return KNOWN if fact.refund and not dry_run and orphans.told(ctx, fact.refund) else IGNORED
    if dry_run:
        if fact.intent is not None:
            return _would_pay(ctx, before, fact.intent)
        return _would_refund(ctx, before, fact.refund) if fact.refund else IGNORED
    try:
        if fact.intent is not None:
            after = paying.apply_intent(ctx, fact.intent, told=True)
        elif fact.refund is not None:
            after = _refund(ctx, before, fact.refund)
    except Unavailable:
        raise
    except Exception as error:  # one bad fact must not hide those after it
        log.error("fact not applied", None if isinstance(error, UnknownOrder) else error, event_id=fact.event_id)
        payments.park(ctx, fact, "unknown_order" if isinstance(error, UnknownOrder) else "failed")
        return PARKED
    return REPLAYED if after.version != before.version else KNOWN


def _order(order_id: str) -> Order | None:
    return tables.order(order_id) if ids.is_id(order_id, "ord") else None


def _would_pay(ctx: Context, order: Order, found: Intent) -> str:
    provider = ctx.ports.payments.name
    return REPLAYED if decisions.intent_fact(order, found, ctx.now, saving.clocks(ctx), provider) else KNOWN


def _would_refund(ctx: Context, order: Order, refund: Refund) -> str:
    own_id, _, _ = refund.refund_id.rpartition(".")
    if any(record.id == own_id for record in order.refunds):
        return REPLAYED if decisions.refund_fact(order, refund, ctx.now, ctx.ports.payments.name) else KNOWN
    # Whether it is adopted depends on facts before it, which a dry run has not applied.
    return REPLAYED if ids.is_id(own_id, "ref") else PARKED


def _refund(ctx: Context, order: Order, refund: Refund) -> Order:
    """A refund whose decision was lost brings the decision back, then tells how it stands."""
    own_id, _, _ = refund.refund_id.rpartition(".")
    if not any(record.id == own_id for record in order.refunds):
        # The money first: a refund says what was done about it.
        order = paying.apply_intent(ctx, ctx.ports.payments.fetch_intent(refund.intent_id))
        change = restored.refund_found(order, refund, ctx.now)
        if change is None:
            raise UnknownOrder
        log.warning("a refund brings back a lost decision", order_id=order.id, refund_id=own_id)
        try:
            saving.write(ctx, order, change)
        except SlotNotHeld:
            log.error("the order has no place in the calendar", order_id=order.id)
            saving.write(ctx, order, restored.without_place(change))
    return paying.apply_refund(ctx, refund)


def intent(ctx: Context, found: Intent, *, dry_run: bool = False) -> str:
    """What became of an intent that was made at the provider. One whose order is not here may never be paid, CANCELLED;
    one that was paid is ORPHAN, parked until it is given back, or KNOWN when it has gone back. Raises Unavailable."""
    if not ids.is_id(found.order_id, "ord"):
        return IGNORED
    before = tables.order(found.order_id)
    if before is not None:
        if dry_run:
            return _would_pay(ctx, before, found)
        try:
            after = paying.apply_intent(ctx, found)
        except UnknownOrder:
            payments.park(ctx, _fact(found, ctx.now), "unknown_order")
            return PARKED
        return REPLAYED if after.version != before.version else KNOWN
    if payments.orphan(ctx.ports.payments.name, found.intent_id) is not None:
        return KNOWN
    if found.state == CANCELED:
        return IGNORED
    if dry_run:
        return ORPHAN if found.state == SUCCEEDED else PARKED if found.state == PROCESSING else CANCELLED
    if found.state != SUCCEEDED:
        found = ctx.ports.payments.cancel_intent(found.intent_id)
    if found.state == CANCELED:
        return CANCELLED
    payments.park(ctx, _fact(found, ctx.now), _FORGOTTEN)
    return ORPHAN if found.state == SUCCEEDED else PARKED


def _fact(found: Intent, now: Instant) -> ProviderEvent:
    """An intent that no event told of, as one: parked under its own name, once."""
    return ProviderEvent(_FORGOTTEN, "payment_intent", now, intent=found)


def caught_up(until: Instant) -> None:
    """The minute's poll goes on from here: it need not hear all of it again."""
    if until.ms > int(jobs.cursor("poll").get("ms", 0)):
        jobs.save_cursor("poll", {"ms": until.ms})
