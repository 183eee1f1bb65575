"""The API document: valid, complete, and true to the declarations it is made from."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import app as _app  # noqa: F401  # registers every operation
from chalicelib.web import openapi
from chalicelib.web.problems import MEDIA_TYPE
from chalicelib.web.router import OPERATIONS, Operation
from tests.client import Client


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    found: dict[str, Any] = Client().get("/v1/openapi.json").json
    return found


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][operation.path][operation.method.lower()]
    return found


def each_operation() -> Any:
    return pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def test_it_is_valid_openapi_31() -> None:
    OpenAPIV31SpecValidator(document()).validate()
    assert document()["openapi"] == "3.1.0"


def test_it_shows_every_operation_and_no_other() -> None:
    shown = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert shown == {(operation.method, operation.path) for operation in OPERATIONS}


def test_each_operation_id_is_stable_and_its_own() -> None:
    """The declared function's name, in words that a code generator can use."""
    names = Counter(operation.name for operation in OPERATIONS)
    assert [name for name, count in names.items() if count > 1] == []
    for operation in OPERATIONS:
        assert described(operation)["operationId"] == operation.name
        assert re.fullmatch(r"[a-z][a-z0-9_]{2,40}", operation.name), operation.name


@each_operation()
def test_it_has_an_example_of_every_json_body_and_each_fits_its_model(operation: Operation) -> None:
    shown = described(operation)
    if operation.body is not None:
        example = shown["requestBody"]["content"]["application/json"]["example"]
        operation.body.model_validate(example)
    for status, model in operation.answers.items():
        if model is not None:
            example = shown["responses"][str(status)]["content"]["application/json"]["example"]
            model.model_validate(example)


@each_operation()
def test_every_error_code_is_documented_with_its_words(operation: Operation) -> None:
    """Those that the operation declares, and those that follow from its declaration."""
    shown = described(operation)["responses"]
    for problem in openapi.errors_of(operation):
        answer = shown[str(problem.status)]
        codes = answer["content"][MEDIA_TYPE]["schema"]["allOf"][1]["properties"]["code"]["enum"]
        assert problem.code in codes
        where = answer["content"][MEDIA_TYPE]["examples"][problem.code]["$ref"].rpartition("/")[2]
        assert document()["components"]["examples"][where]["value"]["code"] == problem.code
        assert f"`{problem.code}`" in answer["description"]


@each_operation()
def test_what_must_be_sent_is_declared(operation: Operation) -> None:
    """Path parameters, the idempotency key, If-Match and the bearer, each where the declaration asks for it."""
    shown = described(operation)
    parameters = {(parameter["in"], parameter["name"]): parameter for parameter in shown["parameters"]}
    for name in re.findall(r"{(\w+)}", operation.path):
        assert parameters["path", name]["required"]
    key = parameters.get(("header", "Idempotency-Key"))
    assert (key is not None) == (operation.idempotency != "none")
    assert key is None or key["required"] == (operation.idempotency == "required")
    assert (("header", "If-Match") in parameters) == operation.if_match
    assert bool(shown["security"]) == (operation.allow.kind not in ("public", "signed"))


@each_operation()
def test_a_read_documents_that_it_may_be_unchanged(operation: Operation) -> None:
    assert ("304" in described(operation)["responses"]) == (operation.method == "GET")
