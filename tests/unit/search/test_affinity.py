"""What visits say of a taste: how it grows, fades and stays small."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.search import affinity
from chalicelib.search.affinity import KEEP, VISIT

NOON = Instant.parse("2026-06-01T12:00:00Z")
SHOPS = [ids.derived("shp", "taste", str(number)) for number in range(12)]
CATEGORIES = [f"category-{number}" for number in range(12)]

VISITS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 11), st.integers(0, 11)), max_size=60)
"""(days later, category, shop)."""


def after(visits: list[tuple[int, int, int]]) -> tuple[dict, Instant]:
    content: dict = {}
    now = NOON
    for days, category, shop in visits:
        now = now.plus(days=days)
        content = json.loads(json.dumps(affinity.visited(content, [CATEGORIES[category]], SHOPS[shop], now)))
    return content, now


def test_the_second_visit_says_more_than_the_tenth() -> None:
    """A quarter of the way for a category after one, half after three, never the top."""
    values = []
    content: dict = {}
    for _ in range(50):
        content = affinity.visited(content, ["hair"], SHOPS[0], NOON)
        found = affinity.affinity_of(content, NOON)
        assert found is not None
        values.append((found.categories["hair"], found.shops[SHOPS[0]]))
    assert (values[0], values[2]) == ((250, 333), (500, 600))
    steps = [later[0] - earlier[0] for earlier, later in pairwise(values)]
    assert all(step >= 0 for step in steps)
    assert steps[0] > steps[8]
    assert max(values[-1]) < 1_000


def test_a_visit_fades_to_nothing_in_half_a_year() -> None:
    content = affinity.visited(None, ["hair"], SHOPS[0], NOON)
    assert affinity.faded(content["c"]["hair"], NOON.plus(days=90)) == VISIT // 2
    half = affinity.affinity_of(content, NOON.plus(days=90))
    assert half is not None
    assert 0 < half.categories["hair"] < 250
    assert affinity.affinity_of(content, NOON.plus(days=181)) is None
    assert affinity.affinity_of({}, NOON) is None


@given(VISITS)
def test_a_taste_stays_small_and_within_bounds(visits: list[tuple[int, int, int]]) -> None:
    """Eight of each at the most, values 0 to 1,000, in less than half a kilobyte; the shop of the last visit is kept
    unless eight others outweigh it."""
    content, now = after(visits)
    found = affinity.affinity_of(content, now) if content else None
    if not visits:
        assert found is None
        return
    assert found is not None
    assert len(found.categories) <= KEEP
    assert len(found.shops) <= KEEP
    assert all(0 < value < 1_000 for value in (*found.categories.values(), *found.shops.values()))
    assert len(json.dumps(content, separators=(",", ":"))) < 800
    last = SHOPS[visits[-1][2]]
    assert last in found.shops or all(pair[0] >= VISIT for pair in content["s"].values())


@given(VISITS)
def test_weights_equal_the_visits_faded_one_by_one(visits: list[tuple[int, int, int]]) -> None:
    """Of a single shop, to a rounding a visit: what is left at each visit fades on from there."""
    content: dict = {}
    now, wanted, last = NOON, 0.0, NOON
    for days, _, _ in visits:
        now = now.plus(days=days)
        wanted = wanted * max(1 - now.since(last) / affinity.FADE_MS, 0) + VISIT
        last = now
        content = affinity.visited(content, [], SHOPS[0], now)
    if visits:
        assert abs(content["s"][SHOPS[0]][0] - wanted) <= len(visits)
        assert content["c"] == {}


def test_the_answer_is_the_same_all_day() -> None:
    """So that a search which says the same is the same to the byte."""
    content = affinity.visited(None, ["hair"], SHOPS[0], NOON)
    morning, evening = NOON.plus(days=20, hours=-12), NOON.plus(days=20, hours=11)
    assert affinity.affinity_of(content, morning) == affinity.affinity_of(content, evening)
