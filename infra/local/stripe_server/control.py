"""The local control: what the payer's wallet or bank does next, and changes to the provider's own book.

Not a part of Stripe's API. JSON in and out, and only on this machine.
"""

from __future__ import annotations

from typing import Any

from infra.local.stripe_server import money
from infra.local.stripe_server.scope import PROMPT, Plan, Scope

Json = dict[str, Any]

OUTCOMES = ("succeed", "decline", "delay", "duplicate", "shuffle", "lose", "late", "wrong_amount", "refund_fails")
MAX_SECONDS = 30 * 86_400
_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action", "processing")


class ControlError(Exception):
    """A control action that cannot be done: an HTTP status and a plain sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def view(scope: Scope, intent: Json) -> Json:
    """What the pay page shows of an intent."""
    return {
        "id": intent["id"],
        "amount": intent["amount"],
        "amount_received": intent["amount_received"],
        "currency": intent["currency"],
        "status": intent["status"],
        "metadata": intent["metadata"],
        "method": money.method_of(scope, intent),
        "payment_method_types": intent["payment_method_types"],
        "description": intent["description"],
        "return_url": scope.store.local(intent["id"]).get("return_url"),
        "outcomes": list(OUTCOMES) if intent["status"] in _OPEN else [],
    }


def find(scope: Scope, intent_id: str) -> Json:
    """An intent by id; raises ControlError 404."""
    intent = scope.store.get("payment_intent", intent_id)
    if intent is None:
        raise ControlError(404, f"There is no payment intent {intent_id}.")
    return intent


def find_by_metadata(scope: Scope, key: str, value: str) -> Json:
    """`{"items": [view…]}` of the intents whose metadata has `key` = `value`, newest first."""
    condition = "id IN (SELECT id FROM metadata WHERE kind = 'payment_intent' AND name = ? AND value = ?)"
    page = scope.store.page("payment_intent", [(condition, (key, value))], limit=100)
    return {"items": [view(scope, intent) for intent in page.data]}


def decide(scope: Scope, intent_id: str, body: Json) -> Json:
    """Let the payer's side act on an intent. Raises ControlError 404, 409 (nothing left to decide) or 422."""
    outcome, seconds = body.get("outcome"), body.get("seconds")
    if outcome not in OUTCOMES:
        raise ControlError(422, f"Unknown outcome. Allowed: {', '.join(OUTCOMES)}.")
    if seconds is not None and (type(seconds) is not int or not 0 <= seconds <= MAX_SECONDS):
        raise ControlError(422, f"seconds must be an integer from 0 to {MAX_SECONDS}.")
    intent = find(scope, intent_id)
    if intent["status"] not in _OPEN:
        raise ControlError(409, f"This payment is {intent['status']}: there is nothing left to decide.")
    if intent["status"] == "processing" and outcome == "delay":
        raise ControlError(409, "This payment is processing already.")
    _note(scope, intent, outcome)
    if intent["payment_method"] is None:
        # The payer types a card, or opens a wallet, on the page itself: what Stripe.js would have sent.
        card = "pm_card_chargeDeclined" if outcome == "decline" else "pm_card_visa"
        intent["payment_method"] = card if money.method_of(scope, intent) == "card" else scope.new_id("pm")
    if outcome == "decline":
        _decline(scope, intent)
    elif outcome == "delay":
        money.process(scope, intent, seconds=scope.settings.delay_seconds if seconds is None else seconds)
    elif outcome == "shuffle":
        _shuffle(scope, intent)
    else:
        late = scope.settings.late_seconds if seconds is None else seconds
        plans = {"duplicate": Plan(copies=3), "lose": Plan(lost=True), "late": Plan(delay_seconds=late)}
        money.approve(scope, intent, plan=plans.get(outcome, PROMPT))
    return view(scope, intent)


def delete_line(scope: Scope, line_id: str) -> Json:
    """Take a line out of the provider's book, so that a reconciliation has something to find."""
    scope.store.hide(_line(scope, line_id)["id"])
    return {"id": line_id, "deleted": True}


def alter_line(scope: Scope, line_id: str, body: Json) -> Json:
    """Change a line's amount and net by `amount_delta` minor units. Raises ControlError 404 or 422."""
    delta = body.get("amount_delta")
    if type(delta) is not int or delta == 0 or abs(delta) > 99_999_999:
        raise ControlError(422, "amount_delta must be an integer other than 0.")
    line = _line(scope, line_id)
    notes = scope.store.local(line_id)
    first = {"amount": line["amount"], "net": line["net"]}
    scope.store.save_local(line_id, notes | {"first": notes.get("first", first)})
    line["amount"] += delta
    line["net"] += delta
    scope.store.save(line)
    return scope.present(line)


def restore_line(scope: Scope, line_id: str) -> Json:
    """Undo what was deleted or altered: the line as the provider first booked it. Raises ControlError 404."""
    line = scope.store.show("balance_transaction", line_id)
    if line is None:
        raise _no_line(line_id)
    line.update(scope.store.local(line_id).get("first", {}))
    scope.store.save(line)
    return scope.present(line)


def _line(scope: Scope, line_id: str) -> Json:
    line = scope.store.get("balance_transaction", line_id)
    if line is None:
        raise _no_line(line_id)
    return line


def _no_line(line_id: str) -> ControlError:
    return ControlError(404, f"There is no balance transaction {line_id}.")


def _note(scope: Scope, intent: Json, outcome: str) -> None:
    notes = scope.store.local(intent["id"])
    if outcome == "wrong_amount":
        notes["short"] = 1
    if outcome == "refund_fails":
        notes["bounce"] = True
    scope.store.save_local(intent["id"], notes | {"method": money.method_of(scope, intent)})


def _decline(scope: Scope, intent: Json) -> None:
    if money.method_of(scope, intent) != "card":
        message = "The customer did not approve the payment."
        money.decline(scope, intent, code="payment_method_customer_decline", message=message)
    elif intent["status"] == "requires_action":
        message = "We are unable to authenticate your payment method."
        money.decline(scope, intent, code="payment_intent_authentication_failure", message=message)
    else:
        message = "Your card was declined."
        money.decline(scope, intent, code="card_declined", message=message, decline_code="generic_decline")


def _shuffle(scope: Scope, intent: Json) -> None:
    """Pay by way of `processing`, and hand over all of the intent's events newest first."""
    if intent["status"] != "processing":
        money.move(intent, "processing")
        scope.store.save(intent)
        scope.emit("payment_intent.processing", intent)
    money.approve(scope, intent)
    scope.deliver_reversed(intent["id"])
