"""What a use case consumes: DynamoDB units and calls, counted where all traffic passes (see `dynamo`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_READS = {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}


@dataclass
class Meter:
    """Units as DynamoDB reports them; `by_table` splits the written units and `reads_by_table` the read ones, indexes
    named `table/index`. `refused` counts calls answered with an error, by its code: those report no units."""

    read_units: float = 0.0
    write_units: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    by_table: Counter[str] = field(default_factory=Counter)
    reads_by_table: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, operation: str, parsed: dict[str, Any]) -> None:
        self.calls[operation] += 1
        if "Error" in parsed:
            self.refused[parsed["Error"].get("Code", "")] += 1
        consumed = parsed.get("ConsumedCapacity") or []
        for entry in consumed if isinstance(consumed, list) else [consumed]:
            units = float(entry.get("CapacityUnits", 0.0))
            if operation in _READS:
                self.read_units += units
                _split(entry, self.reads_by_table)
            else:
                self.write_units += units
                _split(entry, self.by_table)

    def take(self, other: Meter) -> None:
        """Adds what another one counted."""
        self.read_units += other.read_units
        self.write_units += other.write_units
        self.calls.update(other.calls)
        self.by_table.update(other.by_table)
        self.reads_by_table.update(other.reads_by_table)
        self.refused.update(other.refused)

    def fields(self) -> dict[str, float]:
        """What a log line says of it."""
        return {"read_units": self.read_units, "write_units": self.write_units}


def _split(entry: dict[str, Any], into: Counter[str]) -> None:
    table = entry["TableName"]
    into[table] += entry.get("Table", {}).get("CapacityUnits", 0.0)
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for index, used in (entry.get(kind) or {}).items():
            into[f"{table}/{index}"] += used.get("CapacityUnits", 0.0)


_current: ContextVar[Meter | None] = ContextVar("linli_meter", default=None)


@contextmanager
def measured() -> Iterator[Meter]:
    """Counts everything that this thread sends to DynamoDB until the block ends. Blocks nest: the inner one adds up."""
    meter, outer = Meter(), _current.get()
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)
        if outer is not None:
            outer.take(meter)


def record(operation: str, parsed: dict[str, Any]) -> None:
    meter = _current.get()
    if meter is not None:
        meter.add(operation, parsed)
