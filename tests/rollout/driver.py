"""`python driver.py`, with a release's folder on PYTHONPATH: runs that release's code beside the tests' own.

One JSON request a line on standard input, one JSON answer a line on standard output. `http` is an event of API Gateway,
`handler` one of a queue or a schedule with the handler that Lambda would load, `describe` asks what the code declares.
Imports nothing of the tests, so that all code is the release's.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import Any


def answer(request: dict[str, Any]) -> Any:
    if request["do"] == "http":
        from app import app

        return app(request["event"], None)
    if request["do"] == "handler":
        module, _, name = request["handler"].rpartition(".")
        return getattr(importlib.import_module(module), name)(request["event"], None)
    return describe()


def describe() -> dict[str, Any]:
    """Tables with keys and indexes, the attributes of each kind of row, queues, news, functions, and the API."""
    from chalicelib.runtime import resources
    from chalicelib.runtime.dynamo import Row
    from chalicelib.web import openapi
    from infra.declare import import_everything, stack

    declared = stack()
    import_everything()
    return {
        "tables": {table.short: {**table.create_arguments(), "ttl": table.ttl} for table in declared.tables},
        "rows": {
            f"{row.Meta.table_name}/{row.__name__}": {
                attribute.attr_name: [attribute.attr_type, bool(attribute.null), attribute.default is not None]
                for attribute in row._get_attributes().values()
            }
            for row in _rows(Row)
            if hasattr(row, "Meta") and getattr(row.Meta, "table_name", None)
        },
        "queues": {queue.name: queue.visibility_seconds for queue in declared.queues},
        "news": {event: queue.name for event, queue in resources.TOPICS.items()},
        "functions": {function.name: [function.queue, function.schedule] for function in declared.functions},
        "api": openapi.build(),
    }


def _rows(base: Any) -> list[Any]:
    return [one for child in base.__subclasses__() for one in [child, *_rows(child)]]


def main() -> None:
    answers = sys.stdout
    for line in sys.stdin:
        # Whatever the code prints is its log.
        with contextlib.redirect_stdout(sys.stderr):
            done = answer(json.loads(line))
        answers.write(json.dumps(done, default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
