"""Postings find the rows that the definition in `words` finds, whatever the names, the query, the part of the city."""

from __future__ import annotations

import mmap
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chalicelib.search import words
from chalicelib.search.postings import Found, Names, Postings
from chalicelib.search.readings import Readings
from chalicelib.search.words import Token, lines, tokens
from tests.builders import words as build

Shops = Sequence[Sequence[str]]


def names_of(shops: Shops) -> Names:
    texts = [lines(shop).encode("utf-8") for shop in shops]
    return Names(np.cumsum([0, *map(len, texts)]), b"".join(texts))


def spans(*parts: tuple[int, int]) -> NDArray[np.int64]:
    return np.array([part for part in parts if part[0] < part[1]], np.int64).reshape(-1, 2)


def search(postings: Postings, names: Names, q: str, *parts: tuple[int, int]) -> list[int]:
    asked = tokens(q)
    if not asked:
        return [] if asked is None else [row for part in parts for row in range(*part)]
    found = postings.every(asked, spans(*parts))
    return found.rows[postings.holds(found, names)].tolist()


def defined(shops: Shops, readings: Readings, q: str) -> list[int]:
    asked = tokens(q)
    if asked is None:
        return []
    return [row for row, shop in enumerate(shops) if all(words.matches(token, shop, readings) for token in asked)]


@settings(max_examples=40, deadline=None)
@given(st.lists(build.shops, max_size=8), st.lists(build.queries, min_size=1, max_size=6), st.data())
@example([["发发发", "法理"], ["发理法发理"]], ["fafafa", "falifa", "flf", "发理法发"], None)
def test_rows_are_those_that_the_definition_and_the_contract_name(
    shops: list[list[str]], queries: list[str], data: st.DataObject | None
) -> None:
    postings, names = Postings.build(shops), names_of(shops)
    for q in queries:
        wanted = [row for row, shop in enumerate(shops) if build.fits(q, shop)]
        assert search(postings, names, q, (0, len(shops))) == wanted == defined(shops, postings.readings, q)
        if data is not None:
            bounds = sorted(data.draw(st.lists(st.integers(0, len(shops)), min_size=4, max_size=4)))
            parts = (bounds[0], bounds[1]), (bounds[2], bounds[3])
            assert search(postings, names, q, *parts) == [row for row in wanted if any(row in range(*p) for p in parts)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=3), max_size=4),
    st.text(st.characters(codec=None), max_size=100),
)
def test_whatever_is_typed_is_found_where_it_stands(shops: list[list[str]], q: str) -> None:
    shops = [*shops, [q, "店"]]
    postings = Postings.build(shops)
    assert search(postings, names_of(shops), q, (0, len(shops))) == defined(shops, postings.readings, q)


def town(count: int) -> Shops:
    """Rows of few names: some in most rows, some in a hundredth, some in a few, one in a single one."""
    chance = random.Random(7)  # noqa: S311 - a seed repeats it
    usual = [("理发店", "Lifa Hair"), ("先行", "Xian Nails"), ("长乐里", "Changle"), ("西安连发", "SPA 7")]
    fewer = [("儿法先店", "Gosling Salon"), ("国里发长", "Palace")]
    rare = [("法理女", "Massage"), ("鹅", "Café"), ("女儿国行", "Goose")]

    def drawn() -> tuple[str, ...]:
        at = chance.random()
        return chance.choice(rare if at < 0.001 else fewer if at < 0.02 else usual)

    return [*(drawn() for _ in range(count - 1)), ("乐长行里",)]


TOWN_QUERIES = (
    *("发", "理发", "理发店", "西安连发", "店", "鹅", "乐长", "乐长行", "行", "行里", "儿法", "法先店", "发长"),
    *("l", "x", "lf", "lfd", "xalf", "lifa", "lifadian", "lianfa", "xian", "xianlian", "xingli", "yuechangxing"),
    *(
        "hair",
        "hiar",
        "mass",
        "masage",
        "massagee",
        "7",
        "cafe",
        "lifa hair 店",
        "xian 行",
        "g",
        "goo",
        "gosse",
        "nobody",
    ),
)


@pytest.fixture(scope="module")
def big() -> tuple[Shops, Postings, Names]:
    shops = town(140_000)
    return shops, Postings.build(iter(shops)), names_of(shops)


@pytest.mark.parametrize("q", TOWN_QUERIES)
def test_a_town_of_several_segments_is_one_town(big: tuple[Shops, Postings, Names], q: str) -> None:
    """Terms in most rows of a segment, in some, in one; parts that begin and end within a segment or at its border."""
    shops, postings, names = big
    kinds = sorted(set(map(tuple, shops)))
    fit = {kind for kind in kinds if build.fits(q, kind)}
    wanted = [row for row, shop in enumerate(shops) if shop in fit]
    for parts in (
        [(0, 140_000)],
        [(65_536, 131_072)],
        [(65_535, 65_537)],
        [(70_000, 70_500)],
        [(139_999, 140_000)],
        [(5, 5)],
        [(0, 9), (100, 65_536), (65_537, 65_600), (131_000, 131_073), (139_990, 140_000)],
        [(10, 20), (131_072, 131_073)],
    ):
        asked = [row for row in wanted if any(begin <= row < end for begin, end in parts)]
        assert search(postings, names, q, *parts) == asked


def test_what_was_asked_before_is_remembered_within_bounds() -> None:
    """Words that nobody has do not fill the memory either."""
    postings = Postings.build([["理发", "hair"]] * 300)
    whole = spans((0, 300))
    for number in range(30_000):
        assert not len(postings.rows(Token("character", f"X{number}"), whole).rows)
    assert sum(len(known.segments) + 1 for known in postings.remembered.values()) <= 20_000
    assert len(postings.rows(Token("character", "理发"), whole).rows) == 300


def test_every_form_of_a_list_has_been_met(big: tuple[Shops, Postings, Names]) -> None:
    _, postings, _ = big
    arrays = postings.arrays()
    for of in ("pairs", "latin"):
        assert all(len(arrays[f"{of}_{form}_terms"]) for form in ("many", "near", "dense"))
    assert len(arrays["pairs_single_terms"])


def test_a_part_beyond_the_city_has_nothing(big: tuple[Shops, Postings, Names]) -> None:
    _, postings, _ = big
    assert postings.rows(Token("character", "发"), spans((140_000, 10**9))).rows.tolist() == []
    assert postings.rows(Token("latin", "lifa"), spans()).rows.tolist() == []


def test_only_what_takes_more_than_two_characters_needs_a_look(big: tuple[Shops, Postings, Names]) -> None:
    _, postings, _ = big
    exact = {
        q: postings.every(tokens(q) or (), spans((0, 140_000))).is_exact
        for q in ("发", "理发", "lf", "lifa", "hair", "massge")
    }
    assert all(exact.values())
    assert not postings.every(tokens("理发店") or (), spans((0, 140_000))).is_exact


def test_a_look_is_taken_only_at_rows_that_are_left(big: tuple[Shops, Postings, Names]) -> None:
    """The caller's other filters come first."""
    _, postings, names = big
    found = postings.every(tokens("理发店 lifadian") or (), spans((0, 2_000)))
    left = found.only(np.arange(len(found.rows)) % 100 == 0)
    looked: list[slice] = []

    class Watched:
        def __getitem__(self, part: slice, /) -> bytes:
            looked.append(part)
            return names.text[part]

        def find(self, wanted: bytes, begin: int, end: int, /) -> int:
            looked.append(slice(begin, end))
            return names.text.find(wanted, begin, end)

    assert postings.holds(left, Names(names.starts, Watched())).all()
    assert len(looked) <= 2 * len(left.rows) < len(found.rows)


def test_postings_come_back_from_a_file_as_they_were(big: tuple[Shops, Postings, Names], tmp_path: Path) -> None:
    """The arrays of one dimension, mapped and not copied; the names too."""
    _, postings, names = big
    arrays = {}
    for name, array in postings.arrays().items():
        assert array.ndim == 1
        array.tofile(tmp_path / name)
        mapped = np.memmap(tmp_path / name, array.dtype, "r") if len(array) else array
        arrays[name] = mapped
    (tmp_path / "names").write_bytes(names.text[:])
    again = Postings.of(arrays, Readings.load(postings.readings.dump()))
    assert again.nbytes == postings.nbytes
    with (tmp_path / "names").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        for q in TOWN_QUERIES:
            part = (60_000, 70_000)
            assert search(again, Names(names.starts, text), q, part) == search(postings, names, q, part)


def test_the_same_names_make_the_same_arrays() -> None:
    shops = town(3_000)
    one, other = Postings.build(shops), Postings.build([list(shop) for shop in shops])
    assert one.readings.dump() == other.readings.dump()
    for name, array in one.arrays().items():
        assert array.tobytes() == other.arrays()[name].tobytes()


def test_a_city_without_names_has_nothing_to_find() -> None:
    for shops in ([], [[]], [["!"], []]):
        postings = Postings.build(shops)
        for q in ("发", "理发店", "a", "lifa", "xixixi", "spa按摩"):
            assert search(postings, names_of(shops), q, (0, len(shops))) == []


def test_a_city_may_use_every_character_that_there_is() -> None:
    """More than two bytes can number."""
    every = [chr(code) for code in range(0x80, 0x24000) if chr(code).isalnum() and words.fold(chr(code)) == chr(code)]
    assert len(every) > 1 << 16
    shops = [["".join(every[begin : begin + 80])] for begin in range(0, len(every), 80)]
    postings, names = Postings.build(shops), names_of(shops)
    for row in (0, 7, 900, len(shops) - 1):
        for q in (shops[row][0], shops[row][0][3], shops[row][0][-2:], shops[row][0][5:9]):
            assert search(postings, names, q, (0, len(shops))) == defined(shops, postings.readings, q) != []
    for q in ("zhuang", "zz", "lizhuan"):
        assert search(postings, names, q, (0, len(shops))) == defined(shops, postings.readings, q)


def test_what_two_have_found_is_what_both_have() -> None:
    token = Token("character", "理发店")
    one = Found(np.array([1, 3, 5, 8]), ((token, np.array([True, False, True, False])),))
    other = Found(np.array([3, 5, 6]))
    both = one.both(other)
    assert both.rows.tolist() == [3, 5] == other.both(one).rows.tolist()
    assert [flags.tolist() for _, flags in both.unsure] == [[False, True]]
    assert one.both(Found(np.zeros(0, np.int64))).rows.tolist() == []


@pytest.mark.parametrize(
    "q", ["xixian" * 16, "lian" * 25, "fa" * 50, "a" * 100, " ".join("abcdefghijklmnopqrstuvwxyz")]
)
def test_a_hostile_query_is_answered_like_any_other(big: tuple[Shops, Postings, Names], q: str) -> None:
    shops, postings, names = big
    assert search(postings, names, q, (0, len(shops))) == []
