"""Sets of rows of a city's columns: a few stretches of neighbours, and single rows."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chalicelib.search.lists import spread

Array = NDArray[Any]
Flags = NDArray[np.bool_]

_MANY = 16  # one in so many is so much that all are counted up
NO_SPANS: Array = np.zeros((0, 2), np.int64)


def filled(spans: Array) -> Array:
    """Of stretches [begin, end), given as rows of two, those that hold any row."""
    found: Array = spans[spans[:, 0] < spans[:, 1]]
    return found


class Rows:
    """A set of rows, each once: those of `spans` ([begin, end) each, none empty, in order), and then `single` ones."""

    def __init__(self, spans: Array = NO_SPANS, single: Array | None = None) -> None:
        self.spans = spans
        self.single = single

    @cached_property
    def pairs(self) -> list[list[int]]:
        found: list[list[int]] = self.spans.tolist()
        return found

    @cached_property
    def _ends(self) -> Array:
        """The position in the set behind each stretch."""
        ends: Array = np.cumsum(self.spans[:, 1] - self.spans[:, 0])
        return ends

    def __len__(self) -> int:
        singles = 0 if self.single is None else len(self.single)
        return singles + (int(self._ends[-1]) if len(self.spans) else 0)

    def of(self, column: Array) -> Array:
        """The values of a column in these rows. May be a view of the column: not to be written."""
        if self.single is not None and not len(self.spans):
            return column.take(self.single)
        parts = [column[begin:end] for begin, end in self.pairs]
        if self.single is not None and len(self.single):
            parts.append(column.take(self.single))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else column[:0]

    def at(self, positions: Array) -> Array:
        """The row numbers at these positions of the set."""
        if not len(self.spans):
            return positions[:0] if self.single is None else self.single.take(positions)
        if _MANY * len(positions) > len(self):
            every = spread(self.spans[:, 0], self.spans[:, 1])
            return (every if self.single is None else np.concatenate([every, self.single])).take(positions)
        ends = self._ends
        which = ends.searchsorted(positions, side="right")
        if self.single is None:
            rows: Array = positions + (self.spans[:, 1] - ends)[which]
            return rows
        late = which == len(ends)
        which[late] = 0
        rows = positions + (self.spans[:, 1] - ends)[which]
        rows[late] = self.single.take(positions[late] - ends[-1])
        return rows

    def only(self, chosen: Flags) -> Rows:
        return Rows(single=self.at(np.flatnonzero(chosen)))
