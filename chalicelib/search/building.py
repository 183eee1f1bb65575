"""From a city's entries to its base file, in one pass over the entries and bounded memory.

What is long (texts, names, calendars) is spooled to temporary files while the entries come, and copied in the order
of the rows when that is known. In memory stay some hundred bytes a shop.
"""

from __future__ import annotations

import json
import mmap
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from hashlib import blake2b
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from chalicelib.catalog.model import KINDS, City
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.search import ranking, records, words
from chalicelib.search.base import Writer
from chalicelib.search.calendar import Calendar
from chalicelib.search.cards import Card, micro
from chalicelib.search.columns import narrowest, prefixes
from chalicelib.search.grid import HALF_TURN, METRES, TURN, Grid
from chalicelib.search.lists import SEGMENT
from chalicelib.search.model import Entry, Note
from chalicelib.search.postings import Postings

Progress = Callable[[str, int], None]
"""Told now and then what is being done, and how many shops of it are."""

_TOLD_EVERY = 50_000
_COVERS = 256  # beginnings of covers that have a number, so that one byte holds it
_OFTEN = 3  # times that one must have come
_CODES = {"S26": "26s", "i4": "i", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"}  # of struct

Array = NDArray[Any]


def build(
    path: Path | str,
    city: City,
    sequence: int,
    entries: Iterable[Entry],
    notes: Iterable[tuple[date, str, Note]],
    built_at: Instant,
    progress: Progress | None = None,
) -> None:
    """Writes the base file of a city: everything up to `sequence` of its log. Entries are of different shops; notes
    may be of shops that are not listed. Raises ValueError for an id that is no shop's, and for one that comes twice."""
    told = progress or (lambda _what, _done: None)
    with tempfile.TemporaryDirectory(prefix="linli-base-") as folder, Writer(Path(path)) as writer:
        found = _Found(Path(folder))
        for entry in entries:
            found.add(entry)
            if found.count % _TOLD_EVERY == 0:
                told("entries", found.count)
        grid = found.grid(city)
        order = found.order(grid)
        _columns(writer, found, grid, order)
        _classes(writer, found, order)
        told("columns", found.count)
        _records(writer, found, order, told)
        _names(writer, found, order)
        told("names", found.count)
        days = _notes(writer, found.ids()[order], notes)
        writer.finish(
            city=city.code,
            sequence=sequence,
            count=found.count,
            built_at=built_at,
            grid=grid,
            kinds=tuple(KINDS),
            note_days=days,
        )
        told("whole", found.count)


class _Spool:
    """Texts of different lengths, one after the other, on disk."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("w+b")
        self.starts = array("Q", [0])

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self.starts.append(self.starts[-1] + len(data))

    def ordered(self, order: Sequence[int] | Array) -> Iterator[bytes]:
        self._file.flush()
        if self.starts[-1] == 0:
            yield from (b"" for _ in order)
            return
        starts = self.starts
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            for number in order:
                yield text[starts[number] : starts[number + 1]]


class _Found:
    """The entries, taken apart."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._ids = bytearray()
        self.numbers: dict[str, array[int]] = {
            "lat": array("i"),
            "lng": array("i"),
            "price": array("Q"),
            "sales": array("Q"),
            "ratings": array("Q"),
            "rating": array("H"),
            "merit": array("H"),
            "born": array("H"),
            "kinds": array("B"),
            "group": array("I"),
            "calendar": array("I"),
            "category": array("I"),
            "locales": array("I"),
            "cover": array("B"),
        }
        self.groups: dict[tuple[frozenset[str], str], int] = {}
        self.categories: dict[str, int] = {}
        self.locales: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
        self.covers: dict[str, int] = {"": 0}
        self._seen_covers: Counter[str] = Counter()
        self._lengths = array("I")
        self.openings: dict[bytes, int] = {}
        self.opening_of = array("I")
        self._calendars: dict[bytes, int] = {}
        self._merits: dict[tuple[int, int], int] = {}
        self.works = _Spool(folder / "works")
        self.texts = _Spool(folder / "texts")
        self.names = _Spool(folder / "names")
        self._bits = {kind: 1 << bit for bit, kind in enumerate(KINDS)}

    def add(self, entry: Entry) -> None:
        card, numbers = entry.card, self.numbers
        if not ids.is_id(card.id, "shp"):
            raise ValueError(f"{card.id!r} is no shop's id")
        calendar = self._calendar(entry.calendar)
        group = (entry.categories, card.currency)
        merit = (card.rating_centi, card.sales)
        if merit not in self._merits:
            if len(self._merits) > 100_000:
                self._merits.clear()
            self._merits[merit] = ranking.merit(*merit)
        self._ids += card.id.removeprefix(records.PREFIX).encode()
        numbers["lat"].append(card.lat)
        numbers["lng"].append(card.lng)
        numbers["price"].append(card.price_minor)
        numbers["sales"].append(card.sales)
        numbers["ratings"].append(card.rating_count)
        numbers["rating"].append(card.rating_centi)
        numbers["merit"].append(self._merits[merit])
        numbers["born"].append(entry.born_day)
        numbers["kinds"].append(sum(self._bits[kind] for kind in entry.kinds))
        numbers["group"].append(self.groups.setdefault(group, len(self.groups)))
        numbers["calendar"].append(calendar)
        self._add_texts(card)
        self.names.add(words.lines(entry.names).encode())
        self.count += 1

    def _add_texts(self, card: Card) -> None:
        start = self._start(card.cover_url or "")
        texts = [*card.name.values(), *card.address.values()]
        locales = tuple(card.name), tuple(card.address)
        self.numbers["category"].append(self.categories.setdefault(card.category, len(self.categories)))
        self.numbers["locales"].append(self.locales.setdefault(locales, len(self.locales)))
        self.numbers["cover"].append(self.covers[start])
        self._lengths.extend(map(len, texts))
        self.texts.add(records.encoded("".join(texts) + (card.cover_url or "")[len(start) :]))

    def _start(self, cover: str) -> str:
        """Up to the last "/", where many covers begin so; nothing otherwise."""
        start = cover[: cover.rfind("/") + 1]
        if start in self.covers:
            return start
        if len(self.covers) < _COVERS:
            if len(self._seen_covers) > 10_000:
                self._seen_covers.clear()
            self._seen_covers[start] += 1
            if self._seen_covers[start] == _OFTEN:
                self.covers[start] = len(self.covers)
        return ""

    def _calendar(self, calendar: Calendar) -> int:
        opening = self.openings.setdefault(calendar.opening, len(self.openings))
        # Calendars can be as many as shops: what is kept of one is a digest.
        digest = blake2b(calendar.work, digest_size=16, salt=opening.to_bytes(8, "big")).digest()
        found = self._calendars.get(digest)
        if found is None:
            found = self._calendars[digest] = len(self.opening_of)
            self.opening_of.append(opening)
            self.works.add(calendar.work)
        return found

    def ids(self) -> Array:
        return np.frombuffer(bytes(self._ids), f"S{records.ID_LETTERS}")

    def column(self, name: str) -> Array:
        return np.array(self.numbers[name], self.numbers[name].typecode)

    def lengths(self) -> Array:
        """Of the texts of each entry; 0 where it has no more."""
        texts = np.array([sum(map(len, locales)) for locales in self.locales], np.int64)[self.column("locales")]
        found = np.zeros((self.count, texts.max(initial=records.LENGTHS)), np.uint32)
        found[np.arange(found.shape[1]) < texts[:, None]] = self._lengths
        return found

    def relative(self, grid: Grid) -> Array:
        return _turned(self.column("lng"), grid.centre_lng)

    def grid(self, city: City) -> Grid:
        """Cells over the part of the city's circle in which there are shops."""
        centre = micro(city.centre)
        lat, lng = self.column("lat"), _turned(self.column("lng"), centre[1])
        reach = round(city.radius_m / METRES)
        wide = round(reach / max(np.cos(np.radians(abs(city.centre.lat))), 0.001))
        inside = (np.abs(lat - centre[0]) <= reach) & (np.abs(lng) <= wide)
        if not inside.any():
            return Grid.of(centre, (centre[0], 0, centre[0], 0))
        lat, lng = lat[inside], lng[inside]
        return Grid.of(centre, (int(lat.min()), int(lng.min()), int(lat.max()), int(lng.max())))

    def order(self, grid: Grid) -> Array:
        """The entries by cell, and by id in a cell."""
        by_id = np.argsort(self.ids(), kind="stable")
        ordered = self.ids()[by_id]
        if (ordered[1:] == ordered[:-1]).any():
            raise ValueError("a shop's id comes twice")
        return by_id[np.argsort(self.cells(grid)[by_id], kind="stable")]

    def cells(self, grid: Grid) -> Array:
        lat = np.clip((self.column("lat").astype(np.int64) - grid.south) // grid.cell_lat, 0, grid.rows - 1)
        lng = np.clip((self.relative(grid).astype(np.int64) - grid.west) // grid.cell_lng, 0, grid.columns - 1)
        return lat * grid.columns + lng


def _turned(lng: Array, centre: int) -> Array:
    found: Array = (lng.astype(np.int64) - centre + HALF_TURN) % TURN - HALF_TURN
    return found.astype(np.int32)


def _columns(writer: Writer, found: _Found, grid: Grid, order: Array) -> None:
    writer.add("columns.prefix", prefixes(found.ids()[order]))
    writer.add("columns.lng", found.relative(grid)[order])
    for name in ("lat", "born", "rating", "merit", "kinds"):
        writer.add(f"columns.{name}", found.column(name)[order])
    for name, least in (("price", 4), ("sales", 4), ("group", 2), ("calendar", 2)):
        writer.add(f"columns.{name}", narrowest(found.column(name)[order], least))
    starts = np.zeros(grid.cells + 1, np.uint32)
    np.cumsum(np.bincount(found.cells(grid), minlength=grid.cells), out=starts[1:])
    writer.add("cells", starts)


def _classes(writer: Writer, found: _Found, order: Array) -> None:
    _category_rows(writer, found, order)
    openings = list(found.openings)
    _texts(writer, "openings", openings)
    writer.add("opening_of", np.array(found.opening_of, np.uint32))
    _texts(writer, "works", found.works.ordered(range(len(found.opening_of))))


def _category_rows(writer: Writer, found: _Found, order: Array) -> None:
    """The rows of each category, cut into segments: in each the low 16 bits of its rows, ascending."""
    groups = found.column("group")[order]
    codes = sorted({code for categories, _ in found.groups for code in categories})
    bounds = np.arange(0, found.count + SEGMENT, SEGMENT)
    rows: list[Array] = []
    starts: list[Array] = [np.zeros(1, np.int64)]
    size = 0
    for code in codes:
        has = np.array([code in categories for categories, _ in found.groups])
        of_code = np.flatnonzero(has[groups])
        rows.append((of_code & (SEGMENT - 1)).astype(np.uint16))
        starts.append(size + np.searchsorted(of_code, bounds[1:]))
        size += len(of_code)
    writer.stream("categories", [json.dumps(codes).encode()])
    writer.add("category_rows", np.concatenate([np.zeros(0, np.uint16), *rows]))
    writer.add("category_starts", np.concatenate(starts).astype(np.uint32))


def _texts(writer: Writer, name: str, texts: Iterable[bytes]) -> None:
    starts = array("Q", [0])

    def chunks() -> Iterator[bytes]:
        for text in texts:
            starts.append(starts[-1] + len(text))
            yield text

    writer.stream(name, chunks())
    writer.add(f"{name}.starts", narrowest(np.array(starts, np.uint64), 4))


def _records(writer: Writer, found: _Found, order: Array, told: Progress) -> None:
    first, further = np.split(narrowest(found.lengths(), 1), [records.LENGTHS], axis=1)
    shown = [found.ids(), found.column("lat"), found.column("lng")]
    shown += [*(narrowest(found.column(name), 1) for name in records.SHOWN), first]
    kept = [*(narrowest(found.column(name), 1) for name in records.KEPT), further]
    fields = {f"f{place}": column for place, column in enumerate(shown + kept)}
    fixed = np.dtype([(name, column.dtype.newbyteorder("<"), column.shape[1:]) for name, column in fields.items()])
    shared = records.Shared.dump(
        (_layout(shown), _layout(kept)),
        groups=[[sorted(codes), currency] for codes, currency in found.groups],
        categories=list(found.categories),
        locales=list(found.locales),
        covers=list(found.covers),
    )
    writer.stream("shared", [shared])

    def packed() -> Iterator[bytes]:
        for begin in range(0, found.count, _TOLD_EVERY):
            rows = order[begin : begin + _TOLD_EVERY]
            part = np.empty(len(rows), fixed)
            for name, column in fields.items():
                part[name] = column[rows]
            numbers = part.tobytes()
            for place, text in enumerate(found.texts.ordered(rows.tolist())):
                yield numbers[place * fixed.itemsize : (place + 1) * fixed.itemsize] + text
            told("records", begin + len(rows))

    _texts(writer, "records", packed())


def _layout(columns: Sequence[Array]) -> str:
    """What struct reads a row of them by."""
    each = ((*map(str, column.shape[1:]), _CODES[column.dtype.str[1:]]) for column in columns)
    return "<" + "".join(chain.from_iterable(each))


def _names(writer: Writer, found: _Found, order: Array) -> None:
    _texts(writer, "names", found.names.ordered(order.tolist()))
    postings = Postings.build(text.decode().split("\n") for text in found.names.ordered(order.tolist()))
    writer.stream("readings", [postings.readings.dump()])
    for name, part in postings.arrays().items():
        writer.add(f"postings.{name}", part)


def _notes(writer: Writer, shops: Array, notes: Iterable[tuple[date, str, Note]]) -> tuple[tuple[str, int, int], ...]:
    """The notes by day and row; those of shops that are not listed stand apart, until their shop comes back."""
    rows_by_id = np.argsort(shops, kind="stable")
    by_id = shops[rows_by_id]
    known: list[tuple[str, int, int, int]] = []
    others: list[tuple[str, str, int, int]] = []
    for day, shop_id, note in notes:
        until = -1 if note.bookable_until is None else note.bookable_until.ms
        letters = shop_id.removeprefix(records.PREFIX).encode()
        place = int(np.searchsorted(by_id, np.bytes_(letters))) if len(by_id) else 0
        if place < len(by_id) and by_id[place] == letters:
            known.append((day.isoformat(), int(rows_by_id[place]), until, note.revision))
        else:
            others.append((day.isoformat(), shop_id, until, note.revision))
    known.sort()
    days = [day for day, *_ in known]
    writer.add("note_rows", np.array([row for _, row, _, _ in known], np.uint32))
    writer.add("note_until", np.array([until for *_, until, _ in known], np.int64))
    writer.add("note_revision", np.array([revision for *_, revision in known], np.int64))
    writer.stream("notes_apart", [json.dumps(others).encode()])
    begins = [number for number, day in enumerate(days) if number == 0 or days[number - 1] != day]
    return tuple((days[begin], begin, end) for begin, end in pairwise([*begins, len(days)]))
