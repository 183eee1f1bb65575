"""Refunds through the whole app, and the news that drive them."""

from __future__ import annotations

import pytest

from chalicelib.kernel.money import Money
from chalicelib.orders import handlers
from chalicelib.payments import service as payments
from chalicelib.providers.ports import ProviderEvent
from chalicelib.runtime.outbox import OutboxRow
from tests import world
from tests.builders import identity
from tests.builders import orders as build
from tests.builders.orders import Visit

pytestmark = pytest.mark.usefixtures("sound")


# ---------------------------------------------------------------------------------------------- refunds


def test_a_wallets_refund_takes_its_time() -> None:
    """Processing until the wallet confirms it, owed until then, and asked for again by the sweep."""
    visit = build.paid()
    with world.slow_refunds():
        visit.cancel()
        world.settle_down()
        assert (visit.read()["tab"], visit.refunds()) == ("refunds", [("cancelled", 12_800, "processing")])
        assert visit.proof()["equation"]["owed_back"] == 12_800
    build.sweep(minutes=60)
    assert visit.refunds() == [("cancelled", 12_800, "processing")]
    build.sweep(minutes=61)
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]
    assert visit.read()["tab"] == "done"


def test_a_card_is_refunded_at_once() -> None:
    """The provider's answer is applied with the call."""
    visit = build.booked()
    visit.pay(method="card")
    visit.cancel()
    world.run_queues()
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]


@pytest.mark.parametrize("method", ["alipay", "card"])
def test_a_failed_refund_is_tried_five_times_and_stays_owed(method: str) -> None:
    """A wallet says that it failed; a card's bank returns what was reported as done. Nothing is lost either way."""
    visit = build.booked()
    visit.pay("refund_fails", method)
    visit.cancel()
    world.settle_down()
    for _ in range(8):
        build.sweep(minutes=2)
    record = visit.stored().refunds[0]
    assert (record.state, record.tries) == ("failed" if method == "alipay" else "returned", 4)
    tries = [refund for refund in world.book("refund") if refund["metadata"]["order_id"] == visit.id]
    assert sorted(refund["metadata"]["refund_id"] for refund in tries) == [f"{record.id}.{n}" for n in range(5)]
    proof = visit.proof()
    assert proof["holds"]
    assert proof["equation"]["owed_back"] == 12_800


def test_a_refund_that_the_provider_refuses_counts_as_a_try() -> None:
    """Refused twice, then taken."""
    visit = build.paid()
    with world.provider_answers(400, on="/v1/refunds", method="POST"):
        visit.cancel()
        world.settle_down()
        build.sweep(minutes=2)
    assert visit.stored().refunds[0].tries >= 2
    build.sweep(minutes=2)
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]
    assert visit.events().count("refund_failed") == visit.stored().refunds[0].tries


def test_a_refund_survives_a_provider_that_is_away() -> None:
    """Approved and owed; the sweep asks every minute."""
    visit = build.paid()
    with world.provider_answers(503, on="/v1/refunds"):
        visit.cancel()
        world.deliver_webhooks()
        world.forget_queue("refund")
        world.advance(minutes=2)
        world.run_schedule("sweep")
        assert visit.refunds() == [("cancelled", 12_800, "approved")]
    build.sweep(minutes=2)
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]
    build.relay()


def test_a_parked_fact_of_a_wallets_refund_is_applied_too() -> None:
    """Stripe names a wallet's refund `pyr_…`: what it is, its id does not tell."""
    visit = build.paid()
    visit.cancel()
    ctx = identity.context()
    record = visit.stored().refunds[0]
    sent = ctx.ports.payments.refund(
        intent_id=record.intent_id, amount=Money(12_800, "CNY"), order_id=visit.id, refund_id=f"{record.id}.0"
    )
    assert sent.provider_id.startswith("pyr_")
    world.forget_queue("refund")
    for webhook in world.due_webhooks():
        world.provider().webhook_sent(webhook, accepted=True)
    payments.park(ctx, ProviderEvent("evt_x", "refund.updated", ctx.now, refund=sent), "unknown_order")
    handlers._retry_parked(ctx)
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]
    build.relay()


# ---------------------------------------------------------------------------------------------- news


def news_of(visit: Visit) -> list[str]:
    return sorted(
        row.data["event"]
        for row in OutboxRow.scan(consistent_read=True)
        if row.data["data"].get("order_id") == visit.id
    )


def test_news_stand_until_they_are_handled() -> None:
    """The row is written with the fact, and goes when the consumer is done."""
    visit = build.paid()
    assert news_of(visit) == []
    visit.cancel()
    assert news_of(visit) == ["order.cancelled", "order.refund_approved"]
    world.settle_down()
    assert news_of(visit) == []
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]


def test_news_are_sent_again_when_the_queue_was_away() -> None:
    """The act succeeds without it; a minute later the sweeper sends what is still standing."""
    visit = build.paid()
    with world.queue_away("refund"):
        assert visit.cancel()["state"] == "cancelled"
    world.run_queues()
    assert news_of(visit) == ["order.refund_approved"]
    assert build.relay() >= 1
    world.settle_down()
    assert news_of(visit) == []
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]


def test_news_are_sent_again_when_the_queue_forgets_ever_more_slowly() -> None:
    """After one minute, two, four: and each time it could be the last."""
    visit = build.paid()
    visit.cancel()
    world.forget_queue("refund")
    world.run_queues()
    sent = []
    for _ in range(8):
        build.relay()
        rows = [row for row in OutboxRow.scan(consistent_read=True) if row.data["data"].get("order_id") == visit.id]
        sent.append(rows[0].sends)
        world.forget_queue("refund")
    assert sent == [2, 3, 3, 4, 4, 4, 4, 5]
    build.sweep(minutes=3)
    assert visit.refunds() == [("cancelled", 12_800, "succeeded")]
    world.advance(minutes=30)
    assert build.relay() >= 1


def test_a_sweep_of_news_that_a_consumer_overtakes_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is handled between its reading and its counting is no trouble for the others."""
    visits = [build.booked(price_minor=0) for _ in range(3)]
    world.forget_queue("notify")
    from chalicelib.runtime import outbox, resources

    def send_and_be_overtaken(queue: resources.Queue, body: str) -> None:
        send(queue, body)
        outbox.handled(outbox.News.parse(body))

    send = resources.send
    with monkeypatch.context() as patched:
        patched.setattr(resources, "send", send_and_be_overtaken)
        assert build.relay() >= 3
    assert [news_of(visit) for visit in visits] == [[], [], []]
    world.settle_down()
