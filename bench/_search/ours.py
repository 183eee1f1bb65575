"""Our own engine in the benchmark: built, loaded, asked, and its answers as the brute force writes them."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from bench._search.brute import Expected
from bench._search.city import NOW, SERVED, City
from bench._search.questions import Question
from bench._search.shown import Shown
from bench.harness import progress, say
from chalicelib.search import building
from chalicelib.search.base import open_base
from chalicelib.search.cards import Hit
from chalicelib.search.engine import Engine
from chalicelib.search.grid import MICRO
from chalicelib.search.model import Facets, Note, SearchPage, SearchQuery

_LOADS = 5


@dataclass(frozen=True)
class Ours:
    """The engine over a base file."""

    engine: Engine
    path: Path
    build_s: float
    load_ms: float

    def ready(self, question: Question) -> SearchQuery:
        """The query of the page that is asked for, a new one: those before are turned here."""
        query = replace(question.query)
        for _ in range(question.page - 1):
            key = self.engine.find(replace(query, facets=False, total=False), NOW).next_key
            if key is None:
                break
            query = replace(query, after=key)
        return query

    def ask(self, query: SearchQuery) -> tuple[SearchPage, list[tuple[Any, ...]]]:
        """The page, and all that its hits show: a card may be read only when it is looked at, so all are."""
        found: SearchPage = self.engine.find(query, NOW)
        return found, [_looked_at(hit) for hit in found.hits]

    def answer(self, question: Question) -> Expected:
        """Page by page, as people turn them."""
        query, pages = question.query, []
        for _ in range(question.page):
            page = self.engine.find(query, NOW)
            pages.append([hit.card.id for hit in page.hits])
            if len(pages) == 1:
                first = page
            if page.next_key is None:
                break
            query = replace(query, after=page.next_key)
        relax = {(each.filter, each.count, each.radius_m) for each in first.relax}
        return Expected(pages, counts_of(first.facets), first.total, relax)


def _looked_at(hit: Hit) -> tuple[Any, ...]:
    card = hit.card
    return (
        card.id,
        card.name,
        card.address,
        card.category,
        card.rating_centi,
        card.rating_count,
        card.price_minor,
        card.currency,
        card.sales,
        card.lat / MICRO,
        card.lng / MICRO,
        card.cover_url,
        hit.distance_m,
        hit.open_now,
    )


def hits_of(seen: Sequence[tuple[Any, ...]]) -> list[Shown]:
    """Of what was looked at."""
    found = []
    for shop_id, name, address, *rest in seen:
        found.append(Shown(shop_id, name["zh-CN"], name["en"], address["zh-CN"], address["en"], *rest))
    return found


def counts_of(facets: Facets | None) -> dict[str, dict[Any, int]] | None:
    """Without zeros."""
    if facets is None:
        return None
    named: dict[str, Mapping[Any, int]] = {
        "category": facets.category,
        "kind": facets.kind,
        "price": facets.price,
        "rating": facets.rating,
        "open_now": facets.open_now,
    }
    return {name: {value: count for value, count in each.items() if count} for name, each in named.items()}


def same(found: Expected, expected: Expected) -> bool:
    """`expected` is the brute force's."""
    if expected.relax is None:
        found = replace(found, relax=None)
    return found == expected


def build(folder: Path, city: City, notes: Mapping[date, Mapping[str, Note]]) -> Ours:
    """A base file of the city, and the engine over it."""
    path = folder / "city.base"
    noted = [(day, shop_id, note) for day, of_day in notes.items() for shop_id, note in of_day.items()]
    begun = time.perf_counter()
    with progress("ours: building", city.count) as bar:
        building.build(path, SERVED, 1, city.entries(bar), noted, NOW)
    build_s = time.perf_counter() - begun
    taken = []
    for _ in range(_LOADS):
        begun = time.perf_counter()
        engine = Engine(open_base(path))
        taken.append((time.perf_counter() - begun) * 1000)
    load_ms = statistics.median(taken)
    if not _held(engine):
        say("ours: the system does not let the file's pages be held in memory: it may drop them under way")
    size = path.stat().st_size / city.count
    say(f"ours: built in {build_s:.0f} s, {size:.0f} bytes a shop on disk, loaded in {load_ms:.0f} ms")
    return Ours(engine, path, build_s, load_ms)


def _held(engine: Engine) -> bool:
    """Whether the pages of the base file stay in memory from now on. Those of PostgreSQL's buffers cannot be dropped
    where there is no swap; a file's can, and some machines drop them soon."""
    mapped = np.frombuffer(engine.base.map, np.uint8)
    lock = ctypes.CDLL(None).mlock
    return not int(lock(ctypes.c_void_p(mapped.ctypes.data), ctypes.c_size_t(mapped.nbytes)))
