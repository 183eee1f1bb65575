"""`linli rebuild projections`: what says something else than the journal is found, and repaired once, beside traffic.

The tables are shared with other tests, who leave things wrong on purpose: each test looks at its own merchant only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as books
from chalicelib.ledger import projections, tables
from chalicelib.ledger import service as ledger
from chalicelib.ledger.balances import BalanceMoved
from chalicelib.ledger.tables import BalanceRow
from chalicelib.runtime import audit, jobs
from chalicelib.runtime.transaction import Transaction
from chalicelib.settlement import service as settlement
from chalicelib.settlement import tables as statements
from infra.ops import projections as rebuilding
from tests import engine, world
from tests.builders.settlement import available, run, served
from tests.slices.commands import ANY, answer

_statement = count(1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's indexes are as fresh as its tables: nobody need wait for them."""
    monkeypatch.setattr(projections, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def merchant() -> Iterator[str]:
    """A merchant with a closed statement of two orders; the night before is over."""
    merchant_id, shop_id = ids.random_id("mch"), ids.random_id("shp")
    day = world.now().plus(days=-40)
    jobs.save_cursor(settlement.JOB, {"until": day.ms})
    for i in range(2):
        available(served(merchant_id, shop_id, at=day.plus(minutes=i), matched=False), on=day, at=day)
    run(day.plus(days=5))
    assert ledger.balance(merchant_id, "CNY").available == 17_600
    yield merchant_id
    jobs.save_cursor(settlement.JOB, {"until": world.now().ms})


def settled(merchant_id: str, amount: int, at: Instant) -> None:
    """What a closed statement posts, with the balance that it moves."""
    legs = books.settled(amount, merchant_id)
    name = ids.owned("stm", merchant_id, str(next(_statement)))
    entry = books.entry("settled", name, 1, at=at, currency="CNY", legs=legs, merchant_id=merchant_id)
    tx = Transaction()
    ledger.post(tx, entry)
    ledger.add_available(tx, merchant_id, "CNY", amount)
    tx.commit()


def of(merchant_id: str, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was found of one merchant, by projection."""
    return {row["projection"].split()[0]: row for row in found["items"] if merchant_id in row["projection"]}


def rebuild(*arguments: str) -> dict[str, Any]:
    return answer("rebuild", "projections", *arguments, code=ANY)


def test_a_wrong_balance_is_found_and_repaired_once(merchant: str) -> None:
    """A dry run names it and changes nothing; the real one repairs and notes it; then it is right."""
    assert of(merchant, rebuild("--dry-run")) == {}
    BalanceRow(merchant, "CNY").update([BalanceRow.available.set(99)])
    before = engine.digest()
    found = of(merchant, rebuild("--dry-run"))["balance"]
    assert engine.digest() == before
    assert (found["stands"]["available"], found["journal"]["available"], found["outcome"]) == (99, 17_600, "found")
    done = of(merchant, rebuild("--actor", "ada", "--reason", "a drill"))["balance"]
    assert done == {**found, "outcome": "repaired"}
    assert ledger.balance(merchant, "CNY").available == 17_600
    (noted,) = [entry for entry in audit.entries() if merchant in entry.subject]
    assert (noted.act, noted.actor, noted.reason) == ("projection.repair", "ada", "a drill")
    assert (noted.before, noted.after) == (audit.digest(found["stands"]), audit.digest(found["journal"]))
    assert of(merchant, rebuild()) == {}


def test_a_balance_that_is_gone_is_made_again(merchant: str) -> None:
    """Nobody would come by a row that is not there, but for the journal."""
    BalanceRow(merchant, "CNY").delete()
    assert of(merchant, rebuild())["balance"]["outcome"] == "repaired"
    assert ledger.balance(merchant, "CNY").available == 17_600


def test_a_balance_that_no_entry_speaks_of_is_emptied() -> None:
    """The journal has nothing of this merchant, so there is nothing."""
    merchant_id = ids.random_id("mch")
    BalanceRow(merchant_id, "CNY", available=5_000).save()
    assert of(merchant_id, rebuild())["balance"]["outcome"] == "repaired"
    assert ledger.balance(merchant_id, "CNY").available == 0


def test_a_wrong_mark_of_what_is_pending_is_repaired(merchant: str) -> None:
    """The sum up to the mark is that of the entries before it."""
    ledger.roll_pending(merchant, "CNY", world.now())
    mark = tables.pending_mark(merchant, "CNY")
    BalanceRow(merchant, "CNY#pending").update([BalanceRow.pending.set(mark.amount_minor + 1)])
    assert of(merchant, rebuild())["pending_mark"]["outcome"] == "repaired"
    assert tables.pending_mark(merchant, "CNY") == mark


def test_an_account_that_fell_off_the_agenda_is_put_back(merchant: str) -> None:
    """It has earned something and no night would come by it."""
    shop_id = ids.random_id("shp")
    served(merchant, shop_id, at=world.now().plus(days=-30))
    jobs.save_cursor(settlement.JOB, {"until": world.now().ms})
    found = of(merchant, rebuild())["agenda"]
    assert (found["outcome"], found["journal"]["zone"]) == ("repaired", "Asia/Shanghai")
    (noted,) = [account for account in statements.agenda() if account.shop_id == shop_id]
    assert noted.merchant_id == merchant
    assert "agenda" not in of(merchant, rebuild())


def test_the_sum_that_the_reconciliation_carries_is_repaired() -> None:
    """A wrong sum in the night's cursor would make every balance of the provider differ."""
    before = jobs.cursor("reconcile")
    try:
        jobs.save_cursor("reconcile", {"day": "2026-11-01", "until": world.now().plus(days=-2).ms, "psp_CNY": 1})
        subject = "sum carried by the reconciliation"
        (found,) = [row for row in rebuild("--dry-run")["items"] if row["projection"] == subject]
        (done,) = [row for row in rebuild()["items"] if row["projection"] == subject]
        assert done == {**found, "outcome": "repaired"}
        assert jobs.cursor("reconcile") == found["journal"]
        assert jobs.cursor("reconcile")["day"] == "2026-11-01"
        assert subject not in [row["projection"] for row in rebuild()["items"]]
    finally:
        jobs.save_cursor("reconcile", before)


def test_a_journal_that_has_lost_entries_is_no_reason_to_repair(merchant: str) -> None:
    """The row has counted more entries than there are: the index is behind, or the journal is damaged."""
    BalanceRow(merchant, "CNY").update([BalanceRow.entries.set(3), BalanceRow.available.set(20_000)])
    found = rebuild()
    assert of(merchant, found)["balance"]["outcome"] == "broken"
    assert found["left"] >= 1
    assert ledger.balance(merchant, "CNY").available == 20_000


def test_what_moves_between_the_look_and_the_repair_is_left(merchant: str) -> None:
    """The repair is conditional on the row that was read, and is noted only where it stands."""
    BalanceRow(merchant, "CNY").update([BalanceRow.available.set(99)])
    (drift,) = projections.drifts(merchant, "CNY", world.now())
    settled(merchant, 500, world.now())
    with pytest.raises(BalanceMoved):
        projections.repair(drift, "ada", "here", "", world.now())
    assert ledger.balance(merchant, "CNY").available == 599
    assert not [entry for entry in audit.entries() if merchant in entry.subject]


def test_beside_traffic_nothing_right_is_called_wrong(merchant: str) -> None:
    """Six writers post and move the balance while three look and repair: in the end journal and balance agree, and
    there was never anything to repair."""
    stop, found = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            try:
                found.extend(projections.drifts(merchant, "CNY", world.now()))
            except BalanceMoved:
                continue

    lookers = [threading.Thread(target=look) for _ in range(3)]
    writers = [
        threading.Thread(target=lambda: [settled(merchant, 100, world.now()) for _ in range(10)]) for _ in range(6)
    ]
    for thread in lookers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in lookers:
        thread.join()
    assert found == []
    assert projections.drifts(merchant, "CNY", world.now()) == []
    assert tables.counted(merchant, "CNY").entries == 61


def test_an_interrupted_run_goes_on(merchant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after some pages, the next run begins behind them, sums included, and looks at the rest."""
    monkeypatch.setattr(rebuilding, "PAGE", 5)
    before = jobs.cursor("reconcile")
    jobs.save_cursor("reconcile", {"until": world.now().plus(days=-2).ms})
    try:
        whole = answer("rebuild", "projections", "--dry-run", code=ANY)
        (wanted,) = [row["journal"] for row in whole["items"] if row["projection"].startswith("sum carried")]

        def interrupt(done: int, total: int) -> None:
            if done >= 10:
                raise KeyboardInterrupt

        hand = rebuilding.Hand("ada", "here", "")
        with pytest.raises(KeyboardInterrupt):
            rebuilding.Rebuild(_context(), hand, interrupt).run()
        assert jobs.cursor(rebuilding.JOB)["entries"] == 10
        done = answer("rebuild", "projections", code=ANY)
        assert (done["went_on"], done["entries"]) == (True, whole["entries"])
        (carried,) = [row for row in done["items"] if row["projection"].startswith("sum carried")]
        assert carried["journal"] == wanted
        assert jobs.cursor(rebuilding.JOB) == {}
        assert answer("rebuild", "projections", code=ANY)["went_on"] is False
    finally:
        jobs.save_cursor("reconcile", before)


def _context() -> Any:
    from chalicelib.runtime.entry import system_context

    return system_context()
