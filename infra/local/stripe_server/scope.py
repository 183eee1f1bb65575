"""What every operation works with: the rows, the present second, new ids, and the way to emit an event."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.local.stripe_server import shapes
from infra.local.stripe_server.store import Store

Json = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How one server is set up. `refund_delay_seconds` is the time a wallet takes to confirm a refund."""

    secret_key: str = "sk_test_local"  # noqa: S105 - a test key of a local provider
    public_url: str = "http://127.0.0.1:8000"
    refund_delay_seconds: float = 1.0
    delay_seconds: float = 10.0
    late_seconds: float = 1200.0
    idempotency_seconds: float = 25 * 3600.0


@dataclass(frozen=True)
class Plan:
    """How an event's webhooks travel: how often, how late (seconds), or not at all."""

    copies: int = 1
    delay_seconds: float = 0.0
    lost: bool = False


PROMPT = Plan()


@dataclass
class Scope:
    """One request, timer or control action, inside one transaction of `store`. `now` is in seconds."""

    store: Store
    now: float
    new_id: Callable[[str], str]
    settings: Settings
    request_id: str | None = None
    idempotency_key: str | None = None

    @property
    def second(self) -> int:
        """The present time as Stripe writes it."""
        return int(self.now)

    def emit(self, kind: str, thing: Json, *, before: Json | None = None, plan: Plan = PROMPT) -> None:
        """Write an event about `thing` as it is now, and queue its webhooks as `plan` says."""
        endpoints = [one["id"] for one in self.endpoints() if {kind, "*"} & set(one["enabled_events"])]
        event = shapes.event(
            self.new_id("evt"),
            kind=kind,
            now=self.second,
            thing=json.loads(json.dumps(thing)),
            before=before,
            request={"id": self.request_id, "idempotency_key": self.idempotency_key},
            pending=len(endpoints),
        )
        parent = thing["id"] if thing["object"] == "payment_intent" else thing.get("payment_intent")
        self.store.add(event, parent=parent)
        for endpoint in endpoints:
            for _ in range(plan.copies):
                state = "lost" if plan.lost else "pending"
                self.store.add_delivery(event["id"], endpoint, self.now + plan.delay_seconds, state=state)

    def endpoints(self) -> list[Json]:
        """The webhook endpoints, oldest first."""
        return self.store.page("webhook_endpoint", limit=100).data[::-1]

    def deliver_reversed(self, intent_id: str) -> None:
        """Queue every event of an intent so far anew, newest first, each after the one before it was tried."""
        events = self.store.page("event", [("parent = ?", intent_id)], limit=100).data
        for event in events:
            self.store.withdraw_deliveries(event["id"])
        for endpoint in self.endpoints():
            last: int | None = None
            for event in events:
                if {event["type"], "*"} & set(endpoint["enabled_events"]):
                    last = self.store.add_delivery(event["id"], endpoint["id"], self.now, after=last)

    def present(self, body: Json) -> Json:
        """A resource as it reads at this second: a line becomes available, an event's webhooks get confirmed."""
        if body["object"] == "balance_transaction":
            return body | {"status": "available" if body["available_on"] <= self.now else "pending"}
        if body["object"] == "event":
            return body | {"pending_webhooks": self.store.undelivered(body["id"])}
        return body
