"""Rows by term, in as few bytes as they take: the columns below `postings`.

Rows come in segments of 65,536, each with terms of its own, so that a row takes 16 bits. A term with a single row in a
segment keeps it beside itself. One with more keeps a list of them, or a byte for each gap between two, or a bit for
each row that the segment has: whatever takes the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SEGMENT_BITS = 16
SEGMENT = 1 << SEGMENT_BITS
_FAR = 255  # a gap's byte that is no row's yet: so many to go before the next byte

Array: TypeAlias = NDArray[Any]
Flags: TypeAlias = NDArray[np.bool_]

NO_ROWS: Array = np.zeros(0, np.uint16)


def spread(begins: Array, ends: Array) -> NDArray[np.int64]:
    """The numbers of all ranges, one range after the other."""
    lengths = (ends - begins).astype(np.int64)
    ahead = np.cumsum(lengths)
    return np.repeat(begins - (ahead - lengths), lengths) + np.arange(ahead[-1] if len(ahead) else 0)


def segments_of(spans: Array, count: int) -> range:
    """The first `count` segments from the first that any of the stretches reaches to the last."""
    if not len(spans):
        return range(0)
    return range(int(spans[0, 0]) >> SEGMENT_BITS, min((int(spans[-1, 1]) - 1 >> SEGMENT_BITS) + 1, count))


def within(rows: Array, segment: int, spans: Array) -> NDArray[np.int64]:
    """The places of those of a segment's rows, ascending, that are in one of the stretches ([begin, end) each, in
    order, none empty)."""
    own = spans - (segment << SEGMENT_BITS)
    if len(own) > 1:
        own = own[(own[:, 1] > 0) & (own[:, 0] < SEGMENT)]
    firsts, lasts = np.maximum(own[:, 0], 0), np.minimum(own[:, 1], SEGMENT) - 1
    # Numbers of the rows' own type: others would have all rows converted.
    return spread(rows.searchsorted(firsts.astype(np.uint16)), rows.searchsorted(lasts.astype(np.uint16), side="right"))


def distinct(rows: Array) -> Array:
    """Rows of one segment, ascending and each once."""
    if len(rows) < 2:
        return rows
    if len(rows) < 4_000:
        ascending = np.sort(rows)
        return ascending[_begins(ascending)]
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
    found: Flags
    if not len(others):
        found = np.zeros(len(some), np.bool_)
    elif len(some) < 4_096:
        found = others[np.minimum(others.searchsorted(some), len(others) - 1)] == some
    else:
        before, behind = int(others[0]) - 1, int(others[-1]) + 1
        there = np.zeros(behind - before + 1, np.bool_)
        there[others.astype(np.int64) - before] = True
        found = there[np.clip(some.astype(np.int64), before, behind) - before]
    return found


@dataclass(frozen=True)
class Segment:
    """The terms of a segment in order, how many rows each has, and these, term by term."""

    terms: Array
    counts: NDArray[np.int64]
    rows: NDArray[np.uint16]

    @classmethod
    def of(cls, terms: NDArray[np.uint64], rows: NDArray[np.uint64]) -> Segment:
        """From a term and a row each, in any order and repeated at will."""
        both = np.sort(terms << np.uint64(SEGMENT_BITS) | rows)
        both = both[_begins(both)]
        terms = both >> np.uint64(SEGMENT_BITS)
        begins = np.flatnonzero(_begins(terms))
        counts = np.diff(begins, append=len(terms))
        return cls(terms[begins], counts, (both & np.uint64(SEGMENT - 1)).astype(np.uint16))

    def renamed(self, terms: Array) -> Segment:
        """The same rows under other terms, one for each of its own."""
        order = np.argsort(terms, kind="stable")
        begins = self.begins
        rows = self.rows[spread(begins[order], (begins + self.counts)[order])]
        return Segment(terms[order], self.counts[order], rows)

    @property
    def begins(self) -> NDArray[np.int64]:
        """Where the rows of each term begin."""
        return np.cumsum(self.counts) - self.counts


def _begins(ascending: Array) -> Flags:
    """Where another number begins."""
    begins = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=begins[1:])
    return begins


class _Packed:
    """A segment's terms, each in the form that takes the least, to be joined with those of other segments."""

    def __init__(self, segment: Segment) -> None:
        counts, begins, rows = segment.counts, segment.begins, segment.rows
        gaps = np.diff(rows.astype(np.int64), prepend=0)
        gaps[begins] = rows[begins]  # a term's first counts from the segment's begin
        far = np.concatenate([[0], np.cumsum(gaps // _FAR)])
        sizes = counts + far[begins + counts] - far[begins]

        single = counts == 1
        dense = np.minimum(2 * counts, sizes) > SEGMENT // 8
        near = ~single & ~dense & (sizes < 2 * counts)
        many = ~(single | dense | near)
        self.terms = [segment.terms[flags] for flags in (single, many, near, dense)]
        self.single_rows = rows[begins[single]]
        self.many_counts = counts[many]
        self.many_rows = rows[spread(begins[many], (begins + counts)[many])]
        self.near_counts = sizes[near]
        self.near_bytes = _bytes_of(gaps[spread(begins[near], (begins + counts)[near])])
        self.dense_bits = [
            np.packbits(np.bincount(rows[begin : begin + count], minlength=SEGMENT).astype(np.bool_))
            for begin, count in zip(begins[dense].tolist(), counts[dense].tolist(), strict=True)
        ]


def _bytes_of(gaps: Array) -> NDArray[np.uint8]:
    ends = np.cumsum(gaps // _FAR + 1)
    found = np.full(int(ends[-1]) if len(ends) else 0, _FAR, np.uint8)
    found[ends - 1] = gaps % _FAR
    return found


@dataclass(frozen=True)
class _Terms:
    """The terms of one form. Those of segment s stand, ascending, between `bounds[s]` and `bounds[s + 1]`."""

    terms: Array
    bounds: list[int]

    def place(self, segment: int, term: Any) -> int:
        """Where a term stands, -1 for nowhere."""
        begin, end = self.bounds[segment], self.bounds[segment + 1]
        place = begin + int(self.terms[begin:end].searchsorted(term))
        return place if place < end and self.terms[place] == term else -1

    def ranges(self, segment: int, lows: Array, highs: Array) -> tuple[Array, Array]:
        """Ranges of places: of the terms from each low to its high."""
        begin, end = self.bounds[segment], self.bounds[segment + 1]
        part = self.terms[begin:end]
        return part.searchsorted(lows) + begin, part.searchsorted(highs) + begin

    def places(self, segment: int, terms: Array) -> Array:
        """The places of those terms, ascending, that are there."""
        begin, end = self.bounds[segment], self.bounds[segment + 1]
        if begin == end or not len(terms):
            return np.zeros(0, np.int64)
        part = self.terms[begin:end]
        found = part.searchsorted(terms)
        found[found == len(part)] = 0
        chosen: Array = found[part[found] == terms] + begin
        return chosen


@dataclass(frozen=True)
class Lists:
    """Rows by term, in four forms. The `…_terms` of all segments stand one after the other, those of segment s between
    `…_segments[s]` and `…_segments[s + 1]`; `…_starts[t]` is where the rows of the t-th begin. A term of two characters
    has the number of the first in its upper half, that of the second in its lower."""

    single_terms: Array
    single_segments: NDArray[np.uint32]
    single_rows: NDArray[np.uint16]
    many_terms: Array
    many_segments: NDArray[np.uint32]
    many_starts: NDArray[np.uint32]
    many_rows: NDArray[np.uint16]
    near_terms: Array
    near_segments: NDArray[np.uint32]
    near_starts: NDArray[np.uint32]
    near_bytes: NDArray[np.uint8]
    dense_terms: Array
    dense_segments: NDArray[np.uint32]
    dense_bits: NDArray[np.uint8]

    @classmethod
    def of(cls, segments: Sequence[Segment], dtype: Any) -> Lists:
        """`dtype` holds every term."""
        packed = [_Packed(segment) for segment in segments]

        def terms(form: int) -> tuple[Array, Array]:
            found = [one.terms[form].astype(dtype) for one in packed]
            return _joined(found, dtype), np.cumsum([0, *map(len, found)]).astype(np.uint32)

        def starts(counts: Sequence[Array]) -> Array:
            return np.concatenate([[0], np.cumsum(_joined(counts, np.int64))]).astype(np.uint32)

        return cls(
            *terms(0),
            _joined([one.single_rows for one in packed], np.uint16),
            *terms(1),
            starts([one.many_counts for one in packed]),
            _joined([one.many_rows for one in packed], np.uint16),
            *terms(2),
            starts([one.near_counts for one in packed]),
            _joined([one.near_bytes for one in packed], np.uint8),
            *terms(3),
            _joined([bits for one in packed for bits in one.dense_bits], np.uint8),
        )

    @property
    def segments(self) -> int:
        return len(self.single_segments) - 1

    def pair(self, first: int, second: int) -> Any:
        """The term of two characters' numbers, as `rows` takes it."""
        dtype = self.many_terms.dtype
        return dtype.type(first << dtype.itemsize * 4 | second)

    def after(self, numbers: Array) -> tuple[Array, Array]:
        """The ranges of the terms that begin with characters, as `united` takes them."""
        dtype = self.many_terms.dtype
        bits = dtype.type(dtype.itemsize * 4)
        return numbers.astype(dtype) << bits, (numbers + 1).astype(dtype) << bits

    def rows(self, segment: int, term: Any) -> Array:
        """The rows of one term, ascending; `term` is a scalar of the terms' own type."""
        place = self._many.place(segment, term)
        if place >= 0:
            return self.many_rows[self.many_starts[place] : self.many_starts[place + 1]]
        place = self._single.place(segment, term)
        if place >= 0:
            return self.single_rows[place : place + 1]
        place = self._near.place(segment, term)
        if place >= 0:
            gaps = self.near_bytes[self.near_starts[place] : self.near_starts[place + 1]]
            rows: Array = np.cumsum(gaps, dtype=np.uint16)[gaps != _FAR]
            return rows
        place = self._dense.place(segment, term)
        return np.flatnonzero(np.unpackbits(self._bits[place])).astype(np.uint16) if place >= 0 else NO_ROWS

    @cached_property
    def every_term(self) -> Array:
        """The terms of all segments, ascending and each once: made when they are first asked for."""
        every: Array = np.unique(
            np.concatenate([self.single_terms, self.many_terms, self.near_terms, self.dense_terms])
        )
        return every

    def paired(self, firsts: Array, seconds: Flags) -> Array:
        """Of all terms those that begin with one of the characters and end with one that `seconds` takes, ascending."""
        every = self.every_term
        lows, highs = self.after(firsts)
        found = every[spread(every.searchsorted(lows), every.searchsorted(highs))]
        lower_half = every.dtype.type((1 << every.dtype.itemsize * 4) - 1)
        chosen: Array = found[seconds[found & lower_half]]
        return chosen

    def united(self, segment: int, lows: Array, highs: Array) -> Array:
        """The rows of all terms of the ranges low to high (not included), ascending."""
        firsts, lasts = self._many.ranges(segment, lows, highs)
        return self._united(
            [
                _taken(self.single_rows, *self._single.ranges(segment, lows, highs)),
                _taken(self.many_rows, self.many_starts[firsts], self.many_starts[lasts]),
            ],
            spread(*self._near.ranges(segment, lows, highs)),
            spread(*self._dense.ranges(segment, lows, highs)),
        )

    def of_any(self, segment: int, terms: Array) -> Array:
        """The rows of all of these terms, given in order; ascending."""
        many = self._many.places(segment, terms)
        return self._united(
            [
                self.single_rows[self._single.places(segment, terms)],
                self.many_rows[spread(self.many_starts[many], self.many_starts[many + 1])],
            ],
            self._near.places(segment, terms),
            self._dense.places(segment, terms),
        )

    def _united(self, parts: list[Array], near: Array, dense: Array) -> Array:
        rows = np.concatenate([*parts, self._rows_near(near)])
        if not len(dense):
            return distinct(rows)
        there = np.unpackbits(np.bitwise_or.reduce(self._bits[dense])).view(np.bool_)
        there[rows] = True
        return np.flatnonzero(there).astype(np.uint16)

    def _rows_near(self, places: Array) -> Array:
        """The rows of terms that are kept by their gaps, term by term."""
        if not len(places):
            return NO_ROWS
        starts, ends = self.near_starts[places], self.near_starts[places + 1]
        gaps = self.near_bytes[spread(starts, ends)]
        # Numbers of 16 bits go round, and so does the difference: what is left of it is a term's own.
        sums = np.cumsum(gaps, dtype=np.uint16)
        lengths = (ends - starts).astype(np.int64)
        before = np.concatenate([[0], sums[np.cumsum(lengths)[:-1] - 1]]).astype(np.uint16)
        rows: Array = (sums - np.repeat(before, lengths))[gaps != _FAR]
        return rows

    @cached_property
    def _single(self) -> _Terms:
        return _Terms(self.single_terms, self.single_segments.tolist())

    @cached_property
    def _many(self) -> _Terms:
        return _Terms(self.many_terms, self.many_segments.tolist())

    @cached_property
    def _near(self) -> _Terms:
        return _Terms(self.near_terms, self.near_segments.tolist())

    @cached_property
    def _dense(self) -> _Terms:
        return _Terms(self.dense_terms, self.dense_segments.tolist())

    @cached_property
    def _bits(self) -> Array:
        return self.dense_bits.reshape(-1, SEGMENT // 8)


def _taken(rows: Array, begins: Array, ends: Array) -> Array:
    """The rows of all ranges. One range, as that of a single character is, needs no numbers of places."""
    chosen = slice(int(begins[0]), int(ends[0])) if len(begins) == 1 else spread(begins, ends)
    taken: Array = rows[chosen]
    return taken


def _joined(parts: Sequence[Array], dtype: Any) -> Array:
    return np.concatenate([np.zeros(0, dtype), *parts])
