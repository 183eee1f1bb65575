"""The index of a city in memory: every search exact, nothing read from a store, changes in place.

What `model.find` says of all entries, this says of a million shops in a fraction of a millisecond. It is not safe for
several threads at once; who holds it holds a lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.search import counting, hits, leading, records, words
from chalicelib.search.asking import Asking
from chalicelib.search.base import Base
from chalicelib.search.cards import Card
from chalicelib.search.columns import Columns, prefix_of
from chalicelib.search.grid import turned
from chalicelib.search.groups import Groups
from chalicelib.search.model import Entry, Note, SearchPage, SearchQuery, relaxed
from chalicelib.search.noted import Notes
from chalicelib.search.openings import Openings
from chalicelib.search.postings import Names, Postings
from chalicelib.search.ranking import Place
from chalicelib.search.readings import Readings
from chalicelib.search.rows import Array
from chalicelib.search.words import Token

_CARDS = 4_096  # as they are shown
_TAIL_WORDS = 64


class Engine:
    """A base and what has changed since. Feed it the city's log in order: `put`, `remove`, `note`."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.grid = base.header.grid
        self.kinds = {kind: 1 << bit for bit, kind in enumerate(base.header.kinds)}
        self.columns = Columns(base)
        self.openings = Openings(base)
        self.notes = Notes(base)
        self.postings = Postings.of(base.named("postings."), Readings.load(base.whole("readings")))
        self.names = Names(base.array("names.starts"), base.map, base.header.sections["names"].offset)
        self._records = records.Shared(base.whole("shared"), base.header.kinds)
        self.groups = Groups(self._records.groups)
        self.categories: Mapping[str, int] = {
            code: number for number, code in enumerate(json.loads(base.whole("categories")))
        }
        self._record_starts = base.array("records.starts")
        self._records_at = base.header.sections["records"].offset
        self._cards: dict[int, Card] = {}
        self._changed: dict[int, Entry] = {}
        self._tail_rows: dict[str, int] = {}
        self._tail_words: dict[Token, tuple[int, list[int]]] = {}

    # Asking

    def find(self, query: SearchQuery, now: Instant) -> SearchPage:
        """One page of what passes. Raises CursorInvalid."""
        place = Place.read(query.after, now, query.affinity)
        self.columns.age(now.ms // DAY_MS)
        asking = Asking(self, query, now, place)
        counted = counting.facets(asking) if query.facets else None
        found = leading.first(asking, query.limit + 1, counted and counted.passing)
        shown, more = found[: query.limit], len(found) > query.limit
        total = None
        if query.total:
            total = counted.total if counted else counting.total(asking)
        return SearchPage(
            hits=hits.of(asking, shown),
            next_key=place.key(shown[-1][0], self.id_of(shown[-1][1])) if more else None,
            facets=counted and counted.facets,
            total=total,
            relax=() if shown or query.after is not None else relaxed(query, lambda other: self._count(other, now)),
        )

    def _count(self, query: SearchQuery, now: Instant) -> int:
        return counting.total(Asking(self, query, now, Place.read(None, now, None)))

    # Rows

    def card_later(self, row: int) -> Card | Callable[[], Card]:
        """As it is now, whenever it is read: what the base says never changes."""
        changed = self._changed.get(row)
        return partial(self._card_of_base, row) if changed is None else changed.card

    def _card_of_base(self, row: int) -> Card:
        found = self._cards.get(row)
        if found is None:
            if len(self._cards) >= _CARDS:
                self._cards.clear()
            at, starts = self._records_at, self._record_starts
            begin, end = at + starts.item(row), at + starts.item(row + 1)
            found = self._cards[row] = self._records.card(self.base.map, begin, end)
        return found

    def id_of(self, row: int) -> str:
        changed = self._changed.get(row)
        if changed is not None:
            return changed.id
        return records.id_of(self.base.map, self._records_at + self._record_starts.item(row))

    def tail_with(self, tokens: Iterable[Token]) -> Array:
        """The rows of the tail that have all of these words."""
        found: set[int] | None = None
        for token in tokens:
            rows = self._tail_with(token)
            found = set(rows) if found is None else found.intersection(rows)
        return np.array(sorted(found or ()), np.int64)

    def _tail_with(self, token: Token) -> list[int]:
        """Names of a row never change, so that each row is looked at once for a word."""
        columns = self.columns
        looked, rows = self._tail_words.get(token, (columns.sorted, []))
        if looked < columns.count:
            if len(self._tail_words) >= _TAIL_WORDS:
                self._tail_words.clear()
            tail = range(looked, columns.count)
            rows = rows + [row for row in tail if columns.kinds[row] and self._changed[row].named((token,))]
            self._tail_words[token] = columns.count, rows
        return rows

    # Changing

    def put(self, entry: Entry) -> None:
        """A shop as it is from now on, listed for the first time or again. Raises ValueError for an id that is none."""
        row = self._row_of(entry.id, entry)
        if row is None:
            self._append(entry)
        elif self._stays(row, entry):
            self.columns.write(row, self._values(entry))
            self._changed[row] = entry
        else:
            self._drop(entry.id, row)
            self._append(entry)

    def remove(self, shop_id: str) -> None:
        """A shop that is gone. One that is not there is gone already."""
        row = self._row_of(shop_id, None)
        if row is not None:
            self._drop(shop_id, row)

    def note(self, day: date, shop_id: str, note: Note) -> None:
        """What booking says of a shop's day, listed or not. An older or equal revision changes nothing."""
        self.notes.put(day, shop_id, self._row_of(shop_id, None), note)

    def _append(self, entry: Entry) -> None:
        row = self.columns.append(self._values(entry))
        self._changed[row] = entry
        self._tail_rows[entry.id] = row
        self.notes.come(entry.id, row)

    def _drop(self, shop_id: str, row: int) -> None:
        self.columns.drop(row)
        self._changed.pop(row, None)
        self._tail_rows.pop(shop_id, None)
        self.notes.leave(shop_id, row)

    def _row_of(self, shop_id: str, entry: Entry | None) -> int | None:
        """The row of a shop. Most changes leave it where it is, so that it is looked for there first."""
        found = self._tail_rows.get(shop_id)
        if found is not None:
            return found
        columns, prefix = self.columns, np.uint32(prefix_of(shop_id))
        ranges = [(0, columns.sorted)]
        if entry is not None:
            ranges.insert(0, columns.in_cell(self.grid.cell(entry.card.lat, entry.card.lng)))
        for begin, end in ranges:
            for row in (begin + np.flatnonzero(columns.prefix[begin:end] == prefix)).tolist():
                if columns.kinds[row] and self.id_of(row) == shop_id:
                    return int(row)
        return None

    def _stays(self, row: int, entry: Entry) -> bool:
        """Whether the row's place, its lists and its postings are right for the entry."""
        columns = self.columns
        place = entry.card.lat, turned(entry.card.lng, self.grid.centre_lng)
        if (columns.lat[row], columns.lng[row]) != place:
            return False
        if self.groups.all[int(columns.group[row])][0] != entry.categories:
            return False
        if row >= columns.sorted:
            return self._changed[row].names == entry.names
        begin, end = self.names.starts[row : row + 2].tolist()
        return self.base.part("names", begin, end) == words.lines(entry.names).encode()

    def _values(self, entry: Entry) -> dict[str, int]:
        card = entry.card
        return {
            "prefix": prefix_of(card.id),
            "lat": card.lat,
            "lng": turned(card.lng, self.grid.centre_lng),
            "price": card.price_minor,
            "rating": card.rating_centi,
            "sales": card.sales,
            "born": entry.born_day,
            "kinds": sum(self.kinds[kind] for kind in entry.kinds),
            "group": self.groups.number((entry.categories, card.currency)),
            "calendar": self.openings.number(entry.calendar),
        }

    # What it costs

    def bytes_of(self) -> dict[str, Any]:
        """Bytes in memory (`columns`, `calendars`, `postings`) and in the file (`records`, `names`), and the same for
        each shop. Postings are mapped from the file as well; they are counted as if they were all in memory."""
        count = max(self.columns.sorted, 1)
        sections = self.base.header.sections
        found = {
            "columns": self.columns.nbytes,
            "calendars": self.openings.nbytes,
            "postings": self.postings.nbytes,
            "records": sections["records"].size + sections["records.starts"].size,
            "names": sections["names"].size + sections["names.starts"].size,
            "file": self.base.header.size,
        }
        return {**found, "per_shop": {name: round(size / count, 2) for name, size in found.items()}}
