"""The ledger's use cases: post an entry in somebody else's transaction, and read the books."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.kernel.instant import DAY_MS, HOUR_MS, Instant
from chalicelib.ledger import tables
from chalicelib.ledger.balances import PendingMark
from chalicelib.ledger.model import Entry, MerchantBalance, ProviderLine
from chalicelib.runtime.transaction import AlreadyDone, Transaction

PENDING = "L.merchant_pending:"
# How far back a job reads when it runs for the first time ever; afterwards its cursor says where to go on.
FIRST_LOOK_DAYS = 60
# The merchant index trails its table by seconds, and an entry's time is its request's; an hour covers both.
_SETTLED_DOWN_MS = HOUR_MS


def post(tx: Transaction, entry: Entry) -> None:
    """Adds the entry to the transaction, put-if-absent.

    `tx.commit()` then raises `AlreadyDone` when this very post stands already (nothing else of the transaction was
    written now: it was written with it), and `EntryConflict` (422) when the id stands with other content. A post that
    was refused leaves nothing behind, so its repeat is refused or applied anew, never reported as done.
    """
    tables.put_entry(tx, entry)


def entries_of(business_id: str) -> list[Entry]:
    """The entries of an order, a statement or a provider's line, strongly consistent."""
    return tables.entries_of(business_id)


def posted_between(since: Instant, until: Instant) -> Iterator[Entry]:
    """Entries of the whole journal posted in [since, until), by time. Trails the journal by an index's lag."""
    return tables.posted_between(since, until)


def merchant_entries(merchant_id: str, since: Instant, until: Instant) -> Iterator[Entry]:
    """Entries posted in [since, until) that touch a merchant's accounts, by time. Trails like `posted_between`."""
    return tables.merchant_entries(merchant_id, since, until)


def balance(merchant_id: str, currency: str) -> MerchantBalance:
    """What is available, being withdrawn, held in reserve and owed."""
    return tables.balance(merchant_id, currency)


def add_available(tx: Transaction, merchant_id: str, currency: str, amount_minor: int) -> None:
    """Adds to the available balance, or takes from it when negative (BalanceInsufficient when it is not there).

    Only beside an entry in the same transaction: the entry's put-if-absent is what keeps a repeated request from
    adding twice.
    """
    tables.add_available(tx, merchant_id, currency, amount_minor)


def pending(merchant_id: str, currency: str, now: Instant) -> int:
    """What a merchant has earned and not been settled yet, minor units: the last mark and everything since."""
    mark = tables.pending_mark(merchant_id, currency)
    return mark.amount_minor + _pending_between(merchant_id, currency, mark.until, now.plus(ms=1))


def roll_pending(merchant_id: str, currency: str, now: Instant) -> None:
    """Moves the mark up to an hour ago once it is a day old, so that `pending` reads days of entries and not years."""
    mark = tables.pending_mark(merchant_id, currency)
    until = Instant(now.ms - _SETTLED_DOWN_MS)
    if until.since(mark.until) < DAY_MS:
        return
    amount = mark.amount_minor + _pending_between(merchant_id, currency, mark.until, until)
    tx = Transaction()
    tables.move_pending_mark(tx, merchant_id, currency, mark, PendingMark(until, amount))
    try:
        tx.commit()
    except AlreadyDone:
        return  # another run moved it; its sum is of the same entries


def _pending_between(merchant_id: str, currency: str, since: Instant, until: Instant) -> int:
    entries = tables.merchant_entries(merchant_id, since, until)
    return -sum(entry.on(PENDING + merchant_id) for entry in entries if entry.currency == currency)


def keep_line(line: ProviderLine) -> None:
    """Remembers a provider's line that was matched with an order's entry. Once kept it stays as it is."""
    tx = Transaction()
    tables.put_line(tx, line)
    try:
        tx.commit()
    except AlreadyDone:
        return


def lines_of(order_id: str) -> list[ProviderLine]:
    """The provider's matched lines of an order: what it moved, what it took, and from when the money can be used."""
    return tables.lines_of(order_id)


def kept_lines(keys: list[tuple[str, str]]) -> dict[str, ProviderLine]:
    """Those of the (order id, line id) pairs that are kept, by line id."""
    return tables.lines_by_key(keys)
