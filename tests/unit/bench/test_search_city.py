"""The invented city and the brute force of the search benchmark: what everything else is compared with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench._search.brute import Brute
from bench._search.city import NOW, City
from bench._search.ours import counts_of
from bench._search.questions import Question, notes, random_questions, timed
from bench._search.spelling import Speller, one_edit
from bench._search.statements import LEVELS, ways_for
from chalicelib.search import model, words
from chalicelib.search.model import Entry
from chalicelib.search.readings import Readings


@pytest.fixture(scope="module")
def city() -> City:
    return City.of(600, seed=3)


@pytest.fixture(scope="module")
def entries(city: City) -> list[Entry]:
    return list(city.entries())


@pytest.fixture(scope="module")
def readings(entries: list[Entry]) -> Readings:
    return Readings.of_texts(name for entry in entries for name in entry.names)


def test_the_same_seed_gives_the_same_city(city: City) -> None:
    again, other = City.of(600, seed=3), City.of(600, seed=4)
    assert list(again.rows()) == list(city.rows()) != list(other.rows())
    assert len({row.id for row in city.rows()}) == 600


def test_an_entry_is_what_search_makes_of_the_shops_page(city: City) -> None:
    """The quick way and the long way agree, calendars that are shared included."""
    for row in city.rows():
        assert city.entry(row) == Entry.of(city.page(row))


def test_the_centre_is_dense_and_malls_hold_many_shops_at_one_point() -> None:
    large = City.of(50_000)
    points = [(row.lat, row.lng) for row in large.rows()]
    assert len(points) - len(set(points)) > 0.1 * len(points)
    assert large.densest() > 60
    assert len({row.hours for row in large.rows()}) > 300


def test_the_brute_force_finds_what_the_rule_finds(city: City, entries: list[Entry], readings: Readings) -> None:
    """Written twice: over columns here, over entries in the product. Pages, facets, totals, what to do without."""
    noted = notes(city, 1)
    brute = Brute(city, noted, Speller(readings.of))
    for question in random_questions(city, 120, seed=5):
        expected = brute.answer(question)
        query = replace(question.query, q="")
        of_day = noted.get(query.bookable_on, {}) if query.bookable_on is not None else {}
        some = _spoken_of(entries, question.query.q, readings)
        for number in range(question.page):
            page = model.find(query, some, NOW, of_day)
            assert [hit.card.id for hit in page.hits] == expected.pages[number], question
            assert (page.total, counts_of(page.facets)) == (expected.total, expected.facets), question
            if not page.hits and expected.relax is not None and number == 0:
                assert {(each.filter, each.count, each.radius_m) for each in page.relax} == expected.relax
            if page.next_key is None:
                break
            query = replace(query, after=page.next_key)


def _spoken_of(entries: list[Entry], q: str, readings: Readings) -> list[Entry]:
    tokens = words.tokens(q)
    if tokens is None:
        return []
    return [entry for entry in entries if all(words.matches(token, entry.names, readings) for token in tokens)]


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_one_edit_is_what_the_product_calls_one(one: str, other: str) -> None:
    assert one_edit(one, other) == (other in words.edits(one))


def test_every_kind_is_asked_as_often_and_every_kind_can_be_asked_of_postgis(city: City) -> None:
    asked: list[Question] = timed(city, 3, 1, facets=False)
    kinds = {question.kind for question in asked}
    assert all(sum(question.kind == kind for question in asked) == 3 for kind in kinds)
    for question in asked:
        ways = ways_for(question.query)
        for level, included in LEVELS.items():
            assert any(way.level == level for way in ways) or level == "whole_manual"
            assert len({way.whole for way in ways if way.level in included}) == 1
