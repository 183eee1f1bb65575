"""The provider as a plain object: requests in, answers out, no sockets and no threads.

    engine = StripeEngine(Store(), clock=time.time)
    answer = engine.handle("POST", "/v1/payment_intents", {"authorization": "Bearer sk_test_local"}, b"amount=500&…")

Whoever owns the object calls `tick()` for timers and sends what `due_webhooks()` returns; the process does both by
`delivery.Sender`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from infra.local.stripe_server import books, control, forms, money, refunds, routes
from infra.local.stripe_server.clock import Clock
from infra.local.stripe_server.delivery import Attempt, next_attempt, signature
from infra.local.stripe_server.errors import ApiError, refuse
from infra.local.stripe_server.rules import API_VERSION
from infra.local.stripe_server.scope import Scope, Settings
from infra.local.stripe_server.store import Remembered, Store

Json = dict[str, Any]

MAX_KEY_CHARS = 255
_ALPHABET = string.ascii_letters + string.digits
_log = logging.getLogger("linli.local.stripe")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, JSON body as text, and headers."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Json:
        """The body as an object."""
        body: Json = json.loads(self.text)
        return body


def random_id(prefix: str) -> str:
    """An id in Stripe's manner: a prefix and 24 letters or digits."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(24))}"


class StripeEngine:
    """All of the provider's behaviour over one store. Safe to call from many threads: writes are serialised."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        settings: Settings | None = None,
        new_id: Callable[[str], str] = random_id,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings or Settings()
        self._new_id = new_id
        self.wake = wake

    # Stripe's API

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Answer one request. `headers` have lower-case names. Never raises for bad input."""
        request_id = self._new_id("req")
        try:
            answer = self._handle(method, target, headers, body, request_id)
        except ApiError as error:
            answer = Answer(error.status, _text(error.body(request_id)))
        except Exception:
            _log.exception("request %s failed", request_id)
            answer = Answer(500, _text(_internal_error(request_id)))
        fixed = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        return Answer(answer.status, answer.text, fixed | answer.headers)

    def _handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes, request_id: str) -> Answer:
        self._authenticate(headers.get("authorization", ""))
        version = headers.get("stripe-version", API_VERSION)
        if version != API_VERSION:
            refuse(f"Invalid Stripe API version: {version[:40]}. This server speaks {API_VERSION}.")
        path, _, query = target.partition("?")
        route, ids = routes.match(method, path)
        form = forms.decode(_body_text(headers, body) if method == "POST" else query)
        self.tick()
        key = headers.get("idempotency-key") if method == "POST" else None
        scope = self._scope(request_id, key)
        if method == "GET":
            with self._store.lock:
                return Answer(200, _text(routes.run(scope, route, ids, form)))
        if key is not None and not 1 <= len(key) <= MAX_KEY_CHARS:
            refuse(f"Idempotency keys are 1 to {MAX_KEY_CHARS} characters.")
        with self._store.transaction():
            answer = self._execute(scope, route, ids, form, _fingerprint(path, form))
        self.wake()
        return answer

    def _execute(self, scope: Scope, route: routes.Route, ids: list[str], form: Json, fingerprint: str) -> Answer:
        """Run a write once per idempotency key; the answer is stored in the same transaction as its effect."""
        key, request_id = scope.idempotency_key, scope.request_id or ""
        if key is not None:
            self._store.forget_before(scope.now - self._settings.idempotency_seconds)
            earlier = self._store.remembered(key)
            if earlier is not None:
                return _replay(earlier, fingerprint, key)
        try:
            with self._store.savepoint(ApiError):
                answer = Answer(200, _text(routes.run(scope, route, ids, form)))
        except ApiError as error:
            answer = Answer(error.status, _text(error.body(request_id)))
            if not error.executed:
                return answer
        except Exception:
            # Stripe stores its own failures too: a retry with the same key gets the same 500 again.
            _log.exception("request %s failed", request_id)
            answer = Answer(500, _text(_internal_error(request_id)))
        if key is not None:
            self._store.remember(key, Remembered(fingerprint, answer.status, answer.text, request_id), scope.now)
        return answer

    def _authenticate(self, header: str) -> None:
        scheme, _, given = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[0]
            except ValueError:
                given = ""
        if not given:
            raise ApiError(401, "invalid_request_error", "You did not provide an API key.", executed=False)
        if not hmac.compare_digest(given.encode(), self._settings.secret_key.encode()):
            raise ApiError(401, "invalid_request_error", "Invalid API Key provided.", executed=False)

    # Time

    def tick(self) -> int:
        """Do what is due by the server's clock (delayed payments, refunds); returns how many things were done."""
        now = self._clock()
        due = self._store.next_timer()
        if due is None or due > now:
            return 0
        done = 0
        with self._store.transaction():
            while (timer := self._store.take_timer(now)) is not None:
                self._on_timer(self._scope(None, None), *timer)
                done += 1
        self.wake()
        return done

    def next_due(self) -> float | None:
        """The instant of the next timer or webhook, by the server's clock; None when nothing is waiting."""
        waiting = [at for at in (self._store.next_timer(), self._store.next_delivery()) if at is not None]
        return min(waiting, default=None)

    def now(self) -> float:
        """The server's time in seconds."""
        return self._clock()

    def _on_timer(self, scope: Scope, action: str, target: str) -> None:
        if action == "approve":
            intent = self._store.get("payment_intent", target)
            # The payer may have decided otherwise in the meantime: a stale timer does nothing.
            due = self._store.local(target).get("approve_at", 0.0) <= scope.now
            if intent is not None and intent["status"] == "processing" and due:
                money.approve(scope, intent)
        else:
            refunds.finish(scope, target, succeeded=action == "refund_succeeds")

    # Webhooks

    def set_endpoint(self, url: str, secret: str) -> None:
        """Have all events sent to `url` signed with `secret`: the endpoint of the command line."""
        books.check_loopback(url)
        with self._store.transaction():
            self._store.remove("we_local")
            books.add_endpoint(self._scope(None, None), "we_local", {"url": url, "enabled_events": ["*"]}, secret)

    def due_webhooks(self, limit: int = 50) -> list[Attempt]:
        """Signed requests that should be sent now, oldest first. Report each with `webhook_sent`."""
        now = self._clock()
        attempts: list[Attempt] = []
        for delivery in self._store.due_deliveries(now, limit):
            endpoint = self._store.get("webhook_endpoint", delivery.endpoint)
            event = self._store.get("event", delivery.event)
            if endpoint is None or event is None:
                with self._store.transaction():
                    self._store.end_attempt(delivery.id, "dead", now)
                continue
            payload = _text(self._scope(None, None).present(event))
            secret = self._store.local(delivery.endpoint)["secret"]
            attempts.append(Attempt(delivery, endpoint["url"], payload, signature(payload, secret, int(now))))
        return attempts

    def webhook_sent(self, attempt: Attempt, *, accepted: bool) -> None:
        """Record the receiver's answer: any 2xx is accepted, else it is tried again with a growing pause."""
        now = self._clock()
        state, due_at = next_attempt(attempt.delivery, now, accepted=accepted)
        with self._store.transaction():
            self._store.end_attempt(attempt.delivery.id, state, due_at)

    # Local control

    def control(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Answer one request under `/local`."""
        try:
            payload = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            return Answer(400, _text({"message": "The body is not JSON."}))
        try:
            if not isinstance(payload, dict):
                raise control.ControlError(422, "The body must be a JSON object.")
            self.tick()
            with self._store.transaction():
                result = self._control(method, target, payload)
        except control.ControlError as refusal:
            return Answer(refusal.status, _text({"message": refusal.message}))
        except ApiError as refusal:
            return Answer(refusal.status, _text({"message": refusal.error["message"]}))
        except Exception:
            _log.exception("a local control action failed")
            return Answer(500, _text({"message": "The local server failed; see its log."}))
        self.wake()
        return Answer(200, _text(result))

    def _control(self, method: str, target: str, payload: Json) -> Json:
        path, _, query = target.partition("?")
        scope = self._scope(None, None)
        parts = [unquote(part) for part in path.split("/")[2:]]
        match (method, parts):
            case "GET", ["health"]:
                return {"status": "ok", "now": int(scope.now), "api_version": API_VERSION}
            case "GET", ["payment_intents"]:
                asked = parse_qs(query)
                key, value = asked.get("metadata_key", [""])[0], asked.get("metadata_value", [""])[0]
                if not key or not value:
                    raise control.ControlError(422, "metadata_key and metadata_value are required.")
                return control.find_by_metadata(scope, key, value)
            case "GET", ["payment_intents", intent_id]:
                return control.view(scope, control.find(scope, intent_id))
            case "POST", ["payment_intents", intent_id]:
                return control.decide(scope, intent_id, payload)
            case "POST", ["balance_transactions", line_id]:
                return control.alter_line(scope, line_id, payload)
            case "POST", ["balance_transactions", line_id, "restore"]:
                return control.restore_line(scope, line_id)
            case "DELETE", ["balance_transactions", line_id]:
                return control.delete_line(scope, line_id)
        raise control.ControlError(404, "There is no such local address.")

    def _scope(self, request_id: str | None, key: str | None) -> Scope:
        return Scope(self._store, self._clock(), self._new_id, self._settings, request_id, key)


def _replay(earlier: Remembered, fingerprint: str, key: str) -> Answer:
    if earlier.fingerprint != fingerprint:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request."
        )
        raise ApiError(400, "idempotency_error", message, executed=False)
    headers = {"Idempotent-Replayed": "true", "Original-Request": earlier.request_id}
    return Answer(earlier.status, earlier.text, headers)


def _fingerprint(path: str, form: Json) -> str:
    return hashlib.sha256(json.dumps([path, form], sort_keys=True).encode()).hexdigest()


def _body_text(headers: Mapping[str, str], body: bytes) -> str:
    if body and "application/x-www-form-urlencoded" not in headers.get("content-type", ""):
        refuse("Invalid request: send the body as application/x-www-form-urlencoded.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        refuse("Invalid request: the body is not UTF-8.")


def _internal_error(request_id: str) -> Json:
    return {"error": {"type": "api_error", "message": f"The local server failed; see its log for {request_id}."}}


def _text(body: Json) -> str:
    return json.dumps(body, ensure_ascii=False, indent=2)
