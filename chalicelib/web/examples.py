"""Examples of bodies, made from their schemas, so that the API document shows none that its model would refuse."""

from __future__ import annotations

from typing import Any

INSTANT = "2026-11-22T09:57:16.123Z"
_INSTANTS = ("_at", "_start", "_end", "_by", "at", "server_time")
_REF = "#/components/schemas/"


def example_of(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """A value that fits: what the schema itself gives as example, const or default, else the plainest of its type.

    An object shows what it requires and whatever brings an example of its own.
    """
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(_REF)], schemas, name)
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("default") is not None:
        return schema["default"]
    if "anyOf" in schema:
        variants = [variant for variant in schema["anyOf"] if variant.get("type") != "null"]
        return example_of(variants[0], schemas, name)
    return _plainest(schema, schemas, name)


def _plainest(schema: dict[str, Any], schemas: dict[str, Any], name: str) -> Any:
    match schema.get("type"):
        case "object":
            required = schema.get("required", [])
            return {
                field: example_of(inner, schemas, field)
                for field, inner in schema.get("properties", {}).items()
                if field in required or "examples" in inner
            }
        case "array":
            return [example_of(schema["items"], schemas, name)]
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return True
        case _:
            return INSTANT if name.endswith(_INSTANTS) else _word(schema)


def _word(schema: dict[str, Any]) -> str:
    return "text".ljust(schema.get("minLength", 0), "t")[: schema.get("maxLength", 80)]
