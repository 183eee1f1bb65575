"""What the local stack says about usage."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.hooks import HierarchicalEmitter

from chalicelib.runtime import meter
from infra.local.usage import Usage

READ = {"ConsumedCapacity": {"TableName": "orders", "CapacityUnits": 1.5, "Table": {"CapacityUnits": 1.5}}}
WRITE = {
    "ConsumedCapacity": {
        "TableName": "orders",
        "CapacityUnits": 3.0,
        "Table": {"CapacityUnits": 2.0},
        "GlobalSecondaryIndexes": {"due": {"CapacityUnits": 1.0}},
    }
}


def test_an_invocation_counts_its_time_and_its_units() -> None:
    usage = Usage()
    with usage.invocation("api_handler", "POST /v1/orders"):
        time.sleep(0.011)
        meter.record("Query", READ)
        meter.record("PutItem", WRITE)
    with usage.invocation("notify"):
        meter.record("DeleteItem", WRITE)
    found = usage.report()
    api = found["functions"]["api_handler"]
    assert (api["invocations"], api["read_units"], api["write_units"]) == (1, 1.5, 3.0)
    assert api["ms"] >= 11 > api["cpu_ms"]
    assert isinstance(api["ms"], int)
    assert found["operations"] == {"POST /v1/orders": api}
    assert found["functions"]["notify"]["write_units"] == 3.0
    assert found["dynamodb"]["calls"] == {"DeleteItem": 1, "PutItem": 1, "Query": 1}
    assert found["dynamodb"]["tables"] == {
        "orders": {"read_units": 1.5, "write_units": 4.0},
        "orders/due": {"read_units": 0, "write_units": 2.0},
    }


def test_a_call_inside_the_applications_own_measurement_is_counted_once() -> None:
    usage = Usage()
    with usage.invocation("api_handler"), meter.measured() as inner:
        meter.record("GetItem", READ)
    assert inner.read_units == usage.report()["dynamodb"]["read_units"] == 1.5


def test_a_failed_invocation_and_a_refused_call_count_too() -> None:
    """A refused call says no units: it stands apart, by its error."""
    usage = Usage()

    def fail() -> None:
        with usage.invocation("sweep"):
            meter.record("PutItem", {"Error": {"Code": "ConditionalCheckFailedException"}})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    found = usage.report()
    assert found["functions"]["sweep"]["invocations"] == 1
    assert found["dynamodb"]["refused"] == {"ConditionalCheckFailedException": 1}
    assert any("refused" in sentence for sentence in found["not_counted"])


def test_many_threads_lose_nothing() -> None:
    usage = Usage()

    def work() -> None:
        for _ in range(200):
            with usage.invocation("api_handler", "GET /v1/search"):
                meter.record("Query", READ)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = usage.report()
    assert found["functions"]["api_handler"]["invocations"] == 1600
    assert found["dynamodb"]["read_units"] == 2400


def test_requests_of_a_queue_client_are_counted_and_empty_polls_apart() -> None:
    usage, events = Usage(), HierarchicalEmitter()
    client: Any = SimpleNamespace(meta=SimpleNamespace(events=events))
    usage.count_sqs(client)

    def call(name: str, parsed: dict[str, Any]) -> None:
        events.emit(f"after-call.sqs.{name}", model=SimpleNamespace(name=name), parsed=parsed, http_response=None)

    call("SendMessage", {})
    call("ReceiveMessage", {"Messages": [{}]})
    call("ReceiveMessage", {})
    assert usage.report()["sqs"] == {"requests": {"ReceiveMessage": 1, "SendMessage": 1}, "empty_receives": 1}
