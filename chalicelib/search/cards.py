"""What a hit shows of a shop."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chalicelib.catalog.model import Text
from chalicelib.kernel.geo import Point
from chalicelib.kernel.money import Money

_MICRO = 1_000_000
_HALF_TURN = 180 * _MICRO


def micro(point: Point) -> tuple[int, int]:
    """(latitude, longitude) in millionths of a degree, as positions are stored: −180° is 180°."""
    lat, lng = round(point.lat * _MICRO), round(point.lng * _MICRO)
    return lat, _HALF_TURN if lng == -_HALF_TURN else lng


def of_micro(lat: int, lng: int) -> Point:
    return Point(lat / _MICRO, lng / _MICRO)


class Card(NamedTuple):
    """What a hit shows of a shop, all of it plain: twenty are read for every search. Texts are by locale; the position
    is WGS-84, in whole millionths of a degree."""

    id: str
    name: Text
    category: str
    rating_centi: int
    rating_count: int
    price_minor: int
    currency: str
    sales: int
    address: Text
    lat: int
    lng: int
    cover_url: str | None

    @property
    def price_from(self) -> Money:
        return Money(self.price_minor, self.currency)

    @property
    def position(self) -> Point:
        return of_micro(self.lat, self.lng)


class Hit:
    """`distance_m` is rounded to whole metres; `reason` is one of WEIGHTS, or None for an ordinary shop. `order` is
    what the hits of a search are sorted by, ascending, ties by id. A card may be given as what reads it: it is then
    read when it is first looked at."""

    __slots__ = ("_card", "distance_m", "open_now", "order", "reason")

    def __init__(
        self,
        card: Card | Callable[[], Card],
        distance_m: int | None,
        open_now: bool,
        reason: str | None,
        order: float,
    ) -> None:
        self._card = card
        self.distance_m = distance_m
        self.open_now = open_now
        self.reason = reason
        self.order = order

    @property
    def card(self) -> Card:
        card = self._card
        if not isinstance(card, Card):
            card = self._card = card()
        return card

    def _values(self) -> tuple[object, ...]:
        return self.card, self.distance_m, self.open_now, self.reason, self.order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hit) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((self.card.id, self.order))

    def __repr__(self) -> str:
        return f"Hit{self._values()!r}"
