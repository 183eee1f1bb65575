"""The words of the invented city: what its shops are, what they are called and where they stand.

`trades.txt` has a line for each category: code, Chinese, English, share of all shops, usual price in yuan | words that
end a shop's name | what it offers. A Chinese word and its English stand as `zh=en`. `words.txt` has the words of names
(a character and how it is read), branches, districts and roads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

Words = tuple[tuple[str, str], ...]
"""Pairs (Chinese, English)."""


@dataclass(frozen=True)
class Trade:
    """One category: how common it is, what it usually costs, what its shops are called and offer."""

    code: str
    zh: str
    en: str
    share: float
    price_yuan: int
    endings: Words
    offers: Words


def _pairs(text: str) -> Words:
    """Pairs from `zh=en zh=en …`; the Chinese has no blanks, and an English word without `=` goes on with the last."""
    found: list[tuple[str, str]] = []
    for part in text.split():
        zh, equals, en = part.partition("=")
        if equals:
            found.append((zh, en))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]} {part}")
    return tuple(found)


def _syllables(text: str) -> Words:
    """Pairs (character, reading) from `青qing 木mu …`."""
    return tuple((part[0], part[1:]) for part in text.split())


def _trade(line: str) -> Trade:
    head, endings, offers = line.split(" | ")
    code, zh, *en, share, price = head.split()
    return Trade(code, zh, " ".join(en), float(share), int(price), _pairs(endings), _pairs(offers))


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


_sections = dict(re.findall(r"\[(\w+)\]\n([^\[]+)", _read("words.txt")))
TRADES: tuple[Trade, ...] = tuple(_trade(line) for line in _read("trades.txt").splitlines())
FIRST, SECOND = _syllables(_sections["first"]), _syllables(_sections["second"])
EVERYTHING = _read("words.txt") + _read("trades.txt")
"""Holds every character that a name can have."""
PLACES, DISTRICTS, ROADS, MODIFIERS = (
    _pairs(_sections[name]) for name in ("places", "districts", "roads", "modifiers")
)
