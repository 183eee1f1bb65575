"""Headers that every client builds on: request ids, ETags, languages, nothing cached that is personal."""

from __future__ import annotations

import pytest

from chalicelib.web.router import OPERATIONS, Operation
from tests.builders import town
from tests.client import Client, Reply

READS = [operation for operation in OPERATIONS if operation.method == "GET"]


def read(operation: Operation, **headers: str) -> Reply:
    place = town.town()
    people = {"merchant": place.visit.salon.owner, "operator": place.operator}
    return people.get(operation.allow.kind, place.customer).client.get(place.target(operation), **headers)


def each_read() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", READS, ids=lambda operation: operation.name)


@each_read()
def test_a_read_carries_an_etag_and_honours_it(operation: Operation) -> None:
    """304 without a body when nothing has changed, weak or in a list or as a star; 200 for any other mark."""
    first = read(operation)
    mark = first.headers["ETag"]
    assert mark[0] == mark[-1] == '"'
    for asked in (mark, f"W/{mark}", f'"x", {mark}', "*"):
        again = read(operation, If_None_Match=asked)
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", mark), asked
    for other in ('"x"', "x", "é", ""):
        assert read(operation, If_None_Match=other).status == 200


@each_read()
def test_a_personal_read_is_never_kept_by_a_shared_cache(operation: Operation) -> None:
    cached = read(operation).headers.get("Cache-Control", "")
    assert operation.allow.kind == "public" or "public" not in cached


@pytest.mark.parametrize("request_id", ["abc", "req-1", "0" * 128, "3f0c1f2e-8f3a-4a6e-9a57-1b1a6a0d4b77"])
def test_a_request_id_is_echoed(request_id: str) -> None:
    for reply in (Client().get("/healthz", X_Request_Id=request_id), Client().get("/v1/me", X_Request_Id=request_id)):
        assert reply.headers["X-Request-Id"] == request_id
    assert reply.json["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "é", "0" * 129, "a\tb"])
def test_a_request_id_that_would_spoil_a_log_is_replaced(request_id: str) -> None:
    reply = Client().get("/healthz", X_Request_Id=request_id)
    assert reply.headers["X-Request-Id"] not in ("", request_id)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh-TW", "zh-CN"),
        ("en;q=0.1, zh;q=0.9", "zh-CN"),
        ("fr", "zh-CN"),
        ("", "zh-CN"),
        ("*", "zh-CN"),
        ("en;q=0", "zh-CN"),
        ("en;q=nan", "zh-CN"),
        (";;;,,q=", "zh-CN"),
        ("x" * 10_000, "zh-CN"),
    ],
)
def test_the_language_is_the_callers(asked: str, language: str) -> None:
    reply = Client().get("/v1/me", Accept_Language=asked)
    assert reply.headers["Content-Language"] == language
    assert "Accept-Language" in reply.headers["Vary"]


@each_read()
def test_two_languages_of_one_thing_have_two_etags_or_one_text(operation: Operation) -> None:
    """A cache that holds the Chinese text must not be told that it may show it to an English reader."""
    english, chinese = read(operation, Accept_Language="en"), read(operation, Accept_Language="zh-CN")
    same_words = _without_time(english.text) == _without_time(chinese.text)
    assert same_words or english.headers["ETag"] != chinese.headers["ETag"]


def _without_time(text: str) -> str:
    import re

    return re.sub(r'"server_time":"[^"]*"', "", text)
