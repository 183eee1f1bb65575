"""The house itself: health, the API document, problem documents."""

from __future__ import annotations

from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib.kernel.errors import all_problems
from chalicelib.web import problems
from tests.client import Client


def test_health_says_ok_and_the_version() -> None:
    reply = Client().get("/healthz")
    assert (reply.status, reply.json["status"]) == (200, "ok")


def test_the_api_document_is_valid_openapi_31() -> None:
    document = Client().get("/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_problem_has_words_in_both_languages() -> None:
    codes = {problem.code for problem in all_problems()}
    for language in problems.LANGUAGES:
        assert codes <= set(problems.catalogue(language)["problems"]), language


def test_a_read_carries_an_etag_and_honours_it() -> None:
    first = Client().get("/healthz")
    again = Client().get("/healthz", If_None_Match=first.headers["ETag"])
    assert (again.status, again.text) == (304, "")


def test_what_is_wrong_with_a_field_is_said_in_the_callers_language() -> None:
    """In Chinese in our words, in English in the validator's, and never with its insides."""
    for language, words in (
        ("zh-CN", ["必填", "不认识的字段"]),
        ("en", ["Field required", "Extra inputs are not permitted"]),
    ):
        reply = Client(language=language).post("/v1/auth/otp", {"fone": "1"})
        assert [error["message"] for error in reply.json["errors"]] == words
        assert all(set(error) == {"field", "message"} for error in reply.json["errors"])
    wrong = Client().post("/v1/auth/otp", {"phone": "+999999"}).json["errors"][0]["message"]
    assert wrong == "not a phone number in E.164"
