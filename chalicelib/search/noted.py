"""What booking noted of days, by row: those of the base, and those that came since.

A note belongs to a shop, listed or not. A row that goes leaves its notes apart, where the shop finds them again.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chalicelib.kernel.instant import Instant
from chalicelib.search.base import Base
from chalicelib.search.model import Note

Array = NDArray[Any]

_NEVER = -1


def _note(until: int, revision: int) -> Note:
    return Note(None if until < 0 else Instant(until), revision)


class Notes:
    def __init__(self, base: Base) -> None:
        self._rows = base.array("note_rows")
        self._until = base.array("note_until")
        self._revision = base.array("note_revision")
        self._days = {date.fromisoformat(day): (begin, end) for day, begin, end in base.header.note_days}
        self._since: dict[date, dict[int, Note]] = {}
        self._apart: dict[str, dict[date, Note]] = {}
        self._arrays: dict[date, tuple[Array, Array]] = {}
        for day, shop_id, until, revision in json.loads(base.whole("notes_apart")):
            self._apart.setdefault(shop_id, {})[date.fromisoformat(day)] = _note(until, revision)

    def put(self, day: date, shop_id: str, row: int | None, note: Note) -> None:
        """An older or equal revision changes nothing."""
        known = self._apart.get(shop_id, {}).get(day) if row is None else self.of(day, row)
        if known is not None and known.revision >= note.revision:
            return
        if row is None:
            self._apart.setdefault(shop_id, {})[day] = note
        else:
            self._since.setdefault(day, {})[row] = note
            self._arrays.pop(day, None)

    def of(self, day: date, row: int) -> Note | None:
        found = self._since.get(day, {}).get(row)
        if found is not None:
            return found
        begin, end = self._days.get(day, (0, 0))
        place = begin + int(self._rows[begin:end].searchsorted(row))
        if place < end and self._rows[place] == row:
            return _note(int(self._until[place]), int(self._revision[place]))
        return None

    def leave(self, shop_id: str, row: int) -> None:
        """A row is gone: what was noted of it waits for its shop."""
        for day in self._days.keys() | self._since.keys():
            note = self.of(day, row)
            if note is not None:
                self._apart.setdefault(shop_id, {})[day] = note

    def come(self, shop_id: str, row: int) -> None:
        """A shop has a new row."""
        for day, note in self._apart.pop(shop_id, {}).items():
            self.put(day, shop_id, row, note)

    def bound(self, day: date, rows: Array, until: Array) -> Array:
        """The earlier of `until` (ms) and what was noted of each row; negative for never."""
        begin, end = self._days.get(day, (0, 0))
        if begin < end:
            until = _bounded(until, rows, self._rows[begin:end], self._until[begin:end], self._late(day))
        late = self._since.get(day)
        if late:
            until = _bounded(until, rows, *self._array(day), None)
        return until

    def _late(self, day: date) -> Array | None:
        return self._array(day)[0] if self._since.get(day) else None

    def _array(self, day: date) -> tuple[Array, Array]:
        found = self._arrays.get(day)
        if found is None:
            notes = sorted(self._since[day].items())
            rows = np.array([row for row, _ in notes], np.int64)
            ends = [_NEVER if note.bookable_until is None else note.bookable_until.ms for _, note in notes]
            found = self._arrays[day] = rows, np.array(ends, np.int64)
        return found


def _bounded(until: Array, rows: Array, noted: Array, ends: Array, replaced: Array | None) -> Array:
    """`until` bounded by the notes of `noted` (ascending), but for rows whose note was `replaced`."""
    place = noted.searchsorted(rows)
    place[place == len(noted)] = 0
    has = noted[place] == rows
    if replaced is not None and len(replaced):
        other = replaced.searchsorted(rows)
        other[other == len(replaced)] = 0
        has &= replaced[other] != rows
    return np.where(has, np.minimum(until, ends[place]), until)
