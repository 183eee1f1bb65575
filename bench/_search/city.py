"""An invented city: the same shops for the same seed and size, as columns, as search's entries and as whole pages.

Shops stand in streets and malls whose number falls off exponentially from the centre; of a million, the densest square
kilometre holds about 1,800 and the last ones stand 60 km out. Sales and numbers of ratings have a long tail.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench._search.calendars import HOURS, MENUS, Menu, hours, menus
from bench._search.vocabulary import DISTRICTS, FIRST, MODIFIERS, PLACES, ROADS, SECOND, TRADES
from bench.harness import Bar
from chalicelib.catalog.hours import Hours
from chalicelib.catalog.model import PRIOR_CENTI, PRIOR_COUNT, Shop, ShopPage, Text
from chalicelib.catalog.model import City as ServedCity
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.search.cards import Card, micro
from chalicelib.search.model import Calendar, Entry

Array = npt.NDArray[Any]

CODE, ZONE, CURRENCY = "sha", "Asia/Shanghai", "CNY"
CENTRE = Point(31.2323, 121.4691)
SERVED = ServedCity(CODE, {"zh-CN": "上海", "en": "Shanghai"}, CENTRE, 65_000, ZONE, CURRENCY)
NOW = Instant.parse("2026-11-18T19:42:10+08:00")
KINDS = ("appointment", "class", "voucher", "pickup", "at_home")

_FALLS_M = 12_000.0  # the number of streets falls to 1/e over these metres
_FAR_M = 60_000.0
_STREET_M = 150.0
_IN_MALLS, _ALONE = 0.13, 0.17
_SHOPS_PER_STREET, _SHOPS_PER_MALL = 90, 1_300
_METRES_PER_DEGREE = 6_371_008.8 * math.pi / 180
_ALPHABET = np.frombuffer(b"0123456789abcdefghjkmnpqrstvwxyz", dtype="S1")


class Row(NamedTuple):
    """One shop in numbers: its columns, and which words it is called by. Prices are minor units, ratings hundredths."""

    id: str
    lat: float
    lng: float
    trade: int
    second_trade: int  # of its last offer; its own where there is no other
    price: int
    rating_sum: int
    rating_count: int
    rating: int
    sales: int
    created_ms: int
    hours: int
    menu: int
    words: tuple[int, ...]


class _Words(NamedTuple):
    first: int
    second: int
    third: int
    ending: int
    branch: int
    offer: int
    modifier: int
    road: int
    number: int
    district: int


@dataclass(frozen=True)
class City:
    """`count` shops, each at one index of every column. Positions are whole millionths of a degree."""

    count: int
    seed: int
    ids: Array
    columns: dict[str, Array]
    words: Array
    hours: list[Hours]
    menus: list[Menu]

    @classmethod
    def of(cls, count: int, seed: int = 1) -> City:
        rng = np.random.default_rng([seed, count])
        chance = random.Random(seed)
        ids = np.char.add("shp_", _ALPHABET[rng.integers(0, 32, (count, 26))].view("S26").ravel().astype("U26"))
        columns, words = _columns(rng, count), _spoken(rng, count)
        return cls(count, seed, ids, columns, words, hours(chance), menus(chance))

    def rows(self, begin: int = 0, end: int | None = None, step: int = 20_000) -> Iterator[Row]:
        """In the order of their index."""
        last = self.count if end is None else end
        for low in range(begin, last, step):
            part = slice(low, min(low + step, last))
            lists = [self.columns[name][part].tolist() for name in Row._fields[1:-1]]
            yield from map(Row, self.ids[part].tolist(), *lists, map(tuple, self.words[part].tolist()))

    def row(self, index: int) -> Row:
        return next(self.rows(index, index + 1))

    def entries(self, bar: Bar = lambda *_: None) -> Iterator[Entry]:
        """As the index is built from them."""
        for number, row in enumerate(self.rows()):
            if number % 5_000 == 0:
                bar(number)
            yield self.entry(row)
        bar(self.count)

    def entry(self, row: Row) -> Entry:
        """Equal to `Entry.of` of its page, many times quicker: equal calendars are made once."""
        calendar = self._calendars.get((row.hours, row.menu))
        if calendar is None:
            calendar = self._calendars[row.hours, row.menu] = Calendar.of(self.page(row))
        menu = self.menus[row.menu]
        shown = name_of(row)
        offers = offers_of(row, len(menu.kinds))
        lat, lng = micro(Point(row.lat, row.lng))
        card = Card(
            id=row.id,
            name=shown,
            category=TRADES[row.trade].code,
            rating_centi=row.rating,
            rating_count=row.rating_count,
            price_minor=row.price,
            currency=CURRENCY,
            sales=row.sales,
            address=address_of(row),
            lat=lat,
            lng=lng,
            cover_url=cover_of(row),
        )
        said = (*shown.values(), *(text for offer in offers for text in offer.values()))
        return Entry(
            card=card,
            names=tuple(dict.fromkeys(said)),
            categories=frozenset({TRADES[row.trade].code, TRADES[row.second_trade].code}),
            kinds=frozenset(menu.kinds),
            born_day=-(-row.created_ms // DAY_MS),
            calendar=calendar,
        )

    @cached_property
    def _calendars(self) -> dict[tuple[int, int], Calendar]:
        return {}

    def page(self, row: Row) -> ShopPage:
        """The shop as the catalogue would hold it."""
        cover = cover_of(row)
        shop = Shop(
            id=row.id,
            merchant_id="mch_" + row.id[4:],
            city=CODE,
            name=name_of(row),
            category=TRADES[row.trade].code,
            address=address_of(row),
            position=Point(row.lat, row.lng),
            zone=ZONE,
            hours=self.hours[row.hours],
            currency=CURRENCY,
            created_at=Instant(row.created_ms),
            photos=() if cover is None else (cover,),
            rating_sum_centi=row.rating_sum,
            rating_count=row.rating_count,
            sales=row.sales,
        )
        menu = self.menus[row.menu]
        count = len(menu.kinds)
        categories = [""] * (count - 1) + [TRADES[row.second_trade].code]
        offers = menu.offers(shop, offers_of(row, count), prices_of(row, count), categories)
        return ShopPage(shop, offers, menu.people(shop, offers))

    @cached_property
    def menu_kinds(self) -> Array:
        """A bit for each of KINDS, by menu."""
        return np.array([sum(1 << KINDS.index(kind) for kind in set(menu.kinds)) for menu in self.menus])

    def densest(self) -> int:
        """How many shops the densest square kilometre of a grid holds."""
        x, y = metres(self.columns["lat"], self.columns["lng"])
        cells = (np.floor(y / 1_000) * 1_000_003 + np.floor(x / 1_000)).astype(np.int64)
        return int(np.unique(cells, return_counts=True)[1].max())


def metres(lat: Array, lng: Array) -> tuple[Array, Array]:
    """East and north of the centre, good enough for drawing a city."""
    narrow = math.cos(math.radians(CENTRE.lat))
    return (lng - CENTRE.lng) * _METRES_PER_DEGREE * narrow, (lat - CENTRE.lat) * _METRES_PER_DEGREE


def _columns(rng: np.random.Generator, count: int) -> dict[str, Array]:
    lat, lng = _positions(rng, count)
    shares = np.array([trade.share for trade in TRADES])
    trade = rng.choice(len(TRADES), count, p=shares / shares.sum())
    other = rng.choice(len(TRADES), count, p=shares / shares.sum())
    usual = np.array([trade.price_yuan for trade in TRADES])[trade]
    sales = np.minimum(rng.lognormal(5.2, 1.75, count), 600_000).astype(np.int64)
    ratings = (sales * rng.beta(1.2, 8, count)).astype(np.int64)
    stars = np.clip(np.round(rng.normal(455, 32, count)), 100, 500).astype(np.int64)
    age_days = np.where(rng.random(count) < 0.03, rng.uniform(0, 30, count), rng.uniform(30, 3650, count))
    weighed, raters = stars * ratings + PRIOR_COUNT * PRIOR_CENTI, ratings + PRIOR_COUNT
    return {
        "lat": lat,
        "lng": lng,
        "trade": trade,
        "second_trade": np.where(rng.random(count) < 0.12, other, trade),
        "price": np.maximum(5, np.round(usual * rng.lognormal(0, 0.55, count))).astype(np.int64) * 100,
        "rating_sum": stars * ratings,
        "rating_count": ratings,
        "rating": (2 * weighed + raters) // (2 * raters),
        "sales": sales,
        "created_ms": NOW.ms - (age_days * DAY_MS).astype(np.int64),
        "hours": np.minimum(rng.zipf(1.35, count) - 1, 10 * HOURS) % HOURS,
        "menu": np.minimum(rng.geometric(0.09, count) - 1, 10 * MENUS) % MENUS,
    }


def _positions(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Latitudes and longitudes: of a mall's shops all the same."""
    streets = np.stack(_scattered(rng, max(60, count // _SHOPS_PER_STREET), _FALLS_M))
    malls = np.stack(_scattered(rng, max(6, count // _SHOPS_PER_MALL), _FALLS_M * 0.8))
    sizes: Array = rng.lognormal(0, 0.5, (malls.shape[1],))
    street = rng.integers(0, streets.shape[1], count)
    x, y = streets[:, street] + rng.normal(0, _STREET_M, (2, count))
    kind = rng.random(count)
    alone, mall = (np.flatnonzero(which) for which in (kind < _ALONE, kind > 1 - _IN_MALLS))
    x[alone], y[alone] = _scattered(rng, len(alone), _FALLS_M)
    inside: Array = rng.choice(malls.shape[1], len(mall), p=sizes / sizes.sum())
    x[mall], y[mall] = malls[:, inside]
    lat = CENTRE.lat + y / _METRES_PER_DEGREE
    lng = CENTRE.lng + x / (_METRES_PER_DEGREE * math.cos(math.radians(CENTRE.lat)))
    return np.round(lat * 1e6) / 1e6, np.round(lng * 1e6) / 1e6


def _scattered(rng: np.random.Generator, count: int, falls_m: float) -> tuple[Array, Array]:
    """Points around the centre; their density falls to 1/e over `falls_m`."""
    far = rng.gamma(2.0, falls_m, count)
    far = np.where(far < _FAR_M, far, rng.uniform(0, _FAR_M, count))
    turn = rng.uniform(0, 2 * math.pi, count)
    return far * np.cos(turn), far * np.sin(turn)


def _spoken(rng: np.random.Generator, count: int) -> Array:
    limits = _Words(len(FIRST), len(SECOND), 3 * len(SECOND), 60, 2 * len(PLACES), 420, 60, len(ROADS), 2_000, 15)
    words = np.stack([rng.integers(0, limit, count) for limit in limits], axis=1)
    return words.astype(np.int32)


def name_of(row: Row) -> Text:
    """Six to a dozen characters: two or three of its own, what it is, and often which branch."""
    said, trade = _Words(*row.words), TRADES[row.trade]
    zh, en = (one + other for one, other in zip(FIRST[said.first], SECOND[said.second], strict=True))
    branch = PLACES[said.branch] if said.branch < len(PLACES) else None
    if said.third < len(SECOND) or branch is None:
        third = SECOND[said.third % len(SECOND)]
        zh, en = zh + third[0], en + third[1]
    ending = trade.endings[said.ending % len(trade.endings)]
    zh, en = zh + ending[0], f"{en.capitalize()} {ending[1]}"
    return (
        {"zh-CN": zh, "en": en} if branch is None else {"zh-CN": f"{zh}（{branch[0]}店）", "en": f"{en} ({branch[1]})"}
    )


def offers_of(row: Row, count: int) -> list[Text]:
    """The names of the shop's offers: those of its trade from one on, a quarter of the shops with something special."""
    said, offers = _Words(*row.words), TRADES[row.trade].offers
    last = TRADES[row.second_trade].offers
    found: list[Text] = []
    for rank in range(count):
        known = last if rank == count - 1 else offers
        zh, en = known[(said.offer + rank) % len(known)]
        special = (
            MODIFIERS[said.modifier % len(MODIFIERS)] if said.modifier % 12 == rank or rank >= len(known) else None
        )
        found.append(
            {"zh-CN": zh, "en": en} if special is None else {"zh-CN": special[0] + zh, "en": f"{special[1]} {en}"}
        )
    return found


def prices_of(row: Row, count: int) -> list[int]:
    """The first is the lowest."""
    more = max(100, row.price // 300 * 100)
    return [row.price + rank * more for rank in range(count)]


def address_of(row: Row) -> Text:
    said = _Words(*row.words)
    road, district = ROADS[said.road], DISTRICTS[said.district]
    number, floor = said.number + 1, said.number % 6 + 1
    return {
        "zh-CN": f"{district[0]}{road[0]}路 {number} 号 {floor} 层",
        "en": f"{floor}F, {number} {road[1]} Road, {district[1]}",
    }


def cover_of(row: Row) -> str | None:
    """Nine shops of ten have one."""
    return None if row.words[-2] % 10 == 0 else f"https://images.example/{row.id[4:20]}.jpg"
