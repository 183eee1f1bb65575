"""The API document: OpenAPI 3.1 from the declared operations, nothing written twice."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.kernel import errors
from chalicelib.runtime.settings import settings
from chalicelib.web import auth, examples, problems
from chalicelib.web.router import OPERATIONS, Operation
from chalicelib.web.schema import Empty

_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")

_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def errors_of(operation: Operation) -> list[type[errors.Problem]]:
    """Every problem that an operation can answer: what it declares, and what its declaration implies."""
    found: list[type[errors.Problem]] = [errors.Unavailable, errors.Malformed, *operation.errors]
    if operation.limited:
        found += [errors.TooMany]
    if operation.allow.kind in ("consumer", "merchant", "operator"):
        found += [errors.Unauthorized]
    if operation.allow.kind in ("merchant", "operator"):
        found += [errors.Forbidden]
    if operation.allow.kind == "merchant":
        found += [auth.MerchantAmbiguous]
    if operation.body is not None or operation.method != "GET":
        found += [errors.TooLarge]
    if operation.body is not None:
        found += [errors.WrongMediaType, errors.Invalid]
    if operation.query is not None:
        found += [errors.Invalid, errors.CursorInvalid]
    if _PARAMETER.search(operation.path):
        found += [errors.NotFound]
    if operation.idempotency != "none":
        found += [errors.IdempotencyKeyMalformed, errors.IdempotencyKeyReused]
    if operation.idempotency == "required":
        found += [errors.IdempotencyKeyMissing]
    if operation.if_match:
        found += [errors.IfMatchMissing, errors.Stale]
    return sorted(set(found), key=lambda problem: (problem.status, problem.code))


def build() -> dict[str, Any]:
    """The whole document, whatever the order of imports. Call it after every slice's routes are registered."""
    operations = sorted(OPERATIONS, key=lambda o: (o.tag, o.path, o.method))
    inputs = [(o.body, "validation") for o in operations if o.body is not None]
    outputs = [(model, "serialization") for o in operations for model in o.answers.values() if model is not None]
    wanted: Any = list(dict.fromkeys(inputs + outputs))
    references, schemas = models_json_schema(wanted, ref_template=_REF)
    components: dict[str, Any] = {**schemas.get("$defs", {}), "Problem": _PROBLEM_SCHEMA}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Linli 邻里",
            "version": settings().version,
            "description": "The open back end for local services: find, book, pay, enjoy.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings().public_url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(o.tag for o in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "examples": {problem.code: {"value": _problem_example(problem)} for problem in _problems()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _problems() -> list[type[errors.Problem]]:
    found = {problem.code: problem for operation in OPERATIONS for problem in errors_of(operation)}
    return [found[code] for code in sorted(found)]


def _operation(operation: Operation, references: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": _responses(operation, references, components),
        "security": [] if operation.allow.kind in ("public", "signed") else [{"bearer": []}],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.allow.permission:
        described["x-linli-permission"] = operation.allow.permission
    if operation.body is not None:
        media = _media(references[(operation.body, "validation")], components, operation.example)
        described["requestBody"] = {
            "required": not issubclass(operation.body, Empty),
            "content": {"application/json": media},
        }
    elif operation.allow.kind == "signed":
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": {}}}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        found += _query_parameters(operation.query)
    if operation.idempotency != "none":
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": operation.idempotency == "required",
                "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
            }
        )
    if operation.if_match:
        found.append({"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}})
    if operation.allow.kind == "merchant":
        found.append({"name": "Linli-Merchant", "in": "header", "required": False, "schema": {"type": "string"}})
    return found


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    defs = schema.get("$defs", {})
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": _inlined(field, defs),
            **({"style": "form", "explode": True} if field.get("type") == "array" else {}),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _inlined(field: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in field:
        return dict(defs[field["$ref"].rpartition("/")[2]])
    # `null` is how pydantic says optional; a query string cannot carry it.
    variants = [variant for variant in field.get("anyOf", []) if variant.get("type") != "null"]
    if len(variants) == 1:
        return {**{k: v for k, v in field.items() if k not in ("anyOf", "default")}, **variants[0]}
    return {k: v for k, v in field.items() if k != "default" or v is not None}


def _media(
    reference: dict[str, Any], components: dict[str, Any], example: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"schema": reference, "example": examples.example_of(reference, components) if example is None else example}


def _responses(operation: Operation, references: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        described: dict[str, Any] = {"description": operation.summary}
        if model is not None:
            media = _media(references[(model, "serialization")], components)
            described["content"] = {operation.media_type: media}
        elif status != 204:
            kind = "object" if operation.media_type == "application/json" else "string"
            described["content"] = {operation.media_type: {"schema": {"type": kind}}}
        responses[str(status)] = described
    if operation.method == "GET":
        responses["304"] = {"description": "Unchanged since the ETag in If-None-Match"}
    messages = problems.catalogue("en")["problems"]
    by_status: dict[int, list[type[errors.Problem]]] = {}
    for problem in errors_of(operation):
        by_status.setdefault(problem.status, []).append(problem)
    for status, group in by_status.items():
        declared = responses.get(str(status), {}).get("content", {})
        responses[str(status)] = {
            "description": "; ".join(f"`{p.code}`: {messages[p.code][0]}" for p in group),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Problem"},
                            {"properties": {"code": {"enum": [p.code for p in group]}}},
                        ]
                    },
                    "examples": {p.code: {"$ref": f"#/components/examples/{p.code}"} for p in group},
                },
                **declared,
            },
        }
    return responses


def _problem_example(problem: type[errors.Problem]) -> dict[str, Any]:
    title, detail = problems.catalogue("en")["problems"][problem.code]
    return {
        "type": f"https://linli.dev/problems/{problem.code}",
        "title": title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        "request_id": "req_0123456789abcdefghjkmnpqrs",
        "errors": [],
    }
