"""The watch beside the whole app: each gauge moves when its trouble is there, names it, and falls when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.insights import service, tables
from chalicelib.insights.model import Memory
from chalicelib.kernel import ids
from chalicelib.ledger import model as books
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import Leg
from chalicelib.payments import service as payments
from chalicelib.runtime import jobs, metrics, outbox
from chalicelib.runtime.outbox import News
from chalicelib.runtime.schedules import SCHEDULES
from chalicelib.runtime.settings import settings
from chalicelib.runtime.transaction import Transaction
from tests import world
from tests.builders import identity
from tests.builders import orders as build
from tests.slices.test_log import Lines, lines

__all__ = ["lines"]


@pytest.fixture(autouse=True)
def calm() -> None:
    """Everything has just been looked at, and nothing of other tests waits."""
    world.settle_down()
    world.advance(minutes=5)
    tables.remember(Memory(world.now(), world.now(), world.now()))
    for row in (*outbox.OutboxRow.scan(), *tables.InsightsRow.query("owed")):
        row.delete()
    for fact in payments.parked():
        payments.close_parked(fact)
    for name in SCHEDULES:
        jobs.note_ok(name, world.now())


@pytest.fixture
def metrics_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LINLI_METRICS", "on")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def watch() -> dict[str, Any]:
    """What the schedule says when it runs now."""
    said: dict[str, Any] = world.run_schedule("watch")
    return said


def well() -> None:
    """Every other schedule has just run, as they do each minute."""
    for name in SCHEDULES:
        jobs.note_ok(name, world.now())


def test_a_calm_stage_shows_zeros() -> None:
    """All gauges are there, and none is about anything."""
    assert watch() == {
        "UnconfirmedPaymentSeconds": 0,
        "SuspenseSeconds": 0,
        "RefundPayableSeconds": 0,
        "OutboxLateSeconds": 0,
        "ParkedWebhooks": 0,
        "ScheduleOverdueSeconds": 0,
    }


def test_money_that_no_order_knows_of_is_seen_until_one_does() -> None:
    """The provider has it, no webhook came and no sweep ran: the gauge grows, names the order, and falls at once."""
    visit = build.booked()
    world.payer_does(visit.open_payment()["attempt_id"], "succeed")
    world.advance(minutes=11)
    for _ in range(2):
        said = watch()
        assert said["UnconfirmedPaymentSeconds"] in range(655, 670)
        assert said["unconfirmed_is"] == visit.id
    build.sweep()
    assert visit.read()["state"] == "confirmed"
    assert watch()["UnconfirmedPaymentSeconds"] == 0


def test_a_silent_provider_is_no_good_news() -> None:
    """Nobody knows what was paid since: the gauge is the silence, and says so."""
    watch()
    world.advance(minutes=12)
    with world.provider_answers(500, "/v1/events"):
        said = watch()
    assert said["UnconfirmedPaymentSeconds"] in range(715, 730)
    assert said["unconfirmed_is"] == service.SILENT_PROVIDER
    assert watch()["UnconfirmedPaymentSeconds"] == 0


def test_a_payment_without_an_order_of_ours_is_parked_not_unconfirmed() -> None:
    """Somebody else's money on the same account: the sweep parks it, and the count says so until it is closed."""
    ctx = identity.context(world.now())
    order = build.booked().stored()
    world.payer_does(build.stray_intent(replace(order, id="somebody elses")), "succeed")
    fact = next(iter(ctx.ports.payments.events_since(world.now().plus(seconds=-5))))
    payments.park(ctx, fact, "unknown_order")
    said = watch()
    assert (said["ParkedWebhooks"], said["UnconfirmedPaymentSeconds"]) == (1, 0)
    for parked in payments.parked():
        payments.close_parked(parked)
    assert watch()["ParkedWebhooks"] == 0


def test_a_refund_is_owed_until_the_provider_has_paid_it() -> None:
    """From the approval to the provider's word, by the journal; the oldest order is named."""
    visits = [build.paid(), build.paid()]
    with world.slow_refunds(80 * 3600):
        visits[0].cancel()
        world.run_queues()
        world.advance(hours=2)
        visits[1].cancel()
        world.run_queues()
        world.advance(hours=73)
        said = watch()
    assert said["RefundPayableSeconds"] in range(75 * 3600, 75 * 3600 + 60)
    assert said["refund_is"] == visits[0].id
    assert watch()["refund_is"] == visits[0].id
    world.advance(hours=6)
    world.settle_down()
    assert visits[0].refunds()[0][2] == "succeeded"
    assert watch()["refund_is"] == visits[1].id
    world.advance(hours=3)
    world.settle_down()
    assert watch()["RefundPayableSeconds"] == 0
    assert list(tables.InsightsRow.query("owed")) == []


def posted(amount: int) -> None:
    tx = Transaction()
    legs = [Leg("L.suspense", -amount), Leg("A.psp:stripe", amount)]
    ledger.post(tx, books.entry("unmatched", ids.random_id("txn"), 1, at=world.now(), currency="USD", legs=legs))
    tx.commit()


def test_suspense_is_seen_across_the_runs_that_read_the_books() -> None:
    """Once read, an entry is remembered as part of the sum: days later it is not read again, and a clearing is seen."""
    posted(700)
    world.advance(hours=5)
    assert watch()["SuspenseSeconds"] in range(5 * 3600, 5 * 3600 + 60)
    memory = tables.memory()
    assert memory is not None
    assert memory.suspense["USD"].amount_minor == -700
    world.advance(hours=20)
    said = watch()
    assert said["SuspenseSeconds"] in range(25 * 3600, 25 * 3600 + 60)
    assert said["books_is"] == "USD"
    posted(-700)
    assert watch()["SuspenseSeconds"] == 0
    world.advance(hours=2)
    assert watch()["SuspenseSeconds"] == 0
    after = tables.memory()
    assert after is not None
    assert after.suspense == {}


def test_news_is_late_a_minute_after_it_should_have_been_handled() -> None:
    """Younger rows are the inline relay's; what was given up counts like what still stands."""
    news = News.of("order.confirmed", ids.random_id("ord"), 1, world.now(), order_id="", account_id="", shop_id="")
    outbox._row(news).save()
    world.advance(seconds=55)
    assert watch()["OutboxLateSeconds"] == 0
    world.advance(minutes=2)
    said = watch()
    assert said["OutboxLateSeconds"] in range(114, 125)
    assert said["news_is"] == news.id
    row = outbox._row(news)
    row.delete()
    outbox.OutboxRow(outbox.REST, row.sk, data=row.data, sends=13).save()
    assert watch()["news_is"] == news.id
    outbox.OutboxRow(outbox.REST, row.sk).delete()
    assert watch()["OutboxLateSeconds"] == 0


def test_a_schedule_that_ended_badly_or_not_at_all_is_overdue() -> None:
    """By its own gap; the log says which one."""
    world.advance(hours=27)
    well()
    jobs.note_ok("reconcile", world.now().plus(hours=-26))
    said = watch()
    assert said["ScheduleOverdueSeconds"] in range(2 * 3600 - 1, 2 * 3600 + 60)
    assert said["schedule_is"] == "reconcile"
    jobs.JobRow("reconcile", "last_ok").delete()
    assert watch()["schedule_is"] == "reconcile"
    well()
    assert watch()["ScheduleOverdueSeconds"] == 0


def test_the_gauges_are_one_line_in_the_embedded_metric_format(lines: Lines, metrics_on: None) -> None:
    """Namespace, the single dimension, a unit for each value, and each value where its name says."""
    watch()
    (line,) = [line for line in lines.all() if "_aws" in line]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"], line["Stage"]) == ("Linli", [["Stage"]], "test")
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        metric.name: metric.unit for metric in metrics.METRICS[3:]
    }
    assert all(line[metric["Name"]] == 0 for metric in directive["Metrics"])
    assert isinstance(line["_aws"]["Timestamp"], int)


def counted(lines: Lines) -> list[str]:
    return [name for line in lines.all() if "_aws" in line for name in line if name not in ("_aws", "Stage")]


def test_orders_and_failures_are_counted_where_they_happen(lines: Lines, metrics_on: None) -> None:
    """Placed and confirmed once each, after the commit; a replay and a repeated webhook count nothing; a 5xx counts."""
    visit = build.booked()
    assert counted(lines) == ["OrdersPlaced"]
    world.payer_does(visit.open_payment()["attempt_id"], "succeed")
    told = world.due_webhooks()
    for attempt in [*told, *told]:
        world.send(attempt)
    assert counted(lines) == ["OrdersPlaced", "OrdersConfirmed"]
    other = build.booked()
    with world.provider_answers(500):
        body = {"method": "card"}
        assert other.customer.client.post(f"/v1/orders/{other.id}/payments", body, key="k").status == 503
    assert counted(lines)[2:] == ["OrdersPlaced", "RequestFailures"]


def test_an_order_that_costs_nothing_is_confirmed_when_it_is_placed(lines: Lines, metrics_on: None) -> None:
    """It needs no provider, so its one transaction is both."""
    build.booked(price_minor=0)
    assert counted(lines) == ["OrdersPlaced", "OrdersConfirmed"]


def test_metrics_are_silent_where_nobody_watches(lines: Lines) -> None:
    """The setting is off unless a stage says otherwise."""
    build.booked()
    watch()
    assert counted(lines) == []


def test_what_cannot_be_read_is_missing_and_hides_nothing_else(
    lines: Lines, metrics_on: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other gauges are written, the run fails, and its sign of life stays away."""

    class Broken:
        name = "stripe"

        def events_since(self, since: Any) -> Any:
            raise RuntimeError("a bug")

    ctx = identity.context(world.now())
    facts, failed = service.watch(replace(ctx, ports=SimpleNamespace(payments=Broken())))
    assert (failed, facts.parked) == (["unconfirmed"], 0)
    assert lines.of("not watched")[0]["exception_name"] == "RuntimeError"
    monkeypatch.setattr(wiring.ports(), "payments", Broken(), raising=False)
    before = jobs.last_ok(["watch"])
    with pytest.raises(service.Incomplete, match="unconfirmed"):
        watch()
    assert jobs.last_ok(["watch"]) == before
    assert counted(lines) == [metric.name for metric in metrics.METRICS[4:]]


def test_there_are_ten_metrics_at_the_most() -> None:
    """Each costs money every month, and has a name of its own."""
    assert len({metric.name for metric in metrics.METRICS}) == len(metrics.METRICS) <= metrics.MOST
