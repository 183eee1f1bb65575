"""Search equals, in order, a brute force written here from the words of the contract: every filter, sort and page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog.hours import Hours, every_day
from chalicelib.catalog.model import ShopPage
from chalicelib.catalog.schedule import possible_starts
from chalicelib.kernel.errors import CursorInvalid
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.search import model, ranking
from chalicelib.search.model import Affinity, Entry, Note, SearchPage, SearchQuery, find
from chalicelib.search.ranking import Place
from tests.builders import catalog as build

NOW = build.NOON
TODAY = NOW.local_date("Asia/Shanghai")
CATEGORIES = ("hair", "nails", "massage", "pet")
KINDS = ("appointment", "voucher", "class")
NAMES = ("青丝里 Qingsi", "ＡＢＣ 造型", "Straße Hair", "南京西路店", "洗剪吹", "cut & dry", "ÇA VA")
WORDS = ("青丝", "abc", "STRASSE", "hair", "路", "cut dry", "", "  ", "造型 ABC", "zzz", "ça")
# Neighbours a few metres apart, at the very same place, and far away; the last two across the antimeridian.
PLACES = (
    Point(31.2304, 121.4737),
    Point(31.2304, 121.4737),
    Point(31.2305, 121.4738),
    Point(31.2390, 121.4900),
    Point(31.3000, 121.5100),
    Point(31.1100, 121.3900),
    Point(0.0, 179.999),
    Point(0.0, -179.999),
)

HOURS = (every_day((600, 1320)), every_day((0, 1440)), every_day((540, 700), closed=(6, 0)), Hours())


@dataclass(frozen=True)
class World:
    pages: tuple[ShopPage, ...]
    notes: dict[str, Note]


@st.composite
def shops(draw: st.DrawFn) -> ShopPage:
    shop = build.shop(
        name={"zh-CN": draw(st.sampled_from(NAMES)), "en": draw(st.sampled_from(NAMES))},
        category=draw(st.sampled_from(CATEGORIES)),
        position=draw(st.sampled_from(PLACES)),
        hours=draw(st.sampled_from(HOURS)),
        rating_sum_centi=draw(st.sampled_from((0, 4_500, 48_000))),
        rating_count=draw(st.sampled_from((0, 10, 100))),
        sales=draw(st.sampled_from((0, 7, 7, 900, 50_000))),
        created_at=NOW.plus(days=-draw(st.sampled_from((0, 3, 29, 30, 400)))),
    )
    offers = tuple(
        build.offer(
            shop,
            name={"zh-CN": draw(st.sampled_from(NAMES))},
            category=draw(st.sampled_from(("", *CATEGORIES))),
            kind=draw(st.sampled_from(KINDS)),
            price=Money(draw(st.sampled_from((0, 4_999, 5_000, 9_800, 12_800, 60_000))), "CNY"),
            lead_minutes=draw(st.sampled_from((0, 45, 60 * 30))),
            horizon_days=draw(st.sampled_from((0, 1, 5))),
            duration_minutes=draw(st.sampled_from((30, 90, 240))),
        )
        for _ in range(draw(st.integers(1, 3)))
    )
    staff = tuple(
        build.staff(shop, *draw(st.sampled_from((offers, offers[:1], ())))) for _ in range(draw(st.integers(0, 2)))
    )
    return ShopPage(shop, offers, staff)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    pages = tuple(draw(st.lists(shops(), max_size=9)))
    untils = st.one_of(st.none(), st.integers(-300, 3000).map(lambda minutes: NOW.plus(minutes=minutes)))
    noted = draw(st.lists(st.booleans(), min_size=len(pages), max_size=len(pages)))
    return World(
        pages, {page.shop.id: Note(draw(untils), 1) for page, is_noted in zip(pages, noted, strict=True) if is_noted}
    )


queries = st.builds(
    SearchQuery,
    origin=st.sampled_from((None, *PLACES)),
    radius_m=st.sampled_from((1, 500, 3_000, 50_000)),
    q=st.sampled_from(("", "", "", *WORDS)),
    category=st.sampled_from((None, None, "nowhere", *CATEGORIES)),
    kind=st.sampled_from((None, None, *KINDS)),
    price_min_minor=st.sampled_from((None, None, 0, 5_000)),
    price_max_minor=st.sampled_from((None, None, 4_999, 9_800, 60_000)),
    rating_min_centi=st.sampled_from((None, None, 420, 450)),
    open_now=st.booleans(),
    bookable_on=st.sampled_from((None, None, None, *(TODAY + timedelta(days=i) for i in (-1, 0, 1, 2, 5, 6, 400)))),
    has_voucher=st.sampled_from((False, False, True)),
    sort=st.sampled_from(model.SORTS),
    limit=st.integers(1, 10),
)


def metres(a: Point, b: Point) -> float:
    """By the spherical law of vectors, not by haversine."""

    def unit(point: Point) -> tuple[float, float, float]:
        lat, lng = math.radians(point.lat), math.radians(point.lng)
        return math.cos(lat) * math.cos(lng), math.cos(lat) * math.sin(lng), math.sin(lat)

    u, v = unit(a), unit(b)
    cross = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    return 6_371_008.8 * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(u, v, strict=True)))


def local_minute(page: ShopPage) -> tuple[int, int]:
    local = NOW.local(page.shop.zone)
    return local.weekday(), local.hour * 60 + local.minute


def is_open(page: ShopPage) -> bool:
    weekday, minute = local_minute(page)
    return any(begin <= minute < end for begin, end in page.shop.hours.weekly.get(weekday, ()))


def can_book(page: ShopPage, day: date, note: Note | None) -> bool:
    ahead = (day - TODAY).days
    free = any(
        start.ms - offer.lead_minutes * 60_000 >= NOW.ms
        for offer in page.offers
        if offer.kind in ("appointment", "class") and 0 <= ahead <= offer.horizon_days
        for member in page.staff
        for start in possible_starts(offer, member, page.shop, day)
    )
    return free and (note is None or (note.bookable_until is not None and note.bookable_until >= NOW))


def folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def fits(page: ShopPage, query: SearchQuery, note: Note | None, without: str = "") -> bool:
    """Whether a shop passes every filter, but for the one named."""
    shop = page.shop
    names = [folded(name) for of in (shop, *page.offers) for name in of.name.values()]
    price = min(offer.price.amount_minor for offer in page.offers)
    rating = round((shop.rating_sum_centi + 4_200) / (shop.rating_count + 10) + 1e-9)
    return all(
        (
            query.origin is None or metres(query.origin, shop.position) <= query.radius_m,
            all(any(word in name for name in names) for word in folded(query.q).split()),
            without == "category"
            or query.category in (None, shop.category, *(offer.category for offer in page.offers)),
            without == "kind" or query.kind is None or query.kind in {offer.kind for offer in page.offers},
            without == "price" or query.price_min_minor is None or price >= query.price_min_minor,
            without == "price" or query.price_max_minor is None or price <= query.price_max_minor,
            without == "rating" or query.rating_min_centi is None or rating >= query.rating_min_centi,
            without == "open_now" or not query.open_now or is_open(page),
            query.bookable_on is None or can_book(page, query.bookable_on, note),
            not query.has_voucher or any(offer.kind == "voucher" for offer in page.offers),
        )
    )


def recommendation(page: ShopPage, away: float | None) -> int:
    """The published weights: 45 near, 30 rating, 20 popular, 5 fresh, aged by the UTC day."""
    shop = page.shop
    rating = round((shop.rating_sum_centi + 4_200) / (shop.rating_count + 10) + 1e-9)
    near = 0 if away is None else math.floor(1_000 / (1 + away / 1_000))
    popular = min(1_000, math.floor(1_000 * math.log(1 + shop.sales, 10) / 4 + 1e-9))
    age = max(NOW.ms // 86_400_000 * 86_400_000 - shop.created_at.ms, 0) // 86_400_000
    fresh = 1_000 * max(30 - age, 0) // 30
    return 45 * near + 30 * min(1_000, max(0, 5 * rating - 1_500)) + 20 * popular + 5 * fresh


def brute_force(world: World, query: SearchQuery) -> list[str]:
    """Ids of everything that passes, in order."""
    found: list[tuple[float, str]] = []
    for page in world.pages:
        if not fits(page, query, world.notes.get(page.shop.id)):
            continue
        away = None if query.origin is None else metres(query.origin, page.shop.position)
        key: float
        if query.sort == "rating":
            key = -page.shop.rating_centi
        elif query.sort == "price":
            key = min(offer.price.amount_minor for offer in page.offers)
        elif query.sort == "sales":
            key = -page.shop.sales
        elif query.sort == "distance" and away is not None:
            key = round(away, 3)  # the two formulas agree to far less than a millimetre
        else:
            key = -recommendation(page, away)
        found.append((key, page.shop.id))
    return [shop_id for _, shop_id in sorted(found)]


def run(world: World, query: SearchQuery, now: Instant = NOW) -> SearchPage:
    return find(query, [Entry.of(page) for page in world.pages], now, world.notes)


def every_page(world: World, query: SearchQuery, now: Instant = NOW) -> list[str]:
    ids: list[str] = []
    page = run(world, query, now)
    ids += [hit.card.id for hit in page.hits]
    while page.next_key is not None:
        page = run(world, replace(query, after=page.next_key), now)
        assert page.hits
        assert len(ids) < 100, "the pages do not end"
        ids += [hit.card.id for hit in page.hits]
    return ids


@settings(max_examples=100, deadline=None)
@given(worlds(), queries)
def test_all_pages_together_are_the_brute_force_in_order(world: World, query: SearchQuery) -> None:
    assert every_page(world, query) == brute_force(world, query)


@settings(max_examples=25, deadline=None)
@given(worlds(), queries)
def test_total_and_facets_count_what_the_brute_force_counts(world: World, query: SearchQuery) -> None:
    """Each facet with every filter but its own."""
    page = run(world, replace(query, facets=True, total=True))
    facets = page.facets
    assert facets is not None
    assert page.total == len(brute_force(world, query))

    def left(name: str) -> Sequence[ShopPage]:
        return [one for one in world.pages if fits(one, query, world.notes.get(one.shop.id), without=name)]

    for category in CATEGORIES:
        wanted = sum(
            category in {offer.category or one.shop.category for offer in one.offers} | {one.shop.category}
            for one in left("category")
        )
        assert facets.category.get(category, 0) == wanted
    for kind in KINDS:
        assert facets.kind.get(kind, 0) == sum(any(o.kind == kind for o in one.offers) for one in left("kind"))
    prices = [min(offer.price.amount_minor for offer in one.offers) for one in left("price")]
    bands = [0, 5_000, 10_000, 20_000, 50_000, 10**9]
    for low, high in pairwise(bands):
        assert facets.price.get(low, 0) == sum(low <= price < high for price in prices)
    for low in (400, 450, 480):
        assert facets.rating[low] == sum(one.shop.rating_centi >= low for one in left("rating"))
    for state in (True, False):
        assert facets.open_now.get(state, 0) == sum(is_open(one) == state for one in left("open_now"))


@settings(max_examples=25, deadline=None)
@given(worlds(), queries, st.data())
def test_what_stays_is_neither_repeated_nor_skipped_when_other_shops_come_and_go(
    world: World, query: SearchQuery, data: st.DataObject
) -> None:
    """Between two pages some shops close for good and others open, and a day passes for what is fresh."""
    query = replace(query, bookable_on=None, open_now=False)
    first = run(world, query)
    gone = data.draw(st.sets(st.sampled_from(range(len(world.pages) or 1))))
    stayed = [page for number, page in enumerate(world.pages) if number not in gone]
    after = World((*stayed, *data.draw(st.lists(shops(), max_size=3))), world.notes)
    seen = [hit.card.id for hit in first.hits]
    if first.next_key is not None:
        seen += every_page(after, replace(query, after=first.next_key), NOW.plus(days=1))
    assert len(seen) == len(set(seen))
    keeps = {page.shop.id for page in stayed}
    assert [shop_id for shop_id in seen if shop_id in keeps] == [
        shop_id for shop_id in brute_force(world, query) if shop_id in keeps
    ]


@settings(max_examples=25, deadline=None)
@given(worlds(), queries)
def test_a_hit_shows_its_distance_within_half_a_metre(world: World, query: SearchQuery) -> None:
    """And none without a position; never more than the radius."""
    pages = {page.shop.id: page for page in world.pages}
    for hit in run(world, query).hits:
        page = pages[hit.card.id]
        if query.origin is None:
            assert hit.distance_m is None
        else:
            assert hit.distance_m is not None
            assert abs(hit.distance_m - metres(query.origin, page.shop.position)) <= 0.501
            assert hit.distance_m <= query.radius_m
        assert hit.open_now == is_open(page)


def entry(**of_shop: Any) -> Entry:
    return Entry.of(build.page(**of_shop))


def parts(of: Entry, distance: float | None) -> ranking.Parts:
    return of.parts(distance, Place.read(None, NOW, None))


@pytest.mark.parametrize(
    ("distance", "of_shop", "reason"),
    [
        (40.0, {}, "near"),
        (2_900.0, {"rating_sum_centi": 500 * 900, "rating_count": 900}, "rating"),
        (2_900.0, {"sales": 9_000, "rating_sum_centi": 0, "rating_count": 0}, "popular"),
        (None, {"sales": 0, "rating_sum_centi": 0, "rating_count": 0, "created_at": NOW}, "fresh"),
        (2_999.9, {"sales": 0, "rating_sum_centi": 0, "rating_count": 0}, None),
        (None, {"sales": 0, "rating_sum_centi": 0, "rating_count": 0}, None),
    ],
)
def test_a_reason_is_what_lifts_a_shop_above_an_ordinary_one(
    distance: float | None, of_shop: dict[str, Any], reason: str | None
) -> None:
    found = parts(entry(**of_shop), distance)
    assert ranking.reason(found, placed=distance is not None) == reason


def test_weights_add_up_and_each_part_stays_within_its_scale() -> None:
    """What is personal comes on top of the hundred."""
    assert sum(ranking.WEIGHTS) - ranking.WEIGHTS.affinity == 100
    best = entry(sales=10**7, rating_sum_centi=500 * 10**6, rating_count=10**6, created_at=NOW)
    place = Place.read(None, NOW, Affinity({"hair": 900}, {best.id: 900}))
    assert best.parts(0.0, place) == (1_000,) * len(ranking.WEIGHTS)


def test_a_shop_born_tomorrow_is_fresh_but_not_more() -> None:
    assert parts(entry(created_at=NOW.plus(days=5)), None).fresh == 1_000


@pytest.mark.parametrize("after", ["", "[]", "[1,2]", '["x",1,"y"]', "{}", "null", "[1,2,3,4]"])
def test_a_key_that_is_none_is_refused(after: str) -> None:
    with pytest.raises(CursorInvalid):
        find(SearchQuery(after=after), [], NOW, {})


def test_a_note_bounds_a_day_and_shorter_hours_bound_the_note() -> None:
    """The calendar says 20:00 at the latest less nothing; a note can only say earlier."""
    one = entry(hours=every_day((600, 1260)))
    day = TODAY
    evening = Instant.parse("2026-11-22T12:00:00Z")  # 20:00, the last start
    assert model.bookable(one.calendar, day, evening, None)
    assert not model.bookable(one.calendar, day, evening.plus(ms=1), None)
    late = Note(evening.plus(hours=1), 1)
    assert not model.bookable(one.calendar, day, evening.plus(ms=1), late)
    early = Note(NOW, 1)
    assert model.bookable(one.calendar, day, NOW, early)
    assert not model.bookable(one.calendar, day, NOW.plus(ms=1), early)
    assert not model.bookable(one.calendar, day, NOW, Note(None, 1))


def test_each_offers_own_horizon_counts() -> None:
    """One offer a week ahead, the other a month: the tenth day is the second one's."""
    shop = build.shop()
    soon, far = build.offer(shop, horizon_days=7), build.offer(shop, horizon_days=30)
    both = Entry.of(ShopPage(shop, (soon, far), (build.staff(shop, soon, far),)))
    only_soon = Entry.of(ShopPage(shop, (soon, far), (build.staff(shop, soon),)))
    tenth = TODAY + timedelta(days=10)
    assert model.bookable(both.calendar, tenth, NOW, None)
    assert not model.bookable(only_soon.calendar, tenth, NOW, None)
    assert not model.bookable(both.calendar, TODAY + timedelta(days=31), NOW, None)
    assert not model.bookable(both.calendar, TODAY - timedelta(days=1), NOW, None)
