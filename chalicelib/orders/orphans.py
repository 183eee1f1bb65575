"""Giving back the money of orders that are not here: placed and paid after the instant that tables were restored to."""

from __future__ import annotations

from contextlib import suppress

from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.money import Money
from chalicelib.ledger import service as ledger
from chalicelib.orders import tables
from chalicelib.payments import orphans as decisions
from chalicelib.payments import service as payments
from chalicelib.payments.orphans import OrderIsHere, Orphan, Step
from chalicelib.providers.ports import SUCCEEDED, Intent, MethodRefused, Refund
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction

_TRIES = 8


def give_back(ctx: Context, intent: Intent) -> Orphan:
    """Books the payment and asks for the refund of what is left of it. Safe to repeat: the second time it goes on
    where the first ended.

    Raises OrderIsHere when its order exists, RefundUnderWay, and ProviderUnavailable after which it is driven on by
    the sweep.
    """
    provider = ctx.ports.payments.name
    found = payments.orphan(provider, intent.intent_id)
    if found is None:
        if intent.state != SUCCEEDED:
            raise ValueError(f"{intent.intent_id} is {intent.state}: there is nothing to give back")
        refunds = ctx.ports.payments.refunds_of(intent.intent_id)
        found = _open(decisions.opened(intent, refunds, ctx.now, provider))
        log.warning("a payment without an order goes back", intent_id=intent.intent_id, order_id=intent.order_id)
    return drive(ctx, found)


def _open(step: Step) -> Orphan:
    tx = Transaction()
    # Whoever places the order again at this moment either stands before this, or finds the money gone.
    tables.check_absent(tx, step.after.order_id, OrderIsHere())
    _add(tx, step)
    with suppress(AlreadyDone):
        tx.commit()
    return payments.orphan(step.after.provider, step.after.intent_id) or step.after


def _add(tx: Transaction, step: Step) -> None:
    payments.save_orphan(tx, step.after)
    for entry in step.entries:
        ledger.post(tx, entry)


def drive(ctx: Context, orphan: Orphan) -> Orphan:
    """Asks the provider for the refund, or how it stands. Raises ProviderUnavailable."""
    record = orphan.refund
    if record is None or not record.moving:
        return orphan
    if record.state == "processing":
        refund = ctx.ports.payments.fetch_refund(record.provider_id)
    else:
        try:
            refund = payments.send_refund(
                ctx,
                intent_id=orphan.intent_id,
                amount=Money(record.amount_minor, orphan.currency),
                order_id=orphan.order_id,
                refund_id=record.id,
                tries=record.tries,
            )
        except MethodRefused as error:
            log.error("the provider refuses a refund", error, intent_id=orphan.intent_id, tries=record.tries)
            step = decisions.refused(orphan, ctx.now)
            return _move(step) if step else orphan
    told(ctx, refund)
    return payments.orphan(orphan.provider, orphan.intent_id) or orphan


def told(ctx: Context, refund: Refund) -> bool:
    """Applies the provider's word on a refund of a payment without an order. False: it is not about such a one."""
    for _ in range(_TRIES):
        orphan = payments.orphan(ctx.ports.payments.name, refund.intent_id)
        if orphan is None or orphan.refund is None or orphan.refund.id != refund.refund_id.rpartition(".")[0]:
            return False
        step = decisions.told(orphan, refund, ctx.now)
        if step is None:
            return True
        with suppress(Unavailable):
            _move(step)
    raise Unavailable(retry_after_seconds=1)


def _move(step: Step) -> Orphan:
    """Raises Unavailable when somebody else moved it."""
    tx = Transaction()
    _add(tx, step)
    tx.commit()
    return step.after
