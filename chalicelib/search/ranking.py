"""What hits are sorted by, as whole numbers, and the key of a cursor that says where a page ended.

`recommended` is a sum of parts, each 0 to 1,000, with these weights in percent:

    near      45   1,000 at the door, 500 at one kilometre, 250 at three; nothing without a position
    rating    30   displayed rating, 0 at three stars and below, 1,000 at five
    popular   20   logarithm of sales, 1,000 from ten thousand on
    fresh      5   a shop's first thirty days, fading
    affinity  15   on top, for a member who wants it: what they have booked before, of that category and at that shop

A hit's reason is the part that lifts it most above an ordinary shop. Ties of every order break by id.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import mul
from typing import NamedTuple

from chalicelib.kernel import ids
from chalicelib.kernel.errors import CursorInvalid
from chalicelib.kernel.instant import DAY_MS, LATEST_MS, Instant

FULL = 1_000  # of each part


class Parts(NamedTuple):
    """Of a shop as one search sees it, 0 to FULL each; or what they weigh."""

    near: int
    rating: int
    popular: int
    fresh: int
    affinity: int = 0


WEIGHTS = Parts(near=45, rating=30, popular=20, fresh=5, affinity=15)
ORDINARY = Parts(near=250, rating=750, popular=600, fresh=0)
FRESH_DAYS = 30
LAST_BORN_DAY = 2**16 - 1

RECOMMENDED, DISTANCE, RATING, PRICE, SALES = SORTS = ("recommended", "distance", "rating", "price", "sales")

MAX_AFFINITIES = 64


@dataclass(frozen=True)
class Affinity:
    """What a member's own orders say, 0 to 1,000 each: of categories by code, and of shops by id.

    Raises ValueError for other numbers, and for more than MAX_AFFINITIES of either.
    """

    categories: Mapping[str, int] = field(default_factory=dict)
    shops: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in (self.categories, self.shops):
            if len(values) > MAX_AFFINITIES:
                raise ValueError(f"at most {MAX_AFFINITIES} affinities")
            if any(type(value) is not int or not 0 <= value <= FULL for value in values.values()):
                raise ValueError(f"an affinity is a whole number from 0 to {FULL}")

    def __bool__(self) -> bool:
        return bool(self.categories or self.shops)

    def part(self, categories: frozenset[str], shop_id: str) -> int:
        best = max((self.categories.get(category, 0) for category in categories), default=0)
        return min(best + self.shops.get(shop_id, 0), FULL)


def born_day(created_at: Instant) -> int:
    """The first whole day (UTC, since 1970) on which the shop's age is not negative. Seen from any whole day, the age
    in days is the difference to it."""
    return min(max(-(-created_at.ms // DAY_MS), 0), LAST_BORN_DAY)


def near(distance_m: float | None) -> int:
    return 0 if distance_m is None else int(1_000_000 / (1_000 + distance_m))


def rated(rating_centi: int) -> int:
    return min(max((rating_centi - 300) * 5, 0), FULL)


def popular(sales: int) -> int:
    return min(int(250 * math.log10(1 + sales)), FULL)


def fresh(born: int, as_of_day: int) -> int:
    return max(FRESH_DAYS - max(as_of_day - born, 0), 0) * FULL // FRESH_DAYS


def merit(rating_centi: int, sales: int) -> int:
    """What rating and sales add to a score: it changes with nothing else, and fits into sixteen bits."""
    return WEIGHTS.rating * rated(rating_centi) + WEIGHTS.popular * popular(sales)


def parts(
    distance_m: float | None, rating_centi: int, sales: int, born: int, as_of_day: int, affinity: int = 0
) -> Parts:
    return Parts(near(distance_m), rated(rating_centi), popular(sales), fresh(born, as_of_day), affinity)


def score(of: Parts) -> int:
    return sum(map(mul, WEIGHTS, of))


def reason(of: Parts, *, placed: bool) -> str | None:
    """The name of a part, or None for an ordinary shop. Nearness is no reason where the search has no position."""
    best, most = None, 0
    for name, weight, value, ordinary in zip(Parts._fields, WEIGHTS, of, ORDINARY, strict=True):
        lift = weight * (value - ordinary)
        if lift > most and (placed or name != "near"):
            best, most = name, lift
    return best


@dataclass(frozen=True)
class Place:
    """Where a page begins: after the hit with this order and id, or at the top. What fades with time and what is
    personal stay as they were on the first page."""

    as_of_day: int
    affinity: Affinity | None
    after: tuple[float, str] | None = None

    @classmethod
    def read(cls, key: str | None, now: Instant, affinity: Affinity | None) -> Place:
        """Raises CursorInvalid for a key that `key` did not make."""
        if key is None:
            # Only the age in days is read off it, and an answer that says the same is then the same to the byte.
            return cls(now.ms // DAY_MS, affinity or None)
        try:
            as_of_ms, order, shop_id, *personal = json.loads(key)
            categories, shops = personal or ({}, {})
            found = cls(_day(as_of_ms), Affinity(dict(categories), dict(shops)) or None, (_order(order), shop_id))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise CursorInvalid from error
        if type(shop_id) is not str or not ids.is_id(shop_id, "shp"):
            raise CursorInvalid
        return found

    def key(self, order: float, shop_id: str) -> str:
        """The key of the page after this hit."""
        personal = [dict(self.affinity.categories), dict(self.affinity.shops)] if self.affinity else []
        return json.dumps([self.as_of_day * DAY_MS, order, shop_id, *personal], separators=(",", ":"))


def _day(as_of_ms: object) -> int:
    if type(as_of_ms) is not int or as_of_ms % DAY_MS or not 0 <= as_of_ms <= LATEST_MS:
        raise ValueError("not the begin of a day")
    return as_of_ms // DAY_MS


def _order(order: object) -> float:
    # A bool is an int to isinstance, and no order.
    if isinstance(order, bool) or not isinstance(order, int | float) or not math.isfinite(order):
        raise ValueError("not a finite number")
    return order
