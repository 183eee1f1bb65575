"""What the check of texts finds, and what a text may be made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.providers.texts.rules import WordList
from chalicelib.reviews.schemas import WriteReply

CLEAN = [
    "剪得很细致，环境也安静，下次还找 Kevin。",
    "等了 20 分钟，128 元，2026-11-22 去的",
    "Went twice in 2026, paid 128.00 both times.",
    "五星好评！三个人一起去的，一二三都满意",
    "从 9:00 等到 10:30",
    "I <3 it, 5 > 4 & so on",
]
FOUND = {
    "加微信 abc_12345 便宜": "contact",
    "13800138000": "contact",
    "１３８－００１３－８０００": "contact",
    "一三八零零一三八零零零": "contact",
    "1 3 8 . 0 0 1 3 . 8 0 0 0": "contact",
    "138\u200b0013\u200b8000": "contact",
    "QQ：12345678": "contact",
    "see https://example.org": "link",
    "WWW.Example.CN": "link",
    "去 taobao.com 买": "link",
    "老板是傻 逼": "words",
    "What a FUCKing mess": "words",
}


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_words_are_clean(text: str) -> None:
    assert WordList().faults(text) == ()


@pytest.mark.parametrize("text", FOUND)
def test_what_a_person_should_read_first_is_found(text: str) -> None:
    assert FOUND[text] in WordList().faults(text)


@given(st.text(max_size=200))
def test_any_text_is_answered(text: str) -> None:
    assert set(WordList().faults(text)) <= {"contact", "link", "words"}


@pytest.mark.parametrize(
    "text", ["a\x00b", "a\x1bb", "a\u202eb", "a\u2028b", "<b>a</b>", "< script>", "a &lt; b", "", "  ", "x" * 501]
)
def test_what_is_no_plain_text_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        WriteReply(text=text)


@pytest.mark.parametrize("text", ["two\nlines", "👩\u200d🦰", "🪭", "I <3 it", "500 字" + "好" * 490])
def test_lines_and_emoji_are_plain_text(text: str) -> None:
    assert WriteReply(text=text).text == text
