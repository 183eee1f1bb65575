"""Problem documents: every error leaves as application/problem+json, in the caller's language."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from chalicelib.kernel.errors import Invalid, Malformed, Problem
from chalicelib.runtime.messages import LANGUAGES, catalogue

__all__ = ["LANGUAGES", "MEDIA_TYPE", "catalogue", "choose_language", "document", "from_validation"]

MEDIA_TYPE = "application/problem+json"


def choose_language(accept_language: str) -> str:
    """The best of zh-CN and en for an Accept-Language header; zh-CN when it names neither."""
    ranked: list[tuple[float, int, str]] = []
    for part in accept_language[:200].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        language = "zh-CN" if tag.lower().startswith("zh") else "en" if tag.lower().startswith("en") else ""
        if language and quality > 0:
            ranked.append((-quality, len(ranked), language))
    return min(ranked)[2] if ranked else "zh-CN"


def document(problem: Problem, locale: str, request_id: str) -> dict[str, Any]:
    """The body of an error answer: type, title, status, detail, code, request_id, errors and the problem's extras."""
    messages = catalogue(locale)["problems"]
    title, detail = messages[problem.code]
    for name, value in problem.detail_args.items():
        detail = detail.replace("{" + name + "}", value)
    return {
        "type": f"https://linli.dev/problems/{problem.code}",
        "title": title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        "request_id": request_id,
        "errors": [_worded(error, locale) for error in problem.errors],
        **problem.extras,
    }


def _worded(error: dict[str, str], locale: str) -> dict[str, str]:
    """One field's trouble in a language: the validator's own English, or our words for that kind of trouble."""
    words = catalogue(locale).get("fields", {})
    kind = error.get("kind", "")
    message = words.get(kind) or words.get("other") if kind and words else None
    return {"field": error["field"], "message": message or error["message"]}


def from_validation(error: ValidationError, where: str = "") -> Problem:
    """400 for text that is not JSON, 422 with one entry a field for values that are not acceptable."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(item["type"] == "json_invalid" for item in found):
        return Malformed()
    return Invalid(
        errors=[
            {
                "field": where + ".".join(str(part)[:80] for part in item["loc"]),
                "message": item["msg"].removeprefix("Value error, ")[:200],
                "kind": item["type"],
            }
            for item in found[:20]
        ]
    )
