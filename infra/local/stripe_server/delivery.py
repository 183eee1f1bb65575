"""Webhooks: Stripe's signature, the pauses between attempts, and the threads that send."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra.local.stripe_server.rules import DAY_SECONDS
from infra.local.stripe_server.store import Delivery

if TYPE_CHECKING:
    from infra.local.stripe_server.engine import StripeEngine

SENDERS = 4
TIMEOUT_SECONDS = 10
GIVES_UP_AFTER_SECONDS = 3 * DAY_SECONDS
_PAUSES_SECONDS = (1, 2, 4, 8, 15, 30, 60, 120, 300)
# The clock file can jump at any time, so the sender looks again at least this often.
_LOOKS_EVERY_SECONDS = 0.25
_log = logging.getLogger("linli.local.stripe")


@dataclass(frozen=True)
class Attempt:
    """One signed request to one endpoint: POST `payload` to `url` with `Stripe-Signature: <signature>`."""

    delivery: Delivery
    url: str
    payload: str
    signature: str


def signature(payload: str, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `{timestamp}.{payload}`."""
    mac = hmac.new(secret.encode(), f"{timestamp}.{payload}".encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={mac}"


def next_attempt(delivery: Delivery, now: float, *, accepted: bool) -> tuple[str, float]:
    """What becomes of a delivery after an attempt: `(state, due_at)`."""
    if accepted:
        return "done", now
    if now - delivery.first_at > GIVES_UP_AFTER_SECONDS:
        return "dead", now
    pause = _PAUSES_SECONDS[min(delivery.attempts, len(_PAUSES_SECONDS) - 1)]
    return "pending", now + pause


def send(attempt: Attempt) -> bool:
    """POST one webhook; True when the receiver answered 2xx."""
    parts = urlsplit(attempt.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_SECONDS)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": attempt.signature,
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target or "/", attempt.payload.encode(), headers)
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Sender:
    """Threads that run the engine's timers and send its webhooks until `stop`.

    What is queued lives in the store: a webhook that was on its way when the process died is sent again, so a
    receiver can see an event twice, as with Stripe.
    """

    def __init__(self, engine: StripeEngine) -> None:
        self._engine = engine
        self._wake = threading.Event()
        self._stopped = False
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        engine.wake = self._wake.set

    def start(self) -> None:
        """Begin to send, beginning with what an earlier process left."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more; what is queued stays in the store."""
        self._stopped = True
        self._wake.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            try:
                self._engine.tick()
                self._dispatch()
            except Exception:
                if self._stopped:
                    return
                _log.exception("the webhook sender met an error and goes on")
            self._wake.wait(_LOOKS_EVERY_SECONDS)

    def _dispatch(self) -> None:
        # The rows are read under the same lock that frees a finished one: read before it, a row that another thread
        # has just delivered would look pending and free, and be sent twice.
        with self._lock:
            attempts = [one for one in self._engine.due_webhooks() if one.delivery.id not in self._busy]
            self._busy.update(one.delivery.id for one in attempts)
        for attempt in attempts:
            self._pool.submit(self._send, attempt)

    def _send(self, attempt: Attempt) -> None:
        try:
            self._engine.webhook_sent(attempt, accepted=send(attempt))
        except Exception:
            _log.exception("a webhook's result could not be stored; it will be sent again")
        finally:
            with self._lock:
                self._busy.discard(attempt.delivery.id)
            self._wake.set()
