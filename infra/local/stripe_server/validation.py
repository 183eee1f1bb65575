"""Parameters are checked against the SDK's own typed parameters, so an unknown or misspelt one is refused.

The SDK's TypedDicts are rebuilt with `extra=forbid`. Two things are tightened on the way: an open enumeration
(`Literal[...] | str`) is closed, because Stripe's server closes it, and integers and booleans accept only the
spellings that Stripe accepts on the wire.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import stripe
import typing_extensions
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from stripe import params as sdk
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject

from infra.local.stripe_server.errors import refuse

MAX_METADATA_KEYS = 50
MAX_METADATA_KEY_CHARS = 40
MAX_METADATA_VALUE_CHARS = 500
MAX_STRING_CHARS = 5000

_INTEGER = re.compile(r"^-?[0-9]{1,18}$", re.ASCII)
_NAMES = {"Mapping": Mapping, "Dict": dict, "List": list, "Any": Any, "StripeContext": stripe.StripeContext}
_typed_dict: Any = typing_extensions.TypedDict


def _integer(value: object) -> int:
    if isinstance(value, str) and _INTEGER.match(value):
        return int(value)
    raise ValueError("invalid_integer")


def _boolean(value: object) -> bool:
    if value in {"true", "false"}:
        return value == "true"
    raise ValueError("invalid_boolean")


def _string(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_STRING_CHARS:
        return value
    raise ValueError("invalid_string")


_LEAVES: dict[Any, Any] = {
    int: Annotated[int, BeforeValidator(_integer)],
    bool: Annotated[bool, BeforeValidator(_boolean)],
    str: Annotated[str, BeforeValidator(_string)],
}


def check(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Check decoded form values against `stripe.params.<name>`; return them with integers and booleans as such.

    Raises ApiError 400 with `parameter_unknown`, `parameter_missing`, `parameter_invalid_integer` or a plain
    message, and `param` in Stripe's spelling (`metadata[order_id]`).
    """
    try:
        checked: dict[str, Any] = adapter(name).validate_python(values)
    except ValidationError as problem:
        _refuse_first(problem, values)
    _check_metadata(checked.get("metadata"))
    return checked


def warm() -> None:
    """Build the largest forms ahead of their first use."""
    for name in ("PaymentIntentCreateParams", "PaymentIntentConfirmParams", "RefundCreateParams"):
        adapter(name)


@cache
def adapter(name: str) -> TypeAdapter[dict[str, Any]]:
    """The strict form of one of the SDK's parameter types, by its name."""
    return TypeAdapter(_strict(getattr(sdk, name)))


@cache
def _strict(declared: Any) -> Any:
    """A copy of a TypedDict that forbids unknown keys. Request options of the SDK are not parameters: left out."""
    fields: dict[str, Any] = {}
    for key, hint in get_type_hints(declared, localns=_NAMES, include_extras=True).items():
        if key in RequestOptions.__annotations__:
            continue
        optional = get_origin(hint) in {typing.NotRequired, typing_extensions.NotRequired}
        inner = _convert(get_args(hint)[0] if optional else hint)
        fields[key] = typing_extensions.NotRequired[inner] if optional else inner
    rebuilt = _typed_dict(declared.__name__, fields)
    rebuilt.__pydantic_config__ = ConfigDict(extra="forbid")
    return rebuilt


def _convert(hint: Any) -> Any:
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _convert_union([arg for arg in get_args(hint) if arg is not UntypedStripeObject[str]])
    if origin in {list, dict}:
        converted = tuple(_convert(arg) for arg in get_args(hint))
        return origin[converted if len(converted) > 1 else converted[0]]
    if typing_extensions.is_typeddict(hint):
        return _strict(hint)
    return _LEAVES.get(hint, hint)


def _convert_union(arms: list[Any]) -> Any:
    named = [arm for arm in arms if get_origin(arm) is Literal and set(get_args(arm)) != {""}]
    kept = [arm for arm in arms if not (named and arm is str)]
    converted = [_convert(arm) for arm in kept]
    return converted[0] if len(converted) == 1 else Union[tuple(converted)]  # noqa: UP007 - built at run time


def _refuse_first(problem: ValidationError, values: dict[str, Any]) -> NoReturn:
    # Unknown names come first, as Stripe reports them before anything about values; then the deepest complaint,
    # because the shallow arm of a union (`''` or an object) complains about every object.
    errors = problem.errors()
    first = min(errors, key=lambda error: (error["type"] != "extra_forbidden", -len(error["loc"])))
    path = _real_path(first["loc"], values)
    param = path[0] + "".join(f"[{part}]" for part in path[1:])
    if first["type"] == "extra_forbidden":
        refuse(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
    if first["type"] == "missing":
        refuse(f"Missing required param: {param}.", code="parameter_missing", param=param)
    given = str(first.get("input"))[:100]
    if "invalid_integer" in first["msg"]:
        refuse(f"Invalid integer: {given}", code="parameter_invalid_integer", param=param)
    if "invalid_boolean" in first["msg"]:
        refuse(f"Invalid boolean: {given}", param=param)
    if first["type"] == "literal_error":
        refuse(f"Invalid {param}: must be one of {first['ctx']['expected']}", param=param)
    refuse(f"Invalid {'array' if first['type'] == 'list_type' else 'value'} for {param}: {given}", param=param)


def _real_path(location: tuple[int | str, ...], values: Any) -> list[str]:
    """Pydantic's location without the names of union arms: what the caller really sent."""
    path: list[str] = []
    node = values
    for part in location:
        if isinstance(node, dict) and (part in node or not path or part == location[-1]):
            if part not in node and not _IDENTIFIER.match(str(part)):
                continue
            path.append(str(part))
            node = node.get(part)
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            path.append(str(part))
            node = node[part]
    return path or [str(location[0])]


_IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")


def _check_metadata(metadata: Any) -> None:
    """Stripe's limits: 50 keys of 40 characters with values of 500."""
    if not isinstance(metadata, dict):
        return
    if len(metadata) > MAX_METADATA_KEYS:
        refuse(f"Metadata may have at most {MAX_METADATA_KEYS} keys.", param="metadata")
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY_CHARS:
            refuse(f"Metadata keys may have at most {MAX_METADATA_KEY_CHARS} characters.", param=f"metadata[{key}]")
        if len(value) > MAX_METADATA_VALUE_CHARS:
            refuse(f"Metadata values may have at most {MAX_METADATA_VALUE_CHARS} characters.", param=f"metadata[{key}]")
