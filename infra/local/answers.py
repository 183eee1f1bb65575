"""Answers the local stack gives by itself, in the shapes of the API: JSON, a page, a problem document."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# code: (status, English title, Chinese title). The application has its own table; these are the gateway's.
_PROBLEMS = {
    "malformed_request": (400, "The request could not be read.", "无法读取请求。"),
    "unauthenticated": (401, "Sign in first.", "请先登录。"),
    "forbidden": (403, "This is not allowed.", "没有权限。"),
    "not_found": (404, "There is nothing here.", "这里什么都没有。"),
    "method_not_allowed": (405, "This method is not supported here.", "此处不支持该方法。"),
    "conflict": (409, "This does not fit the present state.", "与当前状态不符。"),
    "payload_too_large": (413, "The request body is too large.", "请求内容过大。"),
    "uri_too_long": (414, "The address is too long.", "请求地址过长。"),
    "unsupported_media_type": (415, "This content type is not supported here.", "不支持该内容类型。"),
    "invalid_value": (422, "A value is not valid.", "参数值无效。"),
    "headers_too_large": (431, "The headers are too large.", "请求头过大。"),
    "internal_error": (500, "Something went wrong on our side.", "服务出现异常。"),
    "unavailable": (503, "Not available right now; try again.", "暂时不可用，请稍后重试。"),
}
# How a status the gateway or Chalice chose is called.
CODE_OF_STATUS = {status: code for code, (status, _, _) in _PROBLEMS.items()} | {
    408: "malformed_request",
    501: "method_not_allowed",
    505: "malformed_request",
}
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"


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
    code: str,
    detail: str = "",
    *,
    request_id: str | None = None,
    language: str = "",
    headers: Mapping[str, str] | None = None,
    close: bool = False,
) -> Answer:
    """Return a problem document for `code`; `language` is the request's Accept-Language.

    `detail` is for developers and English. Raises `KeyError` for an unknown code.
    """
    status, english, chinese = _PROBLEMS[code]
    request_id = request_id or new_request_id()
    document = {
        "type": "about:blank",
        "title": chinese if language.lower().startswith("zh") else english,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "errors": [],
    }
    all_headers = {"Content-Type": PROBLEM_JSON, "X-Request-Id": request_id, "Cache-Control": "no-store"}
    return Answer(
        status, json.dumps(document, ensure_ascii=False).encode(), all_headers | dict(headers or {}), close=close
    )


def new_request_id() -> str:
    """Return a new id for a request that brought none."""
    return secrets.token_hex(16)
