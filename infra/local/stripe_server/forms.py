"""Stripe's form encoding: `metadata[order_id]=1&expand[0]=charge` becomes a nested dict and lists."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from infra.local.stripe_server.errors import refuse

MAX_FIELDS = 2000
MAX_DEPTH = 8
_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> dict[str, Any]:
    """Decode a form body or query string. Leaves are strings; raises ApiError 400 for a malformed key."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError):
        refuse("Invalid request: the body is not a valid form.")
    root: dict[str, Any] = {}
    for key, value in pairs:
        if "\x00" in key or "\x00" in value:
            refuse("Invalid string: null bytes are not allowed.", param=key.replace("\x00", ""))
        _place(root, _path(key), value, key)
    return {key: _lists(value) for key, value in root.items()}


def _path(key: str) -> list[str]:
    match = _KEY.match(key)
    if match is None:
        refuse(f"Invalid parameter name: {key[:100]}", param=key[:100], code="parameter_unknown")
    path = [match.group(1), *_PART.findall(match.group(2))]
    if len(path) > MAX_DEPTH:
        refuse("Parameters are nested too deeply.", param=path[0])
    return path


def _place(root: dict[str, Any], path: list[str], value: str, key: str) -> None:
    node = root
    for depth, part in enumerate(path):
        # `a[]=x` appends: it takes the next free index of its list.
        name = part if part or depth == 0 else str(len(node))
        if depth == len(path) - 1:
            if isinstance(node.get(name), dict):
                refuse(f"Invalid parameter: {key}", param=path[0])
            node[name] = value
            return
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            refuse(f"Invalid parameter: {key}", param=path[0])


def _lists(value: Any) -> Any:
    """Turn `{"0": a, "1": b}` into `[a, b]`, at every level; a gap in the indices keeps it a dict."""
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(item) for key, item in value.items()}
    if inner and set(inner) == {str(n) for n in range(len(inner))}:
        return [inner[str(n)] for n in range(len(inner))]
    return inner
