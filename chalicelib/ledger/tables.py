"""Tables of the ledger: the journal (only ever added to), guarded balances, and provider lines by order."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib.kernel.instant import Instant
from chalicelib.ledger.balances import BalanceMoved, Counted, MerchantBalance, PendingMark, ProviderLine
from chalicelib.ledger.entries import BalanceInsufficient, Entry, EntryConflict, Leg, same_post
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, query_all, table_name
from chalicelib.runtime.settings import settings
from chalicelib.runtime.transaction import OldItem, Transaction


class PostedIndex(GlobalSecondaryIndex["JournalRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    class Meta:
        index_name = "posted"
        projection = AllProjection()

    bucket = UnicodeAttribute(hash_key=True, attr_name="pb")
    sort = UnicodeAttribute(range_key=True, attr_name="ps")


class MerchantIndex(GlobalSecondaryIndex["JournalRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    class Meta:
        index_name = "merchant"
        projection = AllProjection()

    merchant_key = UnicodeAttribute(hash_key=True, attr_name="mk")
    sort = UnicodeAttribute(range_key=True, attr_name="ps")


class JournalRow(Row):
    """pk business id, sk `<event>#<n>`. `bucket` is `<yyyymmdd UTC>#<shard>`, `sort` is `<ms>#<entry id>`.

    `merchant_key` stands only on entries that touch a merchant's account, so that a capture pays for one index; on
    the others the merchant is plain data.
    """

    class Meta:
        table_name = table_name("ledger_journal")

    posted = PostedIndex()
    of_merchant = MerchantIndex()
    bucket = UnicodeAttribute(attr_name="pb")
    sort = UnicodeAttribute(attr_name="ps")
    merchant_key = UnicodeAttribute(attr_name="mk", null=True)
    merchant = UnicodeAttribute(attr_name="m", null=True)
    shop = UnicodeAttribute(attr_name="sh", null=True)
    currency = UnicodeAttribute(attr_name="cu")
    legs = PackedAttribute(attr_name="lg")
    ref = UnicodeAttribute(attr_name="r", null=True)
    meta = PackedAttribute(attr_name="mt", null=True)
    hash = UnicodeAttribute(attr_name="h")
    previous_hash = UnicodeAttribute(attr_name="ph", null=True)


class BalanceRow(Row):
    """pk merchant, sk currency: guarded amounts, and how many entries have moved them, which is how a look from outside
    knows that it has seen every one. sk `<currency>#pending`: the mark up to which pending is summed."""

    class Meta:
        table_name = table_name("ledger_balances")

    available = IntegerAttribute(attr_name="av", null=True)
    withdrawing = IntegerAttribute(attr_name="wd", null=True)
    reserve = IntegerAttribute(attr_name="rs", null=True)
    owed = IntegerAttribute(attr_name="ow", null=True)
    entries = IntegerAttribute(attr_name="n", null=True)
    pending = IntegerAttribute(attr_name="pe", null=True)
    until = IntegerAttribute(attr_name="u", null=True)


class LineRow(Row):
    """pk order, sk the provider's line id: what the provider says of the order's money, written once matched."""

    class Meta:
        table_name = table_name("ledger_lines")

    ref = UnicodeAttribute(attr_name="r")
    currency = UnicodeAttribute(attr_name="cu")
    amount = IntegerAttribute(attr_name="a")
    fee = IntegerAttribute(attr_name="f")
    available_on = IntegerAttribute(attr_name="ao")
    matched_at = IntegerAttribute(attr_name="t")


def _sort(at: Instant, rest: str = "") -> str:
    return f"{at.ms:013d}#{rest}" if rest else f"{at.ms:013d}"


def _bucket(day: date, shard: int) -> str:
    return f"{day:%Y%m%d}#{shard}"


def _day(at: Instant) -> date:
    return datetime.fromtimestamp(at.seconds, UTC).date()


def _row(entry: Entry) -> JournalRow:
    shard = zlib.crc32(entry.business_id.encode()) % settings().journal_shards
    indexed = entry.moves_merchant
    return JournalRow(
        entry.business_id,
        f"{entry.event}#{entry.n}",
        bucket=_bucket(_day(entry.at), shard),
        sort=_sort(entry.at, entry.id),
        merchant_key=(entry.merchant_id or None) if indexed else None,
        merchant=None if indexed else entry.merchant_id or None,
        shop=entry.shop_id or None,
        currency=entry.currency,
        legs={leg.account: leg.amount_minor for leg in entry.legs},
        ref=entry.ref or None,
        meta=dict(entry.meta) or None,
        hash=entry.hash,
        previous_hash=entry.previous_hash or None,
    )


def _entry(row: JournalRow) -> Entry:
    event, _, n = row.sk.partition("#")
    return Entry(
        event=event,
        business_id=row.pk,
        n=int(n),
        at=Instant(int(row.sort.partition("#")[0])),
        currency=row.currency,
        legs=tuple(Leg(account, amount) for account, amount in sorted(row.legs.items())),
        merchant_id=row.merchant_key or row.merchant or "",
        shop_id=row.shop or "",
        ref=row.ref or "",
        meta=row.meta or {},
        previous_hash=row.previous_hash or "",
        hash=row.hash,
    )


def put_entry(tx: Transaction, entry: Entry) -> None:
    """Put-if-absent. The same post again is AlreadyDone, other content under this id is EntryConflict."""

    def otherwise(old: OldItem) -> EntryConflict | None:
        if old is not None and same_post(_entry(_raw(old)), entry):
            return None
        return EntryConflict()

    tx.put_new(_row(entry), otherwise)


def _raw(item: dict[str, Any]) -> JournalRow:
    row = JournalRow()
    row.deserialize(item)
    return row


def entries_of(business_id: str) -> list[Entry]:
    """A19 the entries of one business id, strongly consistent."""
    return [_entry(row) for row in query_all(JournalRow, business_id)]


def posted_between(since: Instant, until: Instant) -> Iterator[Entry]:
    """A20 entries posted in [since, until) in order of time; eventually consistent, as every index is."""
    day, last = _day(since), _day(until)
    while since < until and day <= last:
        shards = [
            JournalRow.posted.query(_bucket(day, shard), JournalRow.sort.between(_sort(since), _sort(until)))
            for shard in range(settings().journal_shards)
        ]
        for row in heapq.merge(*shards, key=lambda found: str(found.sort)):
            yield _entry(row)
        day += timedelta(days=1)


def merchant_entries(merchant_id: str, since: Instant, until: Instant) -> Iterator[Entry]:
    """A21 entries posted in [since, until) that touch a merchant's accounts, by time; eventually consistent."""
    if since < until:  # a range that ends before it begins is an error to the engine
        for row in JournalRow.of_merchant.query(merchant_id, JournalRow.sort.between(_sort(since), _sort(until))):
            yield _entry(row)


def balance(merchant_id: str, currency: str) -> MerchantBalance:
    """A22 the guarded amounts of a merchant, strongly consistent."""
    for row in BalanceRow.query(merchant_id, BalanceRow.sk == currency, consistent_read=True):
        return MerchantBalance(
            merchant_id, currency, row.available or 0, row.withdrawing or 0, row.reserve or 0, row.owed or 0
        )
    return MerchantBalance(merchant_id, currency)


def balances(merchant_id: str) -> list[MerchantBalance]:
    """A22 every currency of a merchant, strongly consistent."""
    return [
        MerchantBalance(merchant_id, row.sk, row.available or 0, row.withdrawing or 0, row.reserve or 0, row.owed or 0)
        for row in query_all(BalanceRow, merchant_id)
        if "#" not in row.sk
    ]


def add_available(tx: Transaction, merchant_id: str, currency: str, amount_minor: int) -> None:
    """Guarded: what is taken must be there, BalanceInsufficient otherwise. Counts the entry that it stands beside."""
    actions = [
        BalanceRow.available.set((BalanceRow.available | 0) + amount_minor),
        BalanceRow.entries.set((BalanceRow.entries | 0) + 1),
    ]
    guard = BalanceRow.available >= -amount_minor if amount_minor < 0 else None
    tx.update(BalanceRow(merchant_id, currency), actions, guard, BalanceInsufficient() if guard is not None else None)


def counted(merchant_id: str, currency: str) -> Counted:
    """A22b the guarded amounts with the count of entries behind them, strongly consistent."""
    for row in BalanceRow.query(merchant_id, BalanceRow.sk == currency, consistent_read=True):
        amounts = (row.available or 0, row.withdrawing or 0, row.reserve or 0, row.owed or 0)
        return Counted(MerchantBalance(merchant_id, currency, *amounts), row.entries or 0)
    return Counted(MerchantBalance(merchant_id, currency), 0)


def put_counted(tx: Transaction, before: Counted, after: Counted) -> None:
    """From what was read to what is right; BalanceMoved when the row is not what was read any more."""
    row = BalanceRow(before.balance.merchant_id, before.balance.currency)
    was, becomes = before.by_name(), after.by_name()
    unmoved = None
    for name, amount in was.items():
        same = getattr(BalanceRow, name) == amount
        if amount == 0:
            same = same | getattr(BalanceRow, name).does_not_exist()
        unmoved = same if unmoved is None else unmoved & same
    actions = [getattr(BalanceRow, name).set(amount) for name, amount in becomes.items()]
    tx.update(row, actions, unmoved, BalanceMoved())


def put_mark(tx: Transaction, merchant_id: str, currency: str, before: PendingMark, after: PendingMark) -> None:
    """Another sum at the same mark; BalanceMoved when the mark is not what was read any more."""
    row = BalanceRow(merchant_id, f"{currency}#pending", pending=after.amount_minor, until=after.until.ms)
    unmoved = (BalanceRow.until == before.until.ms) & (BalanceRow.pending == before.amount_minor)
    tx.put(row, unmoved, BalanceMoved())


def balance_keys() -> Iterator[tuple[str, str]]:
    """A93 (merchant, currency) of every row of balances, marks included: a scan, for operators' tools."""
    for row in BalanceRow.scan(consistent_read=True):
        yield row.pk, row.sk.partition("#")[0]


def every_entry(after: tuple[str, str] | None = None) -> Iterator[Entry]:
    """A92 the whole journal in the table's own order, from after (business id, `<event>#<n>`) on: a scan, for
    operators' tools. What is posted while it runs may be seen or not."""
    start = {"pk": {"S": after[0]}, "sk": {"S": after[1]}} if after else None
    for row in JournalRow.scan(last_evaluated_key=start):
        yield _entry(row)


def about_how_many() -> int:
    """How many entries the journal has, as the engine last counted (hours ago, in the cloud)."""
    return int(JournalRow.describe_table()["ItemCount"])


def pending_mark(merchant_id: str, currency: str) -> PendingMark:
    """A22 up to where a merchant's pending amount is summed; nothing at the beginning of time."""
    for row in BalanceRow.query(merchant_id, BalanceRow.sk == f"{currency}#pending", consistent_read=True):
        return PendingMark(Instant(row.until or 0), row.pending or 0)
    return PendingMark(Instant(0), 0)


def move_pending_mark(
    tx: Transaction, merchant_id: str, currency: str, before: PendingMark, after: PendingMark
) -> None:
    """From one mark to a later one; a mark that somebody else has moved is AlreadyDone."""
    row = BalanceRow(merchant_id, f"{currency}#pending", pending=after.amount_minor, until=after.until.ms)
    unmoved = BalanceRow.until == before.until.ms if before.until.ms else BalanceRow.pk.does_not_exist()
    tx.put(row, unmoved, lambda _: None)


def put_line(tx: Transaction, line: ProviderLine) -> None:
    """Put-if-absent; a line that is there is AlreadyDone."""
    row = LineRow(
        line.order_id,
        line.line_id,
        ref=line.ref,
        currency=line.currency,
        amount=line.amount_minor,
        fee=line.fee_minor,
        available_on=line.available_on.ms,
        matched_at=line.matched_at.ms,
    )
    tx.put_new(row, lambda _: None)


def _line(row: LineRow) -> ProviderLine:
    return ProviderLine(
        row.pk, row.sk, row.ref, row.currency, row.amount, row.fee, Instant(row.available_on), Instant(row.matched_at)
    )


def lines_of(order_id: str) -> list[ProviderLine]:
    """A23 the matched provider lines of an order, strongly consistent."""
    return [_line(row) for row in query_all(LineRow, order_id)]


def lines_by_key(keys: list[tuple[str, str]]) -> dict[str, ProviderLine]:
    """A24 matched lines by (order, line id), as a map of line id; a hundred at a time."""
    return {row.sk: _line(row) for row in LineRow.batch_get(keys, consistent_read=True)}
