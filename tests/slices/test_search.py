"""Search over HTTP, on the engine: positions and datums, cities, pages, news of changes, notes of days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import quote

import pytest

from chalicelib.catalog import service as catalog
from chalicelib.catalog.hours import every_day
from chalicelib.catalog.model import City, CityNotServed, Shop
from chalicelib.kernel import geo
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.runtime.meter import measured
from chalicelib.search import service
from chalicelib.search.model import SearchQuery
from chalicelib.search.schemas import SearchOut
from tests.builders import catalog as build
from tests.client import Client, Reply

# Places for cities that no other test's point can reach: far apart, at sea.
_spots = iter(Point(-60.0 + lat, lng) for lat in range(20) for lng in range(-170, -60, 2))


@pytest.fixture
def city() -> City:
    """A served city of its own, ten kilometres around."""
    return build.stored_city(centre=next(_spots), radius_m=10_000)


def place(city: City, north_m: float = 0.0, **given: object) -> Shop:
    """A stored shop north of the city's centre."""
    at = Point(city.centre.lat + north_m / 111_195.0, city.centre.lng)
    return build.stored_page(city=city.code, position=at, **given).shop


def search(city: City, asked: str = "", **headers: str) -> Reply:
    reply = Client().get(f"/v1/search?lat={city.centre.lat}&lng={city.centre.lng}&{asked}", **headers)
    if reply.status == 200:
        SearchOut.model_validate_json(reply.text, strict=True)
    return reply


def ids_of(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.text
    return [item["shop_id"] for item in reply.json["items"]]


def test_a_hit_carries_everything_that_a_list_shows(city: City) -> None:
    shop = place(city, 120, photos=("/media/front.jpg",), hours=every_day((0, 1440)))
    item = search(city, "sort=distance").json["items"][0]
    assert item == {
        "shop_id": shop.id,
        "name": "Yunshang Hair",
        "category": "hair",
        "distance_m": 120,
        "rating": 4.65,
        "rating_count": 100,
        "price_from": {"amount_minor": 12_800, "currency": "CNY"},
        "sales": 300,
        "address": "100 West Nanjing Road",
        "position": {"lat": round(shop.position.lat, 6), "lng": round(shop.position.lng, 6), "datum": "gcj02"},
        "open_now": True,
        "cover_url": "/media/front.jpg",
        "reason": "Close to you",
    }
    assert Client(language="zh-CN").get(f"/v1/search?city={city.code}").json["items"][0]["name"] == "云尚造型"


def test_shops_come_nearest_first_and_none_beyond_the_radius(city: City) -> None:
    far, near, beyond = place(city, 2_990), place(city, 10), place(city, 3_010)
    assert ids_of(search(city, "sort=distance")) == [near.id, far.id]
    assert ids_of(search(city, "sort=distance&radius_m=3100")) == [near.id, far.id, beyond.id]


def test_the_three_datums_name_the_same_place() -> None:
    """In Shanghai they lie half a kilometre apart; asked in its own datum each finds the shop at the door."""
    home = build.stored_city(centre=Point(31.2323, 121.4692), radius_m=3_000)
    shop = build.stored_page(city=home.code).shop
    gcj02 = geo.to_gcj02(shop.position)
    bd09 = geo.to_bd09(gcj02)
    for datum, point in (("wgs84", shop.position), ("gcj02", gcj02), ("bd09", bd09)):
        reply = Client().get(f"/v1/search?city={home.code}&lat={point.lat}&lng={point.lng}&datum={datum}")
        assert reply.json["items"][0]["distance_m"] <= 1
    wrong = Client().get(f"/v1/search?city={home.code}&lat={gcj02.lat}&lng={gcj02.lng}&datum=wgs84")
    assert wrong.json["items"][0]["distance_m"] > 300


def test_without_a_position_the_city_is_searched_and_distance_is_null(city: City) -> None:
    """Also when the order asked for is by distance."""
    shop = place(city, 9_000)
    for sort in ("recommended", "distance"):
        reply = Client().get(f"/v1/search?city={city.code}&sort={sort}")
        assert ids_of(reply) == [shop.id]
        assert reply.json["items"][0]["distance_m"] is None


def test_a_place_that_no_city_serves_is_404() -> None:
    for asked in ("lat=-80&lng=10", "city=nowhere", "lat=90&lng=180&datum=wgs84"):
        reply = Client().get(f"/v1/search?{asked}")
        assert (reply.status, reply.code) == (404, "city_not_served")


def test_near_a_border_the_neighbouring_city_is_searched_too() -> None:
    """A point in one city finds the shop across the border, and each shop once."""
    spot = next(_spots)
    one = build.stored_city(centre=spot, radius_m=1_000)
    other = build.stored_city(centre=Point(spot.lat + 0.02, spot.lng), radius_m=2_000)
    across = build.stored_page(city=other.code, position=Point(spot.lat + 0.01, spot.lng)).shop
    assert ids_of(search(one)) == [across.id]
    assert ids_of(Client().get(f"/v1/search?city={one.code}&lat={spot.lat}&lng={spot.lng}")) == []


def test_across_the_antimeridian_neighbours_are_near() -> None:
    east = build.stored_city(centre=Point(-44.0, 179.999), radius_m=20_000)
    shop = build.stored_page(city=east.code, position=Point(-44.0, -179.999)).shop
    reply = search(east, "sort=distance")
    assert ids_of(reply) == [shop.id]
    assert 150 < reply.json["items"][0]["distance_m"] < 170


def test_an_empty_city_and_an_unknown_category_find_nothing(city: City) -> None:
    assert search(city, "include=facets,total").json["total"] == 0
    place(city)
    assert ids_of(Client().get(f"/v1/search?city={city.code}&category=astrology")) == []


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("yunshang", True),
        ("ＹＵＮＳＨＡＮＧ", True),
        ("云尚", True),
        ("剪", True),
        ("云尚 wash BLOW-dry", True),
        ("云尚 perm", False),
        ("   ", True),
        ("%", False),
        ("云上", False),
    ],
)
def test_every_word_must_occur_in_a_name_in_either_language(q: str, found: bool) -> None:
    home = build.stored_city(centre=next(_spots), radius_m=10_000)
    shop = place(home)
    assert ids_of(Client().get(f"/v1/search?city={home.code}&q={quote(q)}")) == ([shop.id] if found else [])


def test_pages_follow_each_other_by_cursor(city: City) -> None:
    """Seven shops in pages of three: each once, in order, and a cursor belongs to its filters."""
    wanted = [place(city, 100 * i).id for i in range(7)]
    found: list[str] = []
    asked = "sort=distance&limit=3"
    reply = search(city, asked)
    while True:
        found += ids_of(reply)
        cursor = reply.json["next_cursor"]
        if cursor is None:
            break
        assert search(city, f"sort=price&limit=3&cursor={cursor}").code == "cursor_invalid"
        assert search(city, f"{asked}&cursor={cursor[:-1]}x").code == "cursor_invalid"
        reply = search(city, f"{asked}&cursor={cursor}")
    assert found == wanted
    assert ids_of(search(city, "sort=distance&limit=7")) == wanted


@pytest.mark.parametrize(
    ("sort", "best"),
    [
        ("rating", {"rating_sum_centi": 490 * 500, "rating_count": 500}),
        ("sales", {"sales": 9_000}),
        ("recommended", {"sales": 9_000, "rating_sum_centi": 490 * 500, "rating_count": 500}),
    ],
)
def test_each_order_puts_its_best_first(sort: str, best: dict[str, int]) -> None:
    home = build.stored_city(centre=next(_spots), radius_m=10_000)
    ordinary, better = place(home), place(home, **best)
    assert ids_of(search(home, f"sort={sort}")) == [better.id, ordinary.id]


def test_cheapest_first_and_between_two_prices(city: City) -> None:
    shops = [build.shop(city=city.code, position=city.centre) for _ in range(3)]
    for shop, minor in zip(shops, (20_000, 5_000, 9_900), strict=True):
        offer = build.offer(shop, price=Money(minor, "CNY"))
        build.stored_page(build.ShopPage(shop, (offer,), ()))
    assert ids_of(search(city, "sort=price")) == [shops[1].id, shops[2].id, shops[0].id]
    assert ids_of(search(city, "price_min_minor=5001&price_max_minor=9900")) == [shops[2].id]
    assert ids_of(search(city, "price_min_minor=9&price_max_minor=8")) == []


def test_facets_and_total_come_when_asked(city: City) -> None:
    """Either way of writing `include` is understood; without it both are null."""
    place(city)
    plain = search(city).json
    assert (plain["facets"], plain["total"]) == (None, None)
    for include in ("include=facets,total", "include=facets&include=total"):
        body = search(city, f"{include}&category=pet").json
        assert (body["items"], body["total"]) == ([], 0)
        facets = body["facets"]
        assert [(one["value"], one["count"]) for one in facets["category"]] == [("hair", 1)]
        assert facets["kind"] == []
        assert len(facets["price"]) == 5
        assert [one["value"] for one in facets["rating"]] == ["4", "4.5", "4.8"]
    one = search(city, "include=facets").json["facets"]
    assert one["kind"] == [{"value": "appointment", "name": "By appointment", "count": 1}]
    assert one["price"][2] == {
        "value": "10000",
        "name": "100–200",
        "count": 1,
        "price_min_minor": 10_000,
        "price_max_minor": 19_999,
    }
    assert [band["count"] for band in one["rating"]] == [1, 1, 0]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("lat=nan&lng=1", "lat"),
        ("lat=inf&lng=1", "lat"),
        ("lat=1e400&lng=1", "lat"),
        ("lat=91&lng=1", "lat"),
        ("lat=1&lng=-180.1", "lng"),
        ("lat=31.2", "lng"),
        ("lng=121.4", "lat"),
        ("lat=x&lng=1", "lat"),
        ("lat=-90&lng=0&datum=bd09", "lat"),
        ("datum=mars", "datum"),
        ("city=../x", "city"),
        ("radius_m=0", "radius_m"),
        ("radius_m=50001", "radius_m"),
        ("radius_m=1e3", "radius_m"),
        ("radius_m=" + "9" * 5_000, "radius_m"),
        ("q=" + "x" * 101, "q"),
        ("category=Hair%27--", "category"),
        ("kind=flight", "kind"),
        ("price_min_minor=-1", "price_min_minor"),
        ("price_max_minor=100000000", "price_max_minor"),
        ("rating_min=5.1", "rating_min"),
        ("rating_min=nan", "rating_min"),
        ("rating_min=1e999", "rating_min"),
        ("rating_min=4.555", "rating_min"),
        ("open_now=perhaps", "open_now"),
        ("bookable_on=2026-02-30", "bookable_on"),
        ("bookable_on=today", "bookable_on"),
        ("sort=random", "sort"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("include=secrets", "include"),
        ("colour=red", "colour"),
    ],
)
def test_a_value_that_makes_no_sense_is_422_and_named(asked: str, field: str) -> None:
    reply = Client().get(f"/v1/search?{asked}")
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert any(error["field"].startswith(field) for error in reply.json["errors"]), reply.text


def test_a_change_is_found_within_five_seconds_and_not_by_reading_for_every_search(city: City) -> None:
    """Within two seconds a warm process reads nothing; after them it asks for the version, half a unit."""
    page = build.stored_page(city=city.code, position=city.centre)
    ctx = build.context()
    query = SearchQuery(city=city.code)

    def prices(seconds: int) -> list[int]:
        return [
            hit.card.price_from.amount_minor
            for hit in service.search(ctx.at(ctx.now.plus(seconds=seconds)), query).hits
        ]

    assert prices(0) == [12_800]
    with measured() as used:
        assert prices(1) == [12_800]
    assert used.calls.total() == 0
    with measured() as used:
        assert prices(3) == [12_800]
    assert used.read_units == 0.5
    catalog.put_offer(ctx, build.next_version(page.offers[0], price=Money(100, "CNY")))
    assert prices(8) == [100]
    catalog.put_shop(ctx, build.next_version(page.shop, state="suspended"))
    assert prices(13) == []
    catalog.put_shop(ctx, replace(page.shop, version=3))
    assert prices(18) == [100]


DAY = date(2026, 11, 24)


def test_a_note_decides_a_day_the_newest_revision_wins_and_others_are_left_alone(city: City) -> None:
    shop, other = place(city), place(city)
    ctx = build.context()

    def bookable(now: Instant = ctx.now) -> set[str]:
        query = SearchQuery(city=city.code, bookable_on=DAY)
        return {hit.card.id for hit in service.search(ctx.at(now), query).hits}

    def note(until: Instant | None, revision: int, day: date = DAY) -> bool:
        return service.note_day(ctx, shop_id=shop.id, city=city.code, day=day, bookable_until=until, revision=revision)

    assert bookable() == {shop.id, other.id}
    assert note(None, 3)
    assert bookable() == {other.id}
    assert not note(ctx.now, 2)
    assert not note(ctx.now, 3)
    assert bookable() == {other.id}
    assert note(ctx.now.plus(hours=1), 4)
    assert bookable() == {shop.id, other.id}
    assert bookable(ctx.now.plus(hours=1)) == {shop.id, other.id}
    assert bookable(ctx.now.plus(hours=1, ms=1)) == {other.id}
    assert note(None, 1, DAY + timedelta(days=1))
    assert bookable() == {shop.id, other.id}


def test_bookable_on_agrees_with_availability_on_a_day_without_bookings(city: City) -> None:
    """Closed on Tuesdays: Monday can be booked, Tuesday cannot."""
    shop = place(city, hours=every_day((600, 1320), closed=(1,)))
    ctx = build.context(Instant.parse("2026-11-22T04:00:00Z"))
    for day, found in ((date(2026, 11, 23), [shop.id]), (DAY, [])):
        page = service.search(ctx, SearchQuery(city=city.code, bookable_on=day))
        assert [hit.card.id for hit in page.hits] == found


def test_the_home_city_is_searched_when_nothing_is_said() -> None:
    ctx = build.context()
    home = ctx.settings.home_city
    if home not in {each.code for each in catalog.cities(ctx)}:
        with pytest.raises(CityNotServed):
            service.search(ctx, SearchQuery())
        catalog.put_city(ctx, build.city(code=home))
    assert Client().get("/v1/search").status == 200


def test_search_carries_an_etag_and_is_nobodys_to_share(city: City) -> None:
    place(city, hours=every_day((0, 1440)))
    first = search(city)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert search(city, If_None_Match=first.headers["ETag"]).status == 304


def test_a_search_for_too_many_words_is_refused(city: City) -> None:
    """Eight are looked for, nine are too many."""
    place(city)
    assert search(city, "q=a+b+c+d+e+f+g+h").status == 200
    reply = search(city, "q=a+b+c+d+e+f+g+h+i")
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "q")
