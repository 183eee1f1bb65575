"""The world outside the functions, as tests drive it: the clock, the payment provider, its webhooks, the queues.

The provider is the local Stripe server behind the real SDK, over HTTP; webhooks are its own signed requests, handed to
the app when a test says so, in the order and as often as it says.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from chalicelib.kernel.instant import Instant
from infra.local.stripe_server.clock import ShiftedClock
from infra.local.stripe_server.delivery import Attempt
from infra.local.stripe_server.engine import Answer, StripeEngine
from infra.local.stripe_server.scope import Settings
from infra.local.stripe_server.server import StripeServer
from infra.local.stripe_server.store import Store

_engine: StripeEngine | None = None
_clock_file = Path()


def start(secrets: dict[str, str], clock_file: Path) -> str:
    """Starts the provider; returns the address of its API."""
    global _engine, _clock_file
    _clock_file = clock_file
    _engine = StripeEngine(
        Store(),
        clock=ShiftedClock(clock_file),
        settings=Settings(secret_key=secrets["stripe_secret_key"], refund_delay_seconds=0),
    )
    _engine.set_endpoint("http://127.0.0.1:9/webhooks/stripe", secrets["stripe_webhook_secret"])
    server = StripeServer(_engine, 0, logs_requests=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def begin_anew() -> None:
    """Empties every table, the queues and the provider's books. For tests that look at everything there is, which is
    theirs alone only after this: others leave entries behind that no provider knows, months apart."""
    from chalicelib.catalog import pages
    from chalicelib.catalog import service as catalog
    from chalicelib.runtime import resources
    from chalicelib.search import affinity, cities
    from chalicelib.web import rate
    from infra.declare import tables
    from tests import engine
    from tests.builders import town

    for table in tables():
        engine.admin().delete_table(TableName=table.name)
        engine.admin().create_table(**table.create_arguments())
    for queue in resources.QUEUES:
        forget_queue(queue.name)
    store = provider()._store
    with store.transaction():
        store._db.execute("DELETE FROM resources WHERE kind != 'webhook_endpoint'")
        for name in ("metadata", "deliveries", "timers", "idempotency"):
            store._db.execute(f"DELETE FROM {name}")  # noqa: S608  # names of ours
    # What this process remembers of the tables was true of the old ones.
    for known in (
        catalog._versions,
        catalog._places,
        pages._pages,
        affinity._members,
        cities._cities,
        rate._leases,
    ):
        known.clear()
    town.town.cache_clear()


def provider() -> StripeEngine:
    assert _engine is not None
    return _engine


def now() -> Instant:
    from chalicelib.runtime import clock

    return clock.now()


def advance(*, days: int = 0, hours: int = 0, minutes: int = 0, seconds: int = 0) -> None:
    """Moves everybody's clock forward: the functions' and the provider's."""
    current = int(_clock_file.read_text() or "0") if _clock_file.exists() else 0
    moved = current + days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    fresh = _clock_file.with_suffix(".new")
    fresh.write_text(str(moved))
    os.replace(fresh, _clock_file)


def book(kind: str) -> list[dict[str, Any]]:
    """Every resource of a kind in the provider's own book, newest first."""
    return provider()._store.page(kind, limit=1_000_000).data


@contextmanager
def provider_answers(status: int, on: str = "/v1/", method: str = "") -> Iterator[None]:
    """While it lasts, requests whose target begins with `on` are answered with an error and do nothing."""
    engine = provider()
    error = json.dumps({"error": {"type": "invalid_request_error" if status < 500 else "api_error", "message": "No."}})

    def handle(verb: str, target: str, headers: Any, body: bytes = b"") -> Answer:
        if target.startswith(on) and method in ("", verb):
            # The SDK would sleep before it tries again.
            return Answer(status, error, {"Stripe-Should-Retry": "false"})
        return StripeEngine.handle(engine, verb, target, headers, body)

    engine.handle = handle
    try:
        yield
    finally:
        del engine.handle


@contextmanager
def before_the_answer_to(method: str, ending: str, act: Callable[[], object]) -> Iterator[None]:
    """The first such request, whose path ends so, is done and answered; what happens in between is `act`."""
    engine = provider()

    def handle(verb: str, target: str, headers: Any, body: bytes = b"") -> Answer:
        answer = StripeEngine.handle(engine, verb, target, headers, body)
        if verb == method and target.endswith(ending):
            del engine.handle
            act()
        return answer

    engine.handle = handle
    try:
        yield
    finally:
        vars(engine).pop("handle", None)


@contextmanager
def slow_refunds(seconds: int = 7200) -> Iterator[None]:
    """Wallets take that long to confirm a refund that is asked for while it lasts."""
    engine = provider()
    before = engine._settings
    engine._settings = replace(before, refund_delay_seconds=seconds)
    try:
        yield
    finally:
        engine._settings = before


@contextmanager
def queue_away(name: str) -> Iterator[None]:
    """The queue of that short name does not exist while it lasts; what stood in it is gone."""
    from app import app
    from chalicelib.runtime import resources
    from infra.local.resources import create_queues, queue_names
    from tests import queues

    queue = next(one for one in resources.QUEUES if one.name == name)
    queues.admin().delete_queue(QueueUrl=resources.queue_url(queue))
    try:
        yield
    finally:
        create_queues(queues.admin(), queue_names(app))


def forget_queue(name: str) -> None:
    """The queue loses everything that stands in it. (SQS itself purges a queue once a minute at the most.)"""
    with queue_away(name):
        pass


def intent_of(attempt_id: str) -> str:
    found = provider().control("GET", f"/local/payment_intents?metadata_key=attempt_id&metadata_value={attempt_id}")
    return str(found.json()["items"][0]["id"])


def intent_status(order_id: str) -> str:
    """How the newest intent of an order stands at the provider."""
    return next(str(one["status"]) for one in book("payment_intent") if one["metadata"].get("order_id") == order_id)


def payer_does(attempt_id: str, outcome: str, seconds: int | None = None) -> None:
    """What the payer's wallet or bank does with an attempt."""
    body = {"outcome": outcome, **({"seconds": seconds} if seconds is not None else {})}
    answer = provider().control("POST", f"/local/payment_intents/{intent_of(attempt_id)}", json.dumps(body).encode())
    assert answer.status == 200, answer.text


def due_webhooks() -> list[Attempt]:
    """What the provider would send now; none of it is sent by this."""
    provider().tick()
    return provider().due_webhooks()


def send(attempt: Attempt) -> Any:
    """Hands one webhook to the app, signed as the provider signed it."""
    from tests.client import Client

    reply = Client().request(
        "POST", "/webhooks/stripe", attempt.payload.encode(), {"Stripe-Signature": attempt.signature}
    )
    provider().webhook_sent(attempt, accepted=reply.status == 200)
    return reply


def deliver_webhooks() -> int:
    """Hands over everything that is due until nothing is left; returns how many."""
    count = 0
    while waiting := due_webhooks():
        for attempt in waiting:
            assert send(attempt).status == 200
            count += 1
    return count


def run_queues() -> int:
    """Lets every queue's handler consume until nothing is left, as the event source mapping would."""
    from app import app
    from chalicelib.web.application import JOBS
    from infra.local.worker import consumers
    from tests import allowed, queues

    total = 0
    while True:
        done = 0
        for consumer in consumers(app, queues.admin()):
            with allowed.acting_as(JOBS, consumer._name):
                done += consumer.consume_once(0)
        if not done:
            return total
        total += done


def run_schedule(name: str) -> Any:
    """Runs a scheduled function as EventBridge would."""
    from app import app
    from chalicelib.web.application import JOBS
    from infra.local.events import handler_of, lambda_context
    from tests import allowed

    for source in app.event_sources:
        if source.name == name:
            event = {"source": "aws.events", "detail": {}, "detail-type": "Scheduled Event", "resources": []}
            event |= {"version": "0", "account": "0", "region": "us-east-1", "time": str(now()), "id": name}
            with allowed.acting_as(JOBS, name):
                return handler_of(app, source)(event, lambda_context(name))
    raise AssertionError(f"no schedule {name}")


def settle_down() -> None:
    """Webhooks and queues until everything is quiet."""
    while deliver_webhooks() + run_queues():
        pass
