"""Stripe behind our port: the only importer of the SDK, which is loaded at the first use.

Written against SDK 16.1 and API 2026-10-28.endive; what was tried on them stands in the comments.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.providers import ports
from chalicelib.providers.ports import (
    BalanceLine,
    Intent,
    IntentRequest,
    MethodRefused,
    ProviderEvent,
    ProviderUnavailable,
    Refund,
    Secrets,
    SignatureInvalid,
)
from chalicelib.runtime import log

API_VERSION = "2026-10-28.endive"
TOLERANCE_SECONDS = 300

# What each method settles in, and which clients can show it. Stripe drops what does not fit without a word.
_CURRENCIES = {
    "card": {"CNY", "USD", "EUR", "GBP", "HKD", "SGD", "AUD", "JPY", "KRW", "KWD"},
    "alipay": {"CNY", "USD", "EUR", "GBP", "HKD", "SGD", "AUD", "JPY"},
    "wechat_pay": {"CNY", "USD", "EUR", "GBP", "HKD", "SGD", "AUD", "JPY"},
}
_WECHAT_CLIENT = {"web": "web", "ios": "ios", "android": "android", "mini_program": "web"}

_STATES = {
    "requires_payment_method": ports.REQUIRES_ACTION,
    "requires_confirmation": ports.REQUIRES_ACTION,
    "requires_action": ports.REQUIRES_ACTION,
    "requires_capture": ports.PROCESSING,
    "processing": ports.PROCESSING,
    "succeeded": ports.SUCCEEDED,
    "canceled": ports.CANCELED,
}
_REFUND_STATES = {
    "pending": ports.PROCESSING,
    "requires_action": ports.PROCESSING,
    "succeeded": ports.SUCCEEDED,
    "failed": ports.FAILED,
    "canceled": ports.CANCELED,
}
EVENT_TYPES = [
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "refund.created",
    "refund.updated",
    "refund.failed",
]

T = TypeVar("T")

# Of a list: the SDK makes a tree of objects of each fact, and a page of a hundred is felt by a small function.
_PAGE = 25


class StripePayments:
    """Satisfies `ports.PaymentProvider`. `base_url` empty is Stripe itself."""

    name = "stripe"

    def __init__(self, secrets: Secrets, base_url: str = "") -> None:
        self._secrets = secrets
        self._base_url = base_url
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                import stripe

                self._made = stripe.StripeClient(
                    self._secrets.get("stripe_secret_key"),
                    base_addresses={"api": self._base_url} if self._base_url else {},
                    max_network_retries=2,
                    # The SDK would wait 80 s, API Gateway ends a request after 29.
                    http_client=stripe.RequestsClient(timeout=(3, 8)),
                    stripe_version=API_VERSION,
                )
        return self._made

    # ------------------------------------------------------------------ payments

    def methods(self, currency: str, client: str) -> list[str]:
        return [method for method, taken in _CURRENCIES.items() if currency in taken and client in _WECHAT_CLIENT]

    def create_intent(self, request: IntentRequest) -> Intent:
        params: dict[str, Any] = {
            "amount": request.amount.amount_minor,
            "currency": request.amount.currency.lower(),
            "allowed_payment_method_types": [request.method],
            "description": request.description,
            "metadata": {
                "order_id": request.order_id,
                "charge_id": request.charge_id,
                "attempt_id": request.attempt_id,
            },
        }
        if request.method != "card":
            params["confirm"] = True
            params["payment_method_data"] = {"type": request.method}
            params["return_url"] = request.return_url or "https://linli.dev/paid"
        if request.method == "wechat_pay":
            params["payment_method_options"] = {"wechat_pay": {"client": _WECHAT_CLIENT[request.client]}}
        answer = self._call(
            lambda: self._client.v1.payment_intents.create(params, {"idempotency_key": request.key}).to_dict()
        )
        if answer["payment_method_types"] != [request.method]:
            # Dropped silently: asked for, but not in the answer.
            raise MethodRefused
        return _intent(answer)

    def fetch_intent(self, intent_id: str) -> Intent:
        return _intent(self._call(lambda: self._client.v1.payment_intents.retrieve(intent_id).to_dict()))

    def cancel_intent(self, intent_id: str) -> Intent:
        import stripe

        try:
            return _intent(
                # No key of ours: Stripe would answer a refusal from memory for a day, also when its reason (money
                # on its way) has long gone. Cancelling twice is harmless.
                self._call(
                    lambda: self._client.v1.payment_intents.cancel(intent_id).to_dict(),
                    refused=stripe.InvalidRequestError,
                )
            )
        except stripe.InvalidRequestError:
            # It has already ended, or money is moving: what it is now is the answer.
            return self.fetch_intent(intent_id)

    # ------------------------------------------------------------------ refunds

    def refund(self, *, intent_id: str, amount: Money, order_id: str, refund_id: str) -> Refund:
        # Stripe forgets idempotency keys after 24 hours, so a refund that was asked for before is looked up first.
        for found in self.refunds_of(intent_id):
            if found.refund_id == refund_id:
                return found
        params = {
            "payment_intent": intent_id,
            "amount": amount.amount_minor,
            "metadata": {"order_id": order_id, "refund_id": refund_id},
        }
        return _refund(
            self._call(
                lambda: self._client.v1.refunds.create(params, {"idempotency_key": f"refund:{refund_id}"}).to_dict()
            )
        )

    def refunds_of(self, intent_id: str) -> list[Refund]:
        listed = self._call(lambda: self._client.v1.refunds.list({"payment_intent": intent_id, "limit": 100}).to_dict())
        return [_refund(item) for item in listed["data"]]

    def fetch_refund(self, provider_id: str) -> Refund:
        return _refund(self._call(lambda: self._client.v1.refunds.retrieve(provider_id).to_dict()))

    # ------------------------------------------------------------------ facts

    def verify(self, raw: bytes, headers: dict[str, str], now: Instant) -> ProviderEvent:
        import json

        from stripe import WebhookSignature

        signature = headers.get("stripe-signature", "")
        try:
            # The SDK accepts timestamps from the future, and reads the system's clock: age is checked here, by ours.
            stamp = int(dict(part.split("=", 1) for part in signature.split(",") if "=" in part)["t"])
            if abs(now.seconds - stamp) > TOLERANCE_SECONDS:
                raise SignatureInvalid
            for name in ("stripe_webhook_secret", "stripe_webhook_secret_next"):
                if self._signed_with(name, raw, signature, WebhookSignature):
                    return _event(json.loads(raw))
        except SignatureInvalid:
            raise
        except Exception as error:
            # A non-ASCII signature is a TypeError, a body that is not UTF-8 a UnicodeDecodeError: all of it is 400.
            raise SignatureInvalid from error
        raise SignatureInvalid

    def _signed_with(self, secret_name: str, raw: bytes, signature: str, verifier: Any) -> bool:
        """Two secrets are live while one is being rotated."""
        from stripe import SignatureVerificationError

        try:
            secret = self._secrets.get(secret_name)
        except KeyError:
            return False
        try:
            return bool(verifier.verify_header(raw.decode(), signature, secret, None))
        except SignatureVerificationError:
            return False

    def events_since(self, since: Instant, until: Instant | None = None) -> Iterator[ProviderEvent]:
        params = {"types": EVENT_TYPES, "created": _span(since, until), "limit": _PAGE}
        yield from self._oldest_first(self._client.v1.events, params, _event)

    def intents_since(self, since: Instant, until: Instant | None = None) -> Iterator[Intent]:
        params = {"created": _span(since, until), "limit": _PAGE}
        yield from self._oldest_first(self._client.v1.payment_intents, params, _intent)

    def _oldest_first(self, service: Any, params: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> Iterator[T]:
        """Stripe lists the newest first and the oldest is wanted first, so all are held: as ours, which are small."""
        listed = self._call(
            lambda: [_if_readable(item.to_dict(), read) for item in service.list(params).auto_paging_iter()]
        )
        yield from (item for item in reversed(listed) if item is not None)

    # ------------------------------------------------------------------ the provider's account

    def balance_lines(self, since: Instant, until: Instant) -> Iterator[BalanceLine]:
        params = {
            "created": {"gte": since.seconds, "lt": until.seconds},
            "limit": 100,
            "expand": ["data.source"],
        }
        listed = self._call(
            lambda: [
                _line(item.to_dict()) for item in self._client.v1.balance_transactions.list(params).auto_paging_iter()
            ]
        )
        yield from reversed(listed)

    def lines_of(self, source: str) -> list[BalanceLine]:
        params = {"source": source, "limit": 100, "expand": ["data.source"]}
        listed = self._call(lambda: self._client.v1.balance_transactions.list(params).to_dict())
        return [_line(item) for item in listed["data"]]

    def balance(self, currency: str) -> Money:
        found = self._call(lambda: self._client.v1.balance.retrieve().to_dict())
        wanted = currency.lower()
        return Money(
            sum(
                part["amount"]
                for side in ("available", "pending")
                for part in found[side]
                if part["currency"] == wanted
            ),
            currency,
        )

    def _call(self, send: Callable[[], T], refused: type[Exception] | None = None) -> T:
        """Every call to Stripe passes here, so that its errors become ours in one place."""
        import stripe

        try:
            return send()
        except stripe.CardError as error:
            raise MethodRefused from error
        except stripe.InvalidRequestError as error:
            if refused is stripe.InvalidRequestError:
                raise
            raise MethodRefused(errors=[{"field": error.param or "", "message": str(error.user_message)}]) from error
        except stripe.StripeError as error:
            raise ProviderUnavailable(retry_after_seconds=2) from error


def _span(since: Instant, until: Instant | None) -> dict[str, int]:
    return {"gte": since.seconds, **({"lt": until.seconds} if until else {})}


def _money(amount: int, currency: str) -> Money:
    return Money(amount, currency.upper())


def _intent(found: dict[str, Any]) -> Intent:
    metadata = found.get("metadata") or {}
    failure = (found.get("last_payment_error") or {}).get("code")
    state = _STATES[found["status"]]
    if found["status"] == "requires_payment_method" and failure:
        state = ports.FAILED
    methods = found.get("payment_method_types") or [""]
    return Intent(
        intent_id=found["id"],
        state=state,
        amount=_money(found["amount"], found["currency"]),
        received=_money(found.get("amount_received") or 0, found["currency"]),
        method=methods[0],
        order_id=metadata.get("order_id", ""),
        charge_id=metadata.get("charge_id", ""),
        attempt_id=metadata.get("attempt_id", ""),
        charge_ref=_id_of(found.get("latest_charge")),
        next_action=_next_action(found),
        failure=failure,
        created=Instant(found["created"] * 1000),
    )


def _next_action(found: dict[str, Any]) -> dict[str, Any] | None:
    if found["status"] in ("succeeded", "canceled", "processing"):
        return None
    action = found.get("next_action") or {}
    if "alipay_handle_redirect" in action:
        return {"type": "redirect", "url": action["alipay_handle_redirect"]["url"]}
    if "wechat_pay_display_qr_code" in action:
        return {"type": "qr_code", "data": action["wechat_pay_display_qr_code"]["data"]}
    if found.get("client_secret"):
        return {"type": "client_secret", "client_secret": found["client_secret"]}
    return None


def _id_of(reference: Any) -> str | None:
    """Stripe gives an id, or the whole object where it was expanded."""
    return str(reference["id"]) if isinstance(reference, dict) else reference


def _refund(found: dict[str, Any]) -> Refund:
    metadata = found.get("metadata") or {}
    return Refund(
        provider_id=found["id"],
        state=_REFUND_STATES[found["status"]],
        amount=_money(found["amount"], found["currency"]),
        order_id=metadata.get("order_id", ""),
        refund_id=metadata.get("refund_id", ""),
        intent_id=_id_of(found.get("payment_intent")) or "",
    )


def _event(found: dict[str, Any]) -> ProviderEvent:
    about = found["data"]["object"]
    kind = about.get("object")
    return ProviderEvent(
        event_id=found["id"],
        type=found["type"],
        created=Instant(found["created"] * 1000),
        intent=_intent(about) if kind == "payment_intent" else None,
        refund=_refund(about) if kind == "refund" else None,
    )


def _if_readable(found: dict[str, Any], read: Callable[[dict[str, Any]], T]) -> T | None:
    """None for one that we cannot read (a currency or a state that we never asked for): it must not hide the others."""
    try:
        return read(found)
    except (KeyError, ValueError) as error:
        log.error("unreadable fact of the provider", error, provider_ref=str(found.get("id")))
        return None


def _line(found: dict[str, Any]) -> BalanceLine:
    source = found.get("source")
    metadata = (source.get("metadata") or {}) if isinstance(source, dict) else {}
    return BalanceLine(
        line_id=found["id"],
        category=found["reporting_category"],
        amount=_money(found["amount"], found["currency"]),
        fee=_money(found["fee"], found["currency"]),
        source=_id_of(source) or "",
        created=Instant(found["created"] * 1000),
        available_on=Instant(found["available_on"] * 1000),
        order_id=metadata.get("order_id", ""),
        details={"type": found["type"]},
    )
