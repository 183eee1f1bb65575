"""The brute force that answers are compared with. It shares no code with the product's search: every shop within reach
is looked at, numpy only narrows what Python's own arithmetic then decides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np

from bench._search.city import KINDS, NOW, ZONE, Array, City, name_of, offers_of
from bench._search.questions import Question
from bench._search.shown import Shown, shown
from bench._search.spelling import Speller
from bench._search.vocabulary import TRADES
from chalicelib.catalog.hours import is_open
from chalicelib.catalog.schedule import last_calls
from chalicelib.kernel.instant import DAY_MS
from chalicelib.search.model import Affinity, Note, SearchQuery

_RADIUS_M = 6_371_008.8
_MARGIN_M = 1e-5  # numpy's sine and arcsine differ from Python's by far less
_CODES = [trade.code for trade in TRADES]
_BANDS = (0, 5_000, 10_000, 20_000, 50_000)
_STARS = (400, 450, 480)
WIDER = (5_000, 10_000, 20_000, 50_000)


@dataclass(frozen=True)
class Expected:
    """Ids page by page up to the one asked for; facets without zeros; what to do without, as a set."""

    pages: list[list[str]]
    facets: dict[str, dict[Any, int]] | None
    total: int | None
    relax: set[tuple[str, int, int | None]] | None
    """None where it was not worked out."""


class Brute:
    """A city's shops as columns, with what is the same for every question worked out once."""

    def __init__(self, city: City, notes: Mapping[date, Mapping[str, Note]], speller: Speller) -> None:
        column = city.columns
        self._city, self._notes, self._speller = city, notes, speller
        self._lat, self._lng = np.radians(column["lat"]), np.radians(column["lng"])
        self._cos = np.cos(self._lat)
        self._place = {shop_id: index for index, shop_id in enumerate(city.ids.tolist())}
        rank = np.empty(city.count, dtype=np.int64)
        rank[np.argsort(city.ids, kind="stable")] = np.arange(city.count)
        self._rank = rank
        kept, where = np.unique(column["sales"], return_inverse=True)
        popular = np.array([min(int(250 * math.log10(1 + sold)), 1_000) for sold in kept.tolist()])[where]
        stars = np.clip((column["rating"] - 300) * 5, 0, 1_000)
        days = np.maximum(NOW.ms - NOW.ms % DAY_MS - column["created_ms"], 0) // DAY_MS
        fresh = np.maximum(30 - days, 0) * 1_000 // 30
        self.standing = 30 * stars + 20 * popular + 5 * fresh
        self.opened = np.array([is_open(hours, NOW, ZONE) for hours in city.hours])
        self.open = self.opened[column["hours"]]
        self._kinds = city.menu_kinds[column["menu"]]
        self._calls: dict[date, Array] = {}

    def answer(self, question: Question) -> Expected:
        query = question.query
        near, distance = self._within(query)
        keep = self._hard(query, near)
        near, distance = near[keep], distance[keep]
        failed = self._failed(query, near)
        passing = np.logical_and.reduce([~fails for fails in failed.values()])
        ranked = self._ranked(query, near[passing], distance[passing], question.page * query.limit)
        pages = [ranked[begin : begin + query.limit] for begin in range(0, question.page * query.limit, query.limit)]
        ids = [[str(self._city.ids[index]) for index in page] for page in pages]
        return Expected(
            [ids[0], *(page for page in ids[1:] if page)],
            self._facets(near, failed) if query.facets else None,
            int(passing.sum()) if query.total else None,
            self._relax(query) if not ids[0] else set(),
        )

    def shown(self, query: SearchQuery, shop_id: str) -> Shown:
        """What a hit of the shop shows."""
        index = self._place[shop_id]
        return shown(self._city.row(index), self.metres(query, index), bool(self.open[index]))

    def count(self, query: SearchQuery) -> int:
        near, _ = self._within(query)
        near = near[self._hard(query, near)]
        return int(np.logical_and.reduce([~fails for fails in self._failed(query, near).values()]).sum())

    def metres(self, query: SearchQuery, index: int) -> float:
        """The great-circle distance by Python's own functions (haversine)."""
        assert query.origin is not None  # noqa: S101
        row = self._city.columns
        lat_a, lat_b = math.radians(query.origin.lat), math.radians(float(row["lat"][index]))
        half_lat = math.sin((lat_b - lat_a) / 2) ** 2
        half_lng = math.sin(math.radians(float(row["lng"][index]) - query.origin.lng) / 2) ** 2
        chord = half_lat + math.cos(lat_a) * math.cos(lat_b) * half_lng
        return 2 * _RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))

    def _within(self, query: SearchQuery) -> tuple[Array, Array]:
        """Indexes within the radius, and about how far they are; everything, and zeros, without a position."""
        if query.origin is None:
            return np.arange(self._city.count), np.zeros(self._city.count)
        lat, lng = math.radians(query.origin.lat), math.radians(query.origin.lng)
        high = query.radius_m / _RADIUS_M * 1.001 + 1e-7
        wide = high / math.cos(abs(lat) + high)
        near = np.flatnonzero((np.abs(self._lat - lat) <= high) & (np.abs(self._lng - lng) <= wide))
        chord = np.sin((self._lat[near] - lat) / 2) ** 2
        chord += math.cos(lat) * self._cos[near] * np.sin((self._lng[near] - lng) / 2) ** 2
        distance = 2 * _RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, chord)))
        inside = distance <= query.radius_m
        for place in np.flatnonzero(np.abs(distance - query.radius_m) <= _MARGIN_M):
            inside[place] = self.metres(query, int(near[place])) <= query.radius_m
        return near[inside], distance[inside]

    def _hard(self, query: SearchQuery, near: Array) -> Array:
        """Which of them pass the filters that no facet is about."""
        keep = np.ones(len(near), dtype=bool)
        if query.has_voucher:
            keep &= self._kinds[near] & (1 << KINDS.index("voucher")) != 0
        if query.bookable_on is not None:
            keep &= self._bookable(query.bookable_on)[near]
        if query.q.strip():
            asked = self._speller.asked(query.q)
            for place in np.flatnonzero(keep):
                keep[place] = asked.matches(self._names(int(near[place])))
        return keep

    def _names(self, index: int) -> list[str]:
        row = self._city.row(index)
        offers = offers_of(row, len(self._city.menus[row.menu].kinds))
        return [text for each in (name_of(row), *offers) for text in each.values()]

    def _bookable(self, day: date) -> Array:
        if day not in self._calls:
            free = self._free_calendars(day)[self._city.columns["hours"], self._city.columns["menu"]]
            for shop_id, note in self._notes.get(day, {}).items():
                if note.bookable_until is None or note.bookable_until < NOW:
                    free[self._place[shop_id]] = False
            self._calls[day] = free
        return self._calls[day]

    def _free_calendars(self, day: date) -> Array:
        """By hours and menu, whether something can be booked now for a start on the day."""
        free = np.zeros((len(self._city.hours), len(self._city.menus)), dtype=bool)
        ahead = (day - NOW.local_date(ZONE)).days
        if 0 <= ahead <= 90:
            for (hours, menu), index in self._samples.items():
                calls = last_calls(self._city.page(self._city.row(index)), day)
                free[hours, menu] = any(call >= NOW and ahead <= horizon for call, horizon in calls)
        return free

    @cached_property
    def _samples(self) -> dict[tuple[int, int], int]:
        """One shop of each calendar."""
        column = self._city.columns
        both = zip(column["hours"].tolist(), column["menu"].tolist(), strict=True)
        return {key: index for index, key in enumerate(both)}

    def _failed(self, query: SearchQuery, near: Array) -> dict[str, Array]:
        column = self._city.columns
        none: Array = np.zeros(len(near), dtype=bool)
        failed = dict.fromkeys(("category", "kind", "price", "rating", "open_now"), none)
        if query.category is not None:
            code = _CODES.index(query.category) if query.category in _CODES else -1
            failed["category"] = (column["trade"][near] != code) & (column["second_trade"][near] != code)
        if query.kind is not None:
            failed["kind"] = self._kinds[near] & (1 << KINDS.index(query.kind)) == 0
        if query.price_min_minor is not None:
            failed["price"] = column["price"][near] < query.price_min_minor
        if query.price_max_minor is not None:
            failed["price"] = failed["price"] | (column["price"][near] > query.price_max_minor)
        if query.rating_min_centi is not None:
            failed["rating"] = column["rating"][near] < query.rating_min_centi
        if query.open_now:
            failed["open_now"] = ~self.open[near]
        return failed

    def _ranked(self, query: SearchQuery, passing: Array, distance: Array, wanted: int) -> list[int]:
        """The first `wanted` in order."""
        if query.sort == "distance" and query.origin is not None:
            first = passing
            if len(passing) > wanted:
                first = passing[distance <= np.partition(distance, wanted)[wanted] + _MARGIN_M]
            keys = np.array([self.metres(query, int(index)) for index in first])
        else:
            first, keys = passing, self._keys(query, passing, distance)
        order = np.lexsort((self._rank[first], keys))[:wanted]
        return [int(index) for index in first[order]]

    def _keys(self, query: SearchQuery, passing: Array, distance: Array) -> Array:
        """Whole numbers, ascending."""
        column = self._city.columns
        if query.sort in ("price", "rating", "sales"):
            value: Array = column[query.sort][passing]
            return value if query.sort == "price" else -value
        score = self.standing[passing]
        if query.origin is not None:
            near = 1_000_000 / (1_000 + distance)
            whole = near.astype(np.int64)
            for place in np.flatnonzero(np.abs(near - np.round(near)) < 1e-6):
                whole[place] = int(1_000_000 / (1_000 + self.metres(query, int(passing[place]))))
            score = score + 45 * whole
        ranked: Array = score + 15 * self._personal(query.affinity, passing)
        return -ranked

    def _personal(self, affinity: Affinity | None, passing: Array) -> Array:
        own = np.zeros(self._city.count, dtype=np.int64)
        if affinity is not None:
            value = np.array([affinity.categories.get(code, 0) for code in _CODES])
            own = np.maximum(value[self._city.columns["trade"]], value[self._city.columns["second_trade"]])
            for shop_id, more in affinity.shops.items():
                own[self._place[shop_id]] += more
        capped: Array = np.minimum(own[passing], 1_000)
        return capped

    def _facets(self, near: Array, failed: Mapping[str, Array]) -> dict[str, dict[Any, int]]:
        def counted(own: str) -> Array:
            found: Array = near[np.logical_and.reduce([~fails for name, fails in failed.items() if name != own])]
            return found

        column = self._city.columns
        some = counted("category")
        first, second = column["trade"][some], column["second_trade"][some]
        codes = Counter(first.tolist()) + Counter(second[first != second].tolist())
        kinds = self._kinds[counted("kind")]
        band = np.searchsorted(_BANDS, column["price"][counted("price")], side="right") - 1
        stars = column["rating"][counted("rating")]
        return {
            "category": {_CODES[code]: number for code, number in codes.items()},
            "kind": _some({kind: int((kinds & (1 << bit) != 0).sum()) for bit, kind in enumerate(KINDS)}),
            "price": _some({low: int((band == place).sum()) for place, low in enumerate(_BANDS)}),
            "rating": _some({low: int((stars >= low).sum()) for low in _STARS}),
            "open_now": _some(dict(Counter(self.open[counted("open_now")].tolist()))),
        }

    def _relax(self, query: SearchQuery) -> set[tuple[str, int, int | None]] | None:
        """For each filter what there would be without it; too slow by brute force for words over a whole city."""
        if query.q.strip():
            return None
        less: dict[str, dict[str, Any]] = {
            "category": {"category": None},
            "kind": {"kind": None},
            "price": {"price_min_minor": None, "price_max_minor": None},
            "rating": {"rating_min_centi": None},
            "open_now": {"open_now": False},
            "bookable_on": {"bookable_on": None},
            "has_voucher": {"has_voucher": False},
        }
        found: set[tuple[str, int, int | None]] = set()
        for name, without in less.items():
            changed: SearchQuery = replace(query, **without)
            if changed != query and (number := self.count(changed)):
                found.add((name, number, None))
        if query.origin is not None:
            for wider in (each for each in WIDER if each > query.radius_m):
                if number := self.count(replace(query, radius_m=wider)):
                    return found | {("radius", number, wider)}
        return found


def _some(counts: dict[Any, int]) -> dict[Any, int]:
    return {value: number for value, number in counts.items() if number}
