"""Search as values, and as a pure function over entries in memory: which shops pass, in what order, how they count.

`find` is the rule. The city's index (`engine`) answers the same to the last bit, only faster; a process that has not
loaded it yet asks `find`, which needs no library. How hits are ordered stands in `ranking`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from chalicelib.catalog.model import KINDS, MAX_HORIZON_DAYS, ShopPage, category_of
from chalicelib.kernel.geo import Point, distance_m
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import EXPONENTS
from chalicelib.search import ranking, words
from chalicelib.search.calendar import Calendar
from chalicelib.search.cards import Card, Hit, micro
from chalicelib.search.news import Note
from chalicelib.search.ranking import SORTS, Affinity, Parts, Place
from chalicelib.search.readings import Readings
from chalicelib.search.words import Token

__all__ = ["SORTS", "Affinity", "Calendar", "Entry", "Facets", "Note", "Relax", "SearchPage", "find"]

MAX_RADIUS_M = 50_000
DEFAULT_RADIUS_M = 3_000
WIDER_M = (5_000, 10_000, 20_000, 50_000)  # what a search that found nothing is told to try

PRICE_BANDS = (0, 50, 100, 200, 500)  # lower ends, in major units
RATING_BANDS_CENTI = (400, 450, 480)

# How characters are read: what a process has once learnt is right for every city.
_readings = Readings()


@dataclass(frozen=True)
class Entry:
    """A listed shop as the index sees it. `names` are all its names and its offers', as they were written."""

    card: Card
    names: tuple[str, ...]
    categories: frozenset[str]
    kinds: frozenset[str]
    born_day: int
    calendar: Calendar

    @classmethod
    def of(cls, page: ShopPage) -> Entry:
        """Of a page with at least one offer, all of them on the shelf."""
        shop = page.shop
        named = [*shop.name.values(), *(name for offer in page.offers for name in offer.name.values())]
        price = min((offer.price for offer in page.offers), key=lambda price: price.amount_minor)
        lat, lng = micro(shop.position)
        return cls(
            card=Card(
                id=shop.id,
                name=shop.name,
                category=shop.category,
                rating_centi=shop.rating_centi,
                rating_count=shop.rating_count,
                price_minor=price.amount_minor,
                currency=price.currency,
                sales=shop.sales,
                address=shop.address,
                lat=lat,
                lng=lng,
                cover_url=next(iter(shop.photos), None) or None,
            ),
            names=tuple(dict.fromkeys(named)),
            categories=frozenset({shop.category, *(category_of(offer, shop) for offer in page.offers)}),
            kinds=frozenset(offer.kind for offer in page.offers),
            born_day=ranking.born_day(shop.created_at),
            calendar=Calendar.of(page),
        )

    @property
    def id(self) -> str:
        return self.card.id

    def named(self, tokens: Iterable[Token]) -> bool:
        """Whether each of these words matches one of the names."""
        readings = _readings
        if any(token.kind == "latin" for token in tokens):
            readings.add(self.names)
        return all(words.matches(token, self.names, readings) for token in tokens)

    def parts(self, distance: float | None, place: Place) -> Parts:
        personal = 0 if place.affinity is None else place.affinity.part(self.categories, self.id)
        card = self.card
        return ranking.parts(distance, card.rating_centi, card.sales, self.born_day, place.as_of_day, personal)


@dataclass(frozen=True)
class SearchQuery:
    """`origin` is WGS-84; without it there is no radius and no distance, and the whole city is looked through.

    `after` is the key of the last hit of the page before; it brings the affinity of the first page with it.
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
    sort: str = ranking.RECOMMENDED
    limit: int = 20
    after: str | None = None
    facets: bool = False
    total: bool = False
    affinity: Affinity | None = None

    @cached_property
    def tokens(self) -> tuple[Token, ...] | None:
        """What `q` asks for: nothing when it is blank, None when no name can have it."""
        return words.tokens(self.q)

    @property
    def order(self) -> str:
        """What hits are sorted by. By distance without a position is by recommendation."""
        return ranking.RECOMMENDED if self.origin is None and self.sort == ranking.DISTANCE else self.sort


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
class Relax:
    """What would be found without one of the filters, or (`radius`) within `radius_m` instead."""

    filter: str
    count: int
    radius_m: int | None = None


@dataclass(frozen=True)
class SearchPage:
    """`relax` only where the first page is empty: what to do without, most hits first."""

    hits: Sequence[Hit]
    next_key: str | None = None
    facets: Facets | None = None
    total: int | None = None
    relax: Sequence[Relax] = ()


@dataclass
class _Found:
    """An entry within reach, with what is computed of it once."""

    entry: Entry
    distance_m: float | None
    open_now: bool
    failed: set[str] = field(default_factory=set)


def find(query: SearchQuery, entries: Sequence[Entry], now: Instant, notes: Mapping[str, Note]) -> SearchPage:
    """One page of what passes. `notes` are those of the day `bookable_on`, by shop. Raises CursorInvalid."""
    place = Place.read(query.after, now, query.affinity)
    within = _within(query, entries, now, notes)
    passing = [found for found in within if not found.failed]
    order_of = _order(query, place)
    ranked = sorted((((order_of(found), found.entry.id), found) for found in passing), key=lambda each: each[0])
    rest = [each for each in ranked if place.after is None or each[0] > place.after]
    shown = rest[: query.limit]
    more = len(rest) > query.limit
    return SearchPage(
        hits=[_hit(found, place, order) for (order, _), found in shown],
        next_key=place.key(*shown[-1][0]) if more else None,
        facets=_facets(within) if query.facets else None,
        total=len(passing) if query.total else None,
        relax=()
        if shown or query.after is not None
        else relaxed(query, lambda other: _count(other, entries, now, notes)),
    )


def relaxed(query: SearchQuery, count: Callable[[SearchQuery], int]) -> tuple[Relax, ...]:
    """What a search that found nothing would find with one filter less, most first. `count` says how many pass."""
    found = [Relax(name, count(other)) for name, other in _with_one_less(query)]
    if query.origin is not None:
        for radius_m in WIDER_M:
            if radius_m > query.radius_m and (more := count(replace(query, radius_m=radius_m))):
                found.append(Relax("radius", more, radius_m))
                break
    return tuple(sorted((relax for relax in found if relax.count), key=lambda relax: -relax.count))


def _with_one_less(query: SearchQuery) -> list[tuple[str, SearchQuery]]:
    """The filters that were given, each with the query that lacks it alone."""
    given = (
        ("q", query.tokens != (), replace(query, q="")),
        ("category", query.category is not None, replace(query, category=None)),
        ("kind", query.kind is not None, replace(query, kind=None)),
        (
            "price",
            query.price_min_minor is not None or query.price_max_minor is not None,
            replace(query, price_min_minor=None, price_max_minor=None),
        ),
        ("rating", query.rating_min_centi is not None, replace(query, rating_min_centi=None)),
        ("open_now", query.open_now, replace(query, open_now=False)),
        ("bookable_on", query.bookable_on is not None, replace(query, bookable_on=None)),
        ("has_voucher", query.has_voucher, replace(query, has_voucher=False)),
    )
    return [(name, other) for name, is_given, other in given if is_given]


def _count(query: SearchQuery, entries: Iterable[Entry], now: Instant, notes: Mapping[str, Note]) -> int:
    return sum(not found.failed for found in _within(query, entries, now, notes))


def _within(query: SearchQuery, entries: Iterable[Entry], now: Instant, notes: Mapping[str, Note]) -> list[_Found]:
    return [found for entry in entries if (found := _reached(query, entry, now, notes)) is not None]


def _reached(query: SearchQuery, entry: Entry, now: Instant, notes: Mapping[str, Note]) -> _Found | None:
    """The entry with the facet filters that it fails, or None when it fails any other filter."""
    distance = None if query.origin is None else distance_m(query.origin, entry.card.position)
    if distance is not None and distance > query.radius_m:
        return None
    if query.tokens is None or not entry.named(query.tokens):
        return None
    if query.has_voucher and "voucher" not in entry.kinds:
        return None
    if query.bookable_on is not None and not bookable(entry.calendar, query.bookable_on, now, notes.get(entry.id)):
        return None
    is_open = entry.calendar.is_open(now)
    return _Found(entry, distance, is_open, _failed(query, entry, is_open))


def _failed(query: SearchQuery, entry: Entry, is_open: bool) -> set[str]:
    failed = set()
    price = entry.card.price_minor
    if query.category is not None and query.category not in entry.categories:
        failed.add("category")
    if query.kind is not None and query.kind not in entry.kinds:
        failed.add("kind")
    if query.price_min_minor is not None and price < query.price_min_minor:
        failed.add("price")
    if query.price_max_minor is not None and price > query.price_max_minor:
        failed.add("price")
    if query.rating_min_centi is not None and entry.card.rating_centi < query.rating_min_centi:
        failed.add("rating")
    if query.open_now and not is_open:
        failed.add("open_now")
    return failed


def bookable(calendar: Calendar, day: date, now: Instant, note: Note | None) -> bool:
    """Whether something can be booked now for a start on that local day.

    Bookings only take starts away, so a note never says more than the calendar it was made from; where the calendar
    has become shorter since, the calendar is right.
    """
    until = last_call(calendar, day, now)
    if until is None or now > until:
        return False
    return note is None or (note.bookable_until is not None and now <= note.bookable_until)


def last_call(calendar: Calendar, day: date, now: Instant) -> Instant | None:
    """Until when something of that local day can be booked, seen from today; None when nothing can."""
    ahead = (day - now.local_date(calendar.zone)).days
    if not 0 <= ahead <= MAX_HORIZON_DAYS:
        return None
    return max((call for call, horizon in calendar.last_calls(day) if ahead <= horizon), default=None)


def _order(query: SearchQuery, place: Place) -> Callable[[_Found], float]:
    """What hits are sorted by, ascending."""
    if query.order == ranking.RATING:
        return lambda found: -found.entry.card.rating_centi
    if query.order == ranking.PRICE:
        return lambda found: found.entry.card.price_minor
    if query.order == ranking.SALES:
        return lambda found: -found.entry.card.sales
    if query.order == ranking.DISTANCE:
        return lambda found: found.distance_m or 0.0
    return lambda found: -ranking.score(found.entry.parts(found.distance_m, place))


def _hit(found: _Found, place: Place, order: float) -> Hit:
    parts = found.entry.parts(found.distance_m, place)
    return Hit(
        card=found.entry.card,
        distance_m=None if found.distance_m is None else round(found.distance_m),
        open_now=found.open_now,
        reason=ranking.reason(parts, placed=found.distance_m is not None),
        order=order,
    )


def price_bands(currency: str) -> list[int]:
    """Lower ends in minor units of the currency."""
    return [major * 10 ** EXPONENTS[currency] for major in PRICE_BANDS]


def _facets(within: Sequence[_Found]) -> Facets:
    def counted(name: str) -> list[Entry]:
        return [found.entry for found in within if found.failed <= {name}]

    prices: Counter[int] = Counter()
    for entry in counted("price"):
        card = entry.card
        prices[max(low for low in price_bands(card.currency) if low <= card.price_minor)] += 1
    ratings = [entry.card.rating_centi for entry in counted("rating")]
    return Facets(
        category=Counter(category for entry in counted("category") for category in entry.categories),
        kind=Counter(kind for entry in counted("kind") for kind in KINDS if kind in entry.kinds),
        price=prices,
        rating={low: sum(rating >= low for rating in ratings) for low in RATING_BANDS_CENTI},
        open_now=Counter(found.open_now for found in within if found.failed <= {"open_now"}),
    )
