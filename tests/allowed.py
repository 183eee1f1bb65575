"""What the policies allow, held against what the tests do: whatever a function asks of DynamoDB while a test calls it
is in the policy that it has in the cloud, verb by verb and index by index.

The policies are made by reading the code (`infra.reach`); here the same is seen at run time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from botocore.httpsession import URLLib3Session

_KINDS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
_acting: ContextVar[tuple[str, str] | None] = ContextVar("acting", default=None)
_refused: list[str] = []


@contextmanager
def acting_as(surface: str, name: str = "api_handler") -> Iterator[None]:
    """While it lasts, this thread is that function. Raises AssertionError at the end for what its policy denies."""
    token = _acting.set((surface, name))
    try:
        yield
    finally:
        _acting.reset(token)
    if _refused:
        refused = ", ".join(_refused)
        _refused.clear()
        raise AssertionError(f"a policy does not allow what the code does: {refused}")


def watch() -> None:
    """From now on every request to DynamoDB is looked at before it is sent."""
    send = URLLib3Session.send

    def looked_at(session: Any, request: Any) -> Any:
        acting = _acting.get()
        target = request.headers.get("X-Amz-Target", b"")
        target = target.decode() if isinstance(target, bytes) else target
        if acting and target.startswith("DynamoDB_"):
            for verb, where in _meant(target.partition(".")[2], json.loads(request.body)):
                if verb not in _verbs(acting).get(where, set()):
                    _refused.append(f"{'-'.join(acting)}: {verb} on {where}")
        return send(session, request)

    URLLib3Session.send = looked_at


def _meant(operation: str, asked: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The verbs of one request and where they apply: `orders`, `orders/due`."""
    if operation == "TransactWriteItems":
        for item in asked["TransactItems"]:
            for kind, arguments in item.items():
                yield _KINDS[kind], _short(arguments["TableName"])
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        yield from ((operation, _short(table)) for table in asked["RequestItems"])
    else:
        index = f"/{asked['IndexName']}" if "IndexName" in asked else ""
        yield operation, _short(asked["TableName"]) + index


def _short(table: str) -> str:
    from chalicelib.runtime.settings import settings

    return table.removeprefix(settings().table_prefix)


@lru_cache(maxsize=64)
def _verbs(acting: tuple[str, str]) -> dict[str, set[str]]:
    from infra import declare, policies

    surface, name = acting
    function = next(each for each in declare.stack().of(surface) if each.name == name)
    return policies.verbs(function)
