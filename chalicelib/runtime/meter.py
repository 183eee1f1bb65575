"""What a use case consumes: DynamoDB units and calls, counted where all traffic passes (see `dynamo`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Meter:
    """Units as DynamoDB reports them; `by_table` splits the written units, indexes named `table/index`."""

    read_units: float = 0.0
    write_units: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    by_table: Counter[str] = field(default_factory=Counter)

    def add(self, operation: str, parsed: dict[str, Any]) -> None:
        self.calls[operation] += 1
        consumed = parsed.get("ConsumedCapacity") or []
        for entry in consumed if isinstance(consumed, list) else [consumed]:
            units = float(entry.get("CapacityUnits", 0.0))
            if operation in {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}:
                self.read_units += units
                continue
            self.write_units += units
            self._split(entry)

    def fields(self) -> dict[str, float]:
        """What a log line says of it."""
        return {"read_units": self.read_units, "write_units": self.write_units}

    def _split(self, entry: dict[str, Any]) -> None:
        table = entry["TableName"]
        self.by_table[table] += entry.get("Table", {}).get("CapacityUnits", 0.0)
        for index, used in (entry.get("GlobalSecondaryIndexes") or {}).items():
            self.by_table[f"{table}/{index}"] += used.get("CapacityUnits", 0.0)


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
            outer.read_units += meter.read_units
            outer.write_units += meter.write_units
            outer.calls.update(meter.calls)
            outer.by_table.update(meter.by_table)


def record(operation: str, parsed: dict[str, Any]) -> None:
    meter = _current.get()
    if meter is not None:
        meter.add(operation, parsed)
