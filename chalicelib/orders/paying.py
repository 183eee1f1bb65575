"""Money for an order: attempts, the provider's facts, refunds. A fact is applied by one transaction or parked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.booking.model import SlotTaken
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Gone, NotFound, Unavailable
from chalicelib.kernel.money import Money
from chalicelib.orders import decisions, orphans, saving, tables
from chalicelib.orders.changes import Change
from chalicelib.orders.model import Changed, Charge, Order, repeats
from chalicelib.payments import service as payments
from chalicelib.payments.model import (
    MAX_ATTEMPTS,
    AlreadyPaid,
    Attempt,
    Parked,
    PaymentProcessing,
    RefundRecord,
    TooManyAttempts,
    attempt_id,
)
from chalicelib.providers.ports import (
    CANCELED,
    PROCESSING,
    REQUIRES_ACTION,
    SUCCEEDED,
    Intent,
    MethodRefused,
    ProviderEvent,
    ProviderUnavailable,
    Refund,
)
from chalicelib.runtime import log
from chalicelib.runtime.context import Context

_TRIES = 8
_OPEN_TRIES = 4


class HoldExpired(Gone):
    """The place is no longer held for this order: it cannot be paid any more."""

    code = "hold_expired"


class UnknownOrder(Exception):
    """A fact about an order, charge or refund that is not here (yet). It is parked, never dropped."""


@dataclass(frozen=True)
class Opened:
    """An attempt, and what the payer's app needs to go on. `next_action` None: nothing more to do."""

    order: Order
    charge: Charge
    attempt: Attempt
    next_action: dict[str, Any] | None
    replayed: bool


def open_attempt(
    ctx: Context, order: Order, *, method: str, client: str, charge_id: str | None, return_url: str | None, mark: str
) -> Opened:
    """Opens an attempt for the order's open charge; a living one is ended at the provider first. `mark` is the
    `request_mark`.

    Raises AlreadyPaid, HoldExpired, PaymentProcessing, TooManyAttempts, MethodUnavailable, ProviderUnavailable,
    IdempotencyKeyReused, Changed.
    """
    lost: list[Attempt] = []
    try:
        for _ in range(_OPEN_TRIES):
            replay = _replay(ctx, order, mark)
            if replay is not None:
                return replay
            try:
                return _open(
                    ctx, order, mark, lost, method=method, client=client, charge_id=charge_id, return_url=return_url
                )
            except Changed:
                # Somebody else moved the order, perhaps this very request sent twice: look again.
                order = tables.order(order.id) or order
        raise Changed(retry_after_seconds=1)
    finally:
        if lost:
            _let_go(ctx, order.id, lost)


def _open(
    ctx: Context,
    order: Order,
    mark: str,
    lost: list[Attempt],
    *,
    method: str,
    client: str,
    charge_id: str | None,
    return_url: str | None,
) -> Opened:
    order, charge = _end_living(ctx, order, charge_id)
    ordinal = len(charge.attempts) + 1
    if ordinal > MAX_ATTEMPTS:
        raise TooManyAttempts
    own_id = attempt_id(order.id, charge.id, ordinal, method)
    intent = payments.open_intent(
        ctx,
        order_id=order.id,
        charge_id=charge.id,
        attempt=own_id,
        amount=Money(charge.amount_minor, order.currency),
        method=method,
        client=client,
        description=f"Linli {order.id}",
        return_url=return_url,
    )
    attempt = Attempt(own_id, ordinal, method, client, intent.state, intent.intent_id, mark, ctx.now, ctx.now)
    if intent.state == SUCCEEDED:
        # A saved card can capture at once: the attempt is written as created, and the money by its own transaction.
        attempt = replace(attempt, state="created")
    # Nobody is shown the secret before this write: an intent that we did not note can never be paid.
    try:
        opened = _note(ctx, order, charge.id, attempt)
    except Changed:
        lost.append(attempt)
        raise
    if intent.state == SUCCEEDED:
        opened = apply_intent(ctx, intent)
    return Opened(opened, charge, attempt, intent.next_action, replayed=False)


def _note(ctx: Context, order: Order, charge_id: str, attempt: Attempt) -> Order:
    """Writes the attempt down. The provider tells of a new intent at once, and its webhook may be here first.

    Raises Changed when the order moved for any other reason.
    """
    for _ in range(_TRIES):
        try:
            return saving.write(ctx, order, decisions.attempt_opened(order, charge_id, attempt, ctx.now))
        except Changed:
            moved = tables.order(order.id)
            if moved is None or not _may_note(moved, charge_id, decisions.adopted(moved, attempt)):
                raise
            order = moved
    raise Unavailable(retry_after_seconds=1)


def _may_note(order: Order, charge_id: str, early: Attempt | None) -> bool:
    """Nobody is shown how to pay what cannot be paid any more; money that was faster may be told of."""
    open_still = any(charge.id == charge_id and charge.state == "open" for charge in order.charges)
    return early is not None and (open_still or early.state == SUCCEEDED)


def _let_go(ctx: Context, order_id: str, lost: list[Attempt]) -> None:
    """Ends intents that were made and shown to nobody, once another attempt has their place; one whose place is free
    stays, because the next try makes the same one again."""
    order = tables.order(order_id)
    if order is None:
        return
    # What a fact has taken down is in the row without a key.
    noted = {attempt.intent_id for charge in order.charges for attempt in charge.attempts if attempt.key}
    places = max((len(charge.attempts) for charge in order.charges if charge.state == "open"), default=MAX_ATTEMPTS)
    for attempt in lost:
        if attempt.intent_id not in noted and (attempt.ordinal <= places or ctx.now >= order.deadline):
            with suppress(Unavailable, UnknownOrder):
                intent = payments.cancel_intent(ctx, attempt)
                if intent.state == SUCCEEDED:
                    apply_intent(ctx, intent)


def _replay(ctx: Context, order: Order, mark: str) -> Opened | None:
    for charge in order.charges:
        for attempt in charge.attempts:
            if repeats(attempt.key, mark):
                intent = payments.fetch_intent(ctx, attempt)
                return Opened(order, charge, attempt, intent.next_action, replayed=True)
    return None


def _payable(ctx: Context, order: Order, charge_id: str | None) -> Charge:
    wanted = [c for c in order.charges if charge_id is None or c.id == charge_id]
    if not wanted and charge_id is not None:
        raise NotFound
    charge = next((c for c in wanted if c.state == "open"), None)
    if charge is None:
        raise HoldExpired if any(c.state == "void" for c in wanted) else AlreadyPaid
    if ctx.now >= order.deadline:
        raise HoldExpired
    return charge


def _end_living(ctx: Context, order: Order, charge_id: str | None) -> tuple[Order, Charge]:
    """The payable charge without a living attempt: an older one is ended at the provider before a new one begins.

    Each end is a new reading of the order, in which somebody else's attempt may live: it is looked at again.
    """
    for _ in range(MAX_ATTEMPTS + 1):
        charge = _payable(ctx, order, charge_id)
        living = next((attempt for attempt in charge.attempts if attempt.living), None)
        if living is None:
            return order, charge
        intent = payments.cancel_intent(ctx, living)
        if intent.state not in (CANCELED, SUCCEEDED):
            raise PaymentProcessing
        order = apply_intent(ctx, intent)
    raise TooManyAttempts


def refresh(ctx: Context, order: Order, wanted_id: str) -> Opened:
    """An attempt as it stands; the provider is asked when ours is older than `attempt_stale_seconds`.

    Raises NotFound. A provider that does not answer leaves what we know.
    """
    charge, attempt = _attempt_of(order, wanted_id)
    action = None
    # What the payer needs is not kept here, so whoever still has to act is told by the provider, however fresh ours is.
    stale = ctx.now.since(attempt.checked_at) >= ctx.settings.attempt_stale_seconds * 1000
    if attempt.living and (stale or attempt.state == REQUIRES_ACTION):
        try:
            intent = payments.fetch_intent(ctx, attempt)
        except Unavailable:
            return Opened(order, charge, attempt, None, replayed=False)
        order = apply_intent(ctx, intent)
        charge, attempt = _attempt_of(order, wanted_id)
        action = intent.next_action if attempt.state == REQUIRES_ACTION else None
    return Opened(order, charge, attempt, action, replayed=False)


def _attempt_of(order: Order, wanted_id: str) -> tuple[Charge, Attempt]:
    for charge in order.charges:
        for attempt in charge.attempts:
            if attempt.id == wanted_id:
                return charge, attempt
    raise NotFound


# ---------------------------------------------------------------------------------------------- facts


def apply_intent(ctx: Context, intent: Intent, *, told: bool = False) -> Order:
    """Merges a provider's word on an intent: attempt, order, slot and journal move in one transaction, or not at all.

    `told`: it comes from an event, which may be old. Only an end is final; before it the provider is asked how the
    intent stands now. Raises UnknownOrder, ProviderUnavailable, and Unavailable when contention does not end.
    """
    provider = ctx.ports.payments.name
    for _ in range(_TRIES):
        order = tables.order(intent.order_id) if ids.is_id(intent.order_id, "ord") else None
        if order is None or not order.charges or intent.amount.currency != order.currency:
            raise UnknownOrder
        if _went_back(order, intent, provider):
            return order
        revival = decisions.revived(order, intent, ctx.now, saving.clocks(ctx), provider)
        try:
            if revival is not None:
                try:
                    return saving.write(ctx, order, revival)
                except SlotTaken:
                    # Its place went to somebody else: the money goes back instead.
                    log.info("late payment cannot revive the order", order_id=order.id)
            change = decisions.intent_fact(order, intent, ctx.now, saving.clocks(ctx), provider)
            if change is None:
                return order
            if told and intent.state not in (SUCCEEDED, CANCELED):
                intent, told = ctx.ports.payments.fetch_intent(intent.intent_id), False
                continue
            return saving.write(ctx, order, change)
        except Changed:
            continue
    raise Unavailable(retry_after_seconds=1)


def _went_back(order: Order, intent: Intent, provider: str) -> bool:
    """An order that was forgotten and is placed again has its old id, and finds its old payment; not after that was
    given back. An intent is never older than its order otherwise, so nobody else pays for this look."""
    older = intent.state == SUCCEEDED and intent.created.seconds < order.created_at.seconds
    return older and payments.orphan(provider, intent.intent_id) is not None


def apply_refund(ctx: Context, refund: Refund) -> Order:
    """Merges a provider's word on a refund. Raises UnknownOrder for one that we never asked for."""
    if not ids.is_id(refund.order_id, "ord"):
        raise UnknownOrder

    def decide(order: Order) -> Change | None:
        if not any(record.id == refund.refund_id.rpartition(".")[0] for record in order.refunds):
            raise UnknownOrder
        return decisions.refund_fact(order, refund, ctx.now, ctx.ports.payments.name)

    try:
        return saving.change(ctx, refund.order_id, decide)
    except NotFound as error:
        raise UnknownOrder from error


def apply_event(ctx: Context, event: ProviderEvent) -> str:
    """`applied`, `ignored` or `parked`. Only after it the webhook is answered 200."""
    try:
        if event.intent is not None:
            apply_intent(ctx, event.intent, told=True)
        elif event.refund is not None:
            apply_refund(ctx, event.refund)
        else:
            return "ignored"
    except UnknownOrder:
        if event.refund is not None and orphans.told(ctx, event.refund):
            return "applied"
        payments.park(ctx, event, "unknown_order")
        return "parked"
    return "applied"


def apply_parked(ctx: Context, fact: Parked) -> None:
    """Asks the provider what the object of a parked fact is by now, and applies that. Raises UnknownOrder still."""
    if fact.kind == "intent":
        intent = ctx.ports.payments.fetch_intent(fact.object_id)
        try:
            apply_intent(ctx, intent)
        except UnknownOrder:
            if not _over(ctx, intent):
                raise
    else:
        refund = ctx.ports.payments.fetch_refund(fact.object_id)
        try:
            apply_refund(ctx, refund)
        except UnknownOrder:
            if not orphans.told(ctx, refund):
                raise


def _over(ctx: Context, intent: Intent) -> bool:
    """Nothing will ever be owed to an order for this intent: it ended without money, or its money has gone back."""
    if intent.state == CANCELED:
        return True
    orphan = payments.orphan(ctx.ports.payments.name, intent.intent_id)
    return orphan is not None and orphans.drive(ctx, orphan).settled


# ---------------------------------------------------------------------------------------------- refunds


def drive_refunds(ctx: Context, order_id: str) -> Order:
    """Asks the provider for every approved refund of an order, and notes what it says. Safe to repeat at any time.

    Raises UnknownOrder, ProviderUnavailable.
    """
    order = tables.order(order_id)
    if order is None:
        raise UnknownOrder
    for record in order.refunds:
        if record.state == "processing":
            order = apply_refund(ctx, ctx.ports.payments.fetch_refund(record.provider_id))
        elif record.state == "approved":
            order = _send_refund(ctx, order, record)
    return order


def _send_refund(ctx: Context, order: Order, record: RefundRecord) -> Order:
    try:
        sent = payments.send_refund(
            ctx,
            intent_id=record.intent_id,
            amount=Money(record.amount_minor, order.currency),
            order_id=order.id,
            refund_id=record.id,
            tries=record.tries,
        )
    except MethodRefused as error:
        log.error("the provider refuses a refund", error, order_id=order.id, refund_id=record.id, tries=record.tries)
        provider = ctx.ports.payments.name
        return saving.change(
            ctx, order.id, lambda o: decisions.refund_refused(o, record.id, record.tries, ctx.now, provider)
        )
    return apply_refund(ctx, sent)


def end_at_provider(ctx: Context, order: Order) -> tuple[Order, str]:
    """Makes sure that nobody can pay the order any more: `ended`, `paid` (the money was there already) or `processing`.

    Raises ProviderUnavailable, also when the provider neither ends an intent nor says why not.
    """
    for attempt in order.living_attempts:
        intent = payments.cancel_intent(ctx, attempt)
        if intent.state == PROCESSING:
            return apply_intent(ctx, intent), PROCESSING
        if intent.state == SUCCEEDED:
            return apply_intent(ctx, intent), "paid"
        if intent.state != CANCELED:
            raise ProviderUnavailable(retry_after_seconds=2)
    return order, "ended"
