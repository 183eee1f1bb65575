"""Pinyin and initials over a whole city: tokens become sets of characters, and these the terms of `postings`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import islice, pairwise
from typing import TypeAlias

import numpy as np

from chalicelib.search.lists import NO_ROWS, SEGMENT, Array, Flags, Lists, common, distinct
from chalicelib.search.readings import Readings, Spelling, Syllables
from chalicelib.search.words import INITIALS

Numbers: TypeAlias = Array
"""Characters by their numbers in the terms of pairs, ascending."""

_PAIRS_KEPT = 1_024
_DEPTH = 3  # pairs that are looked up of a token; what comes behind them is left to the names


class Sounds:
    """What the characters of a base sound like. `characters` are their code points in order, numbered from 1, and
    `pairs` has the terms of two numbers."""

    def __init__(self, characters: Array, pairs: Lists, readings: Readings) -> None:
        self._characters = characters
        self._pairs = pairs
        self._whole = {syllable: self.numbers(spoken) for syllable, spoken in readings.by_syllable().items()}
        self._begun: dict[str, Numbers] = {}
        self._pair_terms: dict[tuple[str, str, str], Array] = {}
        self._syllables = Syllables(self._whole)

    def numbers(self, characters: str) -> Numbers:
        """The numbers of those characters that the base has, given in order."""
        codes = np.frombuffer(characters.encode("utf-32-le"), "<u4")
        places = self._characters.searchsorted(codes)
        there = places < len(self._characters)
        there[there] = self._characters[places[there]] == codes[there]
        return (places[there] + 1).astype(self._pairs.many_terms.dtype)

    @cached_property
    def _number_of(self) -> Array:
        """The number of each code point up to one behind the last character; 0 for what is none."""
        size = int(self._characters[-1]) + 2 if len(self._characters) else 1
        numbers = np.zeros(size, np.uint16 if len(self._characters) < SEGMENT else np.uint32)
        numbers[self._characters] = np.arange(1, len(self._characters) + 1)
        return numbers

    def spelling(self, token: str) -> Spelling:
        return self._syllables.spelling(token)

    def whole(self, syllable: str) -> Numbers:
        return self._whole[syllable]

    def begun(self, beginning: str) -> Numbers:
        """Characters with a syllable that begins so. Kept, because there are few hundred beginnings."""
        if beginning not in self._syllables.begun:
            return self.numbers("")
        found = self._begun.get(beginning)
        if found is None:
            parts = [numbers for syllable, numbers in self._whole.items() if syllable.startswith(beginning)]
            found = self._begun[beginning] = np.unique(np.concatenate(parts))
        return found

    def flags(self, numbers: Numbers) -> Flags:
        """Which numbers are of a set; 0 is that of no character."""
        flags = np.zeros(len(self._characters) + 1, np.bool_)
        flags[numbers] = True
        return flags

    def singles(self, segment: int, numbers: Numbers) -> Array:
        """Rows with any of the characters, ascending."""
        lows, highs = self._pairs.after(numbers)
        return self._pairs.united(segment, lows, highs)

    def pair(self, first: str, second: str, form: str) -> Array:
        """The terms of two characters by how they are read: "whole" is a syllable behind a syllable, "begun" one of
        which only so much is given, "initials" are beginnings of both. Kept, because most are asked for again."""
        key = (first, second, form)
        found = self._pair_terms.get(key)
        if found is None:
            firsts = self.begun(first) if form == "initials" else self.whole(first)
            seconds = self.whole(second) if form == "whole" else self.begun(second)
            if len(self._pair_terms) >= _PAIRS_KEPT:
                self._pair_terms.clear()
            found = self._pair_terms[key] = self._pairs.paired(firsts, self.flags(seconds))
        return found

    def rows(self, segment: int, terms: Array) -> Array:
        """Rows with any of the terms, ascending."""
        return self._pairs.of_any(segment, terms) if len(terms) else NO_ROWS

    def heard(self, token: str, texts: Sequence[str]) -> Flags:
        """In which of the folded texts the token is spelled or its initials stand, and exactly there."""
        codes = np.frombuffer("".join(f"{text}\n" for text in texts).encode("utf-32-le"), "<u4")
        numbers = self._number_of[np.minimum(codes, len(self._number_of) - 1)]
        ends = np.concatenate([self._spelled(token, numbers), self._initials(token, numbers)])
        heard = np.zeros(len(texts), np.bool_)
        heard[np.cumsum([len(text) + 1 for text in texts]).searchsorted(ends, "right")] = True
        return heard

    def _spelled(self, token: str, numbers: Array) -> Array:
        """Places where a spelling of the token ends. A text's last number is 0, so none reaches into the next text."""
        spelling = self.spelling(token)
        reached: list[list[Array]] = [[] for _ in token]  # where the spelling of that much of the token has led
        reached[0] = [np.arange(len(numbers))]
        found: list[Array] = []
        for begin, parts in enumerate(reached):
            if not parts:
                continue
            places = np.unique(np.concatenate(parts)) if len(parts) > 1 else parts[0]
            following = numbers[places]
            if spelling.ends[begin]:
                found.append(places[self.flags(self.begun(token[begin:]))[following]])
            for syllable in spelling.steps[begin]:
                reached[begin + len(syllable)].append(places[self.flags(self.whole(syllable))[following]] + 1)
        return np.concatenate([reached[0][0][:0], *found])

    def _initials(self, token: str, numbers: Array) -> Array:
        """Places where the token's initials end."""
        places = np.arange(len(numbers) if len(token) >= INITIALS else 0)
        for letter in token:
            places = places[self.flags(self.begun(letter))[numbers[places]]] + 1
        return places - 1


@dataclass
class Heard:
    """One token in one segment."""

    sounds: Sounds
    segment: int
    token: str
    spelling: Spelling
    _pairs: dict[tuple[str, str, bool], Array] = field(default_factory=dict)

    def rows(self) -> tuple[list[Array], list[Array]]:
        """Rows that have it for certain, and others that may: all those in which it takes more than two characters."""
        sure: list[Array] = []
        maybe: list[Array] = []
        if self.spelling.ends[0]:
            sure.append(self.sounds.singles(self.segment, self.sounds.begun(self.token)))
        for syllable in self.spelling.steps[0]:
            place = len(syllable)
            if self.spelling.ends[place]:
                sure.append(self._pair(syllable, self.token[place:], ends=True))
            maybe += self._further(place, syllable, _DEPTH)
        (sure if len(self.token) == INITIALS else maybe).append(self._initials())
        return sure, maybe

    def _from(self, place: int, syllable: str, depth: int) -> Array:
        """Rows with a character of a syllable, followed by the spelling from `place` on, so far as it is looked up."""
        parts = self._further(place, syllable, depth)
        if self.spelling.ends[place]:
            parts.append(self._pair(syllable, self.token[place:], ends=True))
        return distinct(np.concatenate([NO_ROWS, *parts]))

    def _further(self, place: int, syllable: str, depth: int) -> list[Array]:
        """The same, when the spelling does not end with the next character."""
        parts = []
        for following in self.spelling.steps[place]:
            rows = self._pair(syllable, following, ends=False)
            if depth > 1 and len(rows):
                rows = common(rows, self._from(place + len(following), following, depth - 1))
            parts.append(rows)
        return parts

    def _pair(self, syllable: str, following: str, *, ends: bool) -> Array:
        found = self._pairs.get((syllable, following, ends))
        if found is None:
            terms = self.sounds.pair(syllable, following, "begun" if ends else "whole")
            found = self._pairs[syllable, following, ends] = self.sounds.rows(self.segment, terms)
        return found

    def _initials(self) -> Array:
        if len(self.token) < INITIALS:
            return NO_ROWS
        found: list[Array] = []
        for first, second in islice(pairwise(self.token), _DEPTH):
            found.append(self.sounds.rows(self.segment, self.sounds.pair(first, second, "initials")))
            if not len(found[-1]):
                return NO_ROWS
        return reduce(common, sorted(found, key=len))
