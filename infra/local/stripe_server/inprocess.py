"""The real SDK over the engine without a socket: `StripeClient(key, http_client=EngineClient(engine))`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import stripe

from infra.local.stripe_server.engine import StripeEngine


class EngineClient(stripe.HTTPClient):
    """Hands the SDK's requests to a `StripeEngine` in the same process; used where time and order are simulated."""

    name: ClassVar[str] = "linli-in-process"

    def __init__(self, engine: StripeEngine) -> None:
        super().__init__()
        self._engine = engine

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        """One request; `post_data` is the form as text or bytes. Returns body, status and headers."""
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = post_data.encode() if isinstance(post_data, str) else (post_data or b"")
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        answer = self._engine.handle(method.upper(), target, lowered, body)
        return answer.text, answer.status, answer.headers

    def close(self) -> None:
        """Nothing is open."""
