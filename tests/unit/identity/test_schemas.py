"""What a name may be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from chalicelib.identity.schemas import MePatch
from chalicelib.runtime import messages


@pytest.mark.parametrize("name", ["李雷", "Zoë  O'Neil", "👩‍👩‍👧", "山田　太郎", "x" * 40])
def test_names_of_all_scripts_are_welcome(name: str) -> None:
    """Also emoji that joiners hold together, and the wide blank of Chinese and Japanese."""
    assert MePatch(display_name=name).display_name == name


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x00b", "ab\u202ecd", "a\u2028b", "x" * 41])
def test_names_that_hide_or_break_something_are_refused(name: str) -> None:
    """Empty, too long, line breaks, control characters, and marks that turn the reading direction."""
    with pytest.raises(ValidationError):
        MePatch(display_name=name)


def test_a_value_in_a_message_is_never_read_as_a_template() -> None:
    """A code that looks like a placeholder stays what it is."""
    assert "{minutes}" in messages.text("en", "sms", "otp", code="{minutes}", minutes="5")


def test_an_unknown_language_reads_chinese() -> None:
    """zh-CN is the house's first language."""
    assert messages.text("fr", "account", "default_name", suffix="0001") == "邻居0001"
