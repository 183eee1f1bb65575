"""Search as a pure function over cards in memory: which shops pass, in what order, how they count in facets.

`recommended` is a sum of four parts, each 0 to 1,000, with these weights in percent:

    near      45   1,000 at the door, 500 at one kilometre, 250 at three; nothing without a position
    rating    30   displayed rating, 0 at three stars and below, 1,000 at five
    popular   20   logarithm of sales, 1,000 from ten thousand on
    fresh      5   a shop's first thirty days, fading

A hit's reason is the part that lifts it most above an ordinary shop. Ties of every order break by id.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from chalicelib.catalog import schedule
from chalicelib.catalog.model import KINDS, MAX_HORIZON_DAYS, ShopPage, category_of, open_now
from chalicelib.kernel.errors import CursorInvalid
from chalicelib.kernel.geo import Point, distance_m
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.kernel.money import EXPONENTS, Money

MAX_RADIUS_M = 50_000
DEFAULT_RADIUS_M = 3_000
SORTS = ("recommended", "distance", "rating", "price", "sales")

WEIGHTS = {"near": 45, "rating": 30, "popular": 20, "fresh": 5}
ORDINARY = {"near": 250, "rating": 750, "popular": 600, "fresh": 0}
FRESH_DAYS = 30

PRICE_BANDS = (0, 50, 100, 200, 500)  # lower ends, in major units
RATING_BANDS_CENTI = (400, 450, 480)


def fold(text: str) -> str:
    """Text as it is compared: full and half width alike, case ignored."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class Card:
    """A listed shop as search sees it. `text` holds all its names, folded, a line each."""

    page: ShopPage
    text: str
    categories: frozenset[str]
    kinds: frozenset[str]
    price_from: Money
    rating_centi: int

    @classmethod
    def of(cls, page: ShopPage) -> Card:
        names = [*page.shop.name.values(), *(name for offer in page.offers for name in offer.name.values())]
        return cls(
            page=page,
            text="\n".join(fold(name) for name in names),
            categories=frozenset({page.shop.category, *(category_of(offer, page.shop) for offer in page.offers)}),
            kinds=frozenset(offer.kind for offer in page.offers),
            price_from=min((offer.price for offer in page.offers), key=lambda price: price.amount_minor),
            rating_centi=page.shop.rating_centi,
        )

    @property
    def id(self) -> str:
        return self.page.shop.id

    @cached_property
    def _last_calls(self) -> dict[date, list[tuple[Instant, int]]]:
        return {}

    def last_calls(self, day: date) -> list[tuple[Instant, int]]:
        """`schedule.last_calls`, remembered for as long as the card lives."""
        found = self._last_calls.get(day)
        if found is None:
            found = self._last_calls[day] = schedule.last_calls(self.page, day)
        return found


@dataclass(frozen=True)
class Note:
    """What booking says of a shop's day: until when something is free. The newer revision stands."""

    bookable_until: Instant | None
    revision: int


@dataclass(frozen=True)
class SearchQuery:
    """`origin` is WGS-84; without it there is no radius and no distance, and the whole city is looked through.

    `after` is the key of the last hit of the page before.
    """

    origin: Point | None = None
    city: str | None = None
    radius_m: int = DEFAULT_RADIUS_M
    q: str = ""
    category: str | None = None
    kind: str | None = None
    price_min_minor: int | None = None
    price_max_minor: int | None = None
    rating_min_centi: int | None = None
    open_now: bool = False
    bookable_on: date | None = None
    has_voucher: bool = False
    sort: str = "recommended"
    limit: int = 20
    after: str | None = None
    facets: bool = False
    total: bool = False

    @cached_property
    def words(self) -> list[str]:
        return fold(self.q).split()


@dataclass(frozen=True)
class Hit:
    """`distance_m` is rounded to whole metres; `reason` is one of WEIGHTS, or None for an ordinary shop."""

    card: Card
    distance_m: int | None
    open_now: bool
    reason: str | None


@dataclass(frozen=True)
class Facets:
    """Counts by value. Each facet counts what passes every filter but its own, so that it shows what else there is.

    A shop of several categories counts in each. Price bands are keyed by their lower end in minor units; a rating
    band, keyed by its lower end in hundredths, holds everything from there up.
    """

    category: Mapping[str, int]
    kind: Mapping[str, int]
    price: Mapping[int, int]
    rating: Mapping[int, int]
    open_now: Mapping[bool, int]


@dataclass(frozen=True)
class SearchPage:
    hits: Sequence[Hit]
    next_key: str | None = None
    facets: Facets | None = None
    total: int | None = None


@dataclass
class _Found:
    """A card within reach, with what is computed of it once."""

    card: Card
    distance_m: float | None
    open_now: bool
    failed: set[str] = field(default_factory=set)


def find(query: SearchQuery, cards: Iterable[Card], now: Instant, notes: Mapping[str, Note]) -> SearchPage:
    """One page of what passes. `notes` are those of the day `bookable_on`, by shop."""
    within = [found for card in cards if (found := _reached(query, card, now, notes)) is not None]
    passing = [found for found in within if not found.failed]
    as_of, after = _read_key(query.after, now)
    order = _order(query, as_of)
    ranked = sorted((((order(found), found.card.id), found) for found in passing), key=lambda entry: entry[0])
    rest = [entry for entry in ranked if after is None or entry[0] > after]
    shown = rest[: query.limit]
    more = len(rest) > query.limit
    return SearchPage(
        hits=[_hit(found, as_of) for _, found in shown],
        next_key=_write_key(as_of, shown[-1][0]) if more else None,
        facets=_facets(within) if query.facets else None,
        total=len(passing) if query.total else None,
    )


def _reached(query: SearchQuery, card: Card, now: Instant, notes: Mapping[str, Note]) -> _Found | None:
    """The card with the facet filters that it fails, or None when it fails any other filter."""
    distance = None if query.origin is None else distance_m(query.origin, card.page.shop.position)
    if distance is not None and distance > query.radius_m:
        return None
    if not all(word in card.text for word in query.words):
        return None
    if query.has_voucher and "voucher" not in card.kinds:
        return None
    if query.bookable_on is not None and not bookable(card, query.bookable_on, now, notes.get(card.id)):
        return None
    is_open = open_now(card.page.shop, now)
    return _Found(card, distance, is_open, _failed(query, card, is_open))


def _failed(query: SearchQuery, card: Card, is_open: bool) -> set[str]:
    failed = set()
    price = card.price_from.amount_minor
    if query.category is not None and query.category not in card.categories:
        failed.add("category")
    if query.kind is not None and query.kind not in card.kinds:
        failed.add("kind")
    if query.price_min_minor is not None and price < query.price_min_minor:
        failed.add("price")
    if query.price_max_minor is not None and price > query.price_max_minor:
        failed.add("price")
    if query.rating_min_centi is not None and card.rating_centi < query.rating_min_centi:
        failed.add("rating")
    if query.open_now and not is_open:
        failed.add("open_now")
    return failed


def bookable(card: Card, day: date, now: Instant, note: Note | None) -> bool:
    """Whether something can be booked now for a start on that local day.

    Bookings only take starts away, so a note never says more than the calendar it was made from; where the calendar
    has become shorter since, the calendar is right.
    """
    ahead = (day - now.local_date(card.page.shop.zone)).days
    if not 0 <= ahead <= MAX_HORIZON_DAYS:
        return False
    if not any(now <= call and ahead <= horizon for call, horizon in card.last_calls(day)):
        return False
    return note is None or (note.bookable_until is not None and now <= note.bookable_until)


def parts(card: Card, distance: float | None, as_of: Instant) -> dict[str, int]:
    """The four parts of `recommended`, 0 to 1,000 each."""
    shop = card.page.shop
    age_days = max(as_of.since(shop.created_at), 0) // DAY_MS
    return {
        "near": 0 if distance is None else int(1_000_000 / (1_000 + distance)),
        "rating": min(max((card.rating_centi - 300) * 5, 0), 1_000),
        "popular": min(int(250 * math.log10(1 + shop.sales)), 1_000),
        "fresh": max(FRESH_DAYS - age_days, 0) * 1_000 // FRESH_DAYS,
    }


def score(card: Card, distance: float | None, as_of: Instant) -> int:
    return sum(WEIGHTS[name] * value for name, value in parts(card, distance, as_of).items())


def reason(card: Card, distance: float | None, as_of: Instant) -> str | None:
    lifts = {
        name: WEIGHTS[name] * (value - ORDINARY[name])
        for name, value in parts(card, distance, as_of).items()
        if distance is not None or name != "near"
    }
    best = max(lifts, key=lambda name: lifts[name])
    return best if lifts[best] > 0 else None


def _order(query: SearchQuery, as_of: Instant) -> Callable[[_Found], float]:
    """What hits are sorted by, ascending. By distance without a position is by recommendation."""
    if query.sort == "rating":
        return lambda found: -found.card.rating_centi
    if query.sort == "price":
        return lambda found: found.card.price_from.amount_minor
    if query.sort == "sales":
        return lambda found: -found.card.page.shop.sales
    if query.sort == "distance" and query.origin is not None:
        return lambda found: found.distance_m or 0.0
    return lambda found: -score(found.card, found.distance_m, as_of)


def _hit(found: _Found, as_of: Instant) -> Hit:
    rounded = None if found.distance_m is None else round(found.distance_m)
    return Hit(found.card, rounded, found.open_now, reason(found.card, found.distance_m, as_of))


def _write_key(as_of: Instant, place: tuple[float, str]) -> str:
    """`as_of` travels with the cursor, so that what fades with time has the same order on every page."""
    return json.dumps([as_of.ms, *place])


def _read_key(after: str | None, now: Instant) -> tuple[Instant, tuple[float, str] | None]:
    if after is None:
        # Only the age in days is read off it, and an answer that says the same is then the same to the byte.
        return Instant(now.ms - now.ms % DAY_MS), None
    try:
        as_of_ms, key, shop_id = json.loads(after)
        return Instant(int(as_of_ms)), (float(key), str(shop_id))
    except (ValueError, TypeError) as error:
        raise CursorInvalid from error


def price_bands(currency: str) -> list[int]:
    """Lower ends in minor units of the currency."""
    return [major * 10 ** EXPONENTS[currency] for major in PRICE_BANDS]


def _facets(within: Sequence[_Found]) -> Facets:
    def counted(name: str) -> list[_Found]:
        return [found for found in within if found.failed <= {name}]

    prices: Counter[int] = Counter()
    for found in counted("price"):
        price = found.card.price_from
        prices[max(low for low in price_bands(price.currency) if low <= price.amount_minor)] += 1
    return Facets(
        category=Counter(category for found in counted("category") for category in found.card.categories),
        kind=Counter(kind for found in counted("kind") for kind in KINDS if kind in found.card.kinds),
        price=prices,
        rating={low: sum(found.card.rating_centi >= low for found in counted("rating")) for low in RATING_BANDS_CENTI},
        open_now=Counter(found.open_now for found in counted("open_now")),
    )
