"""Calls the app as API Gateway would: a real event in, the function's answer out. No network, no mocks."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from chalicelib.web.application import surface_of
from tests import allowed


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """A problem document's code."""
        return str(self.json["code"])


@lru_cache(maxsize=1)
def _app() -> Any:
    """The app, with its current request kept apart for each thread, as the local server does it."""
    from app import app
    from infra.local.http import keep_requests_apart

    keep_requests_apart(app)
    return app


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Longest literal first, as API Gateway prefers a static part to a parameter."""
    paths = sorted(_app().routes, key=lambda path: (path.count("{"), path))
    return [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), path) for path in paths]


def _route_of(path: str) -> tuple[re.Match[str], str]:
    for pattern, resource in _patterns():
        match = pattern.fullmatch(path)
        if match:
            return match, resource
    raise AssertionError(f"no route for {path}")


def event_of(method: str, target: str, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    """What API Gateway hands over. `body` may be bytes (sent as they are) or anything that JSON can say."""
    parts = urlsplit(target)
    match, resource = _route_of(parts.path)
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return {
        "httpMethod": method,
        "path": parts.path,
        "resource": resource,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "multiValueQueryStringParameters": parse_qs(parts.query, keep_blank_values=True) or None,
        "pathParameters": {name: unquote(value) for name, value in match.groupdict().items()},
        "stageVariables": None,
        "body": base64.b64encode(raw).decode() if raw else None,
        "isBase64Encoded": bool(raw),
        "requestContext": {
            "httpMethod": method,
            "resourcePath": resource,
            "path": parts.path,
            "identity": {"sourceIp": "127.0.0.1"},
        },
    }


class Client:
    """`token` is sent as the bearer (a callable makes a fresh one for each call); other headers are given per call."""

    def __init__(self, token: str | Callable[[], str] = "", *, language: str = "en") -> None:
        self.token = token
        self.language = language

    def get(self, target: str, **headers: str) -> Reply:
        return self.request("GET", target, headers=headers)

    def post(self, target: str, body: Any = None, *, key: str = "", **headers: str) -> Reply:
        return self.request("POST", target, body, {**headers, **({"Idempotency-Key": key} if key else {})})

    def patch(self, target: str, body: Any = None, **headers: str) -> Reply:
        return self.request("PATCH", target, body, headers)

    def delete(self, target: str, **headers: str) -> Reply:
        return self.request("DELETE", target, headers=headers)

    def _send(self, event: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = _app()(event, None)
        return answer

    def request(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """`body` as `event_of` takes it; header names may use underscores."""
        sent = {"Accept-Language": self.language, "Content-Type": "application/json"}
        token = self.token() if callable(self.token) else self.token
        if token:
            sent["Authorization"] = f"Bearer {token}"
        sent.update({name.replace("_", "-"): value for name, value in (headers or {}).items()})
        event = event_of(method, target, body, sent)
        with allowed.acting_as(surface_of(event["resource"])):
            answer = self._send(event)
        merged = {**answer["headers"], **{k: v[-1] for k, v in answer.get("multiValueHeaders", {}).items()}}
        return Reply(answer["statusCode"], merged, answer["body"])
