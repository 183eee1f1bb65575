"""`GET /healthz?deep=1`: is what this process needs there? The plain question stays as cheap as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.runtime import clock, health, jobs, outbox
from chalicelib.runtime.meter import measured
from chalicelib.runtime.outbox import News
from chalicelib.runtime.schedules import SCHEDULES
from tests import world
from tests.client import Client, Reply

CHECKS = {"database", "queues", "clock", "outbox", "schedules", "secrets"}


@pytest.fixture(autouse=True)
def calm() -> None:
    """Nothing waits, and every schedule has just run."""
    world.settle_down()
    for row in outbox.OutboxRow.scan():
        row.delete()
    for name in SCHEDULES:
        jobs.note_ok(name, world.now())


def deep() -> Reply:
    """Looked at anew, whatever is remembered."""
    health._last = None
    return Client().get("/healthz?deep=1")


def failing(reply: Reply) -> set[str]:
    return {check["name"] for check in reply.json["checks"] if not check["ok"]}


def test_all_is_well() -> None:
    """200, every check with its name and its milliseconds."""
    reply = deep()
    assert (reply.status, reply.json["status"]) == (200, "ok"), reply.text
    assert {check["name"] for check in reply.json["checks"]} == CHECKS
    assert all(check["ok"] is True and check["ms"] >= 0 for check in reply.json["checks"])


def test_the_plain_question_asks_nobody() -> None:
    """It is asked every few seconds, of every process."""
    with measured() as used:
        reply = Client().get("/healthz")
    assert reply.json == {"status": "ok", "version": reply.json["version"]}
    assert not used.calls


def test_a_missing_queue_is_said_and_nothing_else() -> None:
    """503 with the same body, in which one check does not hold."""
    with world.queue_away("refund"):
        reply = deep()
    assert (reply.status, reply.json["status"]) == (503, "failing")
    assert failing(reply) == {"queues"}
    assert set(reply.json) == {"status", "version", "checks"}
    assert reply.headers["Content-Type"] == "application/json"
    assert deep().status == 200


_ALONE = """
from tests.client import Client
reply = Client().get("/healthz?deep=1", If_None_Match="*")
print(reply.status)
print(reply.text)
"""


def alone(**environment: str) -> tuple[int, dict[str, Any]]:
    """The answer of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE],
        env={**os.environ, "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    status, body = done.stdout.splitlines()[-2:]
    return int(status), json.loads(body)


def test_a_dead_database_is_said_within_seconds() -> None:
    """Everything that stands on it fails; what does not is still well. A condition on an ETag does not hide it."""
    status, body = alone(AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9")
    assert status == 503
    assert {check["name"] for check in body["checks"] if check["ok"]} == {"secrets"}
    assert all(check["ms"] <= health.PATIENCE_SECONDS * 1000 for check in body["checks"])


def test_secrets_that_cannot_be_read_are_said_without_saying_where_they_are() -> None:
    """The path and the error stay in the log."""
    status, body = alone(LINLI_SECRETS_FILE="/nowhere/secrets.json")
    assert status == 503
    assert "secrets" in {check["name"] for check in body["checks"] if not check["ok"]}
    assert "nowhere" not in json.dumps(body)


def test_late_news_and_a_silent_schedule_are_said() -> None:
    """By the same reckoning as the watch's."""
    news = News.of("order.confirmed", ids.random_id("ord"), 1, world.now(), order_id="", account_id="", shop_id="")
    outbox._row(news).save()
    world.advance(minutes=3)
    assert failing(deep()) == {"outbox"}
    world.advance(minutes=10)
    assert failing(deep()) == {"outbox", "schedules"}


def test_a_clock_that_goes_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own clock counts, however far the local stack's was moved."""
    world.advance(minutes=1)
    assert "clock" not in failing(deep())
    true = clock.machine_now
    monkeypatch.setattr(clock, "machine_now", lambda: true().plus(seconds=health.MAX_SKEW_SECONDS + 2))
    assert "clock" in failing(deep())


def test_asking_often_makes_no_load() -> None:
    """Within some seconds the same answer is given again, and nobody is asked."""
    first = deep()
    with measured() as used:
        again = [Client().get("/healthz?deep=1") for _ in range(20)]
    assert {reply.text for reply in again} == {first.text}
    assert not used.calls
