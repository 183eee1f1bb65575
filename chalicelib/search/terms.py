"""The terms of a city's names: its Latin words in order, and how names become terms and their rows."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chalicelib.search.lists import SEGMENT, Array, Lists, Segment, spread

_CODE_BITS = 21
_WORD = re.compile("[a-z0-9]+")


@dataclass(frozen=True)
class Vocabulary:
    """Latin words in order. `heads` are the first eight bytes of each as a number, so that most of the search for a
    word never reads one; word w is `text[starts[w]:starts[w + 1]]`."""

    heads: NDArray[np.uint64]
    starts: NDArray[np.uint32]
    text: NDArray[np.uint8]

    @classmethod
    def of(cls, words: Sequence[str]) -> Vocabulary:
        """From words in order."""
        text = "".join(words).encode("ascii")
        starts = np.cumsum([0, *map(len, words)]).astype(np.uint32)
        return cls(_heads(words), starts, np.frombuffer(text, np.uint8))

    def word(self, number: int) -> bytes:
        return self.text[self.starts[number] : self.starts[number + 1]].tobytes()

    def beginning(self, token: str) -> tuple[int, int]:
        """The range of words that begin with a token."""
        wanted = token.encode("ascii")
        low = int(self.heads.searchsorted(_head(wanted, b"\0")))
        high = int(self.heads.searchsorted(_head(wanted, b"\xff"), "right"))
        if len(wanted) > 8:
            words = range(low, high)
            low += bisect_left(words, wanted, key=self.word)
            high = words.start + bisect_left(words, wanted + b"\xff", key=self.word)
        return low, high

    def among(self, wanted: frozenset[str], lengths: range) -> NDArray[np.int64]:
        """The words that are in `wanted`, all of which have one of the `lengths`."""
        heads = np.unique(_heads(list(wanted)))
        places = spread(self.heads.searchsorted(heads), self.heads.searchsorted(heads, "right"))
        sizes = self.starts[places + 1] - self.starts[places]
        places = places[(sizes >= lengths.start) & (sizes < lengths.stop)]
        return np.array([place for place in places.tolist() if self.word(place).decode("ascii") in wanted], np.int64)


def _heads(words: Sequence[str]) -> NDArray[np.uint64]:
    return np.array(words, "S8").view(">u8").astype(np.uint64)


def _head(word: bytes, fill: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(word[:8].ljust(8, fill), "big"))


class Builder:
    """Takes the folded names of a city, a segment of rows at a time."""

    def __init__(self) -> None:
        self._kinds = np.full(1 << _CODE_BITS, 255, np.uint8)  # of a code point: 0 no part of a run, 1 Latin, 2 other
        self._kinds[[*range(48, 58), *range(97, 123)]] = 1
        self._words: dict[str, int] = {}
        self._pairs: list[Segment] = []
        self._latin: list[Segment] = []

    def add(self, texts: Sequence[str]) -> None:
        """The next segment: a text each row, of as many lines as it has names. Only the last may have fewer rows."""
        joined = "".join(f"{text}\n" for text in texts)
        codes = np.frombuffer(joined.encode("utf-32-le"), "<u4")
        kinds = self._kinds_of(codes)
        row_of = np.repeat(np.arange(len(texts), dtype=np.uint64), [len(text) + 1 for text in texts])
        at = np.flatnonzero(kinds == 2)
        following = np.where(kinds[at + 1] == 2, codes[at + 1], 0).astype(np.uint64)
        terms = codes[at].astype(np.uint64) << np.uint64(_CODE_BITS) | following
        self._pairs.append(Segment.of(terms, row_of[at]))
        begins = np.flatnonzero((kinds == 1) & (np.concatenate([[0], kinds[:-1]]) != 1))
        numbers = [self._words.setdefault(word, len(self._words)) for word in _WORD.findall(joined)]
        self._latin.append(Segment.of(np.array(numbers, np.uint64), row_of[begins]))

    def _kinds_of(self, codes: Array) -> Array:
        seen = np.zeros(1 << _CODE_BITS, np.bool_)
        seen[codes] = True
        for code in np.flatnonzero(seen & (self._kinds == 255)).tolist():
            self._kinds[code] = 2 if chr(code).isalnum() else 0
        return self._kinds[codes]

    def characters(self) -> NDArray[np.uint32]:
        """The code points of all characters of runs, in order."""
        return np.flatnonzero(self._kinds == 2).astype(np.uint32)

    def pairs(self) -> Lists:
        """Terms of two numbers: the upper half is that of a character, the lower that of the one that follows, or 0 at
        a run's end. Characters count from 1 in order, and a term takes as many bytes as they need."""
        characters = self.characters()
        dtype = np.uint32 if len(characters) < SEGMENT - 1 else np.uint64
        bits = np.uint64(np.dtype(dtype).itemsize * 4)
        below = np.concatenate([[0], characters]).astype(np.uint64)  # a run's end first, so that places are numbers

        def number(codes: Array) -> Array:
            return below.searchsorted(codes).astype(np.uint64)

        code = np.uint64((1 << _CODE_BITS) - 1)
        return Lists.of(
            [
                Segment(
                    number(one.terms >> np.uint64(_CODE_BITS)) << bits | number(one.terms & code), one.counts, one.rows
                )
                for one in self._pairs
            ],
            dtype,
        )

    def words(self) -> tuple[Vocabulary, Lists]:
        """The words, and terms that are their numbers."""
        words = sorted(self._words)
        number = np.zeros(len(words), np.uint32)
        number[[self._words[word] for word in words]] = np.arange(len(words))
        return Vocabulary.of(words), Lists.of([one.renamed(number[one.terms]) for one in self._latin], np.uint32)
