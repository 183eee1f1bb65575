"""The line to everything outside: each call of a function passes here, is counted, and may go wrong as the plan says.

The product's own clients stand above it with their signatures, retries and time limits; only what they send by, the
HTTP session, is ours. So a lost answer is met by the real retry of the real client, which sends the same bytes again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from tests.simulation import plan as faults
from tests.simulation.baton import Baton
from tests.simulation.plan import Plan
from tests.simulation.store import Store

_EVERYWHERE = {faults.CRASH_BEFORE, faults.CRASH_AFTER, faults.LOST_BEFORE, faults.LOST_AFTER, faults.PAUSE}
_SINGLE_WRITES = {"PutItem", "UpdateItem", "DeleteItem"}
_READS = {"GetItem", "Query", "BatchGetItem", "Scan"}
_OLDEST_MS = 2_000
_ERROR = "com.amazonaws.dynamodb.v20120810#"


class Crash(BaseException):
    """The function is gone. Not an Exception: no `except` of the product may take it for a mishap."""


class Lost(Exception):
    """The request, or its answer, is lost on the way; each client knows it by another name."""

    def __init__(self, *, applied: bool) -> None:
        super().__init__(applied)
        self.applied = applied


class Answer:
    """An HTTP answer, as the clients read it."""

    def __init__(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self.content = content
        self.headers = {"content-length": str(len(content)), **(headers or {})}


Send = Callable[[], Answer]


class Wire:
    """Counts, traces and disturbs the calls of one run."""

    def __init__(self, baton: Baton, plan: Plan) -> None:
        self.baton = baton
        self.met: Counter[str] = Counter()  # faults by kind, as they struck
        self.calls = 0
        self.reach: list[tuple[str, str, bytes]] = []  # while something could go wrong: who called what, with what
        self.disturbed = True  # off: all calls go well
        self.observers: list[Callable[[str, bytes, Answer], None]] = []  # of what was applied: target, body, answer
        self.lines: list[str] | None = None  # the trace in words, when somebody asks for it
        self._waiting = plan.of(faults.CALL_FAULTS)
        self._hash = hashlib.sha256()

    @property
    def trace_hash(self) -> str:
        return self._hash.hexdigest()

    def trace(self, *words: object) -> None:
        """Adds a line to the trace."""
        line = " ".join(map(str, words))
        self._hash.update(line.encode() + b"\n")
        if self.lines is not None:
            self.lines.append(line)

    def call(self, target: str, body: bytes, send: Send, instead: Mapping[str, Send]) -> Answer:
        """One outside call of the running function. `instead` are the answers by which this service itself goes wrong.

        Raises Crash and Lost. Calls of nobody's, which prepare a run or look at it, pass untouched.
        """
        task = self.baton.running
        if task is None:
            return send()
        if task.dead:
            raise Crash
        self.baton.pause()
        kind, seconds = self._strikes(instead) if self.disturbed else ("", 0)
        if kind == faults.PAUSE:
            self.baton.sleep(seconds * 1000)
        number, self.calls = self.calls, self.calls + 1
        if self.disturbed:
            self.reach.append((task.name, target, body))
        self.trace(number, self.baton.now_ms, task.name, target, zlib.crc32(body), kind)
        if kind == faults.LOST_BEFORE:
            raise Lost(applied=False)
        if kind != faults.CRASH_BEFORE:
            answer = instead.get(kind, send)()
            self.trace(number, answer.status_code, _fingerprint(answer.content))
            for observe in self.observers:
                observe(target, body, answer)
            if kind == faults.LOST_AFTER:
                raise Lost(applied=True)
            if kind != faults.CRASH_AFTER:
                return answer
        task.dead = True
        raise Crash

    def _strikes(self, instead: Mapping[str, Send]) -> tuple[str, int]:
        """The first fault whose call has come and that means something here: its kind and its seconds."""
        for place, fault in enumerate(self._waiting):
            if fault.at > self.calls:
                break
            if fault.kind in _EVERYWHERE or fault.kind in instead:
                del self._waiting[place]
                self.met[fault.kind] += 1
                return fault.kind, fault.value
        return "", 0


class DatabaseSession:
    """Stands for the HTTP session of the product's DynamoDB client, in front of the engine."""

    def __init__(self, wire: Callable[[], Wire], store: Store) -> None:
        self._wire = wire
        self._store = store

    def send(self, request: Any) -> Answer:
        wire, operation = self._wire(), _operation(request)
        body: bytes = request.body if operation != "BatchGetItem" else _in_order(request.body)
        try:
            return wire.call(
                operation, body, lambda: self._sent(operation, body, wire.baton.now_ms), self._instead(operation, body)
            )
        except Lost as lost:
            raise _timeout(lost, request.url) from lost

    def _sent(self, operation: str, body: bytes, now_ms: int) -> Answer:
        return Answer(*self._store.send(operation, body, now_ms))

    def _instead(self, operation: str, body: bytes) -> dict[str, Send]:
        """What DynamoDB may say to this operation, besides what it should."""
        found: dict[str, Send] = {
            faults.THROTTLE: lambda: _refusal(400, "ProvisionedThroughputExceededException"),
            faults.BROKEN: lambda: _refusal(500, "InternalServerError"),
        }
        if operation in _SINGLE_WRITES:
            found[faults.CONFLICT] = lambda: _refusal(400, "TransactionConflictException")
        elif operation == "TransactWriteItems":
            found[faults.CONFLICT] = lambda: _cancelled(body, "TransactionConflict")
            found[faults.THROTTLE] = lambda: _cancelled(body, "ThrottlingError")
        elif operation in _READS and not _consistent(body):
            found[faults.STALE] = self._old(operation, body)
        return found

    def _old(self, operation: str, body: bytes) -> Send:
        baton = self._wire().baton

        def send() -> Answer:
            age = baton.choose.randint(0, _OLDEST_MS)
            return Answer(*self._store.send_old(operation, body, baton.now_ms - age))

        return send


class QueueSession:
    """Stands for the HTTP session of the product's SQS client, in front of the message bag."""

    def __init__(self, wire: Callable[[], Wire], take: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        self._wire = wire
        self._take = take

    def send(self, request: Any) -> Answer:
        operation = _operation(request)
        asked = json.loads(request.body)

        def taken() -> Answer:
            return Answer(200, json.dumps(self._take(operation, asked)).encode())

        busy = Answer(400, b'{"__type": "com.amazonaws.sqs#RequestThrottled", "message": "Too many."}')
        broken = Answer(500, b'{"__type": "com.amazonaws.sqs#InternalError", "message": "Oh."}')
        instead = {faults.THROTTLE: lambda: busy, faults.BROKEN: lambda: broken}
        try:
            return self._wire().call(f"SQS.{operation}", request.body, taken, instead)
        except Lost as lost:
            raise _timeout(lost, request.url) from lost


def _fingerprint(content: bytes) -> int:
    """Of what an answer says: the engine names the attributes of an item in no order."""
    with contextlib.suppress(ValueError):
        content = json.dumps(json.loads(content or b"{}"), sort_keys=True).encode()
    return zlib.crc32(content)


def _in_order(body: bytes) -> bytes:
    """The same batch, its keys in one order: PynamoDB asks for them as a set has them."""
    asked = json.loads(body)
    for wanted in asked["RequestItems"].values():
        wanted["Keys"].sort(key=lambda key: (key["pk"]["S"], key["sk"]["S"]))
    return json.dumps(asked).encode()


def _operation(request: Any) -> str:
    target = request.headers["X-Amz-Target"]
    return str(target.decode() if isinstance(target, bytes) else target).partition(".")[2]


def _timeout(lost: Lost, url: str) -> Exception:
    """As the HTTP session of botocore says it."""
    return ReadTimeoutError(endpoint_url=url) if lost.applied else ConnectTimeoutError(endpoint_url=url)


def _consistent(body: bytes) -> bool:
    asked = json.loads(body)
    every = asked["RequestItems"].values() if "RequestItems" in asked else [asked]
    return all(one.get("ConsistentRead", False) for one in every)


def _refusal(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"__type": _ERROR + code, "message": "Simulated."}).encode())


def _cancelled(body: bytes, code: str) -> Answer:
    """A transaction that was refused for what its middle operation met."""
    count = len(json.loads(body)["TransactItems"])
    reasons = [{"Code": code if number == count // 2 else "None"} for number in range(count)]
    told = {"__type": _ERROR + "TransactionCanceledException", "message": "Simulated.", "CancellationReasons": reasons}
    return Answer(400, json.dumps(told).encode())
