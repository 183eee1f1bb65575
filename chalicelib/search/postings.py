"""Which rows of a city a word may be found in: postings over the names of shops and offers, as numpy columns.

A term is a character of a run with the one that follows it, or with the run's end; a single character is therefore
the range of all terms that begin with it, and needs none of its own. Latin words are terms as they stand, and those
that begin alike are a range too. Pinyin has no terms: a syllable becomes the characters that are read so, and two of
them the terms that they make. What needs more than two characters is a candidate until its names are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from itertools import islice, pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chalicelib.search.lists import (
    NO_ROWS,
    SEGMENT,
    SEGMENT_BITS,
    Array,
    Flags,
    Lists,
    common,
    distinct,
    is_in,
    segments_of,
    within,
)
from chalicelib.search.readings import Readings
from chalicelib.search.sounds import Heard, Sounds
from chalicelib.search.terms import Builder, Vocabulary
from chalicelib.search.words import TYPO_LETTERS, Token, edits, lines

Rows: TypeAlias = NDArray[np.int64]

_TOKENS_KEPT = 512
_ROWS_KEPT = 2_000_000  # of tokens that have been asked for, three bytes each
_ENTRY = 100  # rows are as large as what else is kept of a token, or of one in a segment
_CHUNK = 2_048  # rows whose names are read at once


class Text(Protocol):
    """A base file's memory map, or bytes."""

    def __getitem__(self, part: slice, /) -> Any: ...
    def find(self, wanted: bytes, begin: int, end: int, /) -> int: ...


@dataclass(frozen=True)
class Names:
    """The folded names of rows (`words.lines`), in UTF-8: row r's are `text[starts[r]:starts[r + 1]]`, counted from
    `offset`."""

    starts: Array
    text: Text
    offset: int = 0

    def of(self, rows: Rows) -> Iterator[bytes]:
        for begin, end in self._bounds(rows):
            yield bytes(self.text[begin:end])

    def having(self, wanted: bytes, rows: Rows) -> Flags:
        """Which rows' names have these bytes."""
        find = self.text.find
        return np.array([find(wanted, begin, end) >= 0 for begin, end in self._bounds(rows)], np.bool_)

    def _bounds(self, rows: Rows) -> Iterator[tuple[int, int]]:
        begins, ends = self.starts[rows].astype(np.int64), self.starts[rows + 1].astype(np.int64)
        return zip((begins + self.offset).tolist(), (ends + self.offset).tolist(), strict=True)


@dataclass(frozen=True)
class Found:
    """Rows, ascending, in which something may be found. `unsure` says for each token that needs a look at the names in
    which of the rows it does; all else is certain."""

    rows: Rows
    unsure: tuple[tuple[Token, Flags], ...] = ()

    @property
    def is_exact(self) -> bool:
        return not any(flags.any() for _, flags in self.unsure)

    def only(self, chosen: Flags) -> Found:
        """The rows that are chosen among these."""
        return Found(self.rows[chosen], tuple((token, flags[chosen]) for token, flags in self.unsure))

    def both(self, other: Found) -> Found:
        """The rows that both have."""
        here, there = is_in(self.rows, other.rows), is_in(other.rows, self.rows)
        return Found(self.rows[here], self.only(here).unsure + other.only(there).unsure)


Look: TypeAlias = Callable[[int], tuple[Array, Array]]
"""From a segment to the rows that have a token for certain, and to others that may have it."""


@dataclass
class _Known:
    """A token that has been looked for, and its rows, and which of them are in doubt, in the segments so far."""

    look: Look
    segments: dict[int, tuple[Array, Flags]] = field(default_factory=dict)


class Postings:
    """The postings of one base. Row numbers are those of the names that it was built from."""

    def __init__(self, characters: Array, pairs: Lists, words: Vocabulary, latin: Lists, readings: Readings) -> None:
        self.readings = readings
        self._characters = characters
        self._pairs = pairs
        self._words = words
        self._latin = latin
        self._sounds = Sounds(characters, pairs, readings)
        self._near_words: dict[str, Array] = {}
        self.remembered: dict[Token, _Known] = {}
        self._rows_kept = 0

    @classmethod
    def build(cls, names: Iterable[Sequence[str]]) -> Postings:
        """From the names of each row, folded or not."""
        builder, left = Builder(), iter(names)
        while texts := [lines(one) for one in islice(left, SEGMENT)]:
            builder.add(texts)
        characters = builder.characters()
        words, latin = builder.words()
        return cls(characters, builder.pairs(), words, latin, Readings.of_texts(map(chr, characters.tolist())))

    def arrays(self) -> dict[str, Array]:
        """What `of` makes them again from, all of one dimension: sections of a base file."""
        parts = (("pairs", self._pairs), ("words", self._words), ("latin", self._latin))
        found = {f"{name}_{one.name}": getattr(part, one.name) for name, part in parts for one in fields(part)}
        return {"characters": self._characters, **found}

    @classmethod
    def of(cls, arrays: Mapping[str, Array], readings: Readings) -> Postings:
        """From `arrays`, memory-mapped or not, and the readings of the same base."""

        def part(kind: Any, name: str) -> Any:
            return kind(**{one.name: arrays[f"{name}_{one.name}"] for one in fields(kind)})

        pairs, words, latin = part(Lists, "pairs"), part(Vocabulary, "words"), part(Lists, "latin")
        return cls(arrays["characters"], pairs, words, latin, readings)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())

    def every(self, tokens: Iterable[Token], spans: Array) -> Found:
        """Where all of one or more tokens may be found among the rows of some stretches ([begin, end) each, in order,
        none empty)."""
        # What is likely to be rare comes first: when nothing is left, nothing more is looked up.
        first, *others = sorted(tokens, key=lambda token: (token.kind == "latin", -len(token.text)))
        found = self.rows(first, spans)
        for token in others:
            found = found.both(self.rows(token, spans)) if len(found.rows) else found
        return found

    def rows(self, token: Token, spans: Array) -> Found:
        """Where a token may be found among the rows of some stretches."""
        parts: list[Rows] = []
        doubts: list[Flags] = []
        known = self.remembered.get(token)
        if known is None:
            look = self._look_for_latin(token.text) if token.kind == "latin" else self._look_for_characters(token.text)
            self._remember(_ENTRY)
            known = self.remembered[token] = _Known(look)
        for segment in segments_of(spans, self._pairs.segments):
            rows, doubt = self._in_segment(known, segment)
            places = within(rows, segment, spans)
            if len(places):
                parts.append(rows.take(places).astype(np.int64) + (segment << SEGMENT_BITS))
                doubts.append(doubt.take(places))
        if not parts:
            return Found(np.zeros(0, np.int64))
        doubt = np.concatenate(doubts)
        return Found(np.concatenate(parts), ((token, doubt),) if doubt.any() else ())

    def _in_segment(self, known: _Known, segment: int) -> tuple[Array, Flags]:
        """Kept, because people ask for the same words again and again."""
        found = known.segments.get(segment)
        if found is None:
            sure, maybe = known.look(segment)
            rows = _union([sure, maybe])
            doubt = ~is_in(rows, sure) if len(maybe) else np.zeros(len(rows), np.bool_)
            self._remember(len(rows) + _ENTRY)
            found = known.segments[segment] = rows, doubt
        return found

    def _remember(self, rows: int) -> None:
        """Makes room for so many."""
        if self._rows_kept + rows > _ROWS_KEPT:
            self.remembered.clear()
            self._rows_kept = 0
        self._rows_kept += rows

    def _look_for_characters(self, token: str) -> Look:
        numbers = [number for character in token for number in self._sounds.numbers(character).tolist()]
        if len(numbers) < len(token):
            return lambda _: (NO_ROWS, NO_ROWS)
        if len(token) == 1:
            ranges = self._pairs.after(np.array(numbers))
            return lambda segment: (self._pairs.united(segment, *ranges), NO_ROWS)
        terms = [self._pairs.pair(*pair) for pair in pairwise(numbers)]
        if len(token) == 2:
            return lambda segment: (self._pairs.rows(segment, terms[0]), NO_ROWS)
        return lambda segment: (NO_ROWS, self._in_common(segment, terms))

    def _in_common(self, segment: int, terms: Sequence[Any]) -> Array:
        found: list[Array] = []
        for term in terms:
            found.append(self._pairs.rows(segment, term))
            if not len(found[-1]):
                return NO_ROWS
        return reduce(common, sorted(found, key=len))

    def _look_for_latin(self, token: str) -> Look:
        low, high = self._words.beginning(token)
        size = len(token)
        near = self._mistyped(token) if size >= TYPO_LETTERS else NO_ROWS
        lows, highs = np.array([low, *near], np.uint32), np.array([high, *(near + 1)], np.uint32)
        spelling = self._sounds.spelling(token)

        def look(segment: int) -> tuple[Array, Array]:
            sure, maybe = Heard(self._sounds, segment, token, spelling).rows()
            sure.append(self._latin.united(segment, lows, highs))
            return _union(sure), _union(maybe)

        return look

    def _mistyped(self, token: str) -> Array:
        """The words one edit away. Kept, because there are hundreds of edits and few tokens."""
        found = self._near_words.get(token)
        if found is None:
            if len(self._near_words) >= _TOKENS_KEPT:
                self._near_words.clear()
            size = len(token)
            found = self._near_words[token] = self._words.among(edits(token), range(size - 1, size + 2))
        return found

    def holds(self, found: Found, names: Names) -> Flags:
        """Which of the rows found have all that was asked for: reads the names of those that are not sure."""
        held = np.ones(len(found.rows), np.bool_)
        for token, unsure in found.unsure:
            asked = np.flatnonzero(held & unsure)
            for begin in range(0, len(asked), _CHUNK):
                part = asked[begin : begin + _CHUNK]
                held[part] = self._has(token, names, found.rows[part])
        return held

    def _has(self, token: Token, names: Names, rows: Rows) -> Flags:
        if token.kind == "latin":
            return self._sounds.heard(token.text, [text.decode("utf-8") for text in names.of(rows)])
        return names.having(token.text.encode("utf-8"), rows)


def _union(parts: Sequence[Array]) -> Array:
    filled = [part for part in parts if len(part)]
    return distinct(np.concatenate(filled)) if len(filled) > 1 else filled[0] if filled else NO_ROWS
