"""Terms and the rows that have them: the columns below `postings`, how they are made of names, and how read.

Rows come in segments of 65,536, each with terms of its own, so that a row takes 16 bits. A term with one row in a
segment keeps it beside itself; one with more keeps a list, and one with more than a sixteenth of all a bit for each.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SEGMENT_BITS = 16
SEGMENT = 1 << SEGMENT_BITS
_DENSE = SEGMENT // 16  # with more rows than these, a bit for each row of the segment takes less
_CODE_BITS = 21
_WORD = re.compile("[a-z0-9]+")

Array: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[np.bool_]

NO_ROWS: Array = np.zeros(0, np.uint16)


def spread(begins: Array, ends: Array) -> NDArray[np.int64]:
    """The numbers of all ranges, one range after the other."""
    lengths = (ends - begins).astype(np.int64)
    ahead = np.cumsum(lengths)
    return np.repeat(begins - (ahead - lengths), lengths) + np.arange(ahead[-1] if len(ahead) else 0)


def distinct(rows: Array) -> Array:
    """Rows of one segment, ascending and each once."""
    if len(rows) < 2:
        return rows
    if len(rows) < 1_000:
        return np.unique(rows)
    there = np.zeros(SEGMENT, np.bool_)
    there[rows] = True
    return np.flatnonzero(there).astype(np.uint16)


def common(some: Array, others: Array) -> Array:
    """What two ascending arrays of one segment's distinct rows have in common."""
    if len(some) > len(others):
        some, others = others, some
    if len(some) < 256:
        return some[is_in(some, others)]
    there = np.zeros(SEGMENT, np.bool_)
    there[others] = True
    return some[there[some]]


def is_in(some: Array, others: Array) -> Flags:
    """Which of some ascending numbers stand among others, ascending too."""
    if not len(others):
        return np.zeros(len(some), np.bool_)
    there: Flags = others[np.minimum(others.searchsorted(some), len(others) - 1)] == some
    return there


@dataclass(frozen=True)
class Segment:
    """The terms of a segment in order, how many rows each has, and these, term by term."""

    terms: Array
    counts: NDArray[np.int64]
    rows: NDArray[np.uint16]

    @classmethod
    def of(cls, terms: NDArray[np.uint64], rows: NDArray[np.uint64]) -> Segment:
        """From a term and a row each, in any order and repeated at will."""
        both = np.unique(terms << np.uint64(SEGMENT_BITS) | rows)
        found, counts = np.unique(both >> np.uint64(SEGMENT_BITS), return_counts=True)
        return cls(found, counts, (both & np.uint64(SEGMENT - 1)).astype(np.uint16))

    def renamed(self, terms: Array) -> Segment:
        """The same rows under other terms, one for each of its own."""
        order = np.argsort(terms, kind="stable")
        begins = np.cumsum(self.counts) - self.counts
        rows = self.rows[spread(begins[order], (begins + self.counts)[order])]
        return Segment(terms[order], self.counts[order], rows)


@dataclass(frozen=True)
class Lists:
    """Rows by term. The `…_terms` of all segments stand one after the other, those of segment s between
    `…_segments[s]` and `…_segments[s + 1]`; the rows of the t-th of many begin at `many_starts[t]`."""

    single_terms: Array
    single_segments: NDArray[np.uint32]
    single_rows: NDArray[np.uint16]
    many_terms: Array
    many_segments: NDArray[np.uint32]
    many_starts: NDArray[np.uint32]
    many_rows: NDArray[np.uint16]
    dense_terms: Array
    dense_segments: NDArray[np.uint32]
    dense_bits: NDArray[np.uint8]

    @classmethod
    def of(cls, segments: Sequence[Segment], dtype: Any) -> Lists:
        """`dtype` holds every term."""
        single = [segment.counts == 1 for segment in segments]
        dense = [segment.counts > _DENSE for segment in segments]
        many = [~(one | other) for one, other in zip(single, dense, strict=True)]
        starts = [np.cumsum(segment.counts) - segment.counts for segment in segments]

        def terms(chosen: Sequence[Flags]) -> tuple[Array, Array]:
            found = [segment.terms[flags].astype(dtype) for segment, flags in zip(segments, chosen, strict=True)]
            return _joined(found, dtype), np.cumsum([0, *map(len, found)]).astype(np.uint32)

        def rows(chosen: Sequence[Flags]) -> list[Array]:
            return [
                segment.rows[spread(start[flags], (start + segment.counts)[flags])]
                for segment, flags, start in zip(segments, chosen, starts, strict=True)
            ]

        lengths = [segment.counts[flags] for segment, flags in zip(segments, many, strict=True)]
        bits = [
            np.packbits(np.bincount(segment.rows[start : start + count], minlength=SEGMENT).astype(np.bool_))
            for segment, flags, begin in zip(segments, dense, starts, strict=True)
            for start, count in zip(begin[flags].tolist(), segment.counts[flags].tolist(), strict=True)
        ]
        return cls(
            *terms(single),
            _joined(rows(single), np.uint16),
            *terms(many),
            np.concatenate([[0], np.cumsum(_joined(lengths, np.int64))]).astype(np.uint32),
            _joined(rows(many), np.uint16),
            *terms(dense),
            _joined(bits, np.uint8),
        )

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int], list[int]]:
        return self.single_segments.tolist(), self.many_segments.tolist(), self.dense_segments.tolist()

    @property
    def segments(self) -> int:
        return len(self.single_segments) - 1

    def pair(self, first: int, second: int) -> Any:
        """The term of two characters' numbers, as `rows` takes it."""
        return self.many_terms.dtype.type(first << self.many_terms.dtype.itemsize * 4 | second)

    def after(self, numbers: Array) -> tuple[Array, Array]:
        """The ranges of the terms that begin with characters, as `united` takes them."""
        dtype = self.many_terms.dtype
        bits = dtype.type(dtype.itemsize * 4)
        return numbers.astype(dtype) << bits, (numbers + 1).astype(dtype) << bits

    def rows(self, segment: int, term: Any) -> Array:
        """The rows of one term, ascending; `term` is a scalar of the terms' own type."""
        single, many, dense = self._bounds
        place = _place(self.many_terms, many[segment], many[segment + 1], term)
        if place >= 0:
            return self.many_rows[self.many_starts[place] : self.many_starts[place + 1]]
        place = _place(self.single_terms, single[segment], single[segment + 1], term)
        if place >= 0:
            return self.single_rows[place : place + 1]
        place = _place(self.dense_terms, dense[segment], dense[segment + 1], term)
        return self._unpacked(place) if place >= 0 else NO_ROWS

    def united(self, segment: int, lows: Array, highs: Array, seconds: Flags | None = None) -> Array:
        """The rows of all terms of the ranges low to high (not included), ascending. `seconds` says which lower halves
        of a term count."""
        found = []
        single, many, dense = self._bounds
        for terms, bounds in ((self.single_terms, single), (self.many_terms, many), (self.dense_terms, dense)):
            begin, end = bounds[segment], bounds[segment + 1]
            part = terms[begin:end]
            firsts, lasts = part.searchsorted(lows), part.searchsorted(highs)
            if not len(part) or not (lasts > firsts).any():
                continue
            places = spread(firsts, lasts)
            if seconds is not None:
                places = places[seconds[part[places] & _lower_half(part.dtype)]]
            places += begin
            if terms is self.single_terms:
                found.append(self.single_rows[places])
            elif terms is self.many_terms:
                found.append(self.many_rows[spread(self.many_starts[places], self.many_starts[places + 1])])
            else:
                found.extend(self._unpacked(place) for place in places.tolist())
        return distinct(np.concatenate(found)) if found else NO_ROWS

    def _unpacked(self, place: int) -> Array:
        size = SEGMENT // 8
        return np.flatnonzero(np.unpackbits(self.dense_bits[place * size : (place + 1) * size])).astype(np.uint16)


def _lower_half(dtype: np.dtype[Any]) -> Any:
    return dtype.type((1 << dtype.itemsize * 4) - 1)


def _place(terms: Array, begin: int, end: int, term: Any) -> int:
    """Where in the sorted `terms[begin:end]` a term stands, -1 for nowhere."""
    place = begin + int(terms[begin:end].searchsorted(term))
    return place if place < end and terms[place] == term else -1


def _joined(parts: Sequence[Array], dtype: Any) -> Array:
    return np.concatenate([np.zeros(0, dtype), *parts])


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
        number = np.zeros(1 << _CODE_BITS, np.uint64)
        number[characters] = np.arange(1, len(characters) + 1)
        code = np.uint64((1 << _CODE_BITS) - 1)
        return Lists.of(
            [
                Segment(
                    number[one.terms >> np.uint64(_CODE_BITS)] << bits | number[one.terms & code], one.counts, one.rows
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
