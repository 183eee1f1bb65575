"""The engine without a socket: the same behaviour in one process, under a clock and ids of our own."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from infra.local.stripe_server.engine import StripeEngine
from infra.local.stripe_server.errors import fail
from infra.local.stripe_server.inprocess import EngineClient
from infra.local.stripe_server.scope import Settings
from infra.local.stripe_server.store import Store

START = 1_900_000_000


@dataclass
class World:
    """An engine in memory, a hand-moved clock, counted ids, and the real SDK on top."""

    now: float = START
    counter: Any = field(default_factory=lambda: itertools.count(1))
    breaks_at: str = ""
    refuses_at: str = ""

    def __post_init__(self) -> None:
        settings = Settings(secret_key="sk_test_sim", refund_delay_seconds=30)
        self.engine = StripeEngine(Store(), clock=lambda: self.now, settings=settings, new_id=self.new_id)
        self.client = stripe.StripeClient("sk_test_sim", http_client=EngineClient(self.engine), max_network_retries=0)
        self.engine.set_endpoint("http://127.0.0.1:9/hook", "whsec_sim")

    def new_id(self, prefix: str) -> str:
        """The next counted id; none for the prefix in `breaks_at`, and a refusal for that in `refuses_at`."""
        if prefix == self.refuses_at:
            fail("There are no more ids.")
        if prefix == self.breaks_at:
            raise OSError("no more ids")
        return f"{prefix}_{next(self.counter)}"

    def buy(self, outcome: str) -> Any:
        """An Alipay payment with this outcome."""
        params: Any = {
            "amount": 5000,
            "currency": "cny",
            "confirm": True,
            "payment_method_data": {"type": "alipay"},
            "return_url": "http://127.0.0.1/",
        }
        # A key of our own: the SDK would make a random one, and the trace would differ from run to run.
        intent = self.client.v1.payment_intents.create(params, {"idempotency_key": f"buy-{next(self.counter)}"})
        answer = self.engine.control(
            "POST", f"/local/payment_intents/{intent.id}", json.dumps({"outcome": outcome}).encode()
        )
        assert answer.status == 200, answer.text
        return intent

    def deliver(self, *, accepted: bool = True) -> list[str]:
        """Take all due webhooks until there are none, and answer each: the types in order."""
        types = []
        while attempts := self.engine.due_webhooks():
            for attempt in attempts:
                types.append(json.loads(attempt.payload)["type"])
                self.engine.webhook_sent(attempt, accepted=accepted)
        return types


def test_the_same_steps_give_the_same_bytes() -> None:
    """With counted ids and a fixed clock nothing differs between two runs: a simulation can be replayed."""
    traces = []
    for _ in range(2):
        world = World()
        world.buy("shuffle")
        world.buy("duplicate")
        traces.append([attempt.payload for attempt in world.engine.due_webhooks()])
    assert traces[0] == traces[1]
    assert len(traces[0]) > 5


def test_time_passes_only_by_the_clock() -> None:
    """A wallet's refund is pending until the hand-moved clock reaches its time; `next_due` says when."""
    world = World()
    intent = world.buy("succeed")
    refund = world.client.v1.refunds.create({"payment_intent": intent.id})
    world.deliver()
    assert world.engine.next_due() == START + 30
    world.now += 29
    assert world.engine.tick() == 0
    world.now += 1
    assert world.engine.tick() == 1
    assert world.client.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert world.deliver() == ["refund.updated"]


def test_an_unanswered_webhook_pauses_longer_each_time_and_ends_after_three_days() -> None:
    """1, 2, 4, 8, 15, 30, 60, 120, then 300 seconds; after three days it is given up and stays listed."""
    world = World()
    world.client.v1.payment_intents.create({"amount": 5000, "currency": "cny"})
    pauses = []
    for _ in range(11):
        assert world.deliver(accepted=False) == ["payment_intent.created"]
        due = world.engine.next_due()
        assert due is not None
        pauses.append(due - world.now)
        world.now = due
    assert pauses == [1, 2, 4, 8, 15, 30, 60, 120, 300, 300, 300]
    world.now = START + 3 * 86_400 + 1
    world.deliver(accepted=False)
    assert world.engine.next_due() is None
    assert world.client.v1.events.list().data[0].pending_webhooks == 1


def test_an_idempotency_key_is_kept_for_a_day_and_then_forgotten() -> None:
    """Within 24 hours the same intent comes back; a retry after 26 hours makes another one, as Stripe may."""
    world = World()
    create, options = world.client.v1.payment_intents.create, {"idempotency_key": "k"}
    first = create({"amount": 5000, "currency": "cny"}, options)
    world.now += 24 * 3600
    assert create({"amount": 5000, "currency": "cny"}, options).id == first.id
    world.now += 2 * 3600
    assert create({"amount": 5000, "currency": "cny"}, options).id != first.id


def test_a_stored_failure_of_the_server_is_replayed() -> None:
    """When a write breaks half-way its part is undone, and its key answers the same 500 again."""
    world = World()
    params: Any = {"amount": 5000, "currency": "cny"}
    world.breaks_at = "evt"
    with pytest.raises(stripe.APIError) as first:
        world.client.v1.payment_intents.create(params, {"idempotency_key": "k5"})
    world.breaks_at = ""
    with pytest.raises(stripe.APIError) as second:
        world.client.v1.payment_intents.create(params, {"idempotency_key": "k5"})
    assert first.value.http_status == second.value.http_status == 500
    assert first.value.http_body == second.value.http_body
    assert world.client.v1.payment_intents.list().data == []


def test_what_the_engine_refuses_inside_a_control_action_is_a_plain_sentence() -> None:
    """The refusal's own status and words, and nothing of the action stays written."""
    world = World()
    intent: Any = world.client.v1.payment_intents.create({"amount": 5000, "currency": "cny"})
    before = world.client.v1.payment_intents.retrieve(intent.id).to_dict()
    world.refuses_at = "txn"
    answer = world.engine.control("POST", f"/local/payment_intents/{intent.id}", b'{"outcome": "succeed"}')
    assert (answer.status, answer.json()) == (400, {"message": "There are no more ids."})
    assert world.client.v1.payment_intents.retrieve(intent.id).to_dict() == before


def test_events_are_snapshots_of_their_moment() -> None:
    """An event shows the thing as it was then, not as it is now."""
    world = World()
    intent = world.buy("succeed")
    statuses = {
        event.type: event.data.object["status"]
        for event in world.client.v1.events.list({"limit": 100}).data
        if event.data.object["id"] == intent.id
    }
    assert statuses == {
        "payment_intent.created": "requires_confirmation",
        "payment_intent.requires_action": "requires_action",
        "payment_intent.succeeded": "succeeded",
    }


def test_shuffled_webhooks_go_one_by_one() -> None:
    """Each waits until the newer one was tried, accepted or not, so that their order does not hang on luck."""
    world = World()
    world.buy("shuffle")
    order = []
    while attempts := world.engine.due_webhooks():
        assert len(attempts) == 1
        order.append(json.loads(attempts[0].payload)["type"])
        world.engine.webhook_sent(attempts[0], accepted=len(order) != 1)
    assert order[:2] == ["charge.succeeded", "payment_intent.succeeded"]
    assert order[-1] == "payment_intent.created"
    assert world.engine.next_due() == START + 1
