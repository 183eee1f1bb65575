"""The Stack: what Linli runs on, read from the code that uses it. The rest of `infra` is made from this value."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import chalicelib
from chalicelib.runtime.dynamo import Row


@dataclass(frozen=True)
class Index:
    """A global secondary index; both its keys are strings unless `types` says N."""

    name: str
    pk: str
    sk: str | None
    projection: str


@dataclass
class Table:
    """One table: keys pk and sk, at most two indexes, an optional field for garbage collection."""

    name: str
    indexes: dict[str, Index] = field(default_factory=dict)
    ttl: str | None = None
    types: dict[str, str] = field(default_factory=lambda: {"pk": "S", "sk": "S"})

    def create_arguments(self) -> dict[str, Any]:
        """What CreateTable takes."""
        arguments: dict[str, Any] = {
            "TableName": self.name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": _keys("pk", "sk"),
            "AttributeDefinitions": [
                {"AttributeName": name, "AttributeType": kind} for name, kind in sorted(self.types.items())
            ],
        }
        if self.indexes:
            arguments["GlobalSecondaryIndexes"] = [
                {
                    "IndexName": index.name,
                    "KeySchema": _keys(index.pk, index.sk),
                    "Projection": {"ProjectionType": index.projection},
                }
                for _, index in sorted(self.indexes.items())
            ]
        return arguments


def _keys(pk: str, sk: str | None) -> list[dict[str, str]]:
    found = [{"AttributeName": pk, "KeyType": "HASH"}]
    return found + ([{"AttributeName": sk, "KeyType": "RANGE"}] if sk else [])


def import_everything() -> None:
    """Loads every module that declares tables, so that their rows are known."""
    for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
        if module.name.rpartition(".")[2] in {"tables", "outbox", "jobs", "rate"}:
            import_module(module.name)


def _rows(root: type[Row] = Row) -> Iterator[type[Row]]:
    for child in root.__subclasses__():
        yield child
        yield from _rows(child)


def tables() -> list[Table]:
    """Every table, by name; rows of several classes in one table are one table."""
    import_everything()
    found: dict[str, Table] = {}
    for row in _rows():
        table = found.setdefault(row.Meta.table_name, Table(row.Meta.table_name))
        table.ttl = table.ttl or getattr(row.Meta, "ttl_attribute", None)
        for index in row._indexes.values():
            schema = index._get_schema()
            # PynamoDB lists the keys by name, so the partition key may come second.
            names = {key["KeyType"]: key["AttributeName"] for key in schema["key_schema"]}
            table.indexes[schema["index_name"]] = Index(
                schema["index_name"],
                names["HASH"],
                names.get("RANGE"),
                schema["projection"]["ProjectionType"],
            )
            for definition in schema["attribute_definitions"]:
                table.types[definition["AttributeName"]] = definition["AttributeType"]
    return [found[name] for name in sorted(found)]
