"""`linli outbox`: what stands is seen, sent, and woken."""

from __future__ import annotations

from chalicelib.kernel import ids
from chalicelib.runtime import audit, outbox
from chalicelib.runtime.outbox import News
from chalicelib.runtime.transaction import Transaction
from tests import engine, world
from tests.slices.commands import ANY, answer


def stranded() -> News:
    """News of an order that is not there, which no inline relay has sent."""
    subject = ids.random_id("ord")
    news = News.of("order.confirmed", subject, 2, world.now(), order_id=subject, account_id="", shop_id="")
    tx = Transaction()
    tx.put(outbox._row(news))
    tx.commit()
    return news


def laid_to_rest() -> News:
    news = stranded()
    for days in range(1, 20):
        outbox.sweep(news.at.plus(days=days))
    world.forget_queue("notify")
    return news


def listed(news: News) -> list[dict[str, object]]:
    found = answer("outbox", "list", "--limit", "100000", code=ANY)
    return [row for row in found["items"] if row["news"] == news.id]


def test_what_stands_is_listed_with_its_age_and_sends() -> None:
    """No content of it, only which event of which order."""
    news = stranded()
    world.advance(minutes=3)
    assert listed(news) == [{"news": news.id, "event": "order.confirmed", "age": "3 min", "sends": 1, "resting": False}]
    world.run_schedule("relay_outbox")
    world.run_queues()
    assert listed(news) == []


def test_what_stands_is_sent_without_waiting_for_its_turn() -> None:
    """A dry run names it; the real one puts it into its queue, and the consumer removes it."""
    news = stranded()
    world.advance(minutes=2)
    before = engine.digest()
    assert news.id in [row["news"] for row in answer("outbox", "send", "--dry-run")["items"]]
    assert engine.digest() == before
    assert answer("outbox", "send", "--reason", "a drill")["sent"] >= 1
    assert [entry.act for entry in audit.entries()][-2:] == ["outbox.send", "outbox.send.done"]
    world.run_queues()
    assert listed(news) == []


def test_young_news_is_left_to_its_relay() -> None:
    """What is younger than a minute is under way."""
    news = stranded()
    assert news.id not in [row["news"] for row in answer("outbox", "send", "--dry-run")["items"]]


def test_what_rests_is_trouble_until_it_is_woken() -> None:
    """It stays where it is without --all-resting; woken, the sweeper sends it again and its consumer is done."""
    news = laid_to_rest()
    world.advance(minutes=2)
    (row,) = listed(news)
    assert (row["resting"], row["sends"]) == (True, outbox.MAX_SENDS)
    answer("outbox", "list", code=1)
    answer("outbox", "send")
    assert [row["resting"] for row in listed(news)] == [True]
    assert answer("outbox", "send", "--all-resting")["woken"] >= 1
    assert [(row["resting"], row["sends"]) for row in listed(news)] == [(False, 1)]
    world.run_schedule("relay_outbox")
    world.run_queues()
    assert listed(news) == []


def test_waking_twice_is_once() -> None:
    """Two operators at the same moment: the second finds nothing resting."""
    news = laid_to_rest()
    (item,) = [item for item in outbox.standing() if item.news.id == news.id]
    assert outbox.wake(item)
    world.advance(minutes=2)
    world.run_schedule("relay_outbox")
    world.run_queues()
    assert not outbox.wake(item)
    assert listed(news) == []
