"""Rows by term are the rows that were put in, in whatever form they are kept; each has the form that is smallest."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.search.lists import SEGMENT, Lists, Segment, common, distinct, is_in, spread

Rows = Mapping[int, Sequence[int]]


def segment(rows: Rows) -> Segment:
    terms = [term for term, of in rows.items() for _ in of]
    return Segment.of(np.array(terms, np.uint64), np.array([row for of in rows.values() for row in of], np.uint64))


_rows = st.one_of(
    st.sets(st.integers(0, SEGMENT - 1), min_size=1, max_size=4),
    st.builds(
        lambda first, step, count: set(range(first, SEGMENT, step)[:count]),
        st.sampled_from((0, 1, 254, 255, 256, 510, 511, 60_000)),
        st.sampled_from((1, 2, 7, 60, 254, 255, 256, 500)),
        st.sampled_from((2, 40, 3_000, 30_000, SEGMENT)),
    ),
).map(sorted)
_terms = st.builds(lambda first, second: first << 16 | second, st.integers(1, 4), st.integers(0, 3))
_segments = st.lists(st.dictionaries(_terms, _rows, max_size=6), max_size=3)


@settings(max_examples=50, deadline=None)
@given(_segments, st.sampled_from((np.uint32, np.uint64)), st.sets(st.integers(1, 5)), st.sets(st.integers(0, 4)))
def test_rows_come_out_as_they_went_in(
    segments: list[dict[int, list[int]]], dtype: type, firsts: set[int], seconds: set[int]
) -> None:
    """One by one, by first characters, and by pairs of them; two numbers to a term in four bytes or in eight."""
    half = np.dtype(dtype).itemsize * 4
    put = [{(term >> 16) << half | term & 0xFFFF: rows for term, rows in one.items()} for one in segments]
    lists = Lists.of([segment(one) for one in put], dtype)
    flags = np.array([number in seconds for number in range(5)])
    asked = lists.after(np.array(sorted(firsts), np.int64))
    assert lists.segments == len(put)
    for number, one in enumerate(put):
        for first in range(6):
            for second in range(5):
                assert lists.rows(number, lists.pair(first, second)).tolist() == one.get(first << half | second, [])
        begun = {term: rows for term, rows in one.items() if term >> half in firsts}
        paired = [rows for term, rows in begun.items() if term & (1 << half) - 1 in seconds]
        assert lists.united(number, *asked).tolist() == sorted({row for rows in begun.values() for row in rows})
        terms = lists.paired(np.array(sorted(firsts), np.int64), flags)
        assert lists.of_any(number, terms).tolist() == sorted({row for rows in paired for row in rows})


@pytest.mark.parametrize(
    ("rows", "form", "size"),
    [
        ([65_535], "single", 2),
        ([0, 65_535], "many", 4),
        (range(0, 65_536, 600), "many", 220),
        (range(0, 65_536, 250), "near", 263),
        (range(0, 65_536, 9), "near", 7_282),
        (range(0, 65_536, 7), "dense", 8_192),
        (range(65_536), "dense", 8_192),
    ],
)
def test_a_term_takes_the_form_that_is_smallest(rows: Sequence[int], form: str, size: int) -> None:
    lists = Lists.of([segment({1 << 16: rows})], np.uint32)
    kept = {"single": lists.single_rows, "many": lists.many_rows, "near": lists.near_bytes, "dense": lists.dense_bits}
    assert {name: array.nbytes for name, array in kept.items() if len(array)} == {form: size}
    assert lists.rows(0, lists.pair(1, 0)).tolist() == list(rows)


def test_terms_may_be_renamed() -> None:
    renamed = segment({3: [1, 2], 5: [7], 9: [0, 4]}).renamed(np.array([2, 0, 1], np.uint32))
    lists = Lists.of([renamed], np.uint32)
    assert [lists.rows(0, np.uint32(term)).tolist() for term in range(4)] == [[7], [0, 4], [1, 2], []]


def test_sets_of_rows_of_any_size_are_compared() -> None:
    """Few numbers are looked up one by one, many by a flag for each."""
    chance = random.Random(3)  # noqa: S311 - a seed repeats it
    for sizes in ((0, 9), (9, 0), (40, 60), (40, 50_000), (50_000, 40), (20_000, 30_000)):
        one, other = ({chance.randrange(SEGMENT) for _ in range(size)} for size in sizes)
        some, others = (np.array(sorted(rows), np.uint16) for rows in (one, other))
        assert common(some, others).tolist() == sorted(one & other)
        assert is_in(some, others).tolist() == [row in other for row in some.tolist()]
        assert distinct(np.concatenate([some, others])).tolist() == sorted(one | other)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=8))
def test_ranges_are_spread_in_order(ranges: list[tuple[int, int]]) -> None:
    begins = np.array([begin for begin, _ in ranges], np.uint32)
    ends = np.array([begin + length for begin, length in ranges], np.uint32)
    assert spread(begins, ends).tolist() == [n for begin, length in ranges for n in range(begin, begin + length)]
