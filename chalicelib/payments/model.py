"""Attempts and refunds at a provider: their states, and what a provider's fact means for them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib.kernel import ids
from chalicelib.kernel.errors import Conflict, Invalid
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.states import StateMachine

MAX_ATTEMPTS = 8  # of one charge: the row is bounded, and nobody pays in nine ways
MAX_REFUND_TRIES = 5

# A fact may arrive late, twice and out of order, and a payer may try again on the same intent: only money is final.
ATTEMPT = StateMachine(
    "payment_attempt",
    "created",
    {
        "created": {
            "requires_action": "requires_action",
            "processing": "processing",
            "succeeded": "succeeded",
            "failed": "failed",
            "canceled": "canceled",
        },
        "requires_action": {
            "processing": "processing",
            "succeeded": "succeeded",
            "failed": "failed",
            "canceled": "canceled",
        },
        "processing": {"succeeded": "succeeded", "failed": "failed", "canceled": "canceled"},
        "failed": {"processing": "processing", "succeeded": "succeeded", "canceled": "canceled"},
        "canceled": {"succeeded": "succeeded"},
        "succeeded": {},
    },
)

REFUND = StateMachine(
    "provider_refund",
    "approved",
    {
        "approved": {"processing": "processing", "succeeded": "succeeded", "failed": "failed"},
        "processing": {"succeeded": "succeeded", "failed": "failed"},
        "failed": {"retry": "approved"},
        # A bank can give back what the provider had reported as refunded: the money is owed again.
        "succeeded": {"return": "returned"},
        "returned": {"retry": "approved"},
    },
)


class AlreadyPaid(Conflict):
    code = "already_paid"


class PaymentProcessing(Conflict):
    """Money is moving: the provider will say within minutes how it ended."""

    code = "payment_processing"


class TooManyAttempts(Conflict):
    code = "too_many_attempts"


class MethodUnavailable(Invalid):
    code = "method_unavailable"


@dataclass(frozen=True)
class Attempt:
    """One try to pay one charge. `key` is a mark of the request that opened it, `received_minor` what came in."""

    id: str
    ordinal: int
    method: str
    client: str
    state: str
    intent_id: str
    key: str
    opened_at: Instant
    checked_at: Instant
    received_minor: int = 0
    charge_ref: str = ""

    @property
    def living(self) -> bool:
        return self.state in ("created", "requires_action", "processing", "failed")


def attempt_id(order_id: str, charge_id: str, ordinal: int, method: str) -> str:
    """Derived from what it pays for and how, never from the request: a retry after a crash meets the same intent."""
    return ids.derived("att", order_id, charge_id, str(ordinal), method)


def provider_key(attempt: str, client: str, return_url: str | None) -> str:
    """The provider refuses a key that comes back with other parameters, so what may differ is part of the key."""
    return f"{attempt}.{ids.digest(client, return_url or '', length=8)}"


def advanced(attempt: Attempt, state: str, now: Instant, received_minor: int = 0, charge_ref: str = "") -> Attempt:
    """The attempt after a fact; a fact that leads nowhere new changes only when we last heard."""
    if not ATTEMPT.can(attempt.state, state):
        return replace(attempt, checked_at=now)
    return replace(
        attempt,
        state=ATTEMPT.fire(attempt.state, state),
        checked_at=now,
        received_minor=received_minor or attempt.received_minor,
        charge_ref=charge_ref or attempt.charge_ref,
    )


@dataclass(frozen=True)
class RefundRecord:
    """Money on its way back. `reason` is cancelled, declined, late, duplicate or wrong_amount."""

    id: str
    amount_minor: int
    state: str
    reason: str
    intent_id: str
    tries: int
    provider_id: str
    approved_at: Instant

    @property
    def open(self) -> bool:
        """The money is still owed."""
        return self.state != "succeeded"

    @property
    def moving(self) -> bool:
        """Something is still being done about it; one that is open and does not move waits for a person."""
        return self.state in ("approved", "processing")


def refund_id(order_id: str, version: int) -> str:
    return ids.derived("ref", order_id, str(version))


def sent_back_id(order_id: str, intent_id: str) -> str:
    """The refund of a payment that its order could not take. There is one at the most, and it has the same id when the
    fact is applied again to an order that has forgotten it."""
    return ids.derived("ref", order_id, intent_id)


@dataclass(frozen=True)
class Parked:
    """A fact that could not be applied: kept three days, tried again each minute, then a person looks at it.

    `kind` is intent or refund: the provider's ids do not tell (Stripe's refunds are `re_…`, those of wallets `pyr_…`).
    """

    provider: str
    kind: str
    object_id: str
    event_id: str
    reason: str
    received_at: Instant
