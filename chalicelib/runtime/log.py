"""Structured logs: one JSON object a line on standard output. Personal data is scrubbed.

Every line carries what is bound at that moment (`bound`, `bind`): the request or message that is served, the function,
the order, the account. Ids name nobody; phone numbers and tokens become stars wherever they stand in a line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from chalicelib.runtime.settings import settings

SERVICE = "linli"
_PHONE = re.compile(r"\+\d{7,15}")
_SECRETS = re.compile(r"(sk_(?:test|live)_|whsec_|Bearer\s+|eyJ)[A-Za-z0-9_.\-]+")

_bound: ContextVar[dict[str, Any] | None] = ContextVar("linli_log_fields", default=None)


def scrub(text: str) -> str:
    """Phone numbers and tokens become stars; ids stay, for they name nobody."""
    return _SECRETS.sub(r"\1***", _PHONE.sub("+***", text))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Every line until the block ends carries these fields, and what `bind` adds meanwhile. Empty ones are left out."""
    token = _bound.set({**(_bound.get() or {}), **_known(fields)})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**fields: Any) -> None:
    """Adds fields to the block that is open; without one they are forgotten, or they would stand on other work."""
    current = _bound.get()
    if current is not None:
        current.update(_known(fields))


def of_lambda(context: Any, function: str) -> dict[str, str]:
    """The fields that name the invocation: the function, and AWS's request id where Lambda's context gives one."""
    return {
        "function": str(getattr(context, "function_name", None) or function),
        "aws_request_id": str(getattr(context, "aws_request_id", None) or ""),
    }


def since_ms(begun: float) -> int:
    """Whole milliseconds since a reading of `time.perf_counter`."""
    return round((time.perf_counter() - begun) * 1000)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None)}


class JsonLines(logging.Formatter):
    """A record as one line of JSON: level, time, service, stage, message, what is bound, the call's own fields, and
    the stack trace of what was caught. A record that has `line` is written as that."""

    def format(self, record: logging.LogRecord) -> str:
        ready: str | None = getattr(record, "line", None)
        if ready is not None:
            return ready
        line: dict[str, Any] = {
            "level": record.levelname,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "service": SERVICE,
            "stage": settings().stage,
            "message": record.getMessage(),
        }
        own = {**(_bound.get() or {}), **getattr(record, "fields", {})}
        line.update((name, value) for name, value in own.items() if name not in line)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
            line["exception_name"] = record.exc_info[0].__name__
        # Scrubbed as a whole: a trace and a nested value can name a phone as well as a message can.
        return scrub(json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to what standard output is at that moment, unless it was sent elsewhere."""

    _elsewhere: TextIO | None = None

    def __init__(self) -> None:
        super().__init__()
        self._elsewhere = None
        self.setFormatter(JsonLines())

    @property
    def stream(self) -> TextIO:
        return self._elsewhere or sys.stdout

    @stream.setter
    def stream(self, elsewhere: TextIO | None) -> None:
        self._elsewhere = elsewhere


@lru_cache(maxsize=1)
def logger() -> logging.Logger:
    """The one logger of the functions: its handler writes JSON to standard output, and nothing reaches the root, whose
    handler in Lambda would write every line a second time."""
    # Not "linli": loggers of that name have parents and children of their own, and a line would come out twice.
    made = logging.getLogger("linli-functions")
    made.setLevel(settings().log_level)
    made.propagate = False
    made.addHandler(_Handler())
    return made


def send_to(stream: TextIO | None) -> None:
    """Lines go there from now on; to standard output again with None."""
    for handler in logger().handlers:
        if isinstance(handler, _Handler):
            handler.stream = stream


def info(message: str, **fields: Any) -> None:
    logger().info(scrub(message), extra={"fields": fields})


def warning(message: str, **fields: Any) -> None:
    logger().warning(scrub(message), extra={"fields": fields})


def error(message: str, caught: BaseException | None = None, **fields: Any) -> None:
    """With the stack trace in the log, never in an answer."""
    logger().error(scrub(message), extra={"fields": fields}, exc_info=caught)


def write(line: str) -> None:
    """Writes a line that is JSON already, whatever the level: it is for a machine and belongs to no conversation."""
    record = {"name": logger().name, "levelno": logging.INFO, "levelname": "INFO", "msg": line, "line": line}
    logger().handle(logging.makeLogRecord(record))
