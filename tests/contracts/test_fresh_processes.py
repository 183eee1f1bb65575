"""Queue and schedule handlers as Lambda loads them: alone, by their module, in a process that never saw app.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import resources
from chalicelib.runtime.outbox import News, OutboxRow
from tests import engine, world
from tests.builders import orders as build
from tests.builders.orders import Visit

pytestmark = pytest.mark.usefixtures("sound")

PROGRAM = """
import importlib, json, sys
module, _, name = {handler!r}.rpartition(".")
answer = getattr(importlib.import_module(module), name)(json.load(sys.stdin), None)
assert "app" not in sys.modules
print(json.dumps(answer))
"""


class Bridge(BaseHTTPRequestHandler):
    """SQS over HTTP for other processes: hands each call to the queues of this one."""

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        answer = getattr(resources.sqs(), method)(**asked)
        body = json.dumps({name: value for name, value in answer.items() if name != "ResponseMetadata"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """One test is no access log."""


@pytest.fixture
def queues() -> Iterator[str]:
    """The address under which another process reaches our queues."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bridge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


NOWHERE = "http://127.0.0.1:9"  # nobody listens there


def call(handler: str, event: dict[str, Any], sqs: str = NOWHERE) -> Any:
    """What a handler answers in a process of its own; its environment is ours: the engine, the provider, the clock."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(handler=handler)],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=engine.ROOT,
        env={**os.environ, "AWS_ENDPOINT_URL_SQS": sqs},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def scheduled(name: str) -> dict[str, Any]:
    event = {"source": "aws.events", "detail": {}, "detail-type": "Scheduled Event", "resources": [], "id": name}
    return event | {"version": "0", "account": "0", "region": "us-east-1", "time": str(world.now())}


def rows_of(visit: Visit) -> list[OutboxRow]:
    return [row for row in OutboxRow.scan(consistent_read=True) if row.data["data"].get("order_id") == visit.id]


def standing(visit: Visit, event: str) -> News:
    (row,) = [row for row in rows_of(visit) if row.data["event"] == event]
    ms, _, news_id = row.sk.partition("#")
    return News(news_id, event, Instant(int(ms)), row.data["data"])


def test_the_refund_handler_sends_a_refund_and_lays_its_news_to_rest() -> None:
    """One message in, one refund at the provider, and the row of the outbox gone; a bad message alone comes back."""
    visit = build.booked()
    visit.pay(method="card")
    visit.cancel()
    news = standing(visit, "order.refund_approved")
    records = [
        {"messageId": name, "receiptHandle": "r", "body": body, "attributes": {}, "messageAttributes": {}}
        for name, body in (("good", news.body()), ("bad", "{}"))
    ]
    answer = call("chalicelib.orders.handlers.refund", {"Records": records})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    (refund,) = visit.read()["refunds"]
    assert refund["state"] == "succeeded"
    assert "order.refund_approved" not in {row.data["event"] for row in rows_of(visit)}
    relay()


def test_the_sweep_expires_a_hold_and_finds_a_lost_payment() -> None:
    """Without its queue being there: the news stand and are relayed later."""
    held, paid = build.booked(), build.booked()
    world.payer_does(paid.open_payment()["attempt_id"], "lose")
    world.advance(minutes=16)
    done = call("chalicelib.orders.handlers.sweep", scheduled("sweep"))
    assert done["expired"] >= 1
    assert done["events"] >= 1
    assert held.read()["state"] == "cancelled"
    assert paid.read()["state"] == "confirmed"
    relay()


def test_the_relay_of_news_runs_alone(queues: str) -> None:
    """What the queue has forgotten is in it again, and the row counts the sending."""
    visit = build.booked(price_minor=0)
    world.forget_queue("notify")
    world.advance(minutes=2)
    assert call("chalicelib.runtime.handlers.relay_outbox", scheduled("relay_outbox"), queues)["relayed"] >= 1
    assert [row.sends for row in rows_of(visit)] == [2]
    world.settle_down()
    assert rows_of(visit) == []


def relay() -> None:
    world.advance(minutes=20)
    world.run_schedule("relay_outbox")
    world.settle_down()
