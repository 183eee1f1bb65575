"""The journal on the real engine: one entry however often it is posted, guarded balances, reads by time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.kernel import ids
from chalicelib.ledger import model, service, tables
from chalicelib.ledger.model import BalanceInsufficient, Entry, EntryConflict
from chalicelib.runtime.meter import measured
from chalicelib.runtime.transaction import AlreadyDone, Transaction
from tests.builders.ledger import NOW, Books, post, terms


def _with_balance(entry: Entry, amount: int) -> None:
    tx = Transaction()
    service.post(tx, entry)
    service.add_available(tx, entry.merchant_id, entry.currency, amount)
    tx.commit()


def test_entries_come_back_as_they_were_posted() -> None:
    """Every field survives the store, and the chain still holds."""
    books = Books(stored=True)
    books.captured()
    books.earned()
    found = service.entries_of(books.order_id)
    assert model.in_order(found) == books.entries
    assert model.chain_failures(found) == []


def test_the_same_event_many_times_at_once_is_one_entry() -> None:
    """Sixteen posts with different clocks: one is written, fifteen hear that it is done; the balance moves once."""
    books = Books()
    pending = model.settled(500, books.merchant_id)

    def once(i: int) -> bool:
        made = model.entry(
            "settled",
            books.order_id,
            1,
            at=NOW.plus(ms=i),
            currency="CNY",
            legs=pending,
            merchant_id=books.merchant_id,
        )
        try:
            _with_balance(made, 500)
        except AlreadyDone:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(once, range(16)))
    assert written.count(True) == 1
    assert len(service.entries_of(books.order_id)) == 1
    assert service.balance(books.merchant_id, "CNY").available == 500


def test_the_same_id_with_other_content_is_refused() -> None:
    """One event cannot mean two things: 422, and the first stays."""
    books = Books(stored=True)
    first = books.captured()
    other = Books(terms(cash=1), order_id=books.order_id).captured()
    with pytest.raises(EntryConflict) as caught:
        post(other)
    assert caught.value.status == 422
    assert service.entries_of(books.order_id) == [first]


def test_a_refused_post_leaves_nothing_and_its_repeat_is_never_called_done() -> None:
    """A withdrawal that the balance does not hold is refused each time, and applied once the money is there."""
    books = Books()
    legs = model.settled(300, books.merchant_id)
    made = model.entry("taken", books.order_id, 1, at=NOW, currency="CNY", legs=legs, merchant_id=books.merchant_id)
    for _ in range(2):
        with pytest.raises(BalanceInsufficient):
            _with_balance(made, -300)
    assert service.entries_of(books.order_id) == []
    tx = Transaction()
    service.add_available(tx, books.merchant_id, "CNY", 300)
    tx.commit()
    _with_balance(made, -300)
    assert service.balance(books.merchant_id, "CNY").available == 0


def test_takers_of_one_balance_never_go_below_zero() -> None:
    """Eight take 100 each of 350 at once: three get it."""
    merchant = ids.random_id("mch")
    tx = Transaction()
    service.add_available(tx, merchant, "CNY", 350)
    tx.commit()

    def take(i: int) -> bool:
        legs = model.settled(100, merchant)
        made = model.entry("taken", f"wdr_{merchant}", i, at=NOW, currency="CNY", legs=legs, merchant_id=merchant)
        try:
            _with_balance(made, -100)
        except BalanceInsufficient:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(take, range(8))).count(True) == 3
    assert service.balance(merchant, "CNY").available == 50


def test_a_capture_costs_three_units_beside_another_write_and_an_earning_four() -> None:
    """The entry is below 1 KB: two for the put, one for each index; a capture carries no merchant key."""
    books = Books()
    for made, units in ((books.captured(), 3), (books.earned(), 4)):
        tx = Transaction()
        service.post(tx, made)
        tx.put(tables.BalanceRow(ids.random_id("mch"), "CNY", available=0))
        with measured() as used:
            tx.commit()
        journal = {name: spent for name, spent in used.by_table.items() if "ledger_journal" in name}
        assert sum(journal.values()) == units, journal


def test_the_journal_is_read_by_time_over_days_and_shards() -> None:
    """Half-open, in order, over midnight UTC, whatever shard an order fell into."""
    start = NOW.plus(days=400)
    posted = []
    for i in range(12):
        books = Books(at=start.plus(hours=6 * i), stored=True)
        posted.append(books.captured())
    found = list(service.posted_between(start.plus(hours=6), start.plus(hours=6 * 11)))
    assert found == posted[1:11]


def test_a_merchant_sees_only_entries_that_move_its_money() -> None:
    """Not the capture, not another merchant's."""
    mine, other = Books(stored=True), Books(stored=True)
    mine.captured()
    other.captured()
    earned = mine.earned()
    other.earned()
    assert list(service.merchant_entries(mine.merchant_id, NOW, NOW.plus(days=1))) == [earned]


def test_pending_is_the_same_with_and_without_a_mark() -> None:
    """The mark only saves reading; it counts each entry once, and moving it twice changes nothing."""
    merchant, now = ids.random_id("mch"), NOW.plus(days=30)
    for i in range(6):
        Books(terms(cash=1000, coupon=0, points=0), merchant_id=merchant, at=NOW.plus(days=5 * i), stored=True).earned()
        before = service.pending(merchant, "CNY", NOW.plus(days=5 * i, seconds=10))
        service.roll_pending(merchant, "CNY", NOW.plus(days=5 * i, hours=2 * (i % 2)))
        service.roll_pending(merchant, "CNY", NOW.plus(days=5 * i))
        assert service.pending(merchant, "CNY", NOW.plus(days=5 * i, seconds=10)) == before == 880 * (i + 1)
    assert service.pending(merchant, "USD", now) == 0
