"""Settlement on the real engine: what is due is settled once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as books
from chalicelib.ledger import service as ledger
from chalicelib.runtime import dynamo, jobs
from chalicelib.runtime.context import STAFF, Actor
from chalicelib.runtime.meter import measured
from chalicelib.settlement import service, tables
from chalicelib.settlement.model import Line, Statement
from tests import engine
from tests.builders import identity
from tests.builders.ledger import NOW, Books, terms
from tests.builders.settlement import available, run, served

_nights = count(1)


@pytest.fixture
def day() -> Instant:
    """A time of its own for each test, with nothing on the agenda: what others have earned is none of its concern."""
    return fresh(NOW.plus(days=60 * next(_nights)))


def fresh(day: Instant) -> Instant:
    tables.forget(list(tables.agenda()))
    jobs.save_cursor(service.JOB, {"until": day.ms})
    return day


class Crash(BaseException):
    """The process ends here; nothing can catch it."""


def shop() -> tuple[str, str]:
    return ids.random_id("mch"), ids.random_id("shp")


def of(merchant_id: str, *shop_ids: str) -> list[tuple[Statement, list[Line]]]:
    """A merchant's statements with their lines, newest first."""
    page = tables.statements_of(merchant_id, shop_ids, None, 100)
    return [(statement, tables.lines_of(statement)) for statement in page.items]


def test_what_was_earned_becomes_available_once(day: Instant) -> None:
    """One statement with two lines; the balance holds their net, pending is empty, a re-run changes nothing."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    orders = [served(merchant, shop_id, at=day.plus(minutes=i)) for i in range(2)]
    assert ledger.pending(merchant, "CNY", later) == 17_600
    run(later)
    ((statement, lines),) = of(merchant)
    assert (statement.opening_minor, statement.closing_minor, statement.line_count) == (0, 17_600, 2)
    assert [line.order_id for line in lines] == [order.order_id for order in orders]
    assert all((line.gross, line.commission, line.psp_fee, line.net) == (10_000, 1200, 60, 8800) for line in lines)
    assert ledger.balance(merchant, "CNY").available == 17_600
    assert ledger.pending(merchant, "CNY", later) == 0
    (settled,) = ledger.entries_of(statement.id)
    assert settled.legs == tuple(sorted(books.settled(17_600, merchant), key=lambda leg: leg.account))

    before = engine.digest(without=("rate_windows", "jobs"))
    run(later.plus(minutes=5))
    assert engine.digest(without=("rate_windows", "jobs")) == before


def test_an_earning_waits_until_its_money_is_available_and_holds_up_no_other(day: Instant) -> None:
    """Unmatched, then matched but not paid out yet, then usable: it is on the third statement, the others before."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    late = served(merchant, shop_id, at=day, matched=False)
    served(merchant, shop_id, at=day.plus(minutes=1))
    run(later)
    available(late, on=later.plus(days=2), at=later.plus(hours=1))
    served(merchant, shop_id, at=later)
    run(later.plus(days=1))
    assert [len(lines) for _, lines in of(merchant)] == [1]
    run(later.plus(days=3))
    found = of(merchant)
    assert [len(lines) for _, lines in found] == [2, 1]
    assert found[0][1][0].order_id == late.order_id
    assert (found[0][0].opening_minor, found[0][0].closing_minor) == (8800, 26_400)
    assert found[0][0].period_start == found[1][0].period_end


def test_an_order_paid_without_the_provider_waits_for_nobody(day: Instant) -> None:
    """All of it paid by the platform's coupon: there is no line to wait for."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    order = Books(
        terms(cash=0, coupon=5000, points=0, bps=1000), merchant_id=merchant, shop_id=shop_id, at=day, stored=True
    )
    order.captured()
    order.earned()
    run(later)
    ((_, (line,)),) = of(merchant)
    assert line.net == 4500


def test_shops_and_currencies_have_statements_of_their_own(day: Instant) -> None:
    """Two shops, one of them in two currencies: three statements, each numbered from 1."""
    later = day.plus(days=3)
    merchant, first = shop()
    second = ids.random_id("shp")
    served(merchant, first, at=day)
    served(merchant, second, at=day)
    served(merchant, second, at=day, currency="USD")
    run(later)
    found = of(merchant)
    assert {(s.account.shop_id, s.account.currency, s.number) for s, _ in found} == {
        (first, "CNY", 1),
        (second, "CNY", 1),
        (second, "USD", 1),
    }
    assert len(of(merchant, first)) == 1
    assert ledger.balance(merchant, "CNY").available == 17_600
    assert ledger.balance(merchant, "USD").available == 8800


def test_an_undone_earning_leaves_a_statement_of_zero_and_no_entry(day: Instant) -> None:
    """Both lines are shown; nothing moves."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    order = served(merchant, shop_id, at=day)
    order.earned_reversed()
    run(later)
    ((statement, lines),) = of(merchant)
    assert [line.net for line in lines] == [8800, -8800]
    assert ledger.entries_of(statement.id) == []
    assert ledger.balance(merchant, "CNY").available == 0


def crashing(monkeypatch: pytest.MonkeyPatch, at_call: int, *, applied: bool) -> Callable[[], None]:
    """The n-th write from now on never leaves, or is applied and its answer lost. Returns how to take it out again."""
    client = dynamo.client()
    genuine = client.call
    count = 0

    def call(operation: str, arguments: dict[str, Any]) -> Any:
        nonlocal count
        if operation in ("Query", "GetItem", "BatchGetItem"):
            return genuine(operation, arguments)
        count += 1
        if count == at_call and not applied:
            raise Crash
        answer = genuine(operation, arguments)
        if count == at_call:
            raise Crash
        return answer

    monkeypatch.setattr(client, "call", call)
    return monkeypatch.undo


@pytest.mark.parametrize("applied", [False, True])
def test_a_crash_at_any_write_is_made_good_by_the_next_run(
    day: Instant, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    """Before or after each write in turn: the next run settles each earning once, on one statement."""
    for at_call in range(1, 30):
        start = fresh(day.plus(hours=5 * at_call))  # out of sight of the tries before
        later = start.plus(days=3)
        merchant, shop_id = shop()
        for minute in range(3):
            served(merchant, shop_id, at=start.plus(minutes=minute))
        late = served(merchant, shop_id, at=start.plus(minutes=9), matched=False)
        undo = crashing(monkeypatch, at_call, applied=applied)
        try:
            run(later)
        except Crash:
            crashed = True
        else:
            crashed = False
        undo()
        available(late)  # so that the run that goes on with a statement sees more than the one that opened it
        run(later.plus(minutes=10))
        found = of(merchant)
        on_statements = [line.order_id for _, lines in found for line in lines]
        assert (len(on_statements), len(set(on_statements))) == (4, 4)
        assert ledger.balance(merchant, "CNY").available == found[0][0].closing_minor == 4 * 8800
        if not crashed:
            break
    assert at_call > 6
    assert not crashed


def test_runs_at_the_same_time_settle_each_earning_once(day: Instant) -> None:
    """Four runs at once over eight shops: one statement each."""
    later = day.plus(days=3)
    pairs = [shop() for _ in range(8)]
    for merchant, shop_id in pairs:
        served(merchant, shop_id, at=day)
        served(merchant, shop_id, at=day.plus(minutes=1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: run(later.plus(ms=i)), range(4)))
    run(later.plus(seconds=1))
    for merchant, _ in pairs:
        assert [line.net for _, lines in of(merchant) for line in lines] == [8800, 8800]
        assert ledger.balance(merchant, "CNY").available == 17_600


def test_a_long_statement_is_cut_into_chunks_and_reads_as_one(day: Instant) -> None:
    """250 lines in two chunks, in order of time."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: served(merchant, shop_id, cash=100 + i, at=day.plus(seconds=i * 3)), range(250)))
    with measured() as used:
        run(later)
    ((statement, lines),) = of(merchant)
    assert (statement.line_count, len(lines)) == (250, 250)
    assert [line.gross for line in lines] == list(range(100, 350))
    assert statement.closing_minor == sum(line.net for line in lines)
    statements = sum(units for name, units in used.by_table.items() if "statements" in name)
    assert statements < 0.2 * 250, used.by_table


def test_one_merchants_trouble_holds_up_no_other(day: Instant) -> None:
    """A zone that does not exist fails that merchant alone; the run says so."""
    later = day.plus(days=3)
    bad, good = shop(), shop()
    served(*bad, at=day, zone="Mars/Olympus")
    served(*good, at=day)
    assert run(later)["failed"] >= 1
    assert of(bad[0]) == []
    assert len(of(good[0])) == 1


def test_an_account_that_has_been_idle_leaves_the_agenda_and_returns(day: Instant) -> None:
    """After a week without anything it is forgotten; the next earning brings it back."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    served(merchant, shop_id, at=day)
    run(later)
    assert merchant in {account.merchant_id for account in tables.agenda()}
    run(later.plus(days=8))
    assert merchant not in {account.merchant_id for account in tables.agenda()}
    served(merchant, shop_id, at=later.plus(days=9))
    run(later.plus(days=13))
    assert [statement.number for statement, _ in of(merchant)] == [2, 1]


def test_a_merchant_reads_its_statements_and_balance_over_http(day: Instant) -> None:
    """Pages are followed to the end; another merchant's statement is not there, nor another shop's for its manager."""
    later = day.plus(days=3)
    merchant, shop_id = shop()
    other_shop = ids.random_id("shp")
    for i in range(3):
        served(merchant, shop_id, at=day.plus(days=4 * i))
        run(later.plus(days=4 * i))
    served(merchant, other_shop, at=day.plus(days=12))
    run(later.plus(days=12))
    owner = identity.staff(merchant).client
    ledger.roll_pending(merchant, "CNY", later.plus(days=30))
    balance = owner.get("/v1/merchant/balance")
    assert balance.status == 200, balance.text
    assert {name: amount["amount_minor"] for name, amount in balance.json.items()} == {
        "pending": 0,
        "available": 35_200,
        "withdrawing": 0,
        "reserve": 0,
        "owed": 0,
    }
    seen, cursor = [], ""
    while True:
        page = owner.get(f"/v1/merchant/statements?limit=1{cursor}").json
        seen += page["items"]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [(item["shop_id"], item["number"]) for item in seen] == [
        (other_shop, 1),
        (shop_id, 3),
        (shop_id, 2),
        (shop_id, 1),
    ]
    for item in seen:
        whole = owner.get(f"/v1/merchant/statements/{item['id']}").json
        net = sum(line["net"]["amount_minor"] for line in whole["lines"])
        assert whole["opening"]["amount_minor"] + net == whole["closing"]["amount_minor"]
        assert (whole["state"], whole["line_count"], len(whole["lines"])) == ("closed", 1, 1)
    first = f"/v1/merchant/statements/{seen[-1]['id']}"
    assert identity.staff().client.get(first).status == 404
    assert owner.get("/v1/merchant/statements/stm_00000000000000000000000000").status == 404
    assert owner.get("/v1/merchant/statements?cursor=nonsense").status == 422
    assert owner.get("/v1/merchant/balance?currency=XXX").status == 422
    manager = Actor(kind=STAFF, merchant_id=merchant, shop_ids=(other_shop,))
    assert [s.account.shop_id for s in service.statements_of(manager, None, 20).items] == [other_shop]


def test_a_consumer_and_staff_without_the_permission_are_refused() -> None:
    """403 for both routes."""
    merchant, _ = shop()
    worker = identity.staff(merchant, role="worker").client
    for path in ("/v1/merchant/balance", "/v1/merchant/statements"):
        assert identity.person().client.get(path).status == 403
        assert worker.get(path).status == 403
