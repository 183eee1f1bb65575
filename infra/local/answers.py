"""Answers the local stack gives by itself, in the shapes of the API: JSON, a page, a problem document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.kernel import errors, ids
from chalicelib.kernel.errors import Problem
from chalicelib.web import problems

JSON = "application/json"
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

# The problem that a status is when the gateway, Chalice or the local provider chose nothing but the status.
_OF_STATUS: dict[int, type[Problem]] = {
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    409: errors.Conflict,
    413: errors.TooLarge,
    415: errors.WrongMediaType,
    422: errors.Invalid,
    501: errors.MethodNotAllowed,  # a method that HTTP does not know
    503: errors.Unavailable,
}


def problem_of_status(status: int) -> type[Problem]:
    """Return the problem that `status` is: what the caller did wrong below 500, ours from there on.

    >>> problem_of_status(414).code, problem_of_status(502).code
    ('malformed', 'internal')
    """
    return _OF_STATUS.get(status, errors.Malformed if status < 500 else Problem)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `close` also ends the connection."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return `value` as JSON; what JSON does not know is written as text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return Answer(status, text.encode(), {"Content-Type": JSON, "Cache-Control": "no-store"})


def problem(
    found: Problem | type[Problem],
    *,
    request_id: str | None = None,
    language: str = "",
    headers: Mapping[str, str] | None = None,
    close: bool = False,
) -> Answer:
    """Return the document the application would answer `found` with; `language` is the request's Accept-Language."""
    thing = found() if isinstance(found, type) else found
    request_id = request_id or ids.random_id("req")
    locale = problems.choose_language(language)
    document = problems.document(thing, locale, request_id)
    all_headers = {
        "Content-Type": problems.MEDIA_TYPE,
        "Content-Language": locale,
        "X-Request-Id": request_id,
        "Cache-Control": "no-store",
        **({"Retry-After": str(thing.retry_after_seconds or 1)} if thing.status == 503 else {}),
        **(headers or {}),
    }
    return Answer(thing.status, json.dumps(document, ensure_ascii=False).encode(), all_headers, close=close)


def request_id_of(asked: str) -> str:
    """Return the request's own X-Request-Id, or a new one when it has none that may be written into a log."""
    return asked if _REQUEST_ID.fullmatch(asked) else ids.random_id("req")
