"""What a release may not do to what the one before it wrote, reads, or has promised: each answer is a list of faults.

Both sides are what `driver.describe` says of a release. Adding is fine; removing, renaming and changing are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Described = dict[str, Any]
Schema = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_UPPER = ("maxLength", "maximum", "maxItems", "exclusiveMaximum")
_LOWER = ("minLength", "minimum", "minItems", "exclusiveMinimum")


def storage_faults(before: Described, after: Described) -> list[str]:
    """Tables, indexes, attributes, queues, news and functions."""
    return [*_tables(before, after), *_rows(before, after), *_messages(before, after)]


def _tables(before: Described, after: Described) -> Iterator[str]:
    for name, old in before["tables"].items():
        new = after["tables"].get(name)
        if new is None:
            yield f"table {name} is gone"
            continue
        if old["KeySchema"] != new["KeySchema"] or old["ttl"] != new["ttl"]:
            yield f"table {name} has other keys, or another time to live"
        types = {one["AttributeName"]: one["AttributeType"] for one in new["AttributeDefinitions"]}
        yield from (
            f"table {name}: key attribute {one['AttributeName']} has another type"
            for one in old["AttributeDefinitions"]
            if types.get(one["AttributeName"]) != one["AttributeType"]
        )
        indexes = {index["IndexName"]: index for index in new.get("GlobalSecondaryIndexes", [])}
        yield from (
            f"index {name}.{index['IndexName']} is gone or has changed"
            for index in old.get("GlobalSecondaryIndexes", [])
            if indexes.get(index["IndexName"]) != index
        )


def _rows(before: Described, after: Described) -> Iterator[str]:
    """An attribute keeps its type; a new one of a row that the release before writes may be missing."""
    for name, old in before["rows"].items():
        new = after["rows"].get(name)
        if new is None:
            yield f"row {name} is gone or has another name"
            continue
        for attribute, (kind, *_) in old.items():
            if attribute not in new:
                yield f"{name}: attribute {attribute} is gone"
            elif new[attribute][0] != kind:
                yield f"{name}: attribute {attribute} was {kind} and is {new[attribute][0]}"
        for attribute in new.keys() - old.keys():
            _, may_be_missing, has_default = new[attribute]
            if not may_be_missing and not has_default:
                yield f"{name}: the new attribute {attribute} is missing in rows of the release before"


def _messages(before: Described, after: Described) -> Iterator[str]:
    for what in ("queues", "functions"):
        yield from (f"{what}: {name} is gone" for name in before[what].keys() - after[what].keys())
    for event, queue in before["news"].items():
        if after["news"].get(event) != queue:
            yield f"news {event} no longer goes to {queue}"


# ---------------------------------------------------------------------------------------------- the API


def api_faults(before: Schema, after: Schema) -> list[str]:
    """Operations, what they ask for and what they answer."""
    return list(_operations(before, after))


def _operations(before: Schema, after: Schema) -> Iterator[str]:
    for path, methods in before["paths"].items():
        for method in _METHODS:
            if method not in methods:
                continue
            name = f"{method.upper()} {path}"
            new = after["paths"].get(path, {}).get(method)
            if new is None:
                yield f"{name} is gone"
                continue
            old = methods[method]
            if old["operationId"] != new["operationId"]:
                yield f"{name} is called {new['operationId']} now"
            yield from _parameters(name, old, new, before, after)
            yield from _body(name, old, new, before, after)
            yield from _answers(name, old, new, before, after)


def _parameters(name: str, old: Schema, new: Schema, before: Schema, after: Schema) -> Iterator[str]:
    known = {(one["in"], one["name"]): one for one in old.get("parameters", [])}
    given = {(one["in"], one["name"]): one for one in new.get("parameters", [])}
    for key, one in known.items():
        if key not in given:
            yield f"{name}: parameter {key[1]} is gone"
        else:
            yield from _asked(f"{name} {key[1]}", one["schema"], given[key]["schema"], before, after)
    for key, one in given.items():
        if one.get("required") and not known.get(key, {}).get("required"):
            yield f"{name}: parameter {key[1]} is required now"


def _content(message: Schema) -> Schema | None:
    content = message.get("content", {})
    return next((part["schema"] for part in content.values()), None)


def _body(name: str, old: Schema, new: Schema, before: Schema, after: Schema) -> Iterator[str]:
    asked, asks = _content(old.get("requestBody", {})), _content(new.get("requestBody", {}))
    if asks is not None and asked is None:
        yield f"{name} takes a body now"
    elif asked is not None and asks is None:
        yield f"{name} takes no body any more"
    elif asked is not None and asks is not None:
        yield from _asked(f"{name} body", asked, asks, before, after)


def _answers(name: str, old: Schema, new: Schema, before: Schema, after: Schema) -> Iterator[str]:
    for status, message in old["responses"].items():
        answer = new["responses"].get(status)
        if answer is None:
            yield f"{name}: status {status} is gone"
            continue
        was, now = _content(message), _content(answer)
        if was is not None and now is None:
            yield f"{name} {status}: says nothing any more"
        elif was is not None and now is not None:
            yield from _told(f"{name} {status}", was, now, before, after)


def _resolved(schema: Schema, document: Schema) -> Schema:
    """Without a reference at its top; parts of an `allOf` together."""
    while "$ref" in schema:
        found = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    whole: Schema = {name: value for name, value in schema.items() if name != "allOf"}
    for part in schema.get("allOf", []):
        more = _resolved(part, document)
        properties = {**whole.get("properties", {}), **more.get("properties", {})}
        whole = {**more, **whole, "properties": properties}
    return whole


def _kinds(schema: Schema, document: Schema) -> set[str]:
    """The types that a value can have, an optional one's null included."""
    options = [_resolved(one, document) for one in schema.get("anyOf", schema.get("oneOf", []))] or [schema]
    found: set[str] = set()
    for option in options:
        kind = option.get("type")
        found |= set(kind) if isinstance(kind, list) else {kind} if kind else set()
    return found


def _parts(
    old: Schema, new: Schema, before: Schema, after: Schema, seen: frozenset[str]
) -> Iterator[tuple[str, Schema, Schema, frozenset[str]]]:
    """The same members, items and alternatives on both sides; a schema that contains itself ends there."""
    for name, one in old.get("properties", {}).items():
        if name in new.get("properties", {}) and one.get("$ref", "") not in seen:
            yield f".{name}", one, new["properties"][name], seen | {one["$ref"]} if "$ref" in one else seen
    if "items" in old and "items" in new and old["items"].get("$ref", "") not in seen:
        yield "[]", old["items"], new["items"], seen
    olds = [one for one in old.get("anyOf", []) if one.get("type") != "null"]
    news = [one for one in new.get("anyOf", []) if one.get("type") != "null"]
    if len(olds) == len(news) == 1:
        yield "", olds[0], news[0], seen


def _told(
    where: str, old: Schema, new: Schema, before: Schema, after: Schema, seen: frozenset[str] = frozenset()
) -> Iterator[str]:
    """What a client reads: every field is there still, of the same type, and as surely as before."""
    old, new = _resolved(old, before), _resolved(new, after)
    if not _kinds(new, after) <= _kinds(old, before) and _kinds(old, before):
        yield f"{where}: was {sorted(_kinds(old, before))}, is {sorted(_kinds(new, after))}"
    for name in old.get("properties", {}).keys() - new.get("properties", {}).keys():
        yield f"{where}.{name} is gone"
    for name in set(old.get("required", [])) - set(new.get("required", [])):
        yield f"{where}.{name} may be missing now"
    gone = set(old.get("enum", [])) - set(new.get("enum", old.get("enum", [])))
    if gone:
        yield f"{where}: {sorted(map(str, gone))} is gone"
    for name, one, other, deeper in _parts(old, new, before, after, seen):
        yield from _told(where + name, one, other, before, after, deeper)


def _asked(
    where: str, old: Schema, new: Schema, before: Schema, after: Schema, seen: frozenset[str] = frozenset()
) -> Iterator[str]:
    """What a client sends: everything that was accepted is accepted still, and nothing more is needed."""
    old, new = _resolved(old, before), _resolved(new, after)
    if not _kinds(old, before) <= _kinds(new, after):
        yield f"{where}: took {sorted(_kinds(old, before))}, takes {sorted(_kinds(new, after))}"
    for name in set(new.get("required", [])) - set(old.get("required", [])):
        yield f"{where}.{name} is required now"
    for name in old.get("properties", {}).keys() - new.get("properties", {}).keys():
        yield f"{where}.{name} is not taken any more"
    if "enum" in new and not set(old.get("enum", [object()])) <= set(new["enum"]):
        yield f"{where}: takes fewer values"
    for bound in _UPPER:
        if bound in new and new[bound] < old.get(bound, float("inf")):
            yield f"{where}: {bound} is lower"
    for bound in _LOWER:
        if bound in new and new[bound] > old.get(bound, float("-inf")):
            yield f"{where}: {bound} is higher"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{where}: another pattern"
    for name, one, other, deeper in _parts(old, new, before, after, seen):
        yield from _asked(where + name, one, other, before, after, deeper)
