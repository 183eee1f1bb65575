"""How the payment page drives the local Stripe server: its control endpoints, which the real Stripe does not have."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

_TIMEOUT_SECONDS = 10


class LocalIntent(TypedDict):
    """A payment intent as the control endpoints show it; `amount` is in minor units of `currency` (lower case), and
    `outcomes` are those that can still happen."""

    id: str
    amount: int
    currency: str
    status: str
    metadata: dict[str, str]
    method: str | None
    outcomes: list[str]


class ControlError(Exception):
    """The local Stripe server refused; `status` is its answer's, 503 when it could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StripeControl:
    """A client of the control endpoints at `base_url`."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")

    def intents_of_attempt(self, attempt_id: str) -> list[LocalIntent]:
        """Return the payment intents of a payment attempt, newest first. Raises `ControlError`."""
        query = urlencode({"metadata_key": "attempt_id", "metadata_value": attempt_id})
        items: list[LocalIntent] = self._call("GET", f"/local/payment_intents?{query}")["items"]
        return items

    def decide(self, intent_id: str, decision: dict[str, Any]) -> Any:
        """Tell the provider what becomes of a payment: `{"outcome", "seconds"?}`. Raises `ControlError`."""
        return self._call("POST", f"/local/payment_intents/{quote(intent_id, safe='')}", decision)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310  (our own loopback URL)
            self._base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            raise ControlError(error.code, _message_of(error.read())) from error
        except (OSError, ValueError) as error:
            raise ControlError(503, f"the local payment provider does not answer: {error}") from error


def _message_of(body: bytes) -> str:
    """Return the sentence in an error body: the control's `message`, a problem's `detail`, Stripe's `error.message`, or
    the text itself."""
    try:
        document = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:200]
    if not isinstance(document, dict):
        return str(document)[:200]
    error = document.get("error")
    nested = error.get("message") if isinstance(error, dict) else error
    return str(document.get("message") or document.get("detail") or nested or document.get("title") or "refused")
