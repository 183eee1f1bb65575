"""What a cold start in Lambda leaves out: parts of two libraries that they import and we never use.

PynamoDB imports botocore's client to make one; ours sends its calls (`dynamo`), and what is left are names in its
annotations. PyJWT imports all of cryptography where it is installed; our tokens are HS256, for which it needs none, and
it runs without. Both are told at their import that these parts are not there. Whoever asks for them later, boto3 for
one, finds the real ones.

Only in Lambda, where one thread imports; everywhere else the libraries are whole, so that no test depends on this but
those that start a process as Lambda does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


def in_lambda() -> bool:
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def load_pynamodb() -> None:
    from botocore.exceptions import ClientError

    without = {
        "botocore.client": _module(ClientError=ClientError),
        "botocore.config": _module(),
        "botocore.session": _module(get_session=_not_ours, Session=object),
        "pynamodb.connection._botocore_private": _module(BotocoreBaseClientPrivate=object),
    }
    with _standing_in(without):
        import_module("pynamodb.models")


def load_jwt() -> None:
    with _standing_in({"cryptography": None} if in_lambda() else {}):
        import_module("jwt")


def _module(**names: Any) -> ModuleType:
    made = ModuleType("stand-in")
    vars(made).update(names)
    return made


def _not_ours() -> None:
    raise AssertionError("PynamoDB asks for a session of botocore: its calls go through runtime.dynamo")


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Who imports one of these meanwhile gets the stand-in, or for None an ImportError. Those that are loaded already
    stay as they are."""
    known: dict[str, Any] = sys.modules
    put = {name: module for name, module in modules.items() if name not in known}
    known.update(put)
    for name, module in put.items():
        package, _, short = name.rpartition(".")
        if package in known:
            setattr(known[package], short, module)
    try:
        yield
    finally:
        for name in put:
            package, _, short = name.rpartition(".")
            del known[name]
            if package in known:
                vars(known[package]).pop(short, None)
