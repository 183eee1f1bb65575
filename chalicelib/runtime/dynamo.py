"""All DynamoDB traffic passes here: one client, one base row, our attributes, and the count of units."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from typing import Any, ClassVar

from pynamodb.attributes import Attribute, UnicodeAttribute
from pynamodb.connection import Connection, TableConnection
from pynamodb.constants import NUMBER, NUMBER_SET, STRING
from pynamodb.models import Model

from chalicelib.runtime import meter
from chalicelib.runtime.settings import settings

_lock = threading.Lock()
_connection: Connection | None = None


def table_name(short: str) -> str:
    """The full name of a slice's table on this stage."""
    return f"{settings().table_prefix}{short}"


def connection() -> Connection:
    """The process's one connection. The first caller makes it; botocore's client is then safe for all threads."""
    global _connection  # noqa: PLW0603  # one client per process, made late so that imports stay cheap
    with _lock:
        if _connection is None:
            made = Connection(
                region=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
                connect_timeout_seconds=2,
                # A function has seconds, not the 30 that the library would wait; retries stay within API Gateway's 29.
                read_timeout_seconds=5,
                max_retry_attempts=2,
                max_pool_connections=64,
            )
            events = made.client.meta.events
            events.register("provide-client-params.dynamodb", _ask_for_units)
            events.register("after-call.dynamodb", _count_units)
            _connection = made
    return _connection


def client() -> Any:
    """The botocore client, for calls that PynamoDB does not wrap."""
    return connection().client


def _ask_for_units(params: dict[str, Any], model: Any, **_: Any) -> Any:
    if "ReturnConsumedCapacity" in (model.input_shape.members if model.input_shape else {}):
        return {**params, "ReturnConsumedCapacity": "INDEXES"}
    return params


def _count_units(parsed: dict[str, Any], model: Any, **_: Any) -> None:
    meter.record(model.name, parsed)


class IntegerAttribute(Attribute[int]):
    """A whole number, exact at any size. A float or a bool raises TypeError before it is written."""

    attr_type = NUMBER

    def serialize(self, value: int) -> str:
        if type(value) is not int:
            raise TypeError(f"{self.attr_name} takes an int, not {type(value).__name__}")
        return str(value)

    def deserialize(self, value: str) -> int:
        return int(value)


class IntegerSetAttribute(Attribute[set[int]]):
    """A set of whole numbers. Adding one that is there, or deleting one that is not, changes nothing."""

    attr_type = NUMBER_SET
    null = True

    def serialize(self, value: Iterable[int]) -> list[str]:
        return [str(number) for number in sorted(value)]

    def deserialize(self, value: Iterable[str]) -> set[int]:
        return {int(number) for number in value}


class PackedAttribute(Attribute[Any]):
    """Plain lists, dicts, strings and ints as compact JSON text. A float raises TypeError: none reaches the tables."""

    attr_type = STRING

    def serialize(self, value: Any) -> str:
        _refuse_floats(value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def deserialize(self, value: str) -> Any:
        return json.loads(value)


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError("a float must not be stored")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


class Row(Model):
    """The base of every row. A table may hold several kinds of row, one class each; rows never leave `tables.py`.

    `Meta.table_name` is `table_name("orders")`; `Meta.ttl_attribute`, where given, names the garbage collection field.
    """

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)

    _connections: ClassVar[dict[str, TableConnection]] = {}

    @classmethod
    def _get_connection(cls) -> TableConnection:
        """PynamoDB would open one client per model; ours share the process's one (private name: pinned, tested)."""
        if cls._connection is None:
            table: TableConnection = super()._get_connection()
            shared = connection()
            with _lock:
                meta = table.connection._tables[cls.Meta.table_name]
                shared._tables.setdefault(cls.Meta.table_name, meta)
                table.connection = shared
        return super()._get_connection()


def query_all(row: type[Row], pk: str, condition: Any = None, *, consistent: bool = True) -> list[Any]:
    """Every row of one class under a key, in key order. Bounded by the item collection, which is small by design."""
    return list(row.query(pk, condition, consistent_read=consistent))
