"""How characters are read, and the ways in which letters spell them."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.search.readings import Readings, Syllables
from tests.builders.words import SPOKEN


@pytest.mark.parametrize(
    ("character", "syllables"),
    [
        *SPOKEN.items(),
        ("绿", ("lu", "lv")),
        ("略", ("lve",)),
        ("重", ("chong", "zhong")),
        ("都", ("dou", "du")),
        ("家", ("jia",)),
        ("容", ("rong",)),
        ("儿", ("er",)),
        ("髮", ("fa",)),
        ("〇", ("ling",)),
        ("ー", ()),
        ("A", ()),
    ],
)
def test_a_character_has_its_common_readings(character: str, syllables: tuple[str, ...]) -> None:
    assert Readings.of_texts([character]).of(character) == syllables


def test_only_what_texts_use_is_known() -> None:
    readings = Readings.of_texts(["理发", "SPA"])
    assert (readings.of("理"), readings.of("店")) == (("li",), ())
    readings.add(["发店（ＶＩＰ）"])
    assert (readings.of("店"), readings.of("发")) == (("dian",), ("fa",))
    assert readings.by_syllable() == {"dian": "店", "fa": "发", "li": "理"}


def test_a_character_is_known_in_the_form_that_it_folds_to() -> None:
    assert Readings.of_texts(["⼥"]).of("女") == ("nv",)


def test_what_is_known_stays_as_it_is() -> None:
    """A base that says otherwise of a character than this version of the source is right for its rows."""
    readings = Readings({"理": ("lo",)})
    readings.add(["理发"])
    assert readings.of("理") == ("lo",)


@given(st.dictionaries(st.sampled_from([*SPOKEN, "\u2028", "\U00020000"]), st.sets(st.sampled_from(["li", "fa", "a"]))))
def test_a_table_reads_back_as_it_was_and_is_the_same_bytes_in_any_order(table: dict[str, set[str]]) -> None:
    ordered = {character: tuple(sorted(syllables)) for character, syllables in table.items()}
    dumped = Readings(ordered).dump()
    assert dumped == Readings(dict(reversed(ordered.items()))).dump()
    loaded = Readings.load(dumped)
    assert loaded.dump() == dumped
    assert {character: loaded.of(character) for character in ordered} == ordered


@pytest.mark.parametrize("dumped", [b"\n\xff", b"\n\n", "\n理".encode()])
def test_bytes_that_are_no_table_are_refused(dumped: bytes) -> None:
    with pytest.raises(ValueError, match=r"readings|decode"):
        Readings.load(dumped)


def test_asking_words_loads_neither_numpy_nor_pypinyin() -> None:
    """A cold process answers its first search by these alone."""
    script = (
        "import sys; from chalicelib.search import words, readings\n"
        "known = readings.Readings.of_texts(['理发'])\n"
        "assert words.matches(words.tokens('lf')[0], ['理发'], known)\n"
        "assert not {'numpy', 'pypinyin'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def spelled(token: str, syllables: frozenset[str]) -> set[tuple[str, ...]]:
    """All cuts of a token whose parts are whole syllables, but for the last, which begins one."""
    cuts = set()
    for marks in product((False, True), repeat=len(token) - 1):
        ends = [place for place, mark in enumerate(marks, start=1) if mark]
        parts = [token[begin:end] for begin, end in zip([0, *ends], [*ends, len(token)], strict=True)]
        if syllables.issuperset(parts[:-1]) and any(one.startswith(parts[-1]) for one in syllables):
            cuts.add(tuple(parts))
    return cuts


def walked(
    token: str, steps: tuple[tuple[str, ...], ...], ends: tuple[bool, ...], place: int = 0
) -> set[tuple[str, ...]]:
    there = {(token[place:],)} if ends[place] else set()
    for syllable in steps[place]:
        there |= {(syllable, *rest) for rest in walked(token, steps, ends, place + len(syllable))}
    return there


@given(
    st.text(st.sampled_from("xianglue"), min_size=1, max_size=9),
    st.sets(st.sampled_from(["xi", "xian", "an", "a", "ang", "lu", "lue", "e", "n", "gu"])),
)
def test_a_spelling_is_walked_in_all_ways_that_there_are(token: str, syllables: set[str]) -> None:
    """And no step leads where it does not end."""
    spelling = Syllables(syllables).spelling(token)
    assert walked(token, spelling.steps, spelling.ends) == spelled(token, frozenset(syllables))
    for place, parts in enumerate(spelling.steps):
        assert all(walked(token, spelling.steps, spelling.ends, place + len(part)) for part in parts)
