"""PaymentIntents: create, change, confirm, capture, cancel."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import quote

from infra.local.stripe_server import money, shapes
from infra.local.stripe_server.errors import ApiError, fail, no_such, refuse
from infra.local.stripe_server.rules import (
    INTENT_MOVES,
    MAX_AMOUNT,
    METHODS,
    MINIMUM_AMOUNT,
    TEST_CARDS,
    WALLETS,
    fits,
)
from infra.local.stripe_server.scope import Scope

Json = dict[str, Any]

_COPIED = (
    "description",
    "receipt_email",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)
_CONFIRMING = ("payment_method", "payment_method_data", "payment_method_options", "return_url")
CREATE_KNOWS = frozenset(
    {"amount", "currency", "confirm", "metadata", "allowed_payment_method_types", "automatic_payment_methods",
     "capture_method", "confirmation_method", "expand", *_COPIED, *_CONFIRMING}
)  # fmt: skip
UPDATE_KNOWS = frozenset({"amount", "metadata", "expand", *_COPIED})
CONFIRM_KNOWS = frozenset({"expand", "receipt_email", "shipping", *_CONFIRMING})
CAPTURE_KNOWS = frozenset({"amount_to_capture", "metadata", "expand", "statement_descriptor"})
_CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")


def find(scope: Scope, intent_id: str) -> Json:
    """The intent of a path; raises 404."""
    return scope.store.get("payment_intent", intent_id) or no_such("payment_intent", intent_id, param="intent")


def create(scope: Scope, params: Json) -> Json:
    """Make an intent; with `confirm` also try to pay it. Raises 400 before anything is written, or 402."""
    amount, currency = params["amount"], params["currency"]
    check_amount(amount, currency)
    if params.get("confirmation_method", "automatic") != "automatic":
        unsupported("confirmation_method")
    capture_method = _capture_method(params)
    types = _payable_types(params, currency, capture_method)
    if not params.get("confirm") and "return_url" in params:
        refuse("A `return_url` may only be given together with `confirm=true`.", param="return_url")
    intent_id = scope.new_id("pi")
    intent = shapes.payment_intent(
        intent_id,
        secret=f"{intent_id}_secret_{scope.new_id('x').removeprefix('x_')}",
        now=scope.second,
        amount=amount,
        currency=currency,
        types=types,
    )
    intent.update({key: params[key] for key in _COPIED if key in params})
    intent["metadata"] = {key: value for key, value in params.get("metadata", {}).items() if value != ""}
    intent["capture_method"] = capture_method
    intent["allowed_payment_method_types"] = params.get("allowed_payment_method_types")
    intent["payment_method_options"] = params.get("payment_method_options", {})
    if intent["allowed_payment_method_types"] is None:
        intent["automatic_payment_methods"] = {"allow_redirects": "always", "enabled": True}
    local = _choose_method(scope, intent, params)
    scope.store.add(intent, local=local)
    scope.emit("payment_intent.created", intent)
    return _attempt(scope, intent) if params.get("confirm") else intent


def update(scope: Scope, intent: Json, params: Json) -> Json:
    """Change an intent. After a terminal state only metadata and description may change."""
    fixed = set(params) - {"metadata", "description", "expand"}
    if fixed and intent["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
        money.unexpected_state(
            intent, f"This PaymentIntent's {min(fixed)} could not be updated because it is {intent['status']}."
        )
    if "amount" in params:
        check_amount(params["amount"], intent["currency"])
        intent["amount"] = params["amount"]
    intent.update({key: params[key] or None for key in _COPIED if key in params})
    if "metadata" in params:
        intent["metadata"] = merged(intent["metadata"], params["metadata"])
    scope.store.save(intent)
    return intent


def confirm(scope: Scope, intent: Json, params: Json) -> Json:
    """Try to pay: a card answers at once, a wallet asks the payer (`requires_action`). Raises 400 or 402."""
    if intent["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
        done = " because it has already succeeded" if intent["status"] == "succeeded" else ""
        money.unexpected_state(
            intent, f"You cannot confirm this PaymentIntent{done}: it has a status of {intent['status']}."
        )
    intent["payment_method_options"] |= params.get("payment_method_options", {})
    intent.update({key: params[key] or None for key in ("receipt_email", "shipping") if key in params})
    scope.store.save_local(intent["id"], scope.store.local(intent["id"]) | _choose_method(scope, intent, params))
    return _attempt(scope, intent)


def capture(scope: Scope, intent: Json, params: Json) -> Json:
    """Take held money, all of it or less; what is not taken is given back to the card at once."""
    if intent["status"] != "requires_capture":
        money.unexpected_state(
            intent,
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be captured: requires_capture.",
        )
    amount: int = params["amount_to_capture"] if "amount_to_capture" in params else intent["amount_capturable"]
    if not 0 < amount <= intent["amount_capturable"]:
        fail(
            f"The amount to capture must be between 1 and {intent['amount_capturable']}.",
            code="amount_too_large" if amount > 0 else "parameter_invalid_integer",
            param="amount_to_capture",
        )
    charge = scope.store.get("charge", intent["latest_charge"])
    if charge is None:
        no_such("charge", intent["latest_charge"], status=400)
    if "metadata" in params:
        intent["metadata"] = merged(intent["metadata"], params["metadata"])
    money.capture(scope, intent, charge, amount=amount)
    scope.emit("charge.captured", charge)
    return intent


def cancel(scope: Scope, intent: Json, params: Json) -> Json:
    """End an unpaid intent; a held amount is released. A paid, cancelled or processing one refuses."""
    if "canceled" not in INTENT_MOVES.get(intent["status"], frozenset()):
        money.unexpected_state(
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            f"PaymentIntent with one of the following statuses may be canceled: {', '.join(_CANCELABLE)}.",
        )
    held = scope.store.get("charge", intent["latest_charge"]) if intent["status"] == "requires_capture" else None
    money.move(intent, "canceled")
    intent.update(
        canceled_at=scope.second,
        cancellation_reason=params.get("cancellation_reason"),
        amount_capturable=0,
        next_action=None,
    )
    scope.store.save(intent)
    if held is not None:
        # Nothing was ever booked for a hold, so its release has no balance line either.
        held.update(refunded=True, amount_refunded=held["amount"])
        scope.store.save(held)
        scope.emit("charge.refunded", held)
    scope.emit("payment_intent.canceled", intent)
    return intent


def check_amount(amount: int, currency: str) -> None:
    """Refuse an unknown currency, and an amount outside Stripe's limits for it."""
    if currency not in MINIMUM_AMOUNT:
        refuse(f"Invalid currency: {currency[:20]}. Use a lower-case ISO code such as cny or usd.", param="currency")
    if amount < 1:
        refuse("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount < MINIMUM_AMOUNT[currency]:
        refuse(
            f"Amount must be at least {MINIMUM_AMOUNT[currency]} minor units of {currency}.",
            code="amount_too_small",
            param="amount",
        )
    if amount > MAX_AMOUNT:
        refuse(f"Amount must be no more than {MAX_AMOUNT}.", code="amount_too_large", param="amount")


def unsupported(param: str) -> NoReturn:
    """Refuse what Stripe has and this server has not: ignoring it would promise something untrue."""
    refuse(f"The local server does not implement `{param}`.", code="local_server_unsupported", param=param)


def merged(old: dict[str, str], new: Any) -> dict[str, str]:
    """Metadata after an update: an empty value unsets a key, an empty string unsets them all."""
    if new == "":
        return {}
    return {key: value for key, value in (old | new).items() if value != ""}


def _capture_method(params: Json) -> str:
    # `automatic_async` differs only in when Stripe makes the balance line; here both are at once.
    return "manual" if params.get("capture_method") == "manual" else "automatic"


def _payable_types(params: Json, currency: str, capture_method: str) -> list[str]:
    """The methods that fit; those that do not are dropped without a word, as Stripe does."""
    allowed = params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods")
    if allowed is not None and automatic is not None:
        refuse(
            "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types.",
            code="parameters_exclusive",
            param="allowed_payment_method_types",
        )
    if automatic is not None and (not automatic["enabled"] or automatic.get("allow_redirects") == "never"):
        unsupported("automatic_payment_methods")
    types = [one for one in (allowed or METHODS) if fits(one, currency, capture_method)]
    if not types:
        refuse(
            "No valid payment method types for this Payment Intent with this currency and capture method.",
            param="allowed_payment_method_types",
        )
    return list(dict.fromkeys(types))


def _choose_method(scope: Scope, intent: Json, params: Json) -> Json:
    """Take the payer's method from the parameters into the intent; return the server's own notes about it."""
    data, card_id = params.get("payment_method_data"), params.get("payment_method")
    notes: Json = {"return_url": params["return_url"]} if "return_url" in params else {}
    if data is None and card_id is None:
        return notes
    if data is not None and card_id is not None:
        refuse(
            "Give either payment_method or payment_method_data.", code="parameters_exclusive", param="payment_method"
        )
    if card_id is not None and card_id not in TEST_CARDS:
        no_such("PaymentMethod", card_id, param="payment_method", status=400)
    method = "card" if data is None else data["type"]
    if data is not None and method not in WALLETS:
        unsupported(f"payment_method_data[type]={method}")
    if method not in intent["payment_method_types"]:
        refuse(
            f"The PaymentMethod provided ({method}) is not allowed for this PaymentIntent. Its types are: "
            f"{', '.join(intent['payment_method_types'])}.",
            code="payment_intent_incompatible_payment_method",
            param="payment_method",
        )
    intent["payment_method"] = card_id or scope.new_id("pm")
    intent["status"] = "requires_confirmation"
    return notes | {"method": method}


def _attempt(scope: Scope, intent: Json) -> Json:
    """Start paying with the chosen method; the intent is stored already."""
    notes = scope.store.local(intent["id"])
    method = notes.get("method")
    if method is None or intent["payment_method"] is None:
        fail(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
            extra={"payment_intent": intent},
        )
    intent["last_payment_error"] = None
    if method in WALLETS:
        return _ask_wallet(scope, intent, method, notes.get("return_url"))
    card = TEST_CARDS[intent["payment_method"]]
    if card.does == "declines":
        error = money.decline(
            scope, intent, code="card_declined", message="Your card was declined.", decline_code=card.decline_code
        )
        extra = {key: value for key, value in error.items() if key not in {"type", "code", "message"}}
        raise ApiError(
            402,
            "card_error",
            error["message"],
            code="card_declined",
            keep_writes=True,
            extra=extra | {"payment_intent": intent},
        )
    if card.does == "authenticates":
        return _ask(scope, intent, _three_d_secure(scope, intent, notes.get("return_url")))
    if card.does == "bounces":
        scope.store.save_local(intent["id"], notes | {"bounce": True})
    money.approve(scope, intent)
    return intent


def _ask_wallet(scope: Scope, intent: Json, method: str, return_url: str | None) -> Json:
    if method == "alipay" and return_url is None:
        refuse("A `return_url` must be specified to confirm with alipay.", code="parameter_missing", param="return_url")
    page = pay_page(scope, intent)
    if method == "alipay":
        redirect = {"native_data": None, "native_url": None, "return_url": return_url, "url": page}
        return _ask(scope, intent, {"alipay_handle_redirect": redirect, "type": "alipay_handle_redirect"})
    client = intent["payment_method_options"].get("wechat_pay", {}).get("client", "web")
    if client != "web":
        unsupported(f"payment_method_options[wechat_pay][client]={client}")
    code = {
        "data": page,
        "hosted_instructions_url": page,
        "image_data_url": "",
        "image_url_png": f"{page}?image=png",
        "image_url_svg": f"{page}?image=svg",
    }
    return _ask(scope, intent, {"type": "wechat_pay_display_qr_code", "wechat_pay_display_qr_code": code})


def _three_d_secure(scope: Scope, intent: Json, return_url: str | None) -> Json:
    page = pay_page(scope, intent)
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page}}
    return {"redirect_to_url": {"return_url": return_url, "url": page}, "type": "redirect_to_url"}


def _ask(scope: Scope, intent: Json, action: Json) -> Json:
    money.move(intent, "requires_action")
    intent["next_action"] = action
    scope.store.save(intent)
    scope.emit("payment_intent.requires_action", intent)
    return intent


def pay_page(scope: Scope, intent: Json) -> str:
    """The address of the local page on which the payer decides, by our attempt id where the metadata has one."""
    name = intent["metadata"].get("attempt_id", intent["id"])
    return f"{scope.settings.public_url}/local/pay/{quote(name, safe='')}"
