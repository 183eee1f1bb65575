"""Search's public face. A warm process holds the entries of its cities and asks every two seconds whether they changed.

A search therefore reads nothing but that version, half a read unit at most once in two seconds, and the day's notes
when `bookable_on` is asked for. A change is found within two seconds and the store's own lag.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date

from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import City, CityNotServed
from chalicelib.kernel.geo import distance_m
from chalicelib.kernel.instant import SECOND_MS, Instant
from chalicelib.runtime.context import Context
from chalicelib.search import model, tables
from chalicelib.search.model import Entry, Note, SearchPage, SearchQuery

POLL_MS = 2 * SECOND_MS
_CITIES = 16
_DAYS = 200

_lock = threading.Lock()
_cities: dict[str, _Entries] = {}
_notes: dict[tuple[str, date], tuple[Instant, dict[str, Note]]] = {}


@dataclass(frozen=True)
class _Entries:
    """What a process knows of a city: as new as `version` at least, and asked about last at `asked_at`."""

    version: int
    asked_at: Instant
    entries: tuple[Entry, ...]


def search(ctx: Context, query: SearchQuery) -> SearchPage:
    """One page of shops. Raises CityNotServed, and CursorInvalid for a key that is none."""
    areas = _areas(ctx, query)
    # By id, because a shop that moves from one city to another may for a moment be known in both.
    entries = {entry.id: entry for area in areas for entry in _entries_of(ctx, area.code)}
    notes: dict[str, Note] = {}
    if query.bookable_on is not None:
        for area in areas:
            notes |= _notes_of(ctx, area.code, query.bookable_on)
    return model.find(query, list(entries.values()), ctx.now, notes)


def currency(ctx: Context, query: SearchQuery) -> str:
    """In which price bands are named: that of the first city looked through. Raises CityNotServed."""
    return _areas(ctx, query)[0].currency


def noted(city: str, day: date, shop_id: str) -> Note | None:
    """What booking noted last of a shop's day; None when it never did."""
    return tables.note(city, day, shop_id)


def noted_shops(city: str, day: date) -> list[str]:
    """The shops of a city whose day booking has noted."""
    return sorted(tables.notes_of_day(city, day))


def note_day(
    ctx: Context, *, shop_id: str, city: str, day: date, bookable_until: Instant | None, revision: int
) -> bool:
    """Booking tells until when something of a shop is free on a local day; None when nothing is. An older or equal
    revision changes nothing. Whether the note was stored."""
    stored = tables.put_note(city, day, shop_id, Note(bookable_until, revision))
    _notes.pop((city, day), None)
    return stored


def _areas(ctx: Context, query: SearchQuery) -> list[City]:
    """The cities to look through. A point belongs to a city within whose radius it lies; a neighbour that the search
    radius reaches is looked through as well."""
    served = catalog.cities(ctx)
    if query.city is None and query.origin is not None:
        away = [(distance_m(query.origin, city.centre), city) for city in served]
        if any(metres <= city.radius_m for metres, city in away):
            return [city for metres, city in away if metres <= city.radius_m + query.radius_m]
        raise CityNotServed
    wanted = query.city or ctx.settings.home_city
    found = [city for city in served if city.code == wanted]
    if not found:
        raise CityNotServed
    return found


def _fresh(asked_at: Instant, now: Instant) -> bool:
    return abs(now.since(asked_at)) < POLL_MS


def _entries_of(ctx: Context, city: str) -> tuple[Entry, ...]:
    known = _cities.get(city)
    if known is not None and _fresh(known.asked_at, ctx.now):
        return known.entries
    with _lock:
        known = _cities.get(city)
        if known is not None and _fresh(known.asked_at, ctx.now):
            return known.entries
        if known is not None and catalog.city_version(ctx, city) <= known.version:
            known = _Entries(known.version, ctx.now, known.entries)
        else:
            known = _load(ctx, city, known)
        _remember(city, known)
    return known.entries


def _load(ctx: Context, city: str, known: _Entries | None) -> _Entries:
    # The version is read before the cards: they are then as new as it says, or newer.
    version = catalog.city_version(ctx, city, consistent=True)
    before = {entry.id: entry for entry in known.entries} if known is not None else {}
    entries = []
    for page in catalog.shops_of_city(ctx, city):
        entry, old = Entry.of(page), before.get(page.shop.id)
        # What did not change keeps its entry, and with it the hours that were already worked out.
        entries.append(old if old is not None and old == entry else entry)
    return _Entries(version, ctx.now, tuple(entries))


def _remember(city: str, known: _Entries) -> None:
    if city not in _cities and len(_cities) >= _CITIES:
        _cities.pop(min(_cities, key=lambda code: _cities[code].asked_at))
    _cities[city] = known


def _notes_of(ctx: Context, city: str, day: date) -> dict[str, Note]:
    known = _notes.get((city, day))
    if known is not None and _fresh(known[0], ctx.now):
        return known[1]
    notes = tables.notes_of_day(city, day)
    if len(_notes) >= _DAYS:
        _notes.clear()
    _notes[city, day] = (ctx.now, notes)
    return notes
