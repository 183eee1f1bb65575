"""One reading of everything that the invariants look at: the tables, what the provider has in its own book, and which
messages have left.

All of it comes through `scan` and `book`, never through the product's client, so that a world whose client is made to
fail can still be looked at. Each table is scanned once; rows become what the product makes of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from chalicelib.booking.tables import DayRow
from chalicelib.identity.tables import IdentityRow
from chalicelib.kernel.instant import Instant
from chalicelib.ledger.balances import Counted, MerchantBalance, PendingMark, ProviderLine
from chalicelib.ledger.entries import Entry
from chalicelib.ledger.tables import BalanceRow, JournalRow, LineRow, _entry, _line
from chalicelib.notifications.model import Receipt
from chalicelib.notifications.tables import ReceiptRow
from chalicelib.orders.model import Order
from chalicelib.orders.tables import OrderRow, _order
from chalicelib.payments.model import Parked
from chalicelib.payments.orphans import Orphan
from chalicelib.payments.tables import InboxRow, OrphanRow, _record
from chalicelib.reconciliation.model import Found, Run
from chalicelib.reconciliation.tables import DifferenceRow, RunRow, _found, _run
from chalicelib.runtime import clock
from chalicelib.runtime.jobs import JobRow
from chalicelib.runtime.outbox import REST, News, OutboxRow, Standing
from chalicelib.runtime.settings import settings
from chalicelib.search.pointers import PREFIX
from chalicelib.settlement.model import Line, Statement, unpacked
from chalicelib.settlement.tables import _HASH_IN_KEY, ChunkRow, HeaderRow, _statement
from chalicelib.wiring import ports
from tests import engine, world

Raw = dict[str, Any]
"""An item in DynamoDB's own words."""
Scan = Callable[[str], Iterable[Raw]]
"""Every item of a table, by the table's full name."""
Book = Callable[[str], list[dict[str, Any]]]
"""Every resource of a kind (`payment_intent`, `refund`, `balance_transaction`) as the provider has it."""
Files = Callable[[], Iterable[str]]
"""The keys of all base files of search."""
Sent = Callable[[], Collection[str]]
"""The dedupe keys of all messages that the provider of messages has taken."""

Row = tuple[str, date, str]
"""Shop, local day, resource."""
Key = tuple[str, str]
"""Merchant and currency."""
Earning = tuple[str, str, int]
"""Order, event, number: which entry stands on a statement."""


@dataclass(frozen=True)
class OnPaper:
    """A statement with what stands on it, and what it leaves to the next. Empty while it is not closed."""

    statement: Statement
    lines: tuple[Line, ...] = ()
    waiting: tuple[Earning, ...] = ()


@dataclass(frozen=True)
class Seen:
    """`whole`: nothing was left out. Otherwise only what belongs to some shops and their merchants is here.

    `facts` are parked facts and whether they are open; `refs` say which order's id stands at which quantum; `reachable`
    are accounts with a phone. Jobs have a cursor and an instant of their last good end.
    """

    now: Instant
    whole: bool
    raw: dict[str, list[Raw]] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    journal: tuple[Entry, ...] = ()
    quanta: dict[Row, frozenset[int]] = field(default_factory=dict)
    refs: dict[tuple[Row, int], str] = field(default_factory=dict)
    balances: dict[Key, Counted] = field(default_factory=dict)
    marks: dict[Key, PendingMark] = field(default_factory=dict)
    kept: tuple[ProviderLine, ...] = ()
    statements: tuple[OnPaper, ...] = ()
    runs: tuple[Run, ...] = ()
    differences: tuple[Found, ...] = ()
    facts: tuple[tuple[Parked, bool], ...] = ()
    orphans: tuple[Orphan, ...] = ()
    news: tuple[Standing, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    reachable: frozenset[str] = frozenset()
    cursors: dict[str, dict[str, int | str]] = field(default_factory=dict)
    last_ok: dict[str, Instant] = field(default_factory=dict)
    intents: tuple[dict[str, Any], ...] = ()
    refunds: tuple[dict[str, Any], ...] = ()
    lines: tuple[dict[str, Any], ...] = ()
    sent: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def entries_of(self, business_id: str) -> list[Entry]:
        """The entries of an order, a statement, a provider's line or an intent."""
        return self.subjects.get(business_id, [])

    @cached_property
    def subjects(self) -> dict[str, list[Entry]]:
        """All entries by what they happened to."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.journal:
            found[entry.business_id].append(entry)
        return dict(found)

    @property
    def parked(self) -> frozenset[str]:
        """The provider's objects whose facts could not be applied yet."""
        return frozenset(fact.object_id for fact, is_open in self.facts if is_open)


def order_id_of(thing: dict[str, Any]) -> str:
    """The order that a resource of the provider's names."""
    return str((thing.get("metadata") or {}).get("order_id", ""))


def read(
    scan: Scan = engine.scan,
    book: Book = world.book,
    shops: Collection[str] | None = None,
    *,
    sent: Sent | None = None,
    files: Files | None = None,
    now: Instant | None = None,
) -> Seen:
    """Reads everything, or what belongs to some shops. `sent` is the local inbox, `files` the process's file store and
    `now` the functions' clock, unless they are given."""
    tables = {name: list(scan(name)) for name in (_every_table() if shops is None else _TABLES)}
    if shops is not None:
        tables = _of_shops(tables, set(shops))
    orders = {one.id: one for one in (_order(_as(OrderRow, item)) for item in tables[_name(OrderRow)])}
    quanta, refs = _calendar(tables[_name(DayRow)])
    facts, orphans = _inbox(tables[_name(InboxRow)])
    balances, marks = _balances(tables[_name(BalanceRow)])
    runs, differences = _reconciliation(tables[_name(RunRow)])
    cursors, last_ok = _jobs(tables[_name(JobRow)])
    ours = [one for one in book("payment_intent") if shops is None or order_id_of(one) in orders]
    refunds = [one for one in book("refund") if shops is None or order_id_of(one) in orders]
    sources = {one.get("latest_charge") for one in ours} | {one["id"] for one in refunds}
    return Seen(
        now=now or clock.now(),
        whole=shops is None,
        raw=tables,
        orders=orders,
        journal=tuple(_entry(_as(JournalRow, item)) for item in tables[_name(JournalRow)]),
        quanta=quanta,
        refs=refs,
        balances=balances,
        marks=marks,
        kept=tuple(_line(_as(LineRow, item)) for item in tables[_name(LineRow)]),
        statements=_statements(tables[_name(HeaderRow)]),
        runs=runs,
        differences=differences,
        facts=facts,
        orphans=orphans,
        news=tuple(_standing(_as(OutboxRow, item)) for item in tables[_name(OutboxRow)]),
        receipts=tuple(_receipt(_as(ReceiptRow, item)) for item in tables[_name(ReceiptRow)]),
        reachable=_reachable(tables.get(_name(IdentityRow)), orders),
        cursors=cursors,
        last_ok=last_ok,
        intents=tuple(ours),
        refunds=tuple(refunds),
        lines=tuple(one for one in book("balance_transaction") if shops is None or one["source"] in sources),
        sent=frozenset((sent or _inbox_keys)()),
        files=frozenset((files or _base_files)()) if shops is None else frozenset(),
    )


def _name(row: Any) -> str:
    return str(row.Meta.table_name)


# Identity is left out where only some shops are looked at: it is the largest table of a session of tests.
_TABLES = tuple(
    _name(row)
    for row in (
        OrderRow,
        DayRow,
        JournalRow,
        BalanceRow,
        LineRow,
        HeaderRow,
        RunRow,
        InboxRow,
        OutboxRow,
        ReceiptRow,
        JobRow,
    )
)


@lru_cache(maxsize=1)
def _every_table() -> tuple[str, ...]:
    from infra.declare import tables

    return tuple(table.name for table in tables())


def _as(row: Any, item: Raw) -> Any:
    return row.from_raw_data(item)


def _text(item: Raw, name: str) -> str:
    return str(item[name]["S"]) if name in item else ""


# ---------------------------------------------------------------------------------------------- some shops only


def _of_shops(tables: dict[str, list[Raw]], shops: set[str]) -> dict[str, list[Raw]]:
    """What belongs to the shops, told before rows are made of it: others may have thousands."""
    own = [item for item in tables[_name(OrderRow)] if _text(item, "shp") in shops]
    orders = {f"ord_{_text(item, 'pk')}{_text(item, 'sk')}" for item in own}
    merchants = {_text(item, "mch") for item in own}

    def entry(item: Raw) -> bool:
        if _text(item, "pk") in orders or _text(item, "mk") in merchants or _text(item, "sh") in shops:
            return True
        return _text(item, "sk").startswith("provider_fee#") and json.loads(_text(item, "mt"))["order_id"] in orders

    def statement(item: Raw) -> bool:
        return _text(item, "pk") in merchants or _text(item, "m") in merchants

    belongs: dict[str, Callable[[Raw], bool]] = {
        _name(DayRow): lambda item: _text(item, "pk").partition("#")[0] in shops,
        _name(JournalRow): entry,
        _name(BalanceRow): lambda item: _text(item, "pk") in merchants,
        _name(LineRow): lambda item: _text(item, "pk") in orders,
        _name(HeaderRow): statement,
        _name(RunRow): lambda item: _text(item, "o") in orders,
        _name(OutboxRow): lambda item: json.loads(_text(item, "d"))["data"].get("order_id", "") in orders,
        _name(ReceiptRow): lambda item: bool(orders.intersection(_text(item, "sk").split(":"))),
        _name(InboxRow): lambda item: _text(item, "sk") != "orphan",
    }
    found = {
        name: [item for item in rows if name not in belongs or belongs[name](item)] for name, rows in tables.items()
    }
    return found | {_name(OrderRow): own}


# ---------------------------------------------------------------------------------------------- rows


def _calendar(items: list[Raw]) -> tuple[dict[Row, frozenset[int]], dict[tuple[Row, int], str]]:
    quanta: dict[Row, frozenset[int]] = {}
    refs: dict[tuple[Row, int], str] = {}
    for item in items:
        shop_id, _, day = _text(item, "pk").partition("#")
        key = (shop_id, date(int(day[:4]), int(day[4:6]), int(day[6:])), _text(item, "sk"))
        quanta[key] = frozenset(int(number) for number in item.get("q", {}).get("NS", []))
        for name, value in item.items():
            if name[0] == "b" and name[1:].isdigit():
                refs[key, int(name[1:])] = value["S"]
    return quanta, refs


def _balances(items: list[Raw]) -> tuple[dict[Key, Counted], dict[Key, PendingMark]]:
    balances: dict[Key, Counted] = {}
    marks: dict[Key, PendingMark] = {}
    for item in items:
        row = _as(BalanceRow, item)
        currency, _, is_mark = row.sk.partition("#")
        if is_mark:
            marks[row.pk, currency] = PendingMark(Instant(row.until or 0), row.pending or 0)
        else:
            amounts = (row.available or 0, row.withdrawing or 0, row.reserve or 0, row.owed or 0)
            balances[row.pk, currency] = Counted(MerchantBalance(row.pk, currency, *amounts), row.entries or 0)
    return balances, marks


def _statements(items: list[Raw]) -> tuple[OnPaper, ...]:
    """Headers with the chunks that they name; chunks of a run that saw something else belong to none."""
    chunks: dict[tuple[str, str, str], list[tuple[str, list[Any]]]] = defaultdict(list)
    headers = []
    for item in items:
        if "hk" in item:
            row = _as(ChunkRow, item)
            digest, kind, place = row.sk.split("#")
            chunks[row.pk, digest, kind].append((place, row.data))
        elif "st" in item:
            headers.append(_statement(_as(HeaderRow, item)))

    def content(statement: Statement, kind: str) -> list[Any]:
        found = chunks.get((statement.id, statement.content_hash[:_HASH_IN_KEY], kind), [])
        return [packed for _, rows in sorted(found, key=lambda chunk: chunk[0]) for packed in rows]

    return tuple(
        OnPaper(
            one,
            tuple(unpacked(packed) for packed in content(one, "line")),
            tuple((order_id, event, n) for order_id, event, n in content(one, "wait")),
        )
        for one in sorted(headers, key=lambda one: (one.account.merchant_id, one.account.shop_id, one.number))
    )


def _reconciliation(items: list[Raw]) -> tuple[tuple[Run, ...], tuple[Found, ...]]:
    runs = tuple(_run(_as(RunRow, item)) for item in items if _text(item, "sk") == "-")
    return runs, tuple(_found(_as(DifferenceRow, item)) for item in items if _text(item, "sk") != "-")


def _inbox(items: list[Raw]) -> tuple[tuple[tuple[Parked, bool], ...], tuple[Orphan, ...]]:
    facts, orphans = [], []
    for item in items:
        provider, _, object_id = _text(item, "pk").partition("#")
        if _text(item, "sk") == "orphan":
            row = _as(OrphanRow, item)
            d = row.data
            record = _record(d["rf"]) if d["rf"] else None
            orphans.append(Orphan(provider, object_id, d["o"], d["cu"], d["a"], record, row.version, d["h"]))
        else:
            fact = _as(InboxRow, item)
            parked = Parked(provider, fact.kind, object_id, fact.sk, fact.reason, Instant(fact.received_ms))
            facts.append((parked, bool(fact.open)))
    return tuple(facts), tuple(orphans)


def _jobs(items: list[Raw]) -> tuple[dict[str, dict[str, int | str]], dict[str, Instant]]:
    rows = [_as(JobRow, item) for item in items]
    cursors = {row.pk: dict(row.value) for row in rows if row.sk == "cursor"}
    return cursors, {row.pk: Instant(row.until) for row in rows if row.sk == "last_ok"}


def _standing(row: Any) -> Standing:
    ms, _, news_id = row.sk.partition("#")
    return Standing(News(news_id, row.data["event"], Instant(int(ms)), row.data["data"]), row.sends, row.pk == REST)


def _receipt(row: Any) -> Receipt:
    return Receipt(row.pk, row.sk, row.by or "", Instant(row.at_ms))


def _reachable(items: list[Raw] | None, orders: dict[str, Order]) -> frozenset[str]:
    accounts = {order.account_id for order in orders.values()}
    if items is None:
        return frozenset(accounts)
    return frozenset(accounts & {_text(item, "pk") for item in items if _text(item, "sk") == "-" and "p" in item})


def _base_files() -> Iterable[str]:
    return ports().files.list(PREFIX)


def _inbox_keys() -> set[str]:
    """What the local inbox has taken, by its dedupe keys, which it shows to nobody."""
    if not Path(settings().sms_inbox).exists():
        return set()
    with closing(sqlite3.connect(settings().sms_inbox)) as connection:
        return {key for (key,) in connection.execute("SELECT dedupe_key FROM messages")}
