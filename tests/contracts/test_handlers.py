"""Every queue and schedule handler, as Lambda loads it: its own module in a fresh process that never sees app.py.

Each is run by its declared name, and its whole effect is looked for in the tables. A handler that is added without a
scenario here fails the first test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import wiring
from chalicelib.ledger import service as ledger
from chalicelib.runtime import audit, jobs, outbox, resources
from chalicelib.runtime.audit import Act
from chalicelib.runtime.outbox import News
from chalicelib.runtime.transaction import Transaction
from chalicelib.search import tables as search_tables
from chalicelib.search.news import Note
from infra.declare import API, stack
from infra.local.engines import find_ministack_python, start_ministack, wait_for_ministack
from infra.local.processes import Children, free_ports
from infra.local.resources import create_queues
from tests import engine, world
from tests.builders import orders as build
from tests.builders import reviews, salons
from tests.builders.orders import Visit

HANDLERS = {function.name: function.handler for function in stack().functions if function.name != API}
NOWHERE = "http://127.0.0.1:9"  # nothing listens there: what needs a queue must be given one
_PROGRAM = """
import importlib, json, sys
module, _, name = sys.argv[1].rpartition(".")
answer = getattr(importlib.import_module(module), name)(json.loads(sys.stdin.read()), None)
assert "app" not in sys.modules
print(json.dumps(answer))
"""


def run_alone(name: str, event: dict[str, Any], sqs: str = NOWHERE) -> Any:
    """The handler's answer, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, HANDLERS[name]],
        input=json.dumps(event),
        env={**os.environ, "AWS_ENDPOINT_URL_SQS": sqs},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def scheduled() -> dict[str, Any]:
    event = {"version": "0", "id": "x", "detail-type": "Scheduled Event", "source": "aws.events", "account": "0"}
    return event | {"time": str(world.now()), "region": "us-east-1", "resources": [], "detail": {}}


def brought(news: News) -> dict[str, Any]:
    record = {"messageId": "m1", "receiptHandle": "r", "body": news.body(), "attributes": {}, "messageAttributes": {}}
    return {"Records": [record | {"eventSource": "aws:sqs", "awsRegion": "us-east-1"}]}


def rows(table: str, text: str) -> list[dict[str, Any]]:
    """The rows of a table in which a text stands."""
    return [row for row in engine.everything()[f"linli-{table}"] if text in json.dumps(row)]


def standing(visit: Visit, event: str) -> News:
    for row in rows("outbox", visit.id):
        stored = json.loads(row["d"]["S"])
        if stored["event"] == event:
            ms, _, news_id = row["sk"]["S"].partition("#")
            return News(news_id, event, world.Instant(int(ms)), stored["data"])
    raise AssertionError(f"no {event} of {visit.id} in the outbox")


def paid(method: str = "card") -> Visit:
    visit = build.booked()
    world.payer_does(visit.open_payment(method)["attempt_id"], "succeed")
    world.deliver_webhooks()
    assert visit.read()["state"] == "confirmed"
    return visit


def served() -> Visit:
    visit = paid()
    world.run_queues()
    world.advance(days=2)
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    return visit


def test_every_handler_has_a_scenario_here() -> None:
    """What is not tried alone is not known to run alone."""
    scenarios = [name.removeprefix("test_alone_") for name in globals() if name.startswith("test_alone_")]
    assert {name for scenario in scenarios for name in scenario.split("_and_")} == set(HANDLERS)


def test_alone_notify() -> None:
    """A receipt is written and the news leaves the outbox."""
    visit = paid()
    assert run_alone("notify", brought(standing(visit, "order.confirmed"))) == {"batchItemFailures": []}
    assert rows("notifications", visit.customer.account_id)
    assert not rows("outbox", visit.id)


def test_alone_refund() -> None:
    """The money goes back, and the journal says so."""
    visit = paid()
    visit.cancel()
    assert run_alone("refund", brought(standing(visit, "order.refund_approved"))) == {"batchItemFailures": []}
    assert [refund["state"] for refund in visit.read()["refunds"]] == ["succeeded"]
    assert [entry.event for entry in ledger.entries_of(visit.id)].count("refund_succeeded") == 1
    assert not [row for row in rows("outbox", visit.id) if "refund_approved" in row["sk"]["S"]]


def test_alone_rate() -> None:
    """The shop's rating is counted, and the news leaves the outbox."""
    visit = reviews.served()
    review = build.expect(reviews.write(visit), 201)
    (row,) = rows("outbox", review["id"])
    ms, _, news_id = row["sk"]["S"].partition("#")
    stored = json.loads(row["d"]["S"])
    news = News(news_id, stored["event"], world.Instant(int(ms)), stored["data"])
    assert run_alone("rate", brought(news)) == {"batchItemFailures": []}
    assert reviews.rating(visit.salon.shop.id) == replace(reviews.by_hand(visit.salon.shop.id), revision=1)
    assert not rows("outbox", review["id"])


def test_alone_sweep() -> None:
    """A hold that has run out ends the order and gives its slot back."""
    visit = build.booked()
    taken = visit.order["booking"]["starts_at"]
    world.advance(minutes=16)
    assert run_alone("sweep", scheduled())["expired"] >= 1
    assert (visit.read()["state"], visit.order["cancel_reason"]) == ("cancelled", "timeout")
    assert taken in [slot["starts_at"] for slot in build.free_slots(visit.salon)]


def test_alone_reconcile_and_settle() -> None:
    """The night: the provider's fee is booked, the run is kept, and the merchant's share becomes available."""
    visit = served()
    world.advance(days=4)
    for job in ("settle", "reconcile"):
        jobs.JobRow(job, "cursor").delete()
    assert run_alone("reconcile", scheduled())["matched"] >= 1
    assert rows("ledger_lines", visit.id)
    assert run_alone("settle", scheduled())["statements"] >= 1
    assert rows("settlement_statements", visit.id)
    assert ledger.balance(visit.salon.merchant.id, "CNY").available == 11_264


def test_alone_repair_notes() -> None:
    """A note that a crash left behind is corrected."""
    visit = build.booked()
    salon = visit.salon
    day = world.now().local_date(salon.shop.zone) + timedelta(days=2)
    tx = Transaction()
    search_tables.put_note(tx, "sha", day, salon.shop.id, Note(None, 0))
    tx.commit()
    assert run_alone("repair_notes", scheduled())["days_of_shops"] >= 1
    noted = search_tables.note("sha", day, salon.shop.id)
    assert noted is not None
    assert noted.bookable_until is not None


def test_alone_build_search() -> None:
    """A city has a base, and the pointer says where."""
    salons.salon()
    before = search_tables.base("sha")
    done = run_alone("build_search", scheduled())
    stands = search_tables.base("sha")
    assert stands is not None
    assert stands != before or done["built"] == 0
    assert wiring.ports().files.read(stands.key, 0, 8) == b"LINLICTY"


def test_alone_anchor_audit() -> None:
    """The head of the log stands in the file store, once a day."""
    world.advance(days=1)
    entry = audit.append(Act("ops", "test", "handlers"), world.now())
    done = run_alone("anchor_audit", scheduled())
    assert done == {"sequence": entry.sequence, "anchored": 1}
    kept = [each.head for each in audit.anchors(wiring.ports().files) if str(world.now())[:10] in each.key]
    assert kept == [audit.Head(entry.sequence, entry.hash)]
    assert run_alone("anchor_audit", scheduled())["anchored"] == 0


def test_alone_watch() -> None:
    """A refund that is owed is noted by its order, and the run remembers up to where it has read."""
    visit = paid()
    visit.cancel()
    said = run_alone("watch", scheduled())
    assert said["RefundPayableSeconds"] >= 0
    assert [row["a"]["N"] for row in rows("insights", visit.id)] == ["12800"]
    assert rows("insights", '"watch"')


@pytest.fixture
def sqs(tmp_path: Path) -> Iterator[str]:
    """The address of a real queue engine."""
    children = Children(tmp_path)
    (port,) = free_ports(1)
    wait_for_ministack(start_ministack(children, find_ministack_python(), port, ["sqs"], tmp_path), port)
    yield f"http://127.0.0.1:{port}"
    children.stop()


def test_alone_relay_outbox(sqs: str) -> None:
    """News that no request could send is sent: the row says so, and the queue has the message."""
    visit = build.booked()
    news = News.of(
        "order.confirmed", visit.id, 99, world.now(), order_id=visit.id, account_id=visit.customer.account_id
    )
    tx = Transaction()
    tx.put(outbox._row(news))
    tx.commit()
    client = boto3.session.Session().client("sqs", endpoint_url=sqs, region_name="us-east-1")
    create_queues(client, [queue.full_name for queue in resources.QUEUES])
    world.advance(minutes=2)
    assert run_alone("relay_outbox", scheduled(), sqs)["relayed"] >= 1
    assert [row["n"]["N"] for row in rows("outbox", f":{visit.id}:99")] == ["2"]
    url = client.get_queue_url(QueueName=resources.NOTIFY.full_name)["QueueUrl"]
    bodies = [message["Body"] for message in client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    assert any(visit.id in body for body in bodies)
