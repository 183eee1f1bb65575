"""What booking noted about days, a partition per city and local day with one row for each shop that has bookings then;
which days it is to look at again; and which file is the base of each city."""

from __future__ import annotations

import zlib
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pynamodb.attributes import UnicodeAttribute

from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.instant import Instant, local_midnight
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import Transaction
from chalicelib.search.news import Doubt, Note

if TYPE_CHECKING:
    from chalicelib.search.pointers import Pointer

_KEEP_DAYS = 3
_DOUBT_SHARDS = 4
_DOUBTS = 200  # of a shard at once; what is left waits a minute


class NoteRow(Row):
    """pk `<city>#<yyyymmdd>`, sk the shop."""

    class Meta:
        table_name = table_name("search")
        ttl_attribute = "t"

    until = IntegerAttribute(attr_name="u", null=True)
    revision = IntegerAttribute(attr_name="r")
    ttl = IntegerAttribute(attr_name="t")


def _note(row: NoteRow) -> Note:
    return Note(None if row.until is None else Instant(row.until), row.revision)


def _pk(city: str, day: date) -> str:
    return f"{city}#{day:%Y%m%d}"


def notes_of_day(city: str, day: date) -> dict[str, Note]:
    """A28: the notes of a city's day, by shop. Half a read unit for every forty shops."""
    return {row.sk: _note(row) for row in query_all(NoteRow, _pk(city, day), consistent=False)}


def note(city: str, day: date, shop_id: str) -> Note | None:
    """A40: what one shop's day was noted to be, strong."""
    for row in NoteRow.query(_pk(city, day), NoteRow.sk == shop_id, consistent_read=True):
        return _note(row)
    return None


def put_note(tx: Transaction, city: str, day: date, shop_id: str, note: Note) -> None:
    """A29: stores the note unless one as new stands there: then the commit raises AlreadyDone."""
    until = None if note.bookable_until is None else note.bookable_until.ms
    row = NoteRow(_pk(city, day), shop_id, until=until, revision=note.revision, ttl=_ttl(day))
    tx.put(row, NoteRow.pk.does_not_exist() | (NoteRow.revision < note.revision), lambda _: None)


def _ttl(day: date) -> int:
    return local_midnight(day + timedelta(days=_KEEP_DAYS), "UTC").seconds


class DoubtRow(Row):
    """pk `doubt#<shard>`, sk `<ms>#<order>`. A day has eight digits and a shard one, so no note can stand there."""

    class Meta:
        table_name = table_name("search")
        ttl_attribute = "t"

    shop_id = UnicodeAttribute(attr_name="s")
    days = PackedAttribute(attr_name="d")
    ttl = IntegerAttribute(attr_name="t")


def _doubt_key(doubt: Doubt) -> tuple[str, str]:
    return f"doubt#{zlib.crc32(doubt.order_id.encode()) % _DOUBT_SHARDS}", f"{doubt.at.ms}#{doubt.order_id}"


def put_doubt(tx: Transaction, doubt: Doubt) -> None:
    """A113: days to be looked at again."""
    days = [day.isoformat() for day in doubt.days]
    tx.put(DoubtRow(*_doubt_key(doubt), shop_id=doubt.shop_id, days=days, ttl=_ttl(max(doubt.days))))


def doubts_before(at: Instant) -> list[Doubt]:
    """A114: what stands since before an instant, oldest first in each shard; half a read unit a shard."""
    found = []
    for shard in range(_DOUBT_SHARDS):
        for row in DoubtRow.query(f"doubt#{shard}", DoubtRow.sk < str(at.ms), limit=_DOUBTS):
            ms, _, order_id = row.sk.partition("#")
            days = tuple(date.fromisoformat(day) for day in row.days)
            found.append(Doubt(order_id, Instant(int(ms)), row.shop_id, days))
    return found


def remove_doubt(doubt: Doubt) -> None:
    """A115: twice is harmless."""
    DoubtRow(*_doubt_key(doubt)).delete()


class BaseRow(Row):
    """pk `base#<city>`, sk `-`: which file is the city's base. A city's code begins with a letter and a day with a
    digit, so no note can stand there."""

    class Meta:
        table_name = table_name("search")
        ttl_attribute = "t"

    version = IntegerAttribute(attr_name="v")
    content = PackedAttribute(attr_name="d")


class BaseMoved(Conflict):
    """Somebody else has put a base in this place."""


def base(city: str, *, consistent: bool = False) -> Pointer | None:
    """A111: the base that stands."""
    for row in BaseRow.query(f"base#{city}", BaseRow.sk == "-", consistent_read=consistent):
        from chalicelib.search.pointers import Pointer  # booking comes here too, and needs none

        plain = row.content
        return Pointer(
            city=city,
            version=row.version,
            key=plain["key"],
            sequence=plain["sequence"],
            count=plain["count"],
            built_at=Instant(plain["built_at"]),
            release=plain["release"],
            before=plain["before"],
        )
    return None


def put_base(tx: Transaction, pointer: Pointer) -> None:
    """A112: in the place of the version before. The commit raises BaseMoved when that does not stand there any more."""
    content = {
        "key": pointer.key,
        "sequence": pointer.sequence,
        "count": pointer.count,
        "built_at": pointer.built_at.ms,
        "release": pointer.release,
        "before": pointer.before,
    }
    row = BaseRow(f"base#{pointer.city}", "-", version=pointer.version, content=content)
    if pointer.version == 1:
        tx.put_new(row, BaseMoved())
    else:
        tx.put(row, BaseRow.version == pointer.version - 1, BaseMoved())
