"""A token matches a name as the contract says, and nothing that anybody types is more than a token."""

from __future__ import annotations

import unicodedata
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.search import words
from chalicelib.search.readings import Readings
from chalicelib.search.words import Token, edits, fold, matches, runs, tokens
from tests.builders import words as build

READINGS = Readings(build.SPOKEN)
anything = st.text(st.characters(codec=None), max_size=100)


def found(q: str, *names: str, readings: Readings | None = None) -> bool:
    asked = tokens(q)
    known = readings or Readings.of_texts(names)
    return asked is not None and all(matches(token, names, known) for token in asked)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Lifa SHOP", "lifa shop"),
        ("ＳＰＡ（１）", "spa(1)"),
        ("Café Zoë Ñandú", "cafe zoe nandu"),
        ("Cafe\u0301", "cafe"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("Đà Nẵng", "đa nang"),
        ("理髮㈱", "理髮(株)"),
        ("⼥", "女"),
        ("カ\u3099", "ガ"),
        ("ЁЖ й", "ёж й"),
        ("한글", "한글"),
        ("葛\U000e0100城💇\ufe0f", "葛城💇"),
        ("a\ud800b", "a?b"),
    ],
)
def test_text_folds_to_what_is_compared(text: str, folded: str) -> None:
    assert fold(text) == folded


@settings(max_examples=200, deadline=None)
@given(anything)
@example("\u0345\u0301ⒶǰΐÅ\u0323\u0307")
def test_folding_twice_is_folding_once_and_always_utf_8(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert once.encode("utf-8").decode("utf-8") == once
    assert fold(text.upper().lower()) == fold(fold(text.upper()))


def test_every_character_folds_for_good_and_none_becomes_a_line() -> None:
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in ("Cn", "Co"):
            continue
        once = fold(chr(code))
        assert fold(once) == once
        assert "\n" not in once or code == 10


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("Spa按摩 lifa", (("latin", "spa"), ("character", "按摩"), ("latin", "lifa"))),
        ("美发", (("character", "美发"),)),
        ("发", (("character", "发"),)),
        ("7天酒店", (("latin", "7"), ("character", "天酒店"))),
        ("美·发—店", (("character", "美"), ("character", "发"), ("character", "店"))),
        ("don't", (("latin", "don"), ("latin", "t"))),
        ("spa SPA ｓｐａ", (("latin", "spa"),)),
        ("a_b", (("latin", "a"), ("latin", "b"))),
        ("ラーメン屋", (("character", "ラーメン屋"),)),
        ("", ()),
        (" \t\u3000", ()),
        ("!?", None),
        ("💇\ufe0f", None),
        ("\x00", None),
        ("\ud800", None),
        ("\u0301", None),
    ],
)
def test_a_query_is_cut_where_the_script_changes(q: str, expected: tuple[tuple[str, str], ...] | None) -> None:
    """Nothing asked finds everything; nothing but signs finds nothing."""
    assert tokens(q) == (None if expected is None else tuple(Token(kind, text) for kind, text in expected))


def test_a_name_is_its_runs_in_order() -> None:
    assert runs("7天SPA·按摩 (Xuhui店)") == words.Runs(("天", "按摩", "店"), ("7", "spa", "xuhui"))


def test_names_are_kept_a_line_each() -> None:
    assert words.lines(["理发\n店", "CAFÉ", ""]) == "理发 店\ncafe\n"


@pytest.mark.parametrize(
    ("q", "name"),
    [
        ("发", "理发店"),
        ("理发", "理发店"),
        ("理发店", "南京路理发店(2)"),
        ("发店", "理发店"),
        ("hai", "Qingsi Hair"),
        ("hair", "hair"),
        ("spa按摩", "按摩 SPA"),
        ("SPA按摩", "城市spa中式按摩"),
        ("ｃａｆé", "Café de Paris"),
        ("Cafe", "CAFÉ"),
        ("xian", "西安饭店"),
        ("xian", "鲜花店"),
        ("xi", "鲜花店"),
        ("hang", "银行"),
        ("yinxing", "银行"),
        ("changcheng", "长城"),
        ("zhangcheng", "长城"),
        ("yinyue", "音乐"),
        ("kuaile", "快乐"),
        ("nv", "女装"),
        ("lvse", "绿色"),
        ("l", "理发"),
        ("lif", "理发"),
        ("lifa", "理发"),
        ("fad", "理发店"),
        ("meifa", "丝美发廊"),
        ("lf", "理发"),
        ("lfd", "理发店"),
        ("yh", "银行"),
        ("yx", "银行"),
        ("lifa mei 店", "美理发店"),
        ("7天", "7天酒店"),
    ],
)
def test_a_name_is_found(q: str, name: str) -> None:
    assert found(q, name)


@pytest.mark.parametrize(
    ("q", "name"),
    [
        ("理店", "理发店"),
        ("发理", "理发店"),
        ("美发", "美 发"),
        ("美发", "美a发"),
        ("air", "hair"),
        ("lf", "理 发"),
        ("lifa", "理·发"),
        ("lifaa", "理发"),
        ("ifa", "理发"),
        ("lfd", "理发"),
        ("lfx", "理发店"),
        ("lifd", "理发店"),
        ("gu", "家"),
        ("qinsi", "青丝"),
        ("lifa1", "理发"),
        ("spa按摩", "spa"),
        ("发 hair", "理发"),
    ],
)
def test_a_name_is_not_found(q: str, name: str) -> None:
    assert not found(q, name)


def test_each_token_may_stand_in_another_name() -> None:
    assert found("理发 hair", "理发店", "Qingsi Hair")


@pytest.mark.parametrize("q", ["mssage", "massaage", "message", "massaeg", "assage", "massagex", "amssage"])
def test_one_typo_of_each_kind_is_forgiven_in_a_whole_word(q: str) -> None:
    assert found(q, "Thai Massage")


@pytest.mark.parametrize(
    ("q", "name"), [("massge", "massages"), ("masage2", "massage"), ("sap", "spa"), ("spx", "spa")]
)
def test_two_typos_are_not_forgiven_and_none_below_four_letters(q: str, name: str) -> None:
    assert not found(q, name)


def test_the_edits_of_a_token_are_all_words_one_edit_away() -> None:
    """Of up to four letters, by counting the edits between each two."""
    letters = "ab"
    every = ["".join(one) for size in range(5) for one in product(letters, repeat=size)]
    for token in every[1:15]:
        assert {one for one in every if one in edits(token)} == {
            one for one in every if build.distance(token, one) == 1
        }
    assert len(edits("abcd")) == 4 + 5 * 36 - 4 + 4 * 35 + 3
    assert {"ab1d", "0abcd", "abcz"} <= edits("abcd")


@settings(max_examples=200, deadline=None)
@given(build.queries, build.shops)
def test_a_query_finds_what_the_contract_says(q: str, shop: list[str]) -> None:
    assert found(q, *shop, readings=READINGS) == (build.fits(q, shop) if build.runs(q) else not q.split())


@settings(max_examples=200, deadline=None)
@given(anything, st.lists(anything, max_size=2))
def test_whatever_is_typed_finds_itself_or_nothing(q: str, names: list[str]) -> None:
    asked = tokens(q)
    readings = Readings(build.SPOKEN)
    for token in asked or ():
        assert token.text
        assert matches(token, [*names, q], readings)
        assert not matches(token, [], readings)
    assert asked is None or bool(asked) == bool(q.strip())


@pytest.mark.parametrize("q", ["na" * 50, "xixian" * 16, "a" * 100, "1" * 100, "zhuang" * 16])
def test_a_token_with_countless_spellings_takes_no_longer(q: str) -> None:
    """There are more ways to cut it than could ever be tried one by one."""
    name = "西安先" * 26
    assert not found(q, name, unicodedata.normalize("NFD", name)) or q.startswith("xixian")


def test_a_query_asks_for_eight_words_at_most() -> None:
    """Each costs; a repeated one is none. What has more is refused before it is searched."""
    assert words.tokens("a b c d e f g h h a 8") == words.tokens("a b c d e f g h")
    assert len(words.tokens("美 a 发 b c 店 d e f g") or ()) == words.MAX_TOKENS == 8
    assert words.too_many("a b c d e f g h 发")
    assert not words.too_many("a b c d e f g h a b")
    assert not words.too_many(" ")
