"""What a process holds of each city, and how it stays as the city is.

A city is held as an `Index` that is as new as entry `sequence` of the city's log. At most once in two seconds a search
asks for the log's last number, half a read unit, and applies what has come since. Nothing else is read while warm.

A city with a base is answered from the engine over that file. It is loaded beside, in a thread of its own, and so is
the newer base that the log announces: until it is there the older one answers. While a process has none, the part of
the city that a search is about is read from the file (`cold`), and where that cannot be, the search waits. A city
without a base, which is a small or a very new one, is held as plain values; so is one whose base is lost, as after a
restore of the tables, until its file is there or the next one is built.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.catalog import citylog
from chalicelib.catalog import service as catalog
from chalicelib.catalog.changes import Change, LogTrimmed
from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.instant import SECOND_MS, Instant
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.search import news, tables
from chalicelib.search.model import Entry, SearchPage, SearchQuery
from chalicelib.search.plain import Index, Plain, Since

if TYPE_CHECKING:
    from chalicelib.search.pointers import Pointer

POLL_MS = 2 * SECOND_MS
MAX_PLAIN = 20_000  # shops that are held as plain values; a city with more waits for its first base
_AGAIN_MS = 10 * SECOND_MS  # after a base could not be loaded
_WAIT_SECONDS = 10  # for an engine; API Gateway waits 29
_STEP_SECONDS = 0.01
_LONG_AGO = Instant(0)

_lock = threading.Lock()
_cities: dict[str, Held] = {}


@dataclass
class Held:
    """One city. Without an index `since` holds what has changed since the base `pointer`. `wanted` is the newest base
    that is known of, `version` the one that answers; 0 is none. `lost` is the file that was looked for in vain."""

    city: str
    asked_at: Instant
    used_at: Instant
    sequence: int = 0
    index: Index | None = None
    pointer: Pointer | None = None
    since: Since = field(default_factory=lambda: Since({}))
    version: int = 0
    wanted: int = 0
    bytes: int = 0
    loading: bool = False
    lost: str = ""
    again_at: Instant = _LONG_AGO


def begin(name: str, work: Callable[[], None]) -> None:
    """Runs work beside the searches. Replaced where threads may not run freely."""
    threading.Thread(target=work, name=name, daemon=True).start()


def find(ctx: Context, city: str, query: SearchQuery) -> SearchPage:
    """One page of a city's shops. Raises CursorInvalid, and Unavailable while a large city is not loaded."""
    with _lock:
        held = _followed(ctx, city)
        if held.index is not None:
            return held.index.find(query, ctx.now)
        pointer, since = held.pointer, Since(dict(held.since.entries))
    if pointer is None:
        raise Unavailable(retry_after_seconds=30)
    from chalicelib.search import cold  # small cities never need it

    page = cold.find(ctx, pointer, since, query)
    return page if page is not None else _waited(ctx, city, query)


def forget() -> None:
    """As if the process had just begun."""
    with _lock:
        _cities.clear()


def _waited(ctx: Context, city: str, query: SearchQuery) -> SearchPage:
    for _ in range(int(_WAIT_SECONDS / _STEP_SECONDS)):
        with _lock:
            held = _cities.get(city)
            if held is None or (held.index is None and not held.loading):
                break
            if held.index is not None:
                return held.index.find(query, ctx.now)
        time.sleep(_STEP_SECONDS)
    raise Unavailable(retry_after_seconds=2)


# How a city is followed. All of it under the lock.


def _followed(ctx: Context, city: str) -> Held:
    """The city as it is now, two seconds apart at most."""
    held = _cities.get(city)
    if held is None:
        held = _cities[city] = _begun(ctx, city)
    elif city in news.just_told or abs(ctx.now.since(held.asked_at)) >= POLL_MS:
        try:
            _poll(ctx, held)
        except LogTrimmed:
            log.warning("a city is read anew: its log does not go back far enough", city=city, seen=held.sequence)
            held = _cities[city] = _begun(ctx, city)
    held.used_at = ctx.now
    if held.wanted > held.version and not held.loading and ctx.now >= held.again_at:
        held.loading = True
        begin(f"search-{city}", lambda: _load(ctx, city))
    return held


def _begun(ctx: Context, city: str) -> Held:
    pointer = tables.base(city)
    held = Held(city, asked_at=ctx.now, used_at=ctx.now)
    if pointer is not None:
        held.pointer, held.sequence, held.wanted = pointer, pointer.sequence, pointer.version
        try:
            _catch_up(held, citylog.sequence(city, consistent=True))
            return held
        except LogTrimmed:
            # Until the builder has made one that can be followed, which it does as soon as it sees this.
            log.error("the base of a city cannot be followed", city=city, base=pointer.sequence)
            if pointer.count > MAX_PLAIN:
                held.sequence = citylog.sequence(city, consistent=True)
                return held
        held = Held(city, asked_at=ctx.now, used_at=ctx.now)
    _read_whole(ctx, held)
    return held


def _read_whole(ctx: Context, held: Held) -> None:
    """A city without a base. One that is too large for plain values stays without an index."""
    # The number is read before the listings: they are then as new as it says, or newer.
    held.sequence = citylog.sequence(held.city, consistent=True)
    entries: list[Entry] = []
    for page in catalog.shops_of_city(ctx, held.city):
        if len(entries) >= MAX_PLAIN:
            return
        entries.append(Entry.of(page))
    held.index = Plain(entries, lambda day: tables.notes_of_day(held.city, day))


def _poll(ctx: Context, held: Held) -> None:
    news.just_told.discard(held.city)
    latest = citylog.sequence(held.city)
    if latest < held.sequence and citylog.sequence(held.city, consistent=True) < held.sequence:
        # The tables were restored to an earlier time: what is known here never was.
        raise LogTrimmed(held.city)
    _catch_up(held, latest)
    held.asked_at = ctx.now


def _catch_up(held: Held, latest: int) -> None:
    into = held.index if held.index is not None else held.since
    while held.sequence < latest:
        for change in citylog.changes_after(held.city, held.sequence):
            held.wanted = max(held.wanted, apply(change, into))
            held.sequence = change.sequence


def apply(change: Change, into: Index | Since) -> int:
    """One entry of the log. Returns the version of the base that it announces, 0 for none."""
    if change.page is not None:
        into.put(Entry.of(change.page))
    elif change.gone:
        into.remove(change.gone)
    elif "base" in change.told:
        return int(change.told["base"])
    else:
        into.note(*news.unpack(change.told))
    return 0


# How a base is loaded, in a thread of its own


class _BaseLost(Exception):
    """The file that a pointer names is not there, or says nothing to this release."""


def _load(ctx: Context, city: str) -> None:
    """Reads the base that stands, brings it up to the log's end, and answers from it."""
    again_at = ctx.now.plus(ms=_AGAIN_MS)
    try:
        pointer = tables.base(city, consistent=True)
        if pointer is None:
            raise LookupError(f"no base of {city}")
        try:
            _take_up(ctx, pointer, _engine(ctx, pointer))
            again_at = _LONG_AGO
        except _BaseLost as why:
            _do_without(ctx, pointer, why)
    except Exception as error:  # nobody waits for this thread, and the older base answers on
        log.error("the base of a city could not be loaded", error, city=city)
    finally:
        with _lock:
            held = _cities.get(city)
            if held is not None:
                held.loading, held.again_at = False, again_at


def _engine(ctx: Context, pointer: Pointer) -> Any:
    """Raises _BaseLost."""
    from chalicelib.search.base import BaseInvalid, open_base  # numpy comes with these
    from chalicelib.search.engine import Engine

    with ExitStack() as stack:
        try:
            base = open_base(stack.enter_context(ctx.ports.files.local(pointer.key)))
        except (KeyError, BaseInvalid) as error:
            raise _BaseLost(repr(error)) from error
        return Engine(base)


def _take_up(ctx: Context, pointer: Pointer, engine: Any) -> None:
    fresh = Held(pointer.city, ctx.now, ctx.now, sequence=pointer.sequence, index=engine)
    _catch_up(fresh, citylog.sequence(pointer.city, consistent=True))
    with _lock:
        held = _cities.get(pointer.city)
        if held is not None:
            _catch_up(fresh, held.sequence)
            held.index, held.sequence = fresh.index, fresh.sequence
            held.version, held.wanted = pointer.version, max(held.wanted, pointer.version)
            held.pointer, held.since, held.lost = pointer, Since({}), ""
            held.bytes = _bytes_of(fresh.index)
            _make_room(ctx, held)


def _do_without(ctx: Context, pointer: Pointer, why: _BaseLost) -> None:
    """What answers goes on, and where nothing does, the listings answer, if they are few enough. The builder makes
    another base at its next run and the log announces it; until then this one is looked for now and then."""
    with _lock:
        held = _cities.get(pointer.city)
        if held is None or held.lost == pointer.key:
            return
        unanswered = held.index is None
    log.warning("the base of a city is lost", city=pointer.city, key=pointer.key, error=str(why))
    fresh = Held(pointer.city, ctx.now, ctx.now)
    if unanswered and pointer.count <= MAX_PLAIN:
        _read_whole(ctx, fresh)
    with _lock:
        held = _cities.get(pointer.city)
        if held is None:
            return
        held.lost = pointer.key
        if held.index is None:
            if fresh.index is not None:
                _catch_up(fresh, held.sequence)
                held.index, held.sequence = fresh.index, fresh.sequence
            held.pointer, held.since = None, Since({})


def _bytes_of(index: Any) -> int:
    return int(sum(value for name, value in index.bytes_of().items() if name != "per_shop"))


def _make_room(ctx: Context, kept: Held) -> None:
    """Forgets the cities that were asked for longest ago, until what is held fits."""
    others = sorted((held for held in _cities.values() if held is not kept), key=lambda held: held.used_at.ms)
    total = sum(held.bytes for held in _cities.values())
    for held in others:
        if total <= ctx.settings.search_bytes:
            return
        total -= held.bytes
        del _cities[held.city]
