"""Structured logs: one JSON object a line, through Powertools, with the request's id. Personal data is scrubbed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_PHONE = re.compile(r"\+\d{7,15}")
_SECRETS = re.compile(r"(sk_(?:test|live)_|whsec_|Bearer\s+|eyJ)[A-Za-z0-9_.\-]+")


def scrub(text: str) -> str:
    """Phone numbers and tokens become stars; ids stay, for they name nobody."""
    return _SECRETS.sub(r"\1***", _PHONE.sub("+***", text))


@lru_cache(maxsize=1)
def logger() -> Any:
    """The one logger of the functions: its handlers write JSON."""
    from aws_lambda_powertools import Logger

    # Not "linli": loggers of that name have parents and children of their own, and a line would come out twice.
    return Logger(service="linli-functions", log_uncaught_exceptions=False)


def info(message: str, **fields: Any) -> None:
    logger().info(scrub(message), extra=_clean(fields))


def warning(message: str, **fields: Any) -> None:
    logger().warning(scrub(message), extra=_clean(fields))


def error(message: str, caught: BaseException | None = None, **fields: Any) -> None:
    """With the stack trace in the log, never in an answer."""
    logger().error(scrub(message), extra=_clean(fields), exc_info=caught)


def _clean(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: scrub(value) if isinstance(value, str) else value for name, value in fields.items()}
