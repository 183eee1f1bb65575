"""All DynamoDB traffic passes here: one client, one base row, our attributes, and the count of units."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from pynamodb.attributes import Attribute, UnicodeAttribute
from pynamodb.connection import Connection, TableConnection
from pynamodb.connection.base import MetaTable
from pynamodb.constants import ATTR_DEFINITIONS, GLOBAL_SECONDARY_INDEXES, NUMBER, NUMBER_SET, STRING
from pynamodb.models import Model

from chalicelib.runtime import aws, meter
from chalicelib.runtime.settings import settings

_lock = threading.Lock()
_connection: Connection | None = None
_client: DynamoDB | None = None
# What can say how many units it used.
_COUNTED = {
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
}


def table_name(short: str) -> str:
    """The full name of a slice's table on this stage."""
    return f"{settings().table_prefix}{short}"


class DynamoDB(aws.Client):
    """The client that every row passes, through PynamoDB or beside it; counts what it uses."""

    def __init__(self) -> None:
        # A function has seconds, not the 30 that libraries would wait; retries stay within API Gateway's 29.
        super().__init__(aws.DYNAMODB, read_seconds=5, tries=3, connections=64)
        self.listeners.append(meter.record)

    def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One operation in DynamoDB's own words. Raises botocore's ClientError and BotoCoreError."""
        asked = dict(arguments)
        if operation in _COUNTED:
            asked["ReturnConsumedCapacity"] = "INDEXES"
        if operation == "TransactWriteItems":
            # Sent again after a lost answer, it must not apply twice.
            asked.setdefault("ClientRequestToken", str(uuid.uuid4()))
        return super().call(operation, asked)

    def items(self, operation: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Every item of a Query or Scan, page after page."""
        page = self.call(operation, arguments)
        yield from page["Items"]
        while start := page.get("LastEvaluatedKey"):
            page = self.call(operation, {**arguments, "ExclusiveStartKey": start})
            yield from page["Items"]

    def _make_api_call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The one method of botocore's client that PynamoDB calls (private name: pinned, tested)."""
        return self.call(operation, arguments)


class _Connection(Connection):
    """PynamoDB's connection, over our client."""

    @property
    def client(self) -> Any:
        return client()


def connection() -> Connection:
    """The process's one connection."""
    global _connection  # noqa: PLW0603  # one per process, made late so that imports stay cheap
    with _lock:
        if _connection is None:
            _connection = _Connection(region=aws.region())
    return _connection


def client() -> DynamoDB:
    """The process's one client, for operations that PynamoDB does not wrap. The first caller makes it."""
    global _client  # noqa: PLW0603  # one per process, made late so that imports stay cheap
    with _lock:
        if _client is None:
            _client = DynamoDB()
    return _client


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
                _learn(shared, table.connection._tables[cls.Meta.table_name])
                table.connection = shared
        return super()._get_connection()


def _learn(shared: Connection, meta: MetaTable) -> None:
    """What one class of rows knows of its table, added to what others of the same table have told: one of them may have
    indexes that another has not, and nobody knows which of them a process meets first."""
    known = shared._tables.setdefault(meta.table_name, meta)
    for part in (GLOBAL_SECONDARY_INDEXES, ATTR_DEFINITIONS):
        known.data[part] = [*known.data[part], *(one for one in meta.data[part] if one not in known.data[part])]


def query_all(row: type[Row], pk: str, condition: Any = None, *, consistent: bool = True) -> list[Any]:
    """Every row of one class under a key, in key order. Bounded by the item collection, which is small by design."""
    return list(row.query(pk, condition, consistent_read=consistent))
