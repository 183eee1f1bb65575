"""A town of more shops than a segment of postings has rows: what the engine does only when there are many."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from chalicelib.search.base import open_base
from chalicelib.search.engine import Engine
from chalicelib.search.lists import SEGMENT
from chalicelib.search.model import SORTS, Affinity, Entry, Note, SearchQuery
from tests.builders import search as build
from tests.builders.search import NOW, TODAY
from tests.unit.search.scan import Scan, town

CENTRE = build.CENTRES[0]
SHOPS = SEGMENT + 1_500
QUERIES = 44
WORDS = ("青丝", "店", "理发店", "qingsi", "lif", "massage", "mesage", "南京西路", "yoga 瑜伽")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, list[Entry], list[Any]]:
    entries = town(SHOPS, 11, CENTRE)
    draw = build.chance(5)
    noted = build.notes(draw, [entry.id for entry in entries[::40]], (TODAY, TODAY + timedelta(days=1)))
    base = build.base(tmp_path_factory.mktemp("town") / "base", entries, noted)
    return Engine(open_base(base)), entries, noted


def question(draw: Random, entries: list[Entry]) -> SearchQuery:
    def maybe(*values: Any, often: float = 0.2) -> Any:
        return draw.choice(values) if draw.random() < often else None

    near = draw.choice(entries).card.position
    origin = build.shifted(near, draw.randrange(-3_000, 3_000), draw.randrange(-3_000, 3_000))
    liked = Affinity(
        {code: draw.randrange(1_001) for code in draw.sample(build.CATEGORIES, 2)},
        {entry.id: draw.randrange(1_001) for entry in draw.sample(entries, 3)},
    )
    return SearchQuery(
        origin=maybe(origin, often=0.9),
        radius_m=draw.choice((300, 1_000, 3_000, 3_000, 10_000, 50_000)),
        q=maybe(*WORDS, often=0.25) or "",
        category=maybe(*build.CATEGORIES),
        kind=maybe(*build.KINDS),
        price_min_minor=maybe(5_000, 30_000),
        price_max_minor=maybe(9_900, 40_000),
        rating_min_centi=maybe(400, 450, 495),
        open_now=draw.random() < 0.15,
        bookable_on=maybe(TODAY, TODAY + timedelta(days=1), often=0.1),
        has_voucher=draw.random() < 0.1,
        sort=draw.choice(SORTS),
        limit=draw.choice((1, 20, 20, 50)),
        facets=draw.random() < 0.5,
        total=draw.random() < 0.5,
        affinity=maybe(liked, often=0.3),
    )


def compare(engine: Engine, scan: Scan, query: SearchQuery) -> None:
    """The first three pages, in order, with facets and total."""
    ids, facets, total = scan.answer(query)
    after = None
    for number in range(3):
        page = engine.find(replace(query, after=after), scan.now)
        begin = number * query.limit
        assert [hit.card.id for hit in page.hits] == ids[begin : begin + query.limit], query
        assert page.facets is None or vars(page.facets) == facets, query
        assert page.total == (total if query.total else None), query
        assert (page.next_key is not None) == (begin + query.limit < len(ids))
        after = page.next_key
        if after is None:
            break


def test_a_large_town_is_answered_in_order_before_and_after_it_changes(
    place: tuple[Engine, list[Entry], list[Any]],
) -> None:
    """Every order and filter, circles from a street to the whole town; then shops move, come, go and change."""
    engine, entries, noted = place
    draw = build.chance(23)
    notes: dict[Any, dict[str, Note]] = {}
    for day, shop_id, note in noted:
        notes.setdefault(day, {})[shop_id] = note
    scan = Scan(entries, NOW, notes)
    for _ in range(QUERIES // 2):
        compare(engine, scan, question(draw, entries))
    for sort, category in itertools.product(SORTS, (None, "hair")):
        compare(engine, scan, SearchQuery(origin=CENTRE, radius_m=10_000, sort=sort, category=category, facets=True))
    known = {entry.id: entry for entry in entries}
    for entry in draw.sample(entries, 60):
        engine.remove(entry.id)
        del known[entry.id]
    for entry in town(150, 12, CENTRE) + [replace(each, born_day=NOW.ms // 86_400_000) for each in entries[:150]]:
        engine.put(entry)
        known[entry.id] = entry
    changed = list(known.values())
    scan = Scan(changed, NOW, notes)
    for _ in range(QUERIES // 2):
        compare(engine, scan, question(draw, changed))
