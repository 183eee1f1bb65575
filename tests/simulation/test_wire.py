"""Faults on the line, met by the product's own client in front of a real engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.runtime import aws
from chalicelib.runtime.jobs import JobRow
from tests.simulation.baton import Baton
from tests.simulation.plan import Fault, Plan
from tests.simulation.store import Store
from tests.simulation.wire import Crash, DatabaseSession, Wire

TABLE = JobRow.Meta.table_name


class Line:
    """A client of the product's on a wire that goes wrong as told, and what became of its calls."""

    def __init__(self, store: Store, *faults: str) -> None:
        self.store = store
        self.baton = Baton(1, 1_000_000)
        self.wire = Wire(self.baton, Plan("none", 1, tuple(map(Fault.parse, faults))))
        self.wire.lines = []
        self.client = aws.Client(aws.DYNAMODB)
        self.client._http = DatabaseSession(lambda: self.wire, store)  # type: ignore[assignment]  # in its place

    def plays(self, *stories: Callable[[], object]) -> None:
        for number, story in enumerate(stories):
            self.baton.spawn(f"story {number}", story)
        self.baton.run()

    def puts(self, name: str, number: int) -> None:
        self.client.call("PutItem", {"TableName": TABLE, "Item": _key(name) | {"u": {"N": str(number)}}})

    def adds(self, name: str, operation: str = "UpdateItem") -> None:
        update = {
            "TableName": TABLE,
            "Key": _key(name),
            "UpdateExpression": "ADD u :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        if operation == "UpdateItem":
            self.client.call(operation, update)
        else:
            self.client.call(operation, {"TransactItems": [{"Update": update}], "ClientRequestToken": "0" * 36})

    def gets(self, name: str, *, consistent: bool = False) -> int | None:
        asked = {"TableName": TABLE, "Key": _key(name), "ConsistentRead": consistent}
        item = self.client.call("GetItem", asked).get("Item")
        return int(item["u"]["N"]) if item else None

    def stands(self) -> dict[str, int]:
        return {item["pk"]["S"]: int(item["u"]["N"]) for item in self.store.scan(TABLE)}


def _key(name: str) -> dict[str, Any]:
    return {"pk": {"S": name}, "sk": {"S": "-"}}


@pytest.fixture(scope="module")
def engines() -> Iterator[Store]:
    store = Store()
    yield store
    store.end()


@pytest.fixture
def store(engines: Store) -> Store:
    engines.begin()
    return engines


def test_no_except_of_the_product_survives_a_crash(store: Store) -> None:
    """A dead function goes on nowhere: neither an `except Exception` nor a `finally` reaches the store again."""
    line = Line(store, "crash_before@1")
    ended: list[str] = []

    def function() -> None:
        try:
            line.puts("first", 1)
            try:
                line.puts("second", 1)
            except Exception:
                ended.append("swallowed")
            finally:
                line.puts("third", 1)
            ended.append("went on")
        except Crash:
            ended.append("died")

    line.plays(function)
    assert ended == ["died"]
    assert line.stands() == {"first": 1}
    assert line.wire.calls == 2
    assert line.wire.met == {"crash_before": 1}


def test_a_crash_after_leaves_what_it_did(store: Store) -> None:
    """The request was applied, and nobody hears the answer; others go on."""
    line = Line(store, "crash_after@0")

    def dies() -> None:
        with pytest.raises(Crash):
            line.puts("dead", 1)

    line.plays(dies)
    line.plays(lambda: line.puts("alive", 2))
    assert line.stands() == {"dead": 1, "alive": 2}


def test_a_lost_answer_is_asked_for_again(store: Store) -> None:
    """The client sends the same bytes again by itself. So a bare ADD counts twice: none may stand in money."""
    line = Line(store, "lost_after@0")
    line.plays(lambda: line.adds("counter"))
    assert line.stands() == {"counter": 2}
    calls = [line.split() for line in line.wire.lines or [] if "UpdateItem" in line]
    assert [words[5] for words in calls] == [calls[0][5]] * 2  # the checksum of what was sent


def test_a_token_makes_it_once(store: Store) -> None:
    """The same transaction twice under its token is one."""
    line = Line(store, "lost_after@0")
    line.plays(lambda: line.adds("counter", "TransactWriteItems"))
    assert line.wire.calls == 2
    assert line.stands() == {"counter": 1}


def test_a_lost_request_is_sent_again(store: Store) -> None:
    """What never arrived was not applied, and comes with the next try."""
    line = Line(store, "lost_before@0")
    line.plays(lambda: line.adds("counter"))
    assert line.wire.calls == 2
    assert line.stands() == {"counter": 1}


@pytest.mark.parametrize(
    ("fault", "calls", "code"),
    [
        ("throttle@0", 2, ""),
        ("broken@0", 2, ""),
        ("conflict@0", 1, "TransactionConflictException"),
    ],
)
def test_the_service_refuses_as_it_does(store: Store, fault: str, calls: int, code: str) -> None:
    """Throttling and 500 pass with the client's next try; a conflict is for the product to decide."""
    line = Line(store, fault)
    codes: list[str] = []

    def function() -> None:
        try:
            line.adds("counter")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    line.plays(function)
    assert line.wire.calls == calls
    assert codes == ([code] if code else [])
    assert line.stands() == ({} if code else {"counter": 1})


def test_a_transaction_in_conflict_says_where(store: Store) -> None:
    """The reasons stand by position, as DynamoDB gives them."""
    line = Line(store, "conflict@0")
    found: list[list[str]] = []

    def function() -> None:
        put = {"Put": {"TableName": TABLE, "Item": _key("a")}}
        try:
            line.client.call("TransactWriteItems", {"TransactItems": [put, {"Put": put["Put"] | {"Item": _key("b")}}]})
        except ClientError as error:
            found.append([reason["Code"] for reason in error.response["CancellationReasons"]])  # type: ignore[typeddict-item]

    line.plays(function)
    assert found == [["None", "TransactionConflict"]]
    assert line.stands() == {}


def test_a_fault_waits_for_what_it_fits(store: Store) -> None:
    """A stale answer is for a read that need not be consistent; writes and strong reads before it pass."""
    line = Line(store, "stale@0")

    def function() -> None:
        line.puts("a", 1)
        line.gets("a", consistent=True)
        assert line.wire.met == {}
        line.gets("a")

    line.plays(function)
    assert line.wire.met == {"stale": 1}


def test_old_answers_are_a_moment_of_the_past(store: Store) -> None:
    """What old reads show are the tables as they stood at one moment, never a mix, and never earlier than before."""
    line = Line(store, *(f"stale@{at}" for at in range(500)))
    seen: list[tuple[int, int]] = []

    def writes() -> None:
        for number in range(1, 40):
            line.puts("first", number)
            line.puts("second", number)
            line.baton.sleep(50)

    def reads() -> None:
        for _ in range(60):
            line.baton.sleep(30)
            asked = {TABLE: {"Keys": [_key("first"), _key("second")]}}
            answer = line.client.call("BatchGetItem", {"RequestItems": asked})
            values = {item["pk"]["S"]: int(item["u"]["N"]) for item in answer["Responses"][TABLE]}
            seen.append((values.get("first", 0), values.get("second", 0)))

    line.plays(writes, reads)
    assert all(second <= first <= second + 1 for first, second in seen)
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert seen[-1] < (39, 39)
    assert line.stands() == {"first": 39, "second": 39}


def test_calls_are_counted_and_traced(store: Store) -> None:
    """The trace says who called what when, and does not depend on how the engine orders attributes."""

    def hash_of(first: str) -> str:
        store.begin()
        line = Line(store)
        line.plays(lambda: line.puts(first, 1), lambda: line.gets("a"))
        assert line.wire.calls == 2
        assert [name for name, _, _ in line.wire.reach] in (["story 0", "story 1"], ["story 1", "story 0"])
        return line.wire.trace_hash

    assert hash_of("a") == hash_of("a")
    assert hash_of("a") != hash_of("b")


def test_an_item_is_one_whatever_its_order(store: Store) -> None:
    """The same rows in another order of attributes leave the same trace."""
    from tests.simulation.wire import _fingerprint

    one = {"Item": {"pk": {"S": "a"}, "u": {"N": "1"}}}
    other = {"Item": dict(reversed(one["Item"].items()))}
    assert json.dumps(one) != json.dumps(other)
    assert _fingerprint(json.dumps(one).encode()) == _fingerprint(json.dumps(other).encode())


def test_batches_are_asked_for_in_one_order(store: Store) -> None:
    """PynamoDB asks for a set of keys; the order of a set must not be in the trace."""

    def hash_of(*names: str) -> str:
        line = Line(store)
        asked = {"RequestItems": {TABLE: {"Keys": [_key(name) for name in names]}}}
        line.plays(lambda: line.client.call("BatchGetItem", asked))
        return line.wire.trace_hash

    assert hash_of("a", "b", "c") == hash_of("c", "a", "b")
