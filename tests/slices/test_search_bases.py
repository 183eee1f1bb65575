"""The base of a city: how it comes to be, how a process takes it up, and what holds when something fails on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from chalicelib.catalog import citylog
from chalicelib.catalog import service as catalog
from chalicelib.catalog import tables as catalog_tables
from chalicelib.catalog.hours import every_day
from chalicelib.catalog.model import City, Shop
from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.providers.files.local import Directory
from chalicelib.runtime.context import Context
from chalicelib.runtime.meter import measured
from chalicelib.search import bases, cities, cold, model, pointers, service, tables
from chalicelib.search.engine import Engine
from chalicelib.search.model import Entry, SearchPage, SearchQuery
from chalicelib.search.plain import Plain, Since
from chalicelib.wiring import ports
from tests import world
from tests.builders import catalog as build
from tests.client import Client
from tests.slices.test_log import Lines, lines

assert lines

DAY = date(2026, 11, 24)
_spots = iter(Point(-60.0 + lat, lng) for lat in range(20) for lng in range(-50, 60, 2))


@dataclass
class Ports:
    """The process's adapters, with a file store of its own."""

    files: Directory

    def __getattr__(self, name: str) -> Any:
        return getattr(ports(), name)


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    yield replace(build.context(), ports=Ports(Directory(str(tmp_path / "files"))))
    cities.forget()


@pytest.fixture
def city() -> City:
    return build.stored_city(centre=next(_spots), radius_m=30_000)


def place(city: City, north_m: float = 0.0, **given: Any) -> Shop:
    at = Point(city.centre.lat + north_m / 111_195.0, city.centre.lng)
    return build.stored_page(city=city.code, position=at, **given).shop


def based(ctx: Context, city: City) -> pointers.Pointer:
    made = bases.build(ctx, city, tables.base(city.code, consistent=True))
    assert made is not None
    return made


def loaded(ctx: Context, city: City) -> Context:
    """Once this process answers from the newest base that it knows of, at that time."""
    later = ctx
    for _ in range(500):
        later = later.at(later.now.plus(seconds=3))
        try:
            service.search(later, SearchQuery(city=city.code, limit=1))
        except Unavailable:
            time.sleep(0.01)
        held = cities._cities[city.code]
        if not held.loading and held.version == held.wanted > 0:
            assert isinstance(held.index, Engine)
            return later
        time.sleep(0.01)
    raise AssertionError("the base was not loaded")


def ids_of(page: SearchPage) -> list[str]:
    return [hit.card.id for hit in page.hits]


def queries(city: City) -> list[SearchQuery]:
    """Each order, near and far and in the whole city, with each filter that needs no words."""
    places: list[dict[str, Any]] = [{"city": city.code}]
    for radius_m in (400, 3_000, 25_000):
        places.append({"origin": city.centre, "radius_m": radius_m})
    filters: list[dict[str, Any]] = [
        {},
        {"category": "nails", "facets": True, "total": True},
        {"price_max_minor": 12_000, "open_now": True, "total": True},
        {"bookable_on": DAY, "limit": 3},
        {"kind": "voucher"},
    ]
    sorts = ("recommended", "distance", "price", "rating")
    return [SearchQuery(**where, **what, sort=sort) for where, what, sort in product(places, filters, sorts)]


def town(city: City) -> list[Shop]:
    """Twenty-four shops up to twelve kilometres away, different in all that is asked for."""
    shops = []
    for number in range(24):
        at = Point(city.centre.lat + (number % 12) * 0.009, city.centre.lng + (number % 5) * 0.002)
        shop = build.shop(
            city=city.code,
            position=at,
            category=("hair", "nails", "pet")[number % 3],
            hours=every_day(((540, 1320), (1200, 1320))[number % 2]),
            rating_sum_centi=(400 + number * 4) * 50,
            rating_count=50,
            sales=number * 37,
        )
        offer = build.offer(shop, price=Money(8_000 + 700 * (number % 9), "CNY"))
        build.stored_page(build.ShopPage(shop, (offer,), (build.staff(shop, offer),)))
        shops.append(shop)
    return shops


def test_the_same_is_found_before_and_after_the_base_is_loaded(
    ctx: Context, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By plain values while there is no base, by pieces of the file, by the engine, and by either after changes."""
    shops = town(city)
    service.note_day(ctx, shop_id=shops[0].id, city=city.code, day=DAY, bookable_until=None, revision=1)
    asked = queries(city)
    plain = [service.search(ctx, query) for query in asked]
    assert isinstance(cities._cities[city.code].index, Plain)
    assert any(page.relax for page in plain)
    pointer = based(ctx, city)
    nothing = Since({})
    assert [cold.find(ctx, pointer, nothing, query) for query in asked] == plain
    # As of a city that is too large to be read as a whole: what is found at all is the same.
    monkeypatch.setattr(cold, "MAX_SHOPS", 23)
    pieces = [cold.find(ctx, pointer, nothing, query) for query in asked]
    assert sum(page is not None for page in pieces) > 20
    assert [page or plain[i] for i, page in enumerate(pieces)] == plain
    monkeypatch.setattr(cold, "MAX_SHOPS", 5_000)
    later = loaded(ctx, city)
    assert [service.search(later.at(ctx.now), query) for query in asked] == plain

    catalog.put_shop(ctx, replace(shops[3], state="suspended", version=2))
    catalog.put_shop(ctx, replace(shops[4], position=city.centre, version=2))
    place(city, 50)
    service.note_day(ctx, shop_id=shops[5].id, city=city.code, day=DAY, bookable_until=None, revision=1)
    warm_ctx = later.at(later.now.plus(seconds=3))
    warm = [service.search(warm_ctx, query) for query in asked]
    assert warm != plain
    cities.forget()
    monkeypatch.setattr(cities, "begin", lambda name, work: None)
    assert [service.search(warm_ctx, query) for query in asked] == warm
    assert cities._cities[city.code].index is None


def test_a_warm_process_reads_nothing_but_the_logs_number(ctx: Context, city: City) -> None:
    """Half a unit, two seconds apart at most, whatever is asked: filters, days, facets, pages."""
    town(city)
    based(ctx, city)
    later = loaded(ctx, city)
    with measured() as used:
        for query in queries(city):
            service.search(later, replace(query, q="云"))
    assert used.calls.total() == 0
    with measured() as used:
        service.search(later.at(later.now.plus(seconds=2)), SearchQuery(city=city.code))
    assert (used.read_units, used.calls.total()) == (0.5, 1)


def test_changes_are_found_within_five_seconds(ctx: Context, city: City) -> None:
    """A price, a closed shop, a rating, a new name, in the engine that has been loaded before."""
    page = build.stored_page(city=city.code, position=city.centre)
    other = place(city, 100)
    based(ctx, city)
    now = loaded(ctx, city)

    def found(**asked: Any) -> SearchPage:
        nonlocal now
        now = now.at(now.now.plus(seconds=5))
        return service.search(now, SearchQuery(city=city.code, **asked))

    catalog.put_offer(ctx, build.next_version(page.offers[0], price=Money(100, "CNY")))
    assert [hit.card.price_from.amount_minor for hit in found(sort="price").hits] == [100, 12_800]
    rated = replace(page.shop, rating_sum_centi=100 * 500, rating_count=100, version=2)
    catalog.put_shop(ctx, rated)
    assert [hit.card.rating_count for hit in found(sort="rating").hits] == [100, 100]
    assert found(sort="rating").hits[0].card.id == rated.id
    catalog.put_shop(ctx, replace(rated, name={"en": "Something Else"}, version=3))
    assert ids_of(found(q="something")) == [rated.id]
    catalog.put_shop(ctx, replace(rated, name={"en": "Something Else"}, state="suspended", version=4))
    assert ids_of(found()) == [other.id]
    catalog.put_shop(ctx, replace(rated, name={"en": "Something Else"}, version=5))
    assert set(ids_of(found())) == {other.id, rated.id}


class Died(Exception):
    """A process that ended here."""


class Dying(Directory):
    """A file store whose process dies at one of its methods, before or after it has done its work."""

    def __init__(self, path: Path, method: str, *, after: bool) -> None:
        super().__init__(str(path))
        self._dies_at, self._after = method, after

    def _do(self, name: str, work: Any) -> Any:
        if self._dies_at == name and not self._after:
            raise Died
        done = work()
        if self._dies_at == name:
            raise Died
        return done

    def put_file(self, key: str, path: Path) -> bool:
        return bool(self._do("put_file", lambda: super(Dying, self).put_file(key, path)))

    def list(self, prefix: str) -> Iterator[str]:
        return iter(self._do("list", lambda: list(super(Dying, self).list(prefix))))

    def delete(self, key: str) -> None:
        self._do("delete", lambda: super(Dying, self).delete(key))


@pytest.mark.parametrize(("method", "after"), [(m, a) for m in ("put_file", "list", "delete") for a in (False, True)])
def test_wherever_a_builder_dies_a_base_serves(
    ctx: Context, city: City, tmp_path: Path, method: str, after: bool
) -> None:
    """The older one until the pointer has moved, the newer one from then on; the next run ends the work, and after a
    while no file is left that nobody names."""
    place(city)
    first = based(ctx, city)
    place(city, 100)
    dying = replace(ctx, ports=Ports(Dying(tmp_path / "files", method, after=after)))
    now = ctx.at(ctx.now.plus(days=1))
    ctx.ports.files.put_new(f"{pointers.folder(city.code)}000000-1-left", b"")
    with pytest.raises(Died):
        bases._build_if_due(dying.at(now.now), city, everything=True, progress=None)
    stands = tables.base(city.code, consistent=True)
    assert stands is not None
    assert stands.version == (1 if method == "put_file" else 2)
    assert len(service.search(loaded(ctx, city), SearchQuery(city=city.code)).hits) == 2
    place(city, 200)
    for hours in (1, 8, 16):
        cities.forget()
        bases._build_if_due(now.at(now.now.plus(hours=hours)), city, everything=True, progress=None)
    stands = tables.base(city.code, consistent=True)
    assert stands is not None
    assert set(ctx.ports.files.list(pointers.folder(city.code))) == {stands.key, stands.before}
    assert first.key not in (stands.key, stands.before)
    assert len(service.search(loaded(now, city), SearchQuery(city=city.code)).hits) == 3


def test_of_two_builders_one_moves_the_pointer(ctx: Context, city: City) -> None:
    """The slower one takes its file away again, and the log announces one base."""
    place(city)
    before = tables.base(city.code)
    assert based(ctx, city).version == 1
    assert bases.build(ctx, city, before) is None
    assert len(list(ctx.ports.files.list(pointers.folder(city.code)))) == 1
    told = [change.told for change in citylog.changes_after(city.code, 0) if change.told]
    assert told == [{"base": 1}]


def test_a_newer_base_is_taken_up_while_the_older_one_answers(ctx: Context, city: City) -> None:
    """Announced by the log; the searches in between wait for nothing."""
    place(city)
    based(ctx, city)
    now = loaded(ctx, city)
    old = cities._cities[city.code].index
    place(city, 100)
    based(ctx, city)
    waiting: list[Any] = []
    begin, cities.begin = cities.begin, lambda name, work: waiting.append(work)
    try:
        now = now.at(now.now.plus(seconds=3))
        assert len(service.search(now, SearchQuery(city=city.code)).hits) == 2
        assert cities._cities[city.code].index is old
    finally:
        cities.begin = begin
    place(city, 200)
    waiting.pop()()
    held = cities._cities[city.code]
    assert (held.index is old, held.version) == (False, 2)
    assert len(service.search(now, SearchQuery(city=city.code)).hits) == 3


def test_a_process_whose_log_was_trimmed_begins_anew(ctx: Context, city: City) -> None:
    """It slept for three days. With a base that can be followed it takes that; else it reads the listings."""
    shop = place(city)
    based(ctx, city)
    now = loaded(ctx, city)
    catalog.put_shop(ctx, replace(shop, sales=999, version=2))
    place(city, 100)
    for row in catalog_tables.LogRow.query(f"{city.code}#log"):
        row.delete()
    now = now.at(now.now.plus(days=3))
    page = service.search(now, SearchQuery(city=city.code, sort="sales"))
    assert [hit.card.sales for hit in page.hits] == [999, 300]
    assert isinstance(cities._cities[city.code].index, Plain)
    assert bases.due(now, city.code, tables.base(city.code)) == "it is old"
    assert bases.due(ctx, city.code, tables.base(city.code)) == "the log does not go back to it"
    based(ctx, city)
    assert len(service.search(loaded(now, city), SearchQuery(city=city.code)).hits) == 2


def test_a_base_is_due_for_a_reason(ctx: Context, city: City) -> None:
    """None, another release's, an old one with news; and nothing is built when nothing has happened."""
    assert bases.due(ctx, city.code, None) == "there is none"
    place(city)
    pointer = based(ctx, city)
    later = ctx.at(ctx.now.plus(hours=7))
    # The base's own announcement is an entry as well, and no reason.
    assert bases.due(later, city.code, pointer) == ""
    place(city, 10)
    assert bases.due(ctx, city.code, pointer) == ""
    assert bases.due(later, city.code, pointer) == "it is old"
    assert bases.due(ctx, city.code, replace(pointer, release="0.0.1")) == "another release built it"
    assert bases.due(ctx, city.code, replace(pointer, sequence=99)) == "the tables were restored"
    assert bases.due(ctx, city.code, replace(pointer, key=f"{pointer.key}0")) == "its file is gone"


def test_tables_that_were_restored_to_an_older_base_get_another(ctx: Context, city: City) -> None:
    """The older base's file was removed when it had been succeeded. A process that begins then answers from the
    listings, and the builder sees at its next run why."""
    place(city)
    older = based(ctx, city)
    row = next(iter(tables.BaseRow.query(f"base#{city.code}")))
    place(city, 10)
    based(ctx, city)
    ctx.ports.files.delete(older.key)
    row.save()
    restored = tables.base(city.code, consistent=True)
    assert restored == older
    assert len(service.search(ctx, SearchQuery(city=city.code)).hits) == 2
    assert bases.due(ctx, city.code, restored) == "its file is gone"
    based(ctx, city)
    assert len(service.search(loaded(ctx, city), SearchQuery(city=city.code)).hits) == 2


def answers(city: City) -> list[dict[str, Any]]:
    """What the app says to searches of each kind, words among them."""
    near = f"lat={city.centre.lat}&lng={city.centre.lng}&datum=wgs84&radius_m=4000"
    asked = (
        near,
        f"{near}&sort=price&bookable_on={DAY}",
        f"city={city.code}&q=shop&include=facets,total",
        f"{near}&q=zzz",
    )
    found = []
    for query in asked:
        reply = Client().get(f"/v1/search?{query}")
        assert reply.status == 200, reply.text
        found.append({name: value for name, value in reply.json.items() if name != "next_cursor"})
    return found


def in_the_app(city: City) -> Any:
    """What this process holds of a city, once nothing is loaded beside."""
    for _ in range(500):
        held = cities._cities[city.code]
        if not held.loading:
            return held
        time.sleep(0.01)
    raise AssertionError("still loading")


def test_a_city_whose_base_is_lost_answers_from_its_listings(city: City, lines: Lines) -> None:
    """As after a restore of the tables: whoever begins then gives the same answers and follows what changes, says once
    what is wrong, and takes up the base that the builder makes at its next run."""
    shops = town(city)
    ctx = build.context(world.now())
    service.note_day(ctx, shop_id=shops[0].id, city=city.code, day=DAY, bookable_until=None, revision=1)
    lost = based(ctx, city)
    known = answers(city)
    ctx.ports.files.delete(lost.key)
    cities.forget()
    assert answers(city) == known
    assert isinstance(in_the_app(city).index, Plain)
    catalog.put_shop(ctx, replace(shops[1], state="suspended", version=2))
    for _ in range(4):
        world.advance(seconds=15)
        changed = answers(city)
        in_the_app(city)
    assert changed != known
    assert shops[1].id not in str(changed)
    assert [line["level"] for line in lines.of("the base of a city is lost")] == ["WARNING"]
    assert not [line for line in lines.all() if line["level"] == "ERROR"]
    assert world.run_schedule("build_search")["built"] >= 1
    world.advance(seconds=15)
    answers(city)
    held = in_the_app(city)
    assert (type(held.index), held.version, held.lost) == (Engine, lost.version + 1, "")
    assert answers(city) == changed


def test_a_file_that_comes_back_is_taken_up(ctx: Context, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the city was too large to be answered without it; it is not asked for at every search."""
    town(city)
    pointer = based(ctx, city)
    content = ctx.ports.files.get(pointer.key)
    for most, status in ((cities.MAX_PLAIN, 200), (20, 503)):
        monkeypatch.setattr(cities, "MAX_PLAIN", most)
        ctx.ports.files.delete(pointer.key)
        cities.forget()
        assert seen(ctx, city) in (status, 503)
        in_the_app(city)
        with measured() as used:
            assert seen(ctx, city) == status
        assert used.read_units == 0
        ctx.ports.files.put_new(pointer.key, content)
        now = ctx.at(ctx.now.plus(seconds=9))
        assert seen(now, city) == status
        assert not in_the_app(city).version
        seen(now.at(now.now.plus(seconds=2)), city)
        assert in_the_app(city).version == pointer.version
        assert seen(now.at(now.now.plus(seconds=2)), city) == 200


def seen(ctx: Context, city: City) -> int:
    try:
        return 200 if service.search(ctx, SearchQuery(city=city.code, limit=50)).hits else 404
    except Unavailable as refused:
        return refused.status


def test_a_base_of_another_format_is_as_good_as_lost(ctx: Context, city: City) -> None:
    """A release that writes another one answers from the listings until its builder has run."""
    place(city)
    pointer = based(ctx, city)
    ctx.ports.files.delete(pointer.key)
    ctx.ports.files.put_new(pointer.key, b"LINLICTY of the day after tomorrow")
    assert len(service.search(ctx, SearchQuery(city=city.code)).hits) == 1


def test_a_large_city_without_a_base_is_not_there_yet(
    ctx: Context, city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More shops than are held as plain values: 503 with a time, until its first base is built."""
    monkeypatch.setattr(cities, "MAX_PLAIN", 2)
    for north_m in range(3):
        place(city, north_m)
    with pytest.raises(Unavailable) as refused:
        service.search(ctx, SearchQuery(city=city.code))
    assert refused.value.retry_after_seconds == 30
    based(ctx, city)
    assert len(service.search(loaded(ctx, city), SearchQuery(city=city.code)).hits) == 3


def test_cities_make_room_for_each_other(ctx: Context) -> None:
    """Those that were asked for longest ago are forgotten when memory is short, and come back when asked for."""
    small = replace(ctx, settings=replace(ctx.settings, search_bytes=1))
    made = [build.stored_city(centre=next(_spots), radius_m=30_000) for _ in range(3)]
    for city in made:
        place(city)
        based(ctx, city)
    for city in made:
        loaded(small, city)
    assert set(cities._cities) == {made[-1].code}
    assert len(service.search(loaded(small, made[0]), SearchQuery(city=made[0].code)).hits) == 1


def test_across_a_border_pages_are_as_of_one_city(ctx: Context) -> None:
    """Two cities side by side, one of them with a base: pages, facets, totals and advice are as if it were one."""
    spot = next(_spots)
    west = build.stored_city(centre=spot, radius_m=6_000)
    east = build.stored_city(centre=Point(spot.lat, spot.lng + 0.1), radius_m=6_000)
    for number in range(14):
        home, at = west if number < 7 else east, Point(spot.lat, spot.lng + 0.008 * number)
        build.stored_page(city=home.code, position=at, category=("hair", "nails", "pet")[number // 5], sales=number % 3)
    based(ctx, east)
    now = loaded(ctx, east).at(ctx.now)
    entries = [Entry.of(page) for home in (west, east) for page in catalog.shops_of_city(ctx, home.code)]
    origin = Point(spot.lat, spot.lng + 0.05)
    seen = set()
    for sort, category, radius_m in product(("distance", "recommended", "sales"), (None, "nails", "pet"), (900, 3_500)):
        asked = SearchQuery(
            origin=origin, radius_m=radius_m, sort=sort, category=category, limit=3, facets=True, total=True
        )
        key: str | None = ""
        while key is not None:
            page = service.search(now, asked)
            assert page == model.find(asked, entries, now.now, {})
            seen.add((len(page.hits), bool(page.relax)))
            key = page.next_key
            asked = replace(asked, after=key)
    assert {(3, False), (0, True)} < seen


def test_builders_and_writers_beside_each_other_lose_nothing(ctx: Context, city: City) -> None:
    """While shops change, bases are built and taken up; at the end the engine says what the listings say."""
    from threading import Thread

    pages = [build.stored_page(city=city.code, position=city.centre) for _ in range(4)]
    based(ctx, city)
    now = loaded(ctx, city)

    def write(number: int) -> None:
        for version in range(2, 8):
            offer = replace(pages[number].offers[0], price=Money(1_000 * number + version, "CNY"), version=version)
            catalog.put_offer(ctx, offer)

    threads = [Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        based(ctx, city)
        now = loaded(now, city)
    for thread in threads:
        thread.join()
    now = now.at(now.now.plus(seconds=3))
    listed = {page.shop.id: page.offers[0].price for page in catalog.shops_of_city(ctx, city.code)}
    found = {hit.card.id: hit.card.price_from for hit in service.search(now, SearchQuery(city=city.code)).hits}
    assert found == listed == {page.shop.id: Money(1_000 * n + 7, "CNY") for n, page in enumerate(pages)}


def test_notes_reach_the_engine_by_the_log_and_by_the_base(ctx: Context, city: City) -> None:
    """The newest revision wins whichever way it came."""
    shop = place(city)
    other = place(city)

    def bookable(at: Context) -> set[str]:
        return set(ids_of(service.search(at, SearchQuery(city=city.code, bookable_on=DAY))))

    def note(until: Instant | None, revision: int) -> None:
        service.note_day(ctx, shop_id=shop.id, city=city.code, day=DAY, bookable_until=until, revision=revision)

    note(None, 1)
    based(ctx, city)
    now = loaded(ctx, city)
    assert bookable(now) == {other.id}
    note(now.now.plus(hours=1), 2)
    assert bookable(now) == {shop.id, other.id}
    based(ctx, city)
    now = loaded(now, city)
    assert bookable(now) == {shop.id, other.id}
    note(None, 3)
    assert bookable(now) == {other.id}


def test_a_city_without_shops_has_a_base_too(ctx: Context, city: City) -> None:
    """It finds nothing, and its first shop arrives by the log."""
    based(ctx, city)
    now = loaded(ctx, city)
    assert service.search(now, SearchQuery(origin=city.centre, facets=True, total=True)).total == 0
    shop = place(city, 100)
    now = now.at(now.now.plus(seconds=3))
    assert ids_of(service.search(now, SearchQuery(origin=city.centre))) == [shop.id]
