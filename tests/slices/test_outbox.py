"""News in the outbox: sent again while nobody handles it, and laid to rest when nobody ever can."""

from __future__ import annotations

from chalicelib.kernel import ids
from chalicelib.runtime import outbox
from chalicelib.runtime.outbox import News
from chalicelib.runtime.transaction import Transaction
from tests import engine, world


def rows_of(subject: str) -> list[tuple[str, int]]:
    """(partition, sends) of a subject's rows."""
    rows = engine.everything()["linli-outbox"]
    return [(row["pk"]["S"], int(row["n"]["N"])) for row in rows if subject in row["sk"]["S"]]


def published() -> News:
    """News of an order that is not there: its consumer finds nothing to tell and is done."""
    subject = ids.random_id("ord")
    news = News.of("order.confirmed", subject, 2, world.now(), order_id=subject, account_id="", shop_id="")
    tx = Transaction()
    outbox.publish(tx, news)
    tx.commit()
    return news


def test_news_stands_until_its_consumer_is_done() -> None:
    """The consumer removes the row, not the relay."""
    news = published()
    assert [sends for _, sends in rows_of(news.data["order_id"])] == [1]
    world.run_queues()
    assert rows_of(news.data["order_id"]) == []


def test_a_sweep_sends_again_after_a_minute_and_then_after_twice_the_wait() -> None:
    """A queue that forgot its messages costs a minute."""
    news = published()
    outbox.sweep(news.at.plus(seconds=59))
    assert [sends for _, sends in rows_of(news.data["order_id"])] == [1]
    outbox.sweep(news.at.plus(seconds=61))
    outbox.sweep(news.at.plus(seconds=90))
    assert [sends for _, sends in rows_of(news.data["order_id"])] == [2]
    outbox.sweep(news.at.plus(seconds=121))
    assert [sends for _, sends in rows_of(news.data["order_id"])] == [3]
    world.run_queues()
    assert rows_of(news.data["order_id"]) == []


def test_news_that_nobody_can_handle_leaves_the_sweepers_way() -> None:
    """It is kept for a person, and newer news is not hidden behind it."""
    news = published()
    for days in range(1, 20):
        outbox.sweep(news.at.plus(days=days))
    assert rows_of(news.data["order_id"]) == [("rest", outbox.MAX_SENDS)]


def test_news_that_was_handled_while_it_was_laid_to_rest_rests_not() -> None:
    """The sweeper read it for the last time; its consumer was faster than the write."""
    news = published()
    row = outbox._row(news)
    world.run_queues()
    outbox._rest(row)
    assert rows_of(news.data["order_id"]) == []
