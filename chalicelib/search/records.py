"""What a base file keeps of each shop: a record of one fixed part and the texts behind it, read without any library.

    id          26 letters
    lat, lng    i4
    SHOWN       numbers, each field as wide as the greatest of the file needs
    lengths     of the first LENGTHS texts, in characters; 0 where there are fewer
    KEPT        numbers that no card shows
    lengths     of the other texts, as many as the shop of most texts has
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
from chalicelib.search.cards import Card
from chalicelib.search.model import Entry

PREFIX = "shp_"
ID_LETTERS = 26
SHOWN = ("rating", "ratings", "price", "sales", "group", "category", "locales", "cover")
LENGTHS = 4
KEPT = ("born", "kinds", "calendar")
_GROUP = 3 + SHOWN.index("group")


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
        self._kinds = [
            frozenset(kind for bit, kind in enumerate(kinds) if bits >> bit & 1) for bits in range(1 << len(kinds))
        ]
        self.groups = [(frozenset(codes), currency) for codes, currency in plain["groups"]]
        self._categories: list[str] = plain["categories"]
        self._currencies = [currency for _, currency in self.groups]
        self._locales = [(name, address, len(name) == len(address) == 2) for name, address in plain["locales"]]
        self._covers: list[str] = plain["covers"]

    @staticmethod
    def dump(layout: tuple[str, str], **tables: Any) -> bytes:
        return encoded(json.dumps({"layout": layout, **tables}, ensure_ascii=False, separators=(",", ":")))

    def card(self, data: bytes | mmap, begin: int, end: int) -> Card:
        """Of the record at [begin, end)."""
        (
            letters, lat, lng, rating, ratings, price, sales, group, category, locales, cover,
            first, second, third, last,
        ) = self._shown.unpack_from(data, begin)  # fmt: skip
        text = data[begin + self._size : end].decode("utf-8", "surrogatepass")
        of_name, of_address, paired = self._locales[locales]
        if paired:  # as nearly all are, and twice as fast
            (one, other), (here, there) = of_name, of_address
            second += first
            third += second
            last += third
            name = {one: text[:first], other: text[first:second]}
            address = {here: text[second:third], there: text[third:last]}
        else:
            further = self._kept.unpack_from(data, begin + self._shown.size)[len(KEPT) :]
            *ends, last = accumulate((first, second, third, last, *further))
            texts = [text[start:stop] for start, stop in pairwise((0, *ends, last))]
            name = dict(zip(of_name, texts, strict=False))
            address = dict(zip(of_address, texts[len(of_name) :], strict=False))
        return Card(
            PREFIX + letters.decode("ascii"),
            name,
            self._categories[category],
            rating,
            ratings,
            price,
            self._currencies[group],
            sales,
            address,
            lat,
            lng,
            self._covers[cover] + text[last:] or None,
        )

    def entry(self, data: bytes | mmap, begin: int, end: int, calendar: Callable[[int], Calendar]) -> Entry:
        """The entry at [begin, end) without its names; `calendar` knows the calendars by number."""
        group = self._shown.unpack_from(data, begin)[_GROUP]
        born_day, kinds, number, *_ = self._kept.unpack_from(data, begin + self._shown.size)
        return Entry(
            card=self.card(data, begin, end),
            names=(),
            categories=self.groups[group][0],
            kinds=self._kinds[kinds],
            born_day=born_day,
            calendar=calendar(number),
        )


def id_of(data: bytes | mmap, begin: int = 0) -> str:
    """Of the record that begins there."""
    return PREFIX + data[begin : begin + ID_LETTERS].decode("ascii")
