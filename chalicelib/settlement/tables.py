"""Statements: headers by merchant, their lines in chunks, and the agenda of accounts that may have something due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib.kernel.instant import Instant
from chalicelib.kernel.page import Page
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import Transaction
from chalicelib.settlement.model import LINES_IN_CHUNK, Account, Content, Line, Statement, packed, unpacked

_AGENDA = "agenda"
_HASH_IN_KEY = 16
PAGE_ROWS = 100


class ClosedIndex(GlobalSecondaryIndex["HeaderRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    class Meta:
        index_name = "closed"
        projection = AllProjection()

    merchant = UnicodeAttribute(hash_key=True, attr_name="mk")
    closed = UnicodeAttribute(range_key=True, attr_name="cs")


class _StatementsRow(Row):
    """All rows share the table, so all must know its index; only closed headers carry its keys."""

    class Meta:
        table_name = table_name("settlement_statements")

    of_merchant = ClosedIndex()
    merchant = UnicodeAttribute(attr_name="mk", null=True)
    closed = UnicodeAttribute(attr_name="cs", null=True)


class HeaderRow(_StatementsRow):
    """pk merchant, sk `<shop>#<currency>#<number>`. Its being there is the fence: one statement of an account is open
    at a time. `merchant` and `closed` (`<ms>#<id>`) stand once it is closed and put it into the index."""

    id = UnicodeAttribute(attr_name="id")
    state = UnicodeAttribute(attr_name="st")
    zone = UnicodeAttribute(attr_name="z")
    period_start = IntegerAttribute(attr_name="s")
    period_end = IntegerAttribute(attr_name="e")
    opened_at = IntegerAttribute(attr_name="o")
    opening = IntegerAttribute(attr_name="op")
    closing = IntegerAttribute(attr_name="cl", null=True)
    lines = IntegerAttribute(attr_name="n", null=True)
    waiting = IntegerAttribute(attr_name="w", null=True)
    hash = UnicodeAttribute(attr_name="h", null=True)


class ChunkRow(_StatementsRow):
    """pk statement, sk `<hash>#line#0000` or `<hash>#wait#0000`: the content's hash is in the key, so that chunks of
    two runs which saw different things never mix; the closed header says whose count."""

    merchant_id = UnicodeAttribute(attr_name="m")
    header = UnicodeAttribute(attr_name="hk")
    data = PackedAttribute(attr_name="d")


class AgendaRow(_StatementsRow):
    """pk `agenda`, sk `<merchant>#<shop>#<currency>`: an account that has earned something."""

    zone = UnicodeAttribute(attr_name="z")
    first = IntegerAttribute(attr_name="f")


def _header_key(account: Account, number: int) -> str:
    return f"{account.shop_id}#{account.currency}#{number:06d}"


def _statement(row: HeaderRow) -> Statement:
    shop_id, currency, number = row.sk.split("#")
    return Statement(
        id=row.id,
        account=Account(row.pk, shop_id, currency, row.zone),
        number=int(number),
        state=row.state,
        period_start=Instant(row.period_start),
        period_end=Instant(row.period_end),
        opened_at=Instant(row.opened_at),
        opening_minor=row.opening,
        closing_minor=row.closing or 0,
        line_count=row.lines or 0,
        waiting_count=row.waiting or 0,
        content_hash=row.hash or "",
        closed_at=Instant(int(row.closed.partition("#")[0])) if row.closed else None,
    )


def last_of(account: Account) -> Statement | None:
    """A25 the newest statement of an account, open or closed, strongly consistent."""
    own = HeaderRow.sk.startswith(f"{account.shop_id}#{account.currency}#")
    for row in HeaderRow.query(account.merchant_id, own, scan_index_forward=False, limit=1, consistent_read=True):
        return _statement(row)
    return None


def one(account: Account, number: int) -> Statement | None:
    """A25 one statement of an account by its number, strongly consistent."""
    key = HeaderRow.sk == _header_key(account, number)
    for row in HeaderRow.query(account.merchant_id, key, consistent_read=True):
        return _statement(row)
    return None


def open_new(tx: Transaction, statement: Statement) -> None:
    """Put-if-absent; somebody else's statement of this number is AlreadyDone."""
    row = HeaderRow(
        statement.account.merchant_id,
        _header_key(statement.account, statement.number),
        id=statement.id,
        state=statement.state,
        zone=statement.account.zone,
        period_start=statement.period_start.ms,
        period_end=statement.period_end.ms,
        opened_at=statement.opened_at.ms,
        opening=statement.opening_minor,
    )
    tx.put_new(row, lambda _: None)


def put_chunks(statement: Statement, content: Content) -> None:
    """Writes lines and waiting entries; the same content lands on the same keys. There is always one chunk of lines."""
    lines: list[Any] = [packed(line) for line in content.lines]
    waiting: list[Any] = [[entry.business_id, entry.event, entry.n] for entry in content.waiting]
    for kind, rows in (("line", lines), ("wait", waiting)):
        for start in range(0, max(len(rows), kind == "line"), LINES_IN_CHUNK):
            ChunkRow(
                statement.id,
                f"{statement.content_hash[:_HASH_IN_KEY]}#{kind}#{start // LINES_IN_CHUNK:04d}",
                merchant_id=statement.account.merchant_id,
                header=_header_key(statement.account, statement.number),
                data=rows[start : start + LINES_IN_CHUNK],
            ).save()


def close(tx: Transaction, statement: Statement, now: Instant) -> None:
    """From closing to closed with its sums; one that is closed already is AlreadyDone."""
    row = HeaderRow(statement.account.merchant_id, _header_key(statement.account, statement.number))
    actions = [
        HeaderRow.state.set("closed"),
        HeaderRow.closing.set(statement.closing_minor),
        HeaderRow.lines.set(statement.line_count),
        HeaderRow.waiting.set(statement.waiting_count),
        HeaderRow.hash.set(statement.content_hash),
        HeaderRow.merchant.set(statement.account.merchant_id),
        HeaderRow.closed.set(f"{now.ms:013d}#{statement.id}"),
    ]
    tx.update(row, actions, HeaderRow.state == "closing", lambda _: None)


def statements_of(merchant_id: str, shop_ids: tuple[str, ...], after: str | None, limit: int) -> Page[Statement]:
    """A36 closed statements of a merchant, newest first; of some shops only where any are named."""
    older = HeaderRow.closed < after if after else None
    rows = HeaderRow.of_merchant.query(merchant_id, older, scan_index_forward=False, page_size=PAGE_ROWS)
    mine = (row for row in rows if not shop_ids or row.sk.partition("#")[0] in shop_ids)
    found = list(islice(mine, limit))
    return Page([_statement(row) for row in found], str(found[-1].closed) if len(found) == limit else None)


def find(statement_id: str) -> Statement | None:
    """A37 a closed statement by its id, through its chunks."""
    for chunk in ChunkRow.query(statement_id, limit=1, consistent_read=True):
        for row in HeaderRow.query(chunk.merchant_id, HeaderRow.sk == chunk.header, consistent_read=True):
            return _statement(row) if row.state == "closed" else None
    return None


def _chunks(statement: Statement, kind: str) -> Iterator[list[Any]]:
    prefix = f"{statement.content_hash[:_HASH_IN_KEY]}#{kind}#"
    for chunk in query_all(ChunkRow, statement.id, ChunkRow.sk.startswith(prefix)):
        yield from chunk.data


def lines_of(statement: Statement) -> list[Line]:
    """A38 the lines of a closed statement, as they stand on it."""
    return [unpacked(row) for row in _chunks(statement, "line")]


def waiting_of(statement: Statement) -> list[tuple[str, str, int]]:
    """A38 (order, event, n) of each entry that a closed statement left to the next."""
    return [(order_id, event, n) for order_id, event, n in _chunks(statement, "wait")]


def agenda() -> dict[Account, Instant]:
    """A39 every account that may have something to settle, with the time of the first entry it was noted for."""
    found = {}
    for row in query_all(AgendaRow, _AGENDA):
        merchant_id, shop_id, currency = row.sk.split("#")
        found[Account(merchant_id, shop_id, currency, row.zone)] = Instant(row.first)
    return found


def note(accounts: dict[Account, Instant]) -> None:
    """Puts accounts on the agenda; a newer zone replaces the older."""
    for account, first in accounts.items():
        AgendaRow(_AGENDA, _agenda_key(account), zone=account.zone, first=first.ms).save()


def note_new(tx: Transaction, account: Account, first: Instant) -> None:
    """Put-if-absent; an account that is on the agenda is AlreadyDone."""
    tx.put_new(AgendaRow(_AGENDA, _agenda_key(account), zone=account.zone, first=first.ms), lambda _: None)


def forget(accounts: Sequence[Account]) -> None:
    """Takes accounts off the agenda."""
    for account in accounts:
        AgendaRow(_AGENDA, _agenda_key(account)).delete()


def _agenda_key(account: Account) -> str:
    return f"{account.merchant_id}#{account.shop_id}#{account.currency}"
