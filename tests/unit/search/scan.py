"""A search of a large town by arrays: what `rule` says, with everything that shops share looked at once.

Shops are made from a few templates and differ in place, price, rating and sales. numpy only narrows down: where two
distances or a border are closer than it can tell, Python's own arithmetic decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import numpy as np

from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.search.cards import micro
from chalicelib.search.model import Entry, Note, SearchQuery
from tests.builders import search as build
from tests.unit.search import rule

_CLOSE_M = 1e-5
TEMPLATES = 120


def town(count: int, seed: int, centre: Point) -> list[Entry]:
    """Shops that crowd around the centre and in some malls, each with a price, a rating and sales of its own."""
    draw = Random(seed)  # noqa: S311
    kinds = [build.entry(draw, centre) for _ in range(TEMPLATES)]
    malls = [build.shifted(centre, draw.randrange(-40_000, 40_000), draw.randrange(-40_000, 40_000)) for _ in range(9)]
    found = []
    for number in range(count):
        kind = kinds[number % TEMPLATES]
        if number % 7:
            position = build.shifted(centre, int(draw.gauss(0, 30_000)), int(draw.gauss(0, 40_000)))
        else:
            position = malls[number % len(malls)]
        lat, lng = micro(position)
        card = kind.card._replace(
            id=ids.derived("shp", f"{seed} {number}"),
            lat=lat,
            lng=lng,
            price_minor=draw.randrange(20, 700) * 100,
            currency="CNY",
            rating_centi=draw.randrange(300, 501),
            sales=int(draw.lognormvariate(5, 1.8)),
        )
        found.append(replace(kind, card=card))
    return found


class Scan:
    def __init__(self, entries: Sequence[Entry], now: Instant, notes: Mapping[date, Mapping[str, Note]]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.id)
        self.now, self.notes = now, notes
        cards = [entry.card for entry in self.entries]
        self.lat = np.radians([card.position.lat for card in cards])
        self.lng = np.radians([card.position.lng for card in cards])
        self.price = np.array([card.price_from.amount_minor for card in cards])
        self.rating = np.array([card.rating_centi for card in cards])
        self.sales = np.array([card.sales for card in cards])
        today = now.ms // rule.DAY
        known: dict[Any, int] = {}
        shared = [(entry.names, entry.categories, entry.kinds, entry.calendar) for entry in self.entries]
        self.sample = np.array([known.setdefault(each, len(known)) for each in shared])
        self.samples = [self.entries[int(np.argmax(self.sample == number))] for number in range(len(known))]
        alone = [rule.points(rule.parts(entry, None, today, None)) for entry in self.entries]
        self.merit = np.array(alone)

    def each(self, what: Callable[[Entry], Any]) -> np.ndarray[Any, Any]:
        """Something that entries have in common which differ in place, price, rating and sales alone."""
        return np.array([what(entry) for entry in self.samples])[self.sample]

    def metres(self, query: SearchQuery, place: int) -> float:
        assert query.origin is not None
        return rule.metres(query.origin, self.entries[place].card.position)

    def distances(self, origin: Point) -> np.ndarray[Any, Any]:
        lat, lng = math.radians(origin.lat), math.radians(origin.lng)
        chord = np.sin((self.lat - lat) / 2) ** 2
        chord += math.cos(lat) * np.cos(self.lat) * np.sin((self.lng - lng) / 2) ** 2
        return np.asarray(2 * 6_371_008.8 * np.arcsin(np.sqrt(np.minimum(chord, 1))))

    def reached(self, query: SearchQuery) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Which shops pass what has no facet, and about how far all are."""
        keep, away = np.ones(len(self.entries), bool), np.zeros(len(self.entries))
        if query.origin is not None:
            away = self.distances(query.origin)
            keep = away <= query.radius_m
            for place in np.flatnonzero(np.abs(away - query.radius_m) < _CLOSE_M).tolist():
                keep[place] = self.metres(query, place) <= query.radius_m
        if query.q.strip():
            keep &= self.each(lambda entry: rule.has_words(entry, query.q))
        if query.has_voucher:
            keep &= self.each(lambda entry: "voucher" in entry.kinds)
        if query.bookable_on is not None:
            day = query.bookable_on
            keep &= self.each(lambda entry: rule.can_book(entry, day, self.now, None))
            noted = self.notes.get(day, {})
            for place in np.flatnonzero(keep).tolist():
                entry = self.entries[place]
                if entry.id in noted:
                    keep[place] = rule.can_book(entry, day, self.now, noted[entry.id])
        return keep, away

    def filters(self, query: SearchQuery) -> dict[str, np.ndarray[Any, Any]]:
        found = {name: np.ones(len(self.entries), bool) for name in rule.FACETS}
        if query.category is not None:
            found["category"] = self.each(lambda entry: query.category in entry.categories)
        if query.kind is not None:
            found["kind"] = self.each(lambda entry: query.kind in entry.kinds)
        if query.price_min_minor is not None:
            found["price"] = self.price >= query.price_min_minor
        if query.price_max_minor is not None:
            found["price"] = found["price"] & (self.price <= query.price_max_minor)
        if query.rating_min_centi is not None:
            found["rating"] = self.rating >= query.rating_min_centi
        if query.open_now:
            found["open_now"] = self.open()
        return found

    def open(self) -> np.ndarray[Any, Any]:
        return self.each(lambda entry: entry.calendar.is_open(self.now))

    def answer(self, query: SearchQuery) -> tuple[list[str], dict[str, dict[Any, int]], int]:
        """All ids in order, the facets, and the total."""
        keep, away = self.reached(query)
        filters = self.filters(query)
        passing = np.flatnonzero(np.logical_and.reduce([keep, *filters.values()]))
        facets = {
            name: np.flatnonzero(np.logical_and.reduce([keep, *(filters[other] for other in filters if other != name)]))
            for name in filters
        }
        return self.ranked(query, passing, away), self.counts(facets), len(passing)

    def ranked(self, query: SearchQuery, passing: np.ndarray[Any, Any], away: np.ndarray[Any, Any]) -> list[str]:
        placed = query.origin is not None
        sort = "recommended" if query.sort == "distance" and not placed else query.sort
        if sort == "distance":
            keys = np.array([self.metres(query, place) for place in passing.tolist()])
        elif sort == "recommended":
            keys = -self.merit[passing]
            if placed:
                near = 1_000_000 / (1_000 + away[passing])
                whole = np.floor(near).astype(np.int64)
                for place in np.flatnonzero(np.abs(near - np.round(near)) < 1e-6).tolist():
                    whole[place] = int(1_000_000 / (1_000 + self.metres(query, int(passing[place]))))
                keys = keys - 45 * whole
            if query.affinity is not None:
                keys = keys - 15 * self.liked(query)[passing]
        else:
            keys = {"price": self.price, "rating": -self.rating, "sales": -self.sales}[sort][passing]
        # Entries stand in the order of their ids.
        return [self.entries[place].id for place in passing[np.argsort(keys, kind="stable")].tolist()]

    def liked(self, query: SearchQuery) -> np.ndarray[Any, Any]:
        of = query.affinity
        assert of is not None
        best = self.each(lambda entry: max(of.categories.get(code, 0) for code in entry.categories))
        own = np.array([of.shops.get(entry.id, 0) for entry in self.entries])
        return np.asarray(np.minimum(best + own, 1_000))

    def counts(self, of: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, dict[Any, int]]:
        codes, kinds = {}, {}
        for code in build.CATEGORIES:
            codes[code] = int(self.each(lambda entry, code=code: code in entry.categories)[of["category"]].sum())
        for kind in build.KINDS:
            kinds[kind] = int(self.each(lambda entry, kind=kind: kind in entry.kinds)[of["kind"]].sum())
        lows = (0, 5_000, 10_000, 20_000, 50_000)
        bands = np.searchsorted(lows, self.price[of["price"]], side="right") - 1
        is_open = self.open()[of["open_now"]]
        found = {
            "category": codes,
            "kind": kinds,
            "price": {low: int((bands == place).sum()) for place, low in enumerate(lows)},
            "open_now": {True: int(is_open.sum()), False: int((~is_open).sum())},
        }
        return {
            **{name: {value: count for value, count in each.items() if count} for name, each in found.items()},
            "rating": {low: int((self.rating[of["rating"]] >= low).sum()) for low in (400, 450, 480)},
        }
