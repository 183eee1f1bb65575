"""Refunds: a card's is done at once, a wallet's is confirmed later, and some fail after all."""

from __future__ import annotations

from typing import Any

from infra.local.stripe_server import money, shapes
from infra.local.stripe_server.errors import fail, no_such, refuse
from infra.local.stripe_server.intents import merged
from infra.local.stripe_server.rules import DAY_SECONDS, REFUND_MOVES, REFUND_WINDOW_DAYS, WALLETS
from infra.local.stripe_server.scope import Scope

Json = dict[str, Any]

CREATE_KNOWS = frozenset({"amount", "charge", "payment_intent", "reason", "metadata", "expand"})
UPDATE_KNOWS = frozenset({"metadata", "expand"})


def find(scope: Scope, refund_id: str) -> Json:
    """The refund of a path; raises 404."""
    return scope.store.get("refund", refund_id) or no_such("refund", refund_id, param="refund")


def create(scope: Scope, params: Json) -> Json:
    """Give money back. Never more than the charge has left; raises ApiError 400 otherwise."""
    charge = _charge_of(scope, params)
    method = charge["payment_method_details"]["type"]
    amount = _amount(params, charge)
    window = REFUND_WINDOW_DAYS.get(method)
    if window is not None and scope.now > charge["created"] + window * DAY_SECONDS:
        fail(
            f"Charge {charge['id']} can no longer be refunded: {method} takes refunds for {window} days.",
            code="charge_not_refundable",
        )
    wallet = method in WALLETS
    refund = shapes.refund(
        scope.new_id("pyr" if wallet else "re"),
        charge,
        now=scope.second,
        amount=amount,
        reason=params.get("reason"),
        status="pending" if wallet else "succeeded",
    )
    refund["metadata"] = merged({}, params.get("metadata", {}))
    line = money.book(
        scope, refund, kind="payment_refund" if wallet else "refund", category="refund", amount=-amount, fee=0
    )
    refund["balance_transaction"] = line["id"]
    scope.store.add(refund, parent=refund["payment_intent"])
    _change_refunded(scope, charge, amount)
    bounces = bool(scope.store.local(charge["payment_intent"]).get("bounce"))
    if wallet or bounces:
        action = "refund_fails" if bounces else "refund_succeeds"
        scope.store.set_timer(scope.now + scope.settings.refund_delay_seconds, action, refund["id"])
    scope.emit("refund.created", refund)
    scope.emit("charge.refunded", charge)
    return refund


def update(scope: Scope, refund: Json, params: Json) -> Json:
    """Change a refund's metadata."""
    if "metadata" in params:
        refund["metadata"] = merged(refund["metadata"], params["metadata"])
        scope.store.save(refund)
    return refund


def finish(scope: Scope, refund_id: str, *, succeeded: bool) -> None:
    """The wallet or bank answers about a refund. A failed one puts the money back with a line of its own."""
    refund = scope.store.get("refund", refund_id)
    to = "succeeded" if succeeded else "failed"
    if refund is None or to not in REFUND_MOVES.get(refund["status"], frozenset()):
        return
    before = {"status": refund["status"]}
    refund["status"] = to
    if succeeded:
        scope.store.save(refund)
        scope.emit("refund.updated", refund, before=before)
        return
    line = money.book(scope, refund, kind="refund_failure", category="refund_failure", amount=refund["amount"])
    refund.update(failure_balance_transaction=line["id"], failure_reason="expired_or_canceled_card")
    if refund["destination_details"]["type"] in WALLETS:
        refund["failure_reason"] = "unknown"
    scope.store.save(refund)
    charge = scope.store.get("charge", refund["charge"])
    if charge is not None:
        _change_refunded(scope, charge, -refund["amount"])
        scope.emit("charge.updated", charge)
    scope.emit("refund.failed", refund, before=before)


def _charge_of(scope: Scope, params: Json) -> Json:
    charge_id, intent_id = params.get("charge"), params.get("payment_intent")
    if charge_id is None and intent_id is None:
        refuse("One of charge or payment_intent is required.", code="parameter_missing", param="payment_intent")
    if charge_id is None:
        intent = scope.store.get("payment_intent", str(intent_id))
        if intent is None:
            no_such("payment_intent", str(intent_id), param="payment_intent", status=400)
        if intent["status"] != "succeeded":
            fail(
                f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
                extra={"payment_intent": intent},
            )
        charge_id = intent["latest_charge"]
    charge = scope.store.get("charge", str(charge_id))
    if charge is None or (intent_id is not None and charge["payment_intent"] != intent_id):
        no_such("charge", str(charge_id), param="charge", status=400)
    if not charge["captured"]:
        fail(f"Charge {charge_id} has not been captured.", code="charge_not_refundable")
    return charge


def _amount(params: Json, charge: Json) -> int:
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount: int = params.get("amount", left)
    if left == 0:
        fail(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount < 1:
        refuse("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        fail(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left}).", param="amount")
    return amount


def _change_refunded(scope: Scope, charge: Json, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    scope.store.save(charge)
