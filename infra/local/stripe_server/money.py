"""What the bank or the wallet decides about an intent, and the charge and balance lines that follow from it."""

from __future__ import annotations

from typing import Any, NoReturn

from infra.local.stripe_server import shapes
from infra.local.stripe_server.errors import fail
from infra.local.stripe_server.rules import INTENT_MOVES, TEST_CARDS, WALLETS, fee_of
from infra.local.stripe_server.scope import PROMPT, Plan, Scope

Json = dict[str, Any]


def move(intent: Json, to: str) -> None:
    """Change an intent's status along the table; raises ApiError 400 for a step that Stripe does not take."""
    if to not in INTENT_MOVES.get(intent["status"], frozenset()):
        unexpected_state(intent, f"This PaymentIntent cannot go from {intent['status']} to {to}.")
    intent["status"] = to


def unexpected_state(intent: Json, message: str) -> NoReturn:
    """Raise `payment_intent_unexpected_state` with the intent, as Stripe does."""
    fail(message, code="payment_intent_unexpected_state", extra={"payment_intent": intent})


def method_of(scope: Scope, intent: Json) -> str:
    """`card`, `alipay` or `wechat_pay`: how the payer pays this intent."""
    method: str = scope.store.local(intent["id"]).get("method") or intent["payment_method_types"][0]
    return method


def approve(scope: Scope, intent: Json, *, plan: Plan = PROMPT) -> None:
    """The money is there: capture it, or hold it when the intent captures manually."""
    method = method_of(scope, intent)
    short = int(scope.store.local(intent["id"]).get("short", 0))
    amount = intent["amount"] - short
    charge = _new_charge(scope, intent, method=method, amount=amount, status="succeeded")
    intent.update(last_payment_error=None, next_action=None, processing=None, latest_charge=charge["id"])
    if intent["capture_method"] == "manual":
        move(intent, "requires_capture")
        intent["amount_capturable"] = amount
        scope.store.save(intent)
        scope.emit("payment_intent.amount_capturable_updated", intent, plan=plan)
    else:
        capture(scope, intent, charge, amount=amount, plan=plan)
    scope.emit("charge.succeeded", charge, plan=plan)


def capture(scope: Scope, intent: Json, charge: Json, *, amount: int, plan: Plan = PROMPT) -> None:
    """Take `amount` of a charge: the intent succeeds and the balance gets a line less the fee."""
    method = charge["payment_method_details"]["type"]
    line = book(
        scope,
        charge,
        kind="payment" if method in WALLETS else "charge",
        category="charge",
        amount=amount,
        fee=fee_of(method, amount),
    )
    charge.update(captured=True, amount_captured=amount, balance_transaction=line["id"])
    scope.store.save(charge)
    move(intent, "succeeded")
    intent.update(amount_received=amount, amount_capturable=0)
    scope.store.save(intent)
    scope.emit("payment_intent.succeeded", intent, plan=plan)


def book(scope: Scope, source: Json, *, kind: str, category: str, amount: int, fee: int = 0) -> Json:
    """Write a balance transaction for a charge or a refund; `amount` is signed minor units."""
    line = shapes.balance_transaction(
        scope.new_id("txn"),
        now=scope.second,
        kind=kind,
        category=category,
        source=source["id"],
        amount=amount,
        fee=fee,
        currency=source["currency"],
    )
    scope.store.add(line, parent=source.get("payment_intent"))
    return line


def decline(scope: Scope, intent: Json, *, code: str, message: str, decline_code: str | None = None) -> Json:
    """The bank or the payer said no. Returns the error that the intent now carries."""
    method = method_of(scope, intent)
    error: Json = {"code": code, "message": message, "type": "card_error"}
    if decline_code is not None:
        error["decline_code"] = decline_code
    if method not in WALLETS and code == "card_declined":
        charge = _new_charge(scope, intent, method=method, amount=intent["amount"], status="failed")
        charge.update(failure_code=code, failure_message=message)
        scope.store.save(charge)
        scope.emit("charge.failed", charge)
        intent["latest_charge"] = error["charge"] = charge["id"]
    else:
        error["type"] = "invalid_request_error"
    error["payment_method"] = {"id": intent["payment_method"], "object": "payment_method", "type": method}
    move(intent, "requires_payment_method")
    intent.update(last_payment_error=error, next_action=None, processing=None, payment_method=None)
    scope.store.save(intent)
    scope.emit("payment_intent.payment_failed", intent)
    return error


def process(scope: Scope, intent: Json, *, seconds: float) -> None:
    """The wallet takes its time: `processing` now, and paid when the server's clock has moved `seconds`."""
    move(intent, "processing")
    intent["next_action"] = None
    scope.store.save(intent)
    # The instant is noted too: a timer left from an earlier, declined attempt must not pay this one early.
    scope.store.save_local(intent["id"], scope.store.local(intent["id"]) | {"approve_at": scope.now + seconds})
    scope.store.set_timer(scope.now + seconds, "approve", intent["id"])
    scope.emit("payment_intent.processing", intent)


def _new_charge(scope: Scope, intent: Json, *, method: str, amount: int, status: str) -> Json:
    if method == "card" and intent["payment_method"] not in TEST_CARDS:
        intent["payment_method"] = "pm_card_visa"
    # Stripe names charges of wallets `py_`, not `ch_`: code that tells kinds apart by prefix meets that here too.
    prefix = "py" if method in WALLETS else "ch"
    charge = shapes.charge(scope.new_id(prefix), intent, now=scope.second, amount=amount, method=method, status=status)
    scope.store.add(charge, parent=intent["id"])
    return charge
