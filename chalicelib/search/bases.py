"""Builds the base file of a city from its listings, puts it in the file store and points the city at it.

The number of the log is read before the listings, so that the base is as new as it says, or newer. The pointer moves on
condition and after the file is there, and the same transaction tells the city's log: wherever a builder dies, the older
base serves on. Files that no pointer names any more are removed a while later.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from chalicelib.catalog import citylog
from chalicelib.catalog import service as catalog
from chalicelib.catalog.changes import LogTrimmed
from chalicelib.catalog.model import MAX_HORIZON_DAYS, City
from chalicelib.kernel.instant import HOUR_MS
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.search import pointers, tables
from chalicelib.search.model import Entry, Note
from chalicelib.search.pointers import Pointer

OFTEN = 500  # changes since the base, and a fiftieth of the city's shops, after which it is built anew
OLD_MS = 6 * HOUR_MS  # after which one change is enough; the log goes back two days
_TOLD_EVERY = 100

Progress = Callable[[int, int], None]
"""Told now and then: how many shops of a city are read, of how many that its base before had."""


@dataclass(frozen=True)
class Built:
    """What a run did: cities looked at, bases built, shops in them, old files removed."""

    cities: int = 0
    built: int = 0
    shops: int = 0
    removed: int = 0


def build_due(ctx: Context, *, everything: bool = False, progress: Progress | None = None) -> Built:
    """Builds the base of every city that is due. What fails for one city is raised after the others are done."""
    done, failed = Built(), []
    for city in catalog.cities(ctx):
        try:
            done = _add(done, _build_if_due(ctx, city, everything=everything, progress=progress))
        except Exception as error:
            log.error("the base of a city could not be built", error, city=city.code)
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def _add(one: Built, other: Built) -> Built:
    return Built(
        one.cities + other.cities, one.built + other.built, one.shops + other.shops, one.removed + other.removed
    )


def _build_if_due(ctx: Context, city: City, *, everything: bool, progress: Progress | None) -> Built:
    pointer = tables.base(city.code, consistent=True)
    why = "asked for" if everything else due(ctx, city.code, pointer)
    if why:
        built = build(ctx, city, pointer, progress)
        if built is not None:
            log.info("base built", city=city.code, why=why, shops=built.count, version=built.version)
            return Built(1, 1, built.count, clear(ctx, built))
    return Built(1, 0, 0, clear(ctx, pointer) if pointer is not None else 0)


def due(ctx: Context, city: str, pointer: Pointer | None) -> str:
    """Why a base is to be built now; empty when it is not."""
    if pointer is None:
        return "there is none"
    latest = citylog.sequence(city, consistent=True)
    if pointer.release != ctx.settings.version:
        return "another release built it"
    changes = latest - pointer.sequence - 1  # its own announcement is an entry as well
    if changes < 0:
        return "the tables were restored"
    if pointer.key not in ctx.ports.files.list(pointers.folder(city)):
        return "its file is gone"  # as after a restore to when an older base stood
    if changes == 0:
        return ""
    if changes >= max(OFTEN, pointer.count // 50):
        return "many changes"
    if ctx.now.since(pointer.built_at) >= OLD_MS:
        return "it is old"
    try:
        citylog.changes_after(city, pointer.sequence, limit=1)
    except LogTrimmed:
        return "the log does not go back to it"
    return ""


def build(ctx: Context, city: City, before: Pointer | None, progress: Progress | None = None) -> Pointer | None:
    """The base that stands from now on, in the place of `before`; None when somebody else was quicker. The listings
    pass through a page at a time, and the file is written on the disk."""
    from chalicelib.search import building  # numpy comes with it

    version = 1 if before is None else before.version + 1
    sequence = citylog.sequence(city.code, consistent=True)
    counted = _Counted(ctx, city, 0 if before is None else before.count, progress)
    key = pointers.new_key(city.code, version, ctx.now)
    with tempfile.TemporaryDirectory(prefix="linli-base-") as folder:
        path = Path(folder) / "base"
        building.build(path, city, sequence, counted.entries(), _notes(ctx, city), ctx.now)
        if not ctx.ports.files.put_file(key, path):
            raise FileExistsError(key)
    pointer = Pointer(
        city=city.code,
        version=version,
        key=key,
        sequence=sequence,
        count=counted.count,
        built_at=ctx.now,
        release=ctx.settings.version,
        before="" if before is None else before.key,
    )
    try:
        citylog.tell(ctx, city.code, {"base": version}, lambda tx: tables.put_base(tx, pointer))
    except tables.BaseMoved:
        ctx.ports.files.delete(key)
        return None
    return pointer


def clear(ctx: Context, pointer: Pointer) -> int:
    """Removes what no pointer names. Returns how many files."""
    keys = list(ctx.ports.files.list(pointers.folder(pointer.city)))
    left = [key for key in keys if pointers.left_over(key, pointer, ctx.now)]
    for key in left:
        ctx.ports.files.delete(key)
    return len(left)


class _Counted:
    """The entries of a city as they are read, and how many there were."""

    def __init__(self, ctx: Context, city: City, of: int, progress: Progress | None) -> None:
        self.count = 0
        self._ctx, self._city, self._of, self._progress = ctx, city, of, progress

    def entries(self) -> Iterator[Entry]:
        for page in catalog.shops_of_city(self._ctx, self._city.code):
            yield Entry.of(page)
            self.count += 1
            if self._progress is not None and self.count % _TOLD_EVERY == 0:
                self._progress(self.count, self._of)


def _notes(ctx: Context, city: City) -> Iterator[tuple[date, str, Note]]:
    """Of every day that can still be asked for, wherever the day begins."""
    today = ctx.now.local_date(city.zone)
    for ahead in range(-1, MAX_HORIZON_DAYS + 2):
        day = today + timedelta(days=ahead)
        for shop_id, note in sorted(tables.notes_of_day(city.code, day).items()):
            yield day, shop_id, note
