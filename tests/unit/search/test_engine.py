"""The engine and the plain `find` answer what `rule` says: every filter, sort and page, while the city changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.search import model
from chalicelib.search.base import open_base
from chalicelib.search.engine import Engine
from chalicelib.search.model import Affinity, Entry, Note, SearchPage, SearchQuery
from tests.builders import search as build
from tests.builders.search import NOW, TODAY
from tests.unit.search import rule

DAYS = tuple(TODAY + timedelta(days=ahead) for ahead in range(4))
WORDS = (
    "青丝",
    "丝",
    "绝",
    "abc",
    "STRASSE",
    "hai",
    "南京西路",
    "qingsi",
    "qsl",
    "lif",
    "massage",
    "msesage",
    "造型 a",
    "!?",
    "  ",
    "yoga 瑜伽",
)
seeds = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


class Town:
    """A city as the engine has it, and as plain values."""

    def __init__(self, folder: Path, draw: random.Random, size: int) -> None:
        self.draw = draw
        self.centre = draw.choice(build.CENTRES)
        self.entries = {entry.id: entry for entry in build.entries(size, draw.getrandbits(32), self.centre)}
        self.notes: dict[date, dict[str, Note]] = {day: {} for day in DAYS}
        noted = build.notes(draw, [*self.entries, "shp_" + "0" * 26], DAYS)
        for day, shop_id, note in noted:
            self.notes[day][shop_id] = note
        path = folder / "base"
        build.base(path, list(self.entries.values()), noted, self.centre)
        self.engine = Engine(open_base(path))

    def change(self) -> None:
        draw = self.draw
        shop_id = draw.choice([*self.entries, "shp_" + "0" * 26])
        old = self.entries.get(shop_id)
        kind = draw.randrange(6)
        if kind == 0:
            self.engine.remove(shop_id)
            self.entries.pop(shop_id, None)
        elif kind == 1:
            day = draw.choice(DAYS)
            note = build.note(draw, draw.randrange(4))
            self.engine.note(day, shop_id, note)
            known = self.notes[day].get(shop_id)
            if known is None or known.revision < note.revision:
                self.notes[day][shop_id] = note
        else:
            new = build.entry(draw, self.centre, id=shop_id if kind > 2 else None)
            if old is not None and kind > 3:  # stays where it is
                card = new.card._replace(lat=old.card.lat, lng=old.card.lng)
                new = replace(new, card=card, names=old.names, categories=old.categories)
            self.engine.put(new)
            self.entries[new.id] = new

    def query(self) -> SearchQuery:
        draw = self.draw

        def maybe(*values: Any, often: float = 0.25) -> Any:
            return draw.choice(values) if draw.random() < often else None

        origin = draw.choice((self.centre, build.place(draw, self.centre), *(e.card.position for e in self.some(1))))
        affinity = Affinity(
            {code: draw.randrange(1_001) for code in draw.sample(build.CATEGORIES, 2)},
            {entry.id: draw.randrange(1_001) for entry in self.some(3)},
        )
        return SearchQuery(
            origin=maybe(origin, _near(origin, draw), often=0.85),
            radius_m=draw.choice((1, 30, 500, 3_000, 3_000, 10_000, 50_000)),
            q=maybe(*WORDS) or "",
            category=maybe("nowhere", *build.CATEGORIES),
            kind=maybe("at_home", *build.KINDS),
            price_min_minor=maybe(0, 5_000, 2**40, often=0.15),
            price_max_minor=maybe(0, 4_999, 9_800, 2**40, often=0.15),
            rating_min_centi=maybe(0, 420, 450, 70_000),
            open_now=draw.random() < 0.2,
            bookable_on=maybe(*DAYS, TODAY - timedelta(days=1), TODAY + timedelta(days=400)),
            has_voucher=draw.random() < 0.15,
            sort=draw.choice(model.SORTS),
            limit=draw.choice((1, 2, 5, 20)),
            facets=draw.random() < 0.5,
            total=draw.random() < 0.5,
            affinity=maybe(affinity, Affinity(), often=0.4),
        )

    def some(self, count: int) -> list[Entry]:
        return self.draw.sample(list(self.entries.values()), min(count, len(self.entries)))

    def find(self, query: SearchQuery, now: Instant) -> SearchPage:
        """By the engine, and the same by the plain function."""
        found = self.engine.find(query, now)
        noted = self.notes.get(query.bookable_on, {}) if query.bookable_on else {}
        assert found == model.find(query, list(self.entries.values()), now, noted)
        return found


def _near(point: Point, draw: random.Random) -> Point:
    """Not on a whole millionth of a degree."""
    lat = min(max(point.lat + draw.uniform(-1e-3, 1e-3), -90), 90)
    return Point(lat, min(max(point.lng + draw.uniform(-1e-3, 1e-3), -180), 180))


def pages(town: Town, query: SearchQuery, now: Instant) -> Iterator[SearchPage]:
    page = town.find(query, now)
    yield page
    while page.next_key is not None:
        page = town.find(replace(query, after=page.next_key, affinity=None), now)
        yield page


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(0, 60))
def test_every_page_of_every_search_is_what_the_rule_says(folder: Path, seed: int, size: int) -> None:
    """Hits in order with all that they show, totals, facets, and what to relax, before and after changes."""
    town = Town(folder, build.chance(seed), size)
    for changes in (0, 10):
        for _ in range(changes):
            town.change()
        every = list(town.entries.values())
        for _ in range(6):
            query = town.query()
            now = NOW.plus(minutes=town.draw.choice((0, 0, 500, 1_440 * 2)))
            found = list(pages(town, query, now))
            wanted = [shop_id for _, shop_id in rule.ranked(every, query, now, town.notes)]
            hits = [hit for page in found for hit in page.hits]
            assert [hit.card.id for hit in hits] == wanted
            assert all(len(page.hits) == query.limit for page in found[:-1])
            for hit in hits:
                shown = (hit.card, hit.distance_m, hit.open_now, hit.reason)
                assert shown == rule.shown(town.entries[hit.card.id], query, now)
            for page in found:
                assert page.total == (len(wanted) if query.total else None)
                assert (page.facets is not None) == query.facets
                if page.facets is not None:
                    assert vars(page.facets) == rule.facets(every, query, now, town.notes)
            relaxed = [(relax.filter, relax.count, relax.radius_m) for relax in found[0].relax]
            assert relaxed == ([] if wanted else rule.relax(every, query, now, town.notes))


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(1, 60))
def test_what_stays_is_neither_repeated_nor_skipped_while_the_city_changes(folder: Path, seed: int, size: int) -> None:
    """Between two pages shops change, come and go, and a day passes for what is fresh."""
    town = Town(folder, build.chance(seed), size)
    query = replace(town.query(), open_now=False, bookable_on=None, q="")
    before = dict(town.entries)
    page = town.find(query, NOW)
    seen = [hit.card.id for hit in page.hits]
    now = NOW
    while page.next_key is not None:
        now = now.plus(hours=8)
        for _ in range(2):
            town.change()
        page = town.find(replace(query, after=page.next_key), now)
        seen += [hit.card.id for hit in page.hits]
    stayed = {shop_id for shop_id, entry in before.items() if town.entries.get(shop_id) is entry}
    wanted = rule.ranked(before.values(), query, NOW, town.notes)
    assert [shop_id for shop_id in seen if shop_id in stayed] == [shop_id for _, shop_id in wanted if shop_id in stayed]


def test_prices_are_counted_in_the_bands_of_their_own_currency(folder: Path) -> None:
    """500 yen are a lot less than 500 yuan in minor units: what is said is what the plain function says."""
    draw = build.chance(8)
    entries = build.entries(40, 9)
    prices = [(draw.choice((4_900, 5_000, 20_000)), "CNY") for _ in range(20)]
    prices += [(draw.choice((40, 60, 500, 9_000)), "JPY") for _ in range(20)]
    entries = [
        replace(entry, card=entry.card._replace(price_minor=price[0], currency=price[1]))
        for entry, price in zip(entries, prices, strict=True)
    ]
    engine = Engine(open_base(build.base(folder / "currencies", entries)))
    for q in ("", "a"):
        query = SearchQuery(facets=True, q=q, rating_min_centi=420)
        assert engine.find(query, NOW) == model.find(query, entries, NOW, {})
    assert engine.find(SearchQuery(facets=True), NOW).facets == rule_facets(entries)


def rule_facets(entries: list[Entry]) -> model.Facets:
    found = rule.facets(entries, SearchQuery(), NOW, {})
    found["price"] = {}
    for entry in entries:
        price = entry.card.price_from
        lows = (0, 5_000, 10_000, 20_000, 50_000) if price.currency == "CNY" else (0, 50, 100, 200, 500)
        low = max(low for low in lows if low <= price.amount_minor)
        found["price"][low] = found["price"].get(low, 0) + 1
    return model.Facets(**found)
