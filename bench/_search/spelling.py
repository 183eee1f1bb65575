"""Which names a keyword means, written a second time for the brute force. Of the product it uses the table of readings,
which is data, and nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from itertools import groupby

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
Runs = tuple[list[str], list[str]]
"""(runs of characters, Latin words)"""


class Speller:
    """Knows how characters are read."""

    def __init__(self, readings: Callable[[str], Iterable[str]]) -> None:
        self._readings = readings
        self._runs: dict[str, Runs] = {}

    def asked(self, q: str) -> Asked:
        return Asked(q, self._readings, self._runs)


class Asked:
    """One keyword; remembers what it has said of each name."""

    def __init__(self, q: str, readings: Callable[[str], Iterable[str]], known: dict[str, Runs]) -> None:
        self._readings, self._known = readings, known
        characters, words = _cut(q)
        self._tests = [self._characters(run) for run in characters] + [self._latin(word) for word in words]
        self._said: list[dict[str, bool]] = [{} for _ in self._tests]

    def matches(self, names: list[str]) -> bool:
        """Every part of the keyword is in some name; one without parts is in none."""
        if not self._tests:
            return False
        for test, said in zip(self._tests, self._said, strict=True):
            for name in names:
                found = said.get(name)
                if found is None:
                    found = said[name] = test(self._runs_of(name))
                if found:
                    break
            else:
                return False
        return True

    def _runs_of(self, name: str) -> Runs:
        runs = self._known.get(name)
        if runs is None:
            if len(self._known) > 500_000:
                self._known.clear()
            runs = self._known[name] = _cut(name)
        return runs

    def _characters(self, part: str) -> Callable[[Runs], bool]:
        return lambda runs: any(part in run for run in runs[0])

    def _latin(self, word: str) -> Callable[[Runs], bool]:
        def test(runs: Runs) -> bool:
            if any(other[: len(word)] == word for other in runs[1]):
                return True
            if len(word) >= 4 and any(one_edit(word, other) for other in runs[1]):
                return True
            starts = [(run, begin) for run in runs[0] for begin in range(len(run))]
            if any(self._spells(word, run, begin) for run, begin in starts):
                return True
            return len(word) >= 2 and any(self._abbreviates(word, run, begin) for run, begin in starts)

        return test

    def _spells(self, rest: str, run: str, place: int) -> bool:
        if place == len(run):
            return False
        for syllable in self._readings(run[place]):
            if syllable[: len(rest)] == rest:
                return True
            if rest[: len(syllable)] == syllable and self._spells(rest[len(syllable) :], run, place + 1):
                return True
        return False

    def _abbreviates(self, rest: str, run: str, place: int) -> bool:
        if not rest:
            return True
        if place == len(run):
            return False
        firsts = {syllable[0] for syllable in self._readings(run[place])}
        return rest[0] in firsts and self._abbreviates(rest[1:], run, place + 1)


def one_edit(one: str, other: str) -> bool:
    """Whether a letter left out, put in or replaced, or two neighbours swapped, makes the one the other."""
    if len(one) < len(other):
        one, other = other, one
    if len(one) - len(other) > 1 or one == other:
        return False
    same = next((place for place, letter in enumerate(other) if one[place] != letter), len(other))
    if len(one) > len(other):
        return one[same + 1 :] == other[same:]
    return one[same + 1 :] == other[same + 1 :] or (
        one[same : same + 2] == other[same : same + 2][::-1] and one[same + 2 :] == other[same + 2 :]
    )


def _cut(text: str) -> Runs:
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))
    runs: Runs = ([], [])
    for kind, letters in groupby(plain, _kind):
        if kind:
            runs[kind - 1].append("".join(letters))
    return runs


def _kind(letter: str) -> int:
    """0 divides, 1 is a character, 2 a Latin letter or a digit."""
    if letter in _LETTERS:
        return 2
    return 1 if letter.isalnum() else 0
