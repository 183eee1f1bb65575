"""What booking noted about days: a partition per city and local day, one row for each shop that has bookings then."""

from __future__ import annotations

from datetime import date, timedelta

from chalicelib.kernel.instant import Instant, local_midnight
from chalicelib.runtime.dynamo import IntegerAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import AlreadyDone, Transaction
from chalicelib.search.model import Note

_KEEP_DAYS = 3


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


def put_note(city: str, day: date, shop_id: str, note: Note) -> bool:
    """A29: stores the note unless one as new stands there. Whether it was stored."""
    until = None if note.bookable_until is None else note.bookable_until.ms
    ttl = local_midnight(day + timedelta(days=_KEEP_DAYS), "UTC").seconds
    row = NoteRow(_pk(city, day), shop_id, until=until, revision=note.revision, ttl=ttl)
    tx = Transaction()
    tx.put(row, NoteRow.pk.does_not_exist() | (NoteRow.revision < note.revision), lambda _: None)
    try:
        tx.commit()
    except AlreadyDone:
        return False
    return True
