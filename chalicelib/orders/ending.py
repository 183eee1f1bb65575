"""How orders end without their service: expiry, cancelling, declining. And what the minute's sweep does."""

from __future__ import annotations

from chalicelib.kernel.errors import InvalidTransition, Problem, Unavailable
from chalicelib.orders import changes, decisions, paying, saving, tables
from chalicelib.orders.changes import Change
from chalicelib.orders.model import ORDER, CancelTooLate, Changed, Order, repeats
from chalicelib.payments import service as payments
from chalicelib.payments.model import PaymentProcessing
from chalicelib.providers.ports import PROCESSING
from chalicelib.runtime import log
from chalicelib.runtime.context import Context

_TRIES = 4


def cancel(ctx: Context, order: Order, by: str, mark: str = "", note: str = "") -> Order:
    """Ends an order before its service. `by` is customer, merchant or operator; money follows the policy.

    An order that waits for payment is closed at the provider first. Raises CancelTooLate, PaymentProcessing,
    InvalidTransition, ProviderUnavailable, and IdempotencyKeyReused for another request under the key in `mark`. A
    repeat by the same side answers the order as it is.
    """
    for _ in range(_TRIES):
        repeats(order.cancel_mark, mark)
        if order.state == "cancelled" and order.cancel_reason == by:
            return order
        if order.state == "in_fulfilment":
            raise CancelTooLate
        ORDER.fire(order.state, "cancel")
        if order.state == "pending_payment":
            order, outcome = paying.end_at_provider(ctx, order)
            if outcome == PROCESSING:
                raise PaymentProcessing
            if outcome == "paid":
                continue
        try:
            return saving.write(ctx, order, decisions.cancelled(order, by, ctx.now, mark=mark, note=note))
        except Changed:
            order = saving.change(ctx, order.id, lambda _: None)
    raise Unavailable(retry_after_seconds=1)


def decline(ctx: Context, order_id: str, by: str, mark: str = "", note: str = "") -> Order:
    """The merchant says no, or says nothing in time: everything goes back. Raises InvalidTransition, and
    IdempotencyKeyReused for another request under the key in `mark`."""

    def decide(order: Order) -> Change | None:
        repeats(order.cancel_mark, mark)
        if order.state == "declined":
            return None
        return decisions.cancelled(order, by, ctx.now, "decline", mark, note)

    return saving.change(ctx, order_id, decide)


def accept(ctx: Context, order_id: str) -> Order:
    """Raises InvalidTransition unless the order waits for the merchant."""

    def decide(order: Order) -> Change | None:
        return None if order.state == "confirmed" else decisions.accepted(order, ctx.now)

    return saving.change(ctx, order_id, decide)


def resolve_due(ctx: Context, order_id: str) -> str:
    """What the sweep does with one order whose mark has come: says what it did. An order for which something is still
    to come never keeps a mark that has passed: it would be forgotten."""
    order = tables.order(order_id)
    if order is None or order.due_at > ctx.now:
        return "nothing"
    outcome = _resolve(ctx, order)
    if order.strays:
        _end_strays(ctx, order_id)
    saving.change(ctx, order_id, lambda o: changes.marked_again(o, ctx.now))
    return outcome


def _end_strays(ctx: Context, order_id: str) -> None:
    """Money on them would go back by itself, but nobody should have to pay in vain. Raises ProviderUnavailable."""
    order = tables.order(order_id)
    for attempt in order.strays if order else ():
        paying.apply_intent(ctx, payments.cancel_intent(ctx, attempt))


def _resolve(ctx: Context, order: Order) -> str:
    if order.state == "pending_payment" and order.deadline <= ctx.now:
        return _expire(ctx, order)
    if order.state == "paid" and order.deadline <= ctx.now:
        decline(ctx, order.id, "timeout")
        return "declined"
    if order.state == "fulfilled" and order.deadline <= ctx.now:
        saving.change(ctx, order.id, lambda o: decisions.completed(o, ctx.now) if o.state == "fulfilled" else None)
        return "completed"
    if any(refund.open for refund in order.refunds):
        paying.drive_refunds(ctx, order.id)
        return "refunds"
    return "nothing"


def _expire(ctx: Context, order: Order) -> str:
    """The intent is cancelled first, then the hold is released: a place is never free while it can still be paid."""
    overdue = ctx.now.since(order.deadline) // 1000
    asked = {attempt.intent_id for attempt in order.living_attempts}
    try:
        order, outcome = paying.end_at_provider(ctx, order)
    except Problem as problem:
        log.warning("provider cannot end an intent", order_id=order.id, code=problem.code)
        if overdue < ctx.settings.provider_silence_seconds:
            saving.change(ctx, order.id, lambda o: decisions.postponed(o, ctx.now))
            return "postponed"
        # Silent for too long: the place goes back all the same, and money that lands later is the `late` row.
        outcome = "ended"
    if outcome == "paid":
        return "paid"
    if outcome == PROCESSING:
        waited = ctx.now.since(order.created_at) // 1000
        if not order.extended:
            saving.change(ctx, order.id, lambda o: _extension(ctx, o))
            return "extended"
        if waited < ctx.settings.processing_release_seconds:
            saving.change(ctx, order.id, lambda o: decisions.postponed(o, ctx.now))
            return "postponed"
    after = saving.change(ctx, order.id, lambda o: _expiry(ctx, o, asked), due_by=ctx.now)
    return "postponed" if after.state == "pending_payment" else "expired"


def _extension(ctx: Context, order: Order) -> Change | None:
    """None for an order that moved on meanwhile: paid, ended, or extended by a sweep beside this one."""
    if order.state != "pending_payment" or order.extended:
        return None
    return decisions.extended(order, ctx.now, saving.clocks(ctx))


def _expiry(ctx: Context, order: Order, asked: set[str]) -> Change | None:
    """The end of the hold, once the provider was `asked` to end every intent. One that was opened in its last moment,
    and noted since then, is to be ended first: the sweep comes again."""
    if order.state != "pending_payment" or order.deadline > ctx.now:
        return None
    if any(attempt.intent_id not in asked for attempt in order.living_attempts):
        return decisions.postponed(order, ctx.now)
    return decisions.expired(order, ctx.now)


def sweep_one(ctx: Context, order_id: str) -> str:
    """`resolve_due`, and what cannot be resolved now is looked at again in a minute. Raises only if even that fails."""
    try:
        return resolve_due(ctx, order_id)
    except (Problem, InvalidTransition) as error:
        log.warning("due order not resolved", order_id=order_id, code=error.code)
    except Exception as error:  # one bad order must not stop the sweep of all others
        log.error("due order failed", error, order_id=order_id)
    saving.change(ctx, order_id, lambda o: decisions.postponed(o, ctx.now))
    return "postponed"
