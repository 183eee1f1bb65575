"""What a hit shows, as one row that all who answer with whole hits are compared by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench._search.city import CURRENCY, Row, address_of, cover_of, name_of
from bench._search.vocabulary import TRADES


class Shown(NamedTuple):
    """Rating in hundredths, price in minor units, degrees, whole metres."""

    id: str
    name_zh: str
    name_en: str
    address_zh: str
    address_en: str
    category: str
    rating: int
    rating_count: int
    price: int
    currency: str
    sales: int
    lat: float
    lng: float
    cover_url: str | None
    metres: int
    is_open: bool


COLUMNS = Shown._fields[:-2]
"""Those that a table holds; the others depend on who asks, and when."""


def shown(row: Row, metres: float, is_open: bool) -> Shown:
    name, address = name_of(row), address_of(row)
    return Shown(
        id=row.id,
        name_zh=name["zh-CN"],
        name_en=name["en"],
        address_zh=address["zh-CN"],
        address_en=address["en"],
        category=TRADES[row.trade].code,
        rating=row.rating,
        rating_count=row.rating_count,
        price=row.price,
        currency=CURRENCY,
        sales=row.sales,
        lat=row.lat,
        lng=row.lng,
        cover_url=cover_of(row),
        metres=round(metres),
        is_open=is_open,
    )


def alike(found: Sequence[Shown], expected: Sequence[Shown]) -> bool:
    """Equal but for a metre: a distance on a plane may round to the next one."""
    return len(found) == len(expected) and all(
        one._replace(metres=0) == other._replace(metres=0) and abs(one.metres - other.metres) <= 1
        for one, other in zip(found, expected, strict=True)
    )
