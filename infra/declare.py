"""The Stack: what Linli runs on, read from the code that uses it. The rest of `infra` is made from this value.

Tables come from the rows, queues from `runtime.resources`, functions and schedules from `app.event_sources`. Names in
the Stack are short (`outbox`, `notify`); a stage adds its prefix when something is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import chalicelib
from chalicelib.runtime import resources
from chalicelib.runtime.dynamo import Row
from chalicelib.runtime.settings import settings
from chalicelib.web.application import ALL, HTTP_SURFACES, JOBS, serves
from chalicelib.web.router import OPERATIONS, Operation

API = "api_handler"
"""Chalice's name of the function behind all HTTP routes of a surface."""


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
    modules: set[str] = field(default_factory=set)

    @property
    def short(self) -> str:
        """The name without this process's prefix."""
        return self.name.removeprefix(settings().table_prefix)

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


@dataclass(frozen=True)
class Queue:
    """A queue and the one behind it, which takes what failed `max_receives` times."""

    name: str
    timeout_seconds: int
    visibility_seconds: int
    max_receives: int

    @property
    def dead_letter_name(self) -> str:
        return f"{self.name}-dead"


@dataclass(frozen=True)
class Function:
    """One function: the API of a surface, a consumer of one queue, or a schedule. `handler` is `<module>.<name>`,
    `surface` the deployment that it belongs to."""

    name: str
    handler: str
    surface: str = JOBS
    queue: str = ""
    schedule: str = ""

    @property
    def module(self) -> str:
        return self.handler.rpartition(".")[0]


@dataclass(frozen=True)
class Stack:
    """Everything that a deployment is made of, each part sorted by name."""

    tables: tuple[Table, ...]
    queues: tuple[Queue, ...]
    functions: tuple[Function, ...]

    @property
    def schedules(self) -> tuple[Function, ...]:
        return tuple(function for function in self.functions if function.schedule)

    def of(self, surface: str) -> tuple[Function, ...]:
        """The functions of one deployment."""
        return tuple(function for function in self.functions if function.surface == surface)


def import_everything() -> None:
    """Loads every module that declares tables, so that their rows are known."""
    root = Path(chalicelib.__path__[0])
    for path in sorted(root.rglob("*.py")):
        if "table_name(" in path.read_text(encoding="utf-8"):
            import_module(".".join(("chalicelib", *path.relative_to(root).with_suffix("").parts)))


def _rows(root: type[Row] = Row) -> Iterator[type[Row]]:
    for child in root.__subclasses__():
        # A row of a test is no part of the Stack.
        if child.__module__.startswith("chalicelib."):
            yield child
        yield from _rows(child)


def rows() -> list[type[Row]]:
    """Every row's class."""
    import_everything()
    return list(_rows())


def tables() -> list[Table]:
    """Every table, by name; rows of several classes in one table are one table."""
    found: dict[str, Table] = {}
    for row in rows():
        table = found.setdefault(row.Meta.table_name, Table(row.Meta.table_name))
        table.modules.add(row.__module__)
        table.ttl = table.ttl or getattr(row.Meta, "ttl_attribute", None)
        for index in row._indexes.values():
            schema = index._get_schema()
            # In PynamoDB's schema the keys stand in the order of their names.
            keys = {key["KeyType"]: key["AttributeName"] for key in schema["key_schema"]}
            table.indexes[schema["index_name"]] = Index(
                schema["index_name"], keys["HASH"], keys.get("RANGE"), schema["projection"]["ProjectionType"]
            )
            for definition in schema["attribute_definitions"]:
                table.types[definition["AttributeName"]] = definition["AttributeType"]
    return [found[name] for name in sorted(found)]


def queues() -> list[Queue]:
    """Every queue, by its short name."""
    return [
        Queue(queue.name, queue.timeout_seconds, queue.visibility_seconds, queue.max_receives)
        for queue in sorted(resources.QUEUES, key=lambda queue: queue.name)
    ]


def functions(app: Any) -> list[Function]:
    """An API for each surface that has one, and every event source of a Chalice app. Raises ValueError for a consumer
    of an undeclared queue, a second consumer of one queue, and any other kind of source."""
    from chalice.app import ScheduledEventConfig, SQSEventConfig

    short = {queue.full_name: queue.name for queue in resources.QUEUES}
    found = [Function(API, "app.app", surface) for surface in HTTP_SURFACES]
    for source in app.event_sources:
        if isinstance(source, SQSEventConfig):
            if source.queue not in short:
                raise ValueError(f"{source.handler_string} consumes {source.queue!r}, which QUEUES does not declare")
            found.append(Function(source.name, source.handler_string, queue=short[source.queue]))
        elif isinstance(source, ScheduledEventConfig):
            found.append(Function(source.name, source.handler_string, schedule=_expression(source)))
        else:
            raise ValueError(f"{source.handler_string}: an event source of this kind is not known here")
    _refuse_doubles(function.queue for function in found if function.queue)
    _refuse_doubles(f"{function.surface} {function.name}" for function in found)
    return sorted(found, key=lambda function: (function.surface, function.name))


def operations(surface: str = ALL) -> list[Operation]:
    """Each operation that a surface serves, as it was declared."""
    import_module("app")
    return [operation for operation in OPERATIONS if serves(surface, operation.path)]


def route_modules(surface: str = ALL) -> dict[str, str]:
    """Each operation that a surface serves, as `GET /path`, and the module that declares it, by name."""
    return dict(sorted((f"{one.method} {one.path}", one.module) for one in operations(surface)))


def _expression(source: Any) -> str:
    expression = source.schedule_expression
    return str(expression) if isinstance(expression, str) else str(expression.to_string())


def _refuse_doubles(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name!r} is declared twice")
        seen.add(name)


def stack(app: Any = None) -> Stack:
    """The Stack of an app; of ours when none is given."""
    if app is None:
        app = import_module("app").app
    return Stack(tuple(tables()), tuple(queues()), tuple(functions(app)))
