"""What the application has used since the local stack was started: what AWS would count, and bill.

Counted where the local stack stands for AWS: around each call of a function, and on the clients that ask SQS.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chalicelib.runtime.meter import Meter, measured
from infra.local.files import instant_text

NOT_COUNTED = (
    "DynamoDB units of refused calls: AWS charges a failed condition, and its answer does not say how much; the calls "
    "are in dynamodb.refused",
    "DynamoDB calls that the client repeats after a broken connection",
    "DynamoDB units of the seeding, of the `linli` command and of anything else outside a function",
    "the polls that Lambda makes of a queue: its pollers wait 20 s where the local worker waits 1 s, so its empty "
    "receives stand apart in sqs.empty_receives",
    "the start of a function's process: here it is started once",
    "storage, backups, logs, alarms, data transfer, the payment provider's fees",
)


@dataclass
class _Used:
    """`ms` is what Lambda bills: each invocation's wall time, rounded up to a millisecond. `cpu_ms` is the part of it
    in which the invocation's thread had the processor, not rounded."""

    invocations: int = 0
    ms: int = 0
    cpu_ms: float = 0.0
    read_units: float = 0.0
    write_units: float = 0.0

    def add(self, seconds: float, cpu_seconds: float, meter: Meter) -> None:
        self.invocations += 1
        self.ms += math.ceil(seconds * 1000)
        self.cpu_ms += cpu_seconds * 1000
        self.read_units += meter.read_units
        self.write_units += meter.write_units

    def document(self) -> dict[str, Any]:
        return {**vars(self), "cpu_ms": round(self.cpu_ms, 1)}


@dataclass
class Usage:
    """Sums over the whole process; several threads add to it, one short lock an invocation."""

    _functions: dict[str, _Used] = field(default_factory=dict)
    _operations: dict[str, _Used] = field(default_factory=dict)
    _dynamodb: Meter = field(default_factory=Meter)
    _sqs: Counter[str] = field(default_factory=Counter)
    _empty_receives: int = 0
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def invocation(self, function: str, operation: str = "") -> Iterator[None]:
        """Count what happens in this thread until the block ends as one call of `function`; `operation` is the API's
        method and path."""
        began, cpu_began = time.perf_counter(), time.thread_time()
        with measured() as meter:
            try:
                yield
            finally:
                seconds, cpu_seconds = time.perf_counter() - began, time.thread_time() - cpu_began
                with self._lock:
                    self._functions.setdefault(function, _Used()).add(seconds, cpu_seconds, meter)
                    if operation:
                        self._operations.setdefault(operation, _Used()).add(seconds, cpu_seconds, meter)
                    self._dynamodb.take(meter)

    def count_sqs(self, client: Any) -> None:
        """Count every request that a boto3 SQS client makes from now on."""
        client.meta.events.register(
            "after-call.sqs", lambda model, parsed, **_: self.count_sqs_call(model.name, parsed)
        )

    def count_sqs_call(self, operation: str, answer: dict[str, Any]) -> None:
        """Count one request and its answer."""
        with self._lock:
            if operation == "ReceiveMessage" and not answer.get("Messages"):
                self._empty_receives += 1
            else:
                self._sqs[operation] += 1

    def report(self) -> dict[str, Any]:
        """Return the sums as JSON can hold them; times are milliseconds, units DynamoDB's."""
        with self._lock:
            used = self._dynamodb
            tables = {
                name: {"read_units": used.reads_by_table[name], "write_units": used.by_table[name]}
                for name in sorted(used.reads_by_table | used.by_table)
            }
            return {
                "since": instant_text(self._since),
                "functions": {name: each.document() for name, each in sorted(self._functions.items())},
                "operations": {name: each.document() for name, each in sorted(self._operations.items())},
                "dynamodb": {
                    "read_units": used.read_units,
                    "write_units": used.write_units,
                    "calls": dict(sorted(used.calls.items())),
                    "refused": dict(sorted(used.refused.items())),
                    "tables": tables,
                },
                "sqs": {"requests": dict(sorted(self._sqs.items())), "empty_receives": self._empty_receives},
                "not_counted": list(NOT_COUNTED),
            }
