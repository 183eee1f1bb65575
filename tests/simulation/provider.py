"""The payment provider in this process: the local Stripe server's own logic under the real SDK, and what payers do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import stripe

from infra.local.stripe_server import engine as engines
from infra.local.stripe_server.engine import StripeEngine
from infra.local.stripe_server.inprocess import EngineClient
from infra.local.stripe_server.scope import Settings
from infra.local.stripe_server.store import Store
from tests.simulation import plan as faults
from tests.simulation.environment import SECRETS
from tests.simulation.wire import Answer, Lost, Wire

engines._text = json.dumps  # nobody reads it, and indented JSON takes twenty times as long


def opened(now_ms: Callable[[], int], wake: Callable[[], None]) -> StripeEngine:
    """A provider without customers, on the run's clock; `wake` is called when it may have something to tell."""
    settings = Settings(secret_key=SECRETS["stripe_secret_key"], refund_delay_seconds=20)
    engine = StripeEngine(Store(), clock=lambda: now_ms() / 1000, settings=settings)
    engine.set_endpoint("http://127.0.0.1:9/webhooks/stripe", SECRETS["stripe_webhook_secret"])
    engine.wake = wake
    return engine


class ProviderLine(EngineClient):
    """The SDK's HTTP client over the wire; what breaks on the way is said in the SDK's words, so that it retries."""

    name: ClassVar[str] = "linli-simulation"

    def __init__(self, wire: Callable[[], Wire], engine: Callable[[], StripeEngine]) -> None:
        super().__init__(engine())
        self._wire = wire
        self._provider = engine

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        self._engine = self._provider()
        body = f"{method} {url} {post_data or ''}".encode()

        def sent() -> Answer:
            text, status, told = super(ProviderLine, self).request(method, url, headers, post_data)
            return Answer(status, text.encode(), told)

        try:
            answer = self._wire().call("Stripe", body, sent, _INSTEAD)
        except Lost as lost:
            raise stripe.APIConnectionError("Lost on the way.", should_retry=True) from lost
        return answer.content.decode(), answer.status_code, answer.headers


def _refusal(status: int, kind: str) -> Callable[[], Answer]:
    return lambda: Answer(status, json.dumps({"error": {"type": kind, "message": "Simulated."}}).encode())


_INSTEAD = {
    faults.BROKEN: _refusal(500, "api_error"),
    faults.THROTTLE: _refusal(429, "rate_limit_error"),
    faults.CONFLICT: _refusal(409, "idempotency_error"),
}
