"""A search in a process that has not loaded the city yet: only the part of the base that the search is about is read,
in a few pieces, and looked through as plain values. No library is needed.

The pieces are: the header; what all records share; where the cells of the circle's rows begin; where their records do;
and the records themselves, a stretch for each row of cells.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise

from chalicelib.kernel.geo import Point
from chalicelib.providers.ports import ProviderUnavailable
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.search import model, records, tables
from chalicelib.search.base import HEADER_BYTES, BaseInvalid, Header
from chalicelib.search.calendar import Calendar
from chalicelib.search.model import Entry, SearchPage, SearchQuery
from chalicelib.search.plain import Since
from chalicelib.search.pointers import Pointer

MAX_SHOPS = 5_000
MAX_PIECE = 4 << 20  # bytes; what is larger is not read in a moment
_NEAR = 64 << 10  # two stretches so close are read as one
_AT_ONCE = 8
_KINDS = {"<u2": "H", "<u4": "I", "<u8": "Q"}
_NO_WORK = b"[]"

Read = Callable[[int, int], bytes]
Span = tuple[int, int]


class _TooMuch(Exception):
    """What the search asks for cannot be read in a moment."""


class _NotRead(Exception):
    """The store did not give what the file must have."""


class _Gone(Exception):
    """The file is not there: it has just been removed for a newer one, or it is lost, and whoever loads it says so."""


def find(ctx: Context, pointer: Pointer, since: Since, query: SearchQuery) -> SearchPage | None:
    """None where the search asks for more than can be read in a moment: words, a place with too many shops, or what to
    do where it finds nothing, for which one has to look further around; or where the file cannot be read."""
    if query.q.strip():
        return None
    try:
        part = _File(pointer.key, lambda begin, end: _read(ctx, pointer.key, begin, end))
        whole = part.header.count <= MAX_SHOPS
        entries = {entry.id: entry for entry in part.entries(query, whole=whole)}
    except (_TooMuch, _Gone, BaseInvalid):
        return None
    except _NotRead as error:
        log.warning("a part of a base could not be read", city=pointer.city, key=pointer.key, error=repr(error))
        return None
    for shop_id, entry in since.entries.items():
        entries.pop(shop_id, None)
        if entry is not None:
            entries[shop_id] = entry
    notes = {} if query.bookable_on is None else tables.notes_of_day(pointer.city, query.bookable_on)
    page = model.find(query, list(entries.values()), ctx.now, notes)
    return page if whole or page.hits or query.after is not None else None


def _read(ctx: Context, key: str, begin: int, end: int) -> bytes:
    """Raises _Gone and _NotRead."""
    try:
        found = ctx.ports.files.read(key, begin, end)
    except KeyError as error:
        raise _Gone from error
    except ProviderUnavailable as error:
        raise _NotRead from error
    if len(found) != end - begin:
        raise _NotRead
    return found


class _File:
    """A base file, of which pieces are read."""

    def __init__(self, key: str, read: Read) -> None:
        self._read = read
        self.header = _header(key, read)

    def entries(self, query: SearchQuery, *, whole: bool) -> Iterator[Entry]:
        """At least those of the query's circle. Raises _TooMuch."""
        origin = None if whole else query.origin
        spans = [(0, self.header.count)] if origin is None else self._spans(origin, query.radius_m)
        if sum(end - begin for begin, end in spans) > MAX_SHOPS:
            raise _TooMuch
        calendars = _Calendars(self, with_work=query.bookable_on is not None)
        shared = records.Shared(self.section("shared"), self.header.kinds)
        for text, begin, end in self._records([span for span in spans if span[0] < span[1]]):
            yield shared.entry(text, begin, end, calendars.of)

    def _spans(self, origin: Point, radius_m: int) -> list[Span]:
        """The rows of the cells that the circle can reach, one stretch for each row of cells."""
        grid = self.header.grid
        runs = grid.runs(grid.circle(origin, radius_m))
        first, last = runs[0][0], runs[-1][-1]
        starts = self.numbers("cells", first, last + 1)
        return [(starts[begin - first], starts[end - first]) for begin, _, _, end in runs]

    def _records(self, spans: Sequence[Span]) -> Iterator[tuple[bytes, int, int]]:
        """Where each record stands in which piece."""
        if not spans:
            return
        first = spans[0][0]
        starts = self.numbers("records.starts", first, spans[-1][1] + 1)
        offset = self.header.sections["records"].offset
        stretches = _together([(starts[begin - first], starts[end - first]) for begin, end in spans])
        wanted = [(offset + begin, offset + end) for begin, end in stretches]
        texts = dict(zip(stretches, self._pieces(wanted), strict=True))
        for begin, end in spans:
            places = starts[begin - first : end - first + 1]
            near, text = next((begin, text) for (begin, end), text in texts.items() if begin <= places[0] < end)
            for one, other in pairwise(places):
                yield text, one - near, other - near

    def _pieces(self, wanted: Sequence[Span]) -> list[bytes]:
        if sum(end - begin for begin, end in wanted) > 2 * MAX_PIECE:
            raise _TooMuch
        if len(wanted) <= 2:
            return [self._read(begin, end) for begin, end in wanted]
        with ThreadPoolExecutor(min(_AT_ONCE, len(wanted))) as pool:
            return list(pool.map(lambda span: self._read(*span), wanted))

    def section(self, name: str) -> bytes:
        """Raises _TooMuch."""
        section = self.header.sections[name]
        if section.size > MAX_PIECE:
            raise _TooMuch
        return self._read(section.offset, section.offset + section.size)

    def numbers(self, name: str, begin: int = 0, end: int | None = None) -> array[int]:
        """Numbers [begin, end) of a section. Raises _TooMuch."""
        section = self.header.sections[name]
        found = array(_KINDS[section.dtype])
        width = found.itemsize
        end = section.size // width if end is None else end
        if (end - begin) * width > MAX_PIECE:
            raise _TooMuch
        found.frombytes(self._read(section.offset + begin * width, section.offset + end * width))
        if sys.byteorder == "big":
            found.byteswap()
        return found


def _together(spans: Iterable[Span]) -> list[Span]:
    """Stretches in order; what lies between two that are near is read along."""
    found: list[Span] = []
    for begin, end in spans:
        if found and begin - found[-1][1] <= _NEAR:
            found[-1] = found[-1][0], end
        else:
            found.append((begin, end))
    return found


class _Calendars:
    """The calendars of a file by number; without `with_work` they know the hours alone."""

    def __init__(self, file: _File, *, with_work: bool) -> None:
        self._file = file
        self._with_work = with_work
        self._known: dict[int, Calendar] = {}

    @cached_property
    def _opening_of(self) -> array[int]:
        return self._file.numbers("opening_of")

    @cached_property
    def _openings(self) -> list[bytes]:
        return self._texts("openings")

    @cached_property
    def _works(self) -> list[bytes]:
        return self._texts("works")

    def _texts(self, name: str) -> list[bytes]:
        text = self._file.section(name)
        return [text[begin:end] for begin, end in pairwise(self._file.numbers(f"{name}.starts"))]

    def of(self, number: int) -> Calendar:
        found = self._known.get(number)
        if found is None:
            work = self._works[number] if self._with_work else _NO_WORK
            found = self._known[number] = Calendar(self._openings[self._opening_of[number]], work)
        return found


_headers: dict[str, Header] = {}


def _header(key: str, read: Read) -> Header:
    """Read once: a file never changes."""
    found = _headers.get(key)
    if found is None:
        if len(_headers) >= _AT_ONCE:
            _headers.clear()
        found = _headers[key] = Header.read(read(0, HEADER_BYTES))
    return found
