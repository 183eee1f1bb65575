"""Numbers as they are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.invariants.reading import Seen

WHOLE = re.compile(r"-?\d+", re.ASCII)
SUSPECT = re.compile(r"\d[.eE][-+\d]|NaN|Infinity", re.ASCII)


def numbers_are_whole(seen: Seen) -> list[str]:
    """money 19: no attribute of any table holds a number that is not whole, neither by itself nor in packed text."""
    faults = []
    for table, items in seen.raw.items():
        for item in items:
            for name, value in item.items():
                for found in _numbers(value):
                    if not WHOLE.fullmatch(found):
                        where = f"{table} {item['pk']['S']} {item.get('sk', {}).get('S', '')}"
                        faults.append(f"{where}: {name} holds {found}")
    return faults


def _numbers(value: dict[str, Any]) -> Iterator[str]:
    ((kind, content),) = value.items()
    if kind == "N":
        yield content
    elif kind == "NS":
        yield from content
    elif kind == "L":
        for item in content:
            yield from _numbers(item)
    elif kind == "M":
        for item in content.values():
            yield from _numbers(item)
    elif kind == "S" and content[:1] in ("{", "[") and SUSPECT.search(content):
        fractions: list[str] = []
        try:
            json.loads(content, parse_float=fractions.append, parse_constant=fractions.append)
        except ValueError:
            return  # words that begin with a bracket
        yield from fractions


ALWAYS = (numbers_are_whole,)
