"""Pinyin and initials over a whole city: tokens become sets of characters, and these the terms of `postings`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from chalicelib.search.readings import Readings, Spelling, Syllables
from chalicelib.search.terms import NO_ROWS, Array, Flags, Lists, common, distinct
from chalicelib.search.words import INITIALS

Numbers: TypeAlias = Array
"""Characters by their numbers in the terms of pairs, ascending."""

_DEPTH = 3  # pairs that are looked up of a token; what comes behind them is left to the names


class Sounds:
    """What the characters of a base sound like. `characters` are their code points in order, numbered from 1, and
    `pairs` has the terms of two numbers."""

    def __init__(self, characters: Array, pairs: Lists, readings: Readings) -> None:
        self._characters = characters
        self._pairs = pairs
        self._whole = {syllable: self.numbers(spoken) for syllable, spoken in readings.by_syllable().items()}
        self._begun: dict[str, Numbers] = {}
        self._syllables = Syllables(self._whole)

    def numbers(self, characters: str) -> Numbers:
        """The numbers of those characters that the base has, given in order."""
        codes = np.frombuffer(characters.encode("utf-32-le"), "<u4")
        places = self._characters.searchsorted(codes)
        there = places < len(self._characters)
        there[there] = self._characters[places[there]] == codes[there]
        return (places[there] + 1).astype(self._pairs.many_terms.dtype)

    def spelling(self, token: str) -> Spelling:
        return self._syllables.spelling(token)

    def whole(self, syllable: str) -> Numbers:
        return self._whole[syllable]

    def begun(self, beginning: str) -> Numbers:
        """Characters with a syllable that begins so. Kept, because there are few hundred beginnings."""
        found = self._begun.get(beginning)
        if found is None:
            parts = [numbers for syllable, numbers in self._whole.items() if syllable.startswith(beginning)]
            found = np.unique(np.concatenate(parts)) if parts else self.numbers("")
            if parts:
                self._begun[beginning] = found
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

    def pairs(self, segment: int, firsts: Numbers, seconds: Numbers) -> Array:
        """Rows with any of the first characters and any of the second behind it, ascending."""
        if not len(firsts) or not len(seconds):
            return NO_ROWS
        lows, highs = self._pairs.after(firsts)
        return self._pairs.united(segment, lows, highs, self.flags(seconds))

    def heard(self, token: str, texts: Sequence[str]) -> Flags:
        """In which of the folded texts the token is spelled or its initials stand, and exactly there."""
        codes = np.frombuffer("".join(f"{text}\n" for text in texts).encode("utf-32-le"), "<u4")
        places = np.minimum(self._characters.searchsorted(codes), len(self._characters) - 1)
        numbers = np.where(self._characters[places] == codes, places + 1, 0)
        ahead = np.cumsum([0, *(len(text) + 1 for text in texts)])[:-1]
        begins = self._spelled(token, numbers)
        if len(token) >= INITIALS:
            begins |= _in_a_row([self.flags(self.begun(letter))[numbers] for letter in token])
        return np.logical_or.reduceat(begins, ahead)

    def _spelled(self, token: str, numbers: Array) -> Flags:
        """Where in a text the token's spelling begins, from its end backward: `later[place]` is where what stands of
        it from there on begins."""
        spelling = self.spelling(token)
        later: dict[int, Flags] = {}
        for place in reversed(range(len(token))):
            begins = np.zeros(len(numbers), np.bool_)
            if spelling.ends[place]:
                begins |= self.flags(self.begun(token[place:]))[numbers]
            for syllable in spelling.steps[place]:
                here = self.flags(self.whole(syllable))[numbers]
                here[:-1] &= later[place + len(syllable)][1:]
                begins |= here
            later[place] = begins
        return later[0]


def _in_a_row(each: Sequence[Flags]) -> Flags:
    """Where the first of them holds, the second one place later, and so on; the last place is never a character."""
    begins = each[0].copy()
    for distance, flags in enumerate(each[1:], start=1):
        begins[:-distance] &= flags[distance:]
        begins[-distance:] = False
    return begins


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
            seconds = self.sounds.begun(following) if ends else self.sounds.whole(following)
            found = self.sounds.pairs(self.segment, self.sounds.whole(syllable), seconds)
            self._pairs[syllable, following, ends] = found
        return found

    def _initials(self) -> Array:
        if len(self.token) < INITIALS:
            return NO_ROWS
        letters = [self.sounds.begun(letter) for letter in self.token]
        if not all(map(len, letters)):
            return NO_ROWS
        asked = list(pairwise(letters))[:_DEPTH]
        return reduce(common, (self.sounds.pairs(self.segment, *pair) for pair in asked))
