"""What a base file keeps of each shop: a record of one fixed part and the texts behind it, read without any library.

    id          26 letters
    lat, lng    i4
    SHOWN       numbers, each field as wide as the greatest of the file needs
    lengths     of the texts in characters; as many as the shop of most texts has
    KEPT        numbers that no card shows
    texts       UTF-8: name and address in each of their locales, and what is left of the cover's URL

What many shops have in common stands once in the file (`Shared`), and a record has its number there. Names that are
searched, and calendars, stand in sections of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import accumulate, pairwise
from mmap import mmap
from struct import Struct
from typing import Any

from chalicelib.search.calendar import Calendar
from chalicelib.search.model import Card, Entry

PREFIX = "shp_"
ID_LETTERS = 26
SHOWN = ("rating", "ratings", "price", "sales", "group", "category", "locales", "cover")
KEPT = ("born", "kinds", "calendar")


def encoded(text: str) -> bytes:
    """A merchant may have written anything."""
    return text.encode("utf-8", "surrogatepass")


class Shared:
    """What the records of a file share: their layout and, by number, `groups` (categories and currency), the shops' own
    categories, the locales of name and address, and the beginnings of covers' URLs. `kinds` are in the order of their
    bits."""

    def __init__(self, section: bytes, kinds: tuple[str, ...]) -> None:
        plain = json.loads(section.decode("utf-8", "surrogatepass"))
        shown, kept = plain["layout"]
        self._shown, self._kept = Struct(shown), Struct(kept)
        self._size = self._shown.size + self._kept.size
        self._kinds = kinds
        self.groups = [(frozenset(codes), currency) for codes, currency in plain["groups"]]
        self._categories: list[str] = plain["categories"]
        self._locales: list[tuple[list[str], list[str]]] = plain["locales"]
        self._covers: list[str] = plain["covers"]

    @staticmethod
    def dump(layout: tuple[str, str], **tables: Any) -> bytes:
        return encoded(json.dumps({"layout": layout, **tables}, ensure_ascii=False, separators=(",", ":")))

    def card(self, data: bytes | mmap, begin: int, end: int) -> Card:
        """Of the record at [begin, end)."""
        (
            letters, lat, lng, rating, ratings, price, sales, group, category, locales, cover, *lengths,
        ) = self._shown.unpack_from(data, begin)  # fmt: skip
        text = data[begin + self._size : end].decode("utf-8", "surrogatepass")
        of_name, of_address = self._locales[locales]
        if len(of_name) == len(of_address) == 2:  # as nearly all have it, and twice as fast
            (one, other), (here, there) = of_name, of_address
            first, second, third, last, *_ = lengths
            second += first
            third += second
            last += third
            name = {one: text[:first], other: text[first:second]}
            address = {here: text[second:third], there: text[third:last]}
        else:
            texts = [text[begin:end] for begin, end in pairwise(accumulate(lengths, initial=0))]
            name = dict(zip(of_name, texts, strict=False))
            address = dict(zip(of_address, texts[len(of_name) :], strict=False))
            last = sum(lengths)
        return Card(
            PREFIX + letters.decode("ascii"),
            name,
            self._categories[category],
            rating,
            ratings,
            price,
            self.groups[group][1],
            sales,
            address,
            lat,
            lng,
            self._covers[cover] + text[last:] or None,
        )

    def entry(self, data: bytes | mmap, begin: int, end: int, calendar: Callable[[int], Calendar]) -> Entry:
        """The entry at [begin, end) without its names; `calendar` knows the calendars by number."""
        group = self._shown.unpack_from(data, begin)[3 + SHOWN.index("group")]
        born_day, kinds, number = self._kept.unpack_from(data, begin + self._shown.size)
        return Entry(
            card=self.card(data, begin, end),
            names=(),
            categories=self.groups[group][0],
            kinds=frozenset(kind for bit, kind in enumerate(self._kinds) if kinds >> bit & 1),
            born_day=born_day,
            calendar=calendar(number),
        )


def id_of(data: bytes | mmap, begin: int = 0) -> str:
    """Of the record that begins there."""
    return PREFIX + data[begin : begin + ID_LETTERS].decode("ascii")
