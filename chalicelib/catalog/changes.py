"""What a city's log says: one entry for every change of what the public sees, numbered without gaps.

Whoever holds a city in memory reads the entries behind the last one it knows and has the city as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.catalog import packing
from chalicelib.catalog.model import ShopPage


class LogTrimmed(Exception):
    """The next entry of a city's log does not stand there any more: who wants to follow has to begin anew."""


@dataclass(frozen=True)
class Change:
    """An entry: the listing of a shop as it became, the id of a shop that is listed no more, or what a slice above has
    told the city's readers, in plain values."""

    sequence: int
    page: ShopPage | None = None
    gone: str = ""
    told: Any = None


def pack(change: Change) -> packing.Plain:
    """One of three kinds, by its only key."""
    if change.page is not None:
        return {"page": packing.of_page(change.page)}
    return {"gone": change.gone} if change.gone else {"told": change.told}


def unpack(sequence: int, plain: packing.Plain) -> Change:
    page = plain.get("page")
    return Change(sequence, None if page is None else packing.to_page(page), plain.get("gone", ""), plain.get("told"))
