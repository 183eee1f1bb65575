"""What a search's words mean: the tokens of a query, the runs of a name, and when the one matches the other.

This is the definition, in plain Python. `postings` answers the same for a whole city at once; where a shop is too new
for it, or the process too young, what stands here is asked name by name.

    q "Spa按摩 lifa"  →  latin "spa", character "按摩", latin "lifa"; a shop passes when each of them matches a name

A character token matches as a part of a character run of a name, whatever its length. A Latin token matches

    a Latin word that begins with it, or
    from four letters on, a Latin word one edit away from it, or
    the readings of neighbouring characters, the last one possibly unfinished: "lif" and "lifa" find 理发, or
    from two letters on, the first letters of the readings of neighbouring characters: "lf" finds 理发.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from chalicelib.search.readings import Readings

MAX_TOKENS = 8  # more is refused at the door; here they are not asked for
TYPO_LETTERS = 4  # so long is a token that may hold a typo
INITIALS = 2  # so many initials are asked for at least
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

# Most names are of these alone, and lower case is all that they need.
_PLAIN = re.compile(r"[\x00-\x7f\u3007\u4e00-\u9fff]*")
_RUN = re.compile(r"([a-z0-9]+)|[^\W_a-z0-9]+")


@dataclass(frozen=True)
class Token:
    """A folded part of a query: "latin" is of ASCII letters and digits, "character" of other letters and digits."""

    kind: Literal["character", "latin"]
    text: str


@dataclass(frozen=True)
class Runs:
    """The parts of a folded name, in order: what stands between them has no meaning."""

    characters: tuple[str, ...]
    words: tuple[str, ...]


def fold(text: str) -> str:
    """Text as it is compared, in UTF-8 without fail: case, width and accents of Latin letters are gone, and so is
    every other mark that has not melted into its letter. Folding twice changes nothing more."""
    if _PLAIN.fullmatch(text):
        return text.lower()
    whole = text.encode("utf-8", "replace").decode("utf-8")
    lower = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", whole).casefold())
    kept: list[str] = []
    after_ascii = False
    for character in unicodedata.normalize("NFD", lower):
        if not _is_mark(character):
            after_ascii = character.isascii()
        elif after_ascii:
            continue
        kept.append(character)
    return "".join(one for one in unicodedata.normalize("NFC", "".join(kept)) if not _is_mark(one))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) == "Mn"


def lines(names: Iterable[str]) -> str:
    """Names as one folded text, a line each: what a base file keeps of a shop, and `verified` reads."""
    return "\n".join(fold(name).replace("\n", " ") for name in names)


def tokens(q: str) -> tuple[Token, ...] | None:
    """What a query asks for, each once: nothing (every shop passes) when it is blank, None (no shop passes) when it
    is of characters that no name is found by. Of more than MAX_TOKENS the first ones."""
    if not q.strip():
        return ()
    return _tokens(q)[:MAX_TOKENS] or None


def too_many(q: str) -> bool:
    """Whether a query has more than MAX_TOKENS."""
    return len(_tokens(q)) > MAX_TOKENS


def _tokens(q: str) -> tuple[Token, ...]:
    found = (Token("latin" if match.group(1) else "character", match.group()) for match in _RUN.finditer(fold(q)))
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=16_384)
def runs(name: str) -> Runs:
    """The character runs and the Latin words of a name, folded or not."""
    characters: list[str] = []
    words: list[str] = []
    for match in _RUN.finditer(fold(name)):
        (words if match.group(1) else characters).append(match.group())
    return Runs(tuple(characters), tuple(words))


@lru_cache(maxsize=64)
def edits(token: str) -> frozenset[str]:
    """All that one edit makes of a token: a letter left out, put in or replaced, or two neighbours swapped."""
    halves = [(token[:place], token[place:]) for place in range(len(token) + 1)]
    left_out = {head + tail[1:] for head, tail in halves if tail}
    put_in = {head + letter + tail for head, tail in halves for letter in ALPHABET}
    replaced = {head + letter + tail[1:] for head, tail in halves if tail for letter in ALPHABET}
    swapped = {head + tail[1] + tail[0] + tail[2:] for head, tail in halves if len(tail) > 1}
    return frozenset((left_out | put_in | replaced | swapped) - {token})


def matches(token: Token, names: Iterable[str], readings: Readings) -> bool:
    """Whether a token matches any of a shop's names, folded or not. `readings` knows their characters."""
    return any(_matches(token, runs(name), readings) for name in names)


def _matches(token: Token, name: Runs, readings: Readings) -> bool:
    if token.kind == "character":
        return any(token.text in run for run in name.characters)
    if any(word.startswith(token.text) for word in name.words):
        return True
    if len(token.text) >= TYPO_LETTERS and name.words and not edits(token.text).isdisjoint(name.words):
        return True
    return any(_sounds(token.text, run, readings) or _initials(token.text, run, readings) for run in name.characters)


def _sounds(token: str, run: str, readings: Readings) -> bool:
    """Whether neighbouring characters of a run spell the token, the last one possibly unfinished."""
    reached: set[int] = set()  # how much of the token the characters up to here may have spelled
    for character in run:
        syllables = readings.of(character)
        reached = {
            begin + len(syllable)
            for begin in (0, *sorted(reached))
            for syllable in syllables
            if syllable.startswith(token[begin:]) or token.startswith(syllable, begin)
        }
        if any(end >= len(token) for end in reached):
            return True
    return False


def _initials(token: str, run: str, readings: Readings) -> bool:
    if len(token) < INITIALS:
        return False
    firsts = [{syllable[0] for syllable in readings.of(character)} for character in run]
    return any(
        all(letter in firsts[begin + place] for place, letter in enumerate(token))
        for begin in range(len(run) - len(token) + 1)
    )
