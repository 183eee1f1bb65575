"""A city, or a part of one, as plain values: every search looks at every entry. What a process answers from until it
has the city's index, without a library to load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from chalicelib.kernel.instant import Instant
from chalicelib.search import model
from chalicelib.search.model import Entry, Note, SearchPage, SearchQuery

_DAYS = 200  # whose notes are remembered

ReadNotes = Callable[[date], dict[str, Note]]


class Index(Protocol):
    """What answers searches of a city and takes its changes one after the other. Not safe for several threads."""

    def find(self, query: SearchQuery, now: Instant) -> SearchPage: ...
    def put(self, entry: Entry) -> None: ...
    def remove(self, shop_id: str) -> None: ...
    def note(self, day: date, shop_id: str, note: Note) -> None: ...


class Plain:
    """Satisfies `Index`. `read_notes` reads a day's notes when the day is asked for the first time; later ones come by
    `note`, and the newer revision stands."""

    def __init__(self, entries: Iterable[Entry], read_notes: ReadNotes) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self._read_notes = read_notes
        self._notes: dict[date, dict[str, Note]] = {}

    def find(self, query: SearchQuery, now: Instant) -> SearchPage:
        notes = {} if query.bookable_on is None else self._notes_of(query.bookable_on)
        return model.find(query, list(self._entries.values()), now, notes)

    def _notes_of(self, day: date) -> dict[str, Note]:
        if day not in self._notes:
            if len(self._notes) >= _DAYS:
                self._notes.clear()
            self._notes[day] = self._read_notes(day)
        return self._notes[day]

    def put(self, entry: Entry) -> None:
        self._entries[entry.id] = entry

    def remove(self, shop_id: str) -> None:
        self._entries.pop(shop_id, None)

    def note(self, day: date, shop_id: str, note: Note) -> None:
        known = self._notes.get(day)
        if known is None:
            return
        if shop_id not in known or known[shop_id].revision < note.revision:
            known[shop_id] = note


@dataclass
class Since:
    """What has changed since a base that is not loaded yet: each shop as it is now, None for one that is gone. Notes
    are not kept, for the table has them."""

    entries: dict[str, Entry | None]

    def put(self, entry: Entry) -> None:
        self.entries[entry.id] = entry

    def remove(self, shop_id: str) -> None:
        self.entries[shop_id] = None

    def note(self, day: date, shop_id: str, note: Note) -> None:
        """Nothing: `find` of a part reads the table."""
