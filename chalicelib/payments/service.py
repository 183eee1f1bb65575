"""What orders ask of payments: intents at the provider, and a place for facts that cannot be applied yet."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.payments import tables
from chalicelib.payments.model import Attempt, MethodUnavailable, Parked, provider_key
from chalicelib.payments.orphans import Orphan
from chalicelib.providers.ports import Intent, IntentRequest, ProviderEvent, Refund
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction


def methods(ctx: Context, currency: str, client: str) -> list[str]:
    """The methods offered for a currency on a client."""
    return ctx.ports.payments.methods(currency, client)


def open_intent(
    ctx: Context,
    *,
    order_id: str,
    charge_id: str,
    attempt: str,
    amount: Money,
    method: str,
    client: str,
    description: str,
    return_url: str | None,
) -> Intent:
    """The intent of this attempt: made, or found again under the same key. Raises MethodUnavailable, MethodRefused,
    ProviderUnavailable."""
    if method not in methods(ctx, amount.currency, client):
        raise MethodUnavailable
    request = IntentRequest(
        key=provider_key(attempt, client, return_url),
        order_id=order_id,
        charge_id=charge_id,
        attempt_id=attempt,
        amount=amount,
        method=method,
        client=client,
        description=description,
        return_url=return_url,
    )
    return ctx.ports.payments.create_intent(request)


def fetch_intent(ctx: Context, attempt: Attempt) -> Intent:
    return ctx.ports.payments.fetch_intent(attempt.intent_id)


def cancel_intent(ctx: Context, attempt: Attempt) -> Intent:
    """Ends it at the provider. What comes back may be `succeeded`: then the money is there and must be applied."""
    return ctx.ports.payments.cancel_intent(attempt.intent_id)


def send_refund(ctx: Context, *, intent_id: str, amount: Money, order_id: str, refund_id: str, tries: int) -> Refund:
    """Asks the provider once for each try: a failed refund is asked again under its next key, a lost answer under the
    same one."""
    return ctx.ports.payments.refund(
        intent_id=intent_id, amount=amount, order_id=order_id, refund_id=f"{refund_id}.{tries}"
    )


def park(ctx: Context, event: ProviderEvent, reason: str) -> None:
    """Keeps a fact that could not be applied, so that the webhook can be answered 200 and nothing is forgotten."""
    kind, object_id = "intent", event.intent.intent_id if event.intent else ""
    if event.refund is not None:
        kind, object_id = "refund", event.refund.provider_id
    log.warning("fact parked", event_id=event.event_id, object_id=object_id, reason=reason)
    tables.park(Parked(ctx.ports.payments.name, kind, object_id, event.event_id, reason, ctx.now))


def parked() -> Iterator[Parked]:
    """Facts that are still waiting for their order."""
    return tables.parked()


def parked_count(limit: int = 1_000) -> int:
    """How many facts are waiting for their order, `limit` at the most."""
    return tables.parked_count(limit)


def close_parked(fact: Parked) -> None:
    """It was applied after all, or its time is over: it is not tried again."""
    tables.close_parked(fact)


def orphan(provider: str, intent_id: str) -> Orphan | None:
    """The payment without an order, once it is being given back."""
    return tables.orphan(provider, intent_id)


def save_orphan(tx: Transaction, after: Orphan) -> None:
    """Adds its next version; when another stands already: AlreadyDone for the first, Unavailable for a later one."""
    tables.save_orphan(tx, after, (lambda _: None) if after.version == 1 else Unavailable(retry_after_seconds=1))


def verify(ctx: Context, raw: bytes, headers: dict[str, str]) -> ProviderEvent:
    """A webhook's fact. Raises SignatureInvalid unless it is genuine and fresh."""
    return ctx.ports.payments.verify(raw, headers, ctx.now)


def expired(fact: Parked, now: Instant) -> bool:
    """Older than three days: no longer retried, left to the operator."""
    return now.since(fact.received_at) > tables.KEPT_MS
