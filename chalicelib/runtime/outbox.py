"""News that must not be lost: a row in the transaction that makes it true, sent to its queue after the commit.

The row stands until a consumer has done its work, and the consumer deletes it: a queue that forgets, or a message that
nobody could handle, costs time and nothing else. The inline relay is the speed; the sweeper, which sends again what
stands for too long, is the promise. So a message can come twice, and every consumer dedupes inside its own effect.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pynamodb.exceptions import UpdateError

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import log, resources
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, table_name
from chalicelib.runtime.transaction import AlreadyDone, Transaction

SHARDS = 8
GRACE_MS = 60_000  # younger rows are the inline relay's and the consumer's
PAGE = 200  # rows a sweep sends from one shard; what is left waits a minute
REST = "rest"
MAX_SENDS = 13  # doubling waits: about three days, then a person has to look


class OutboxRow(Row):
    """pk `<shard>`, sk `<ms>#<event id>`: what stands here has not been handled. A27 = rows older than a minute.
    pk `rest` what was sent so often in vain that a person has to look."""

    class Meta:
        table_name = table_name("outbox")

    data = PackedAttribute(attr_name="d")
    sends = IntegerAttribute(attr_name="n", default=1)


@dataclass(frozen=True)
class News:
    """`id` is deterministic, `{event}:{business id}:{version}`, so that a consumer can tell a repeat."""

    id: str
    event: str
    at: Instant
    data: dict[str, Any]

    @classmethod
    def of(cls, event: str, subject_id: str, version: int, at: Instant, **data: Any) -> News:
        return cls(f"{event}:{subject_id}:{version}", event, at, data)

    def body(self) -> str:
        return json.dumps({"id": self.id, "event": self.event, "at": str(self.at), "data": self.data})

    @classmethod
    def parse(cls, body: str) -> News:
        message = json.loads(body)
        return cls(message["id"], message["event"], Instant.parse(message["at"]), message["data"])


def publish(tx: Transaction, *news: News) -> None:
    """Adds the rows to the transaction, and sends them once they stand. Raises KeyError for an undeclared event."""
    for item in news:
        resources.TOPICS[item.event]
        tx.put(_row(item))
    tx.after_commit(lambda: _send_quietly(news))


def _row(news: News) -> OutboxRow:
    shard = zlib.crc32(news.id.encode()) % SHARDS
    return OutboxRow(str(shard), f"{news.at.ms}#{news.id}", data={"event": news.event, "data": news.data})


def _send_quietly(news: tuple[News, ...]) -> None:
    try:
        for item in news:
            _send(item)
    except Exception as error:
        log.warning("inline relay failed, the sweeper will do it", error=str(error))


def _send(news: News) -> None:
    resources.send(resources.TOPICS[news.event], news.body())


def stands(news: News) -> bool:
    """Whether nobody has handled it yet."""
    row = _row(news)
    return any(True for _ in OutboxRow.query(row.pk, OutboxRow.sk == row.sk, consistent_read=True))


def handled(news: News) -> None:
    """The consumer's effect stands: nobody needs the row any more. Deleting it twice is harmless."""
    row = _row(news)
    OutboxRow(row.pk, row.sk).delete()


def sweep(now: Instant) -> int:
    """Sends again what has stood for more than a minute, each time after twice the wait. Returns how many went."""
    return sum(_sweep_shard(str(shard), now) for shard in range(SHARDS))


def _sweep_shard(shard: str, now: Instant) -> int:
    sent = 0
    for row in OutboxRow.query(shard, OutboxRow.sk < str(now.ms - GRACE_MS)):
        ms, _, news_id = row.sk.partition("#")
        at = Instant(int(ms))
        if now.since(at) < GRACE_MS * 2 ** (row.sends - 1):
            continue
        if row.sends >= MAX_SENDS:
            _rest(row)
            continue
        _send(News(news_id, row.data["event"], at, row.data["data"]))
        # Its consumer may have handled and removed it since it was read.
        with suppress(UpdateError):
            row.update([OutboxRow.sends.set(row.sends + 1)], OutboxRow.pk.exists())
        sent += 1
        if sent >= PAGE:
            break
    return sent


@dataclass(frozen=True)
class Standing:
    """News that nobody has handled yet, how often it was sent, and whether it rests for a person to look."""

    news: News
    sends: int
    resting: bool


def standing() -> Iterator[Standing]:
    """A27b everything that stands, shard by shard, oldest first in each; at last what rests. Strongly consistent."""
    for pk in (*map(str, range(SHARDS)), REST):
        for row in OutboxRow.query(pk, consistent_read=True):
            ms, _, news_id = row.sk.partition("#")
            news = News(news_id, row.data["event"], Instant(int(ms)), row.data["data"])
            yield Standing(news, row.sends, pk == REST)


def send_again(item: Standing) -> None:
    """Sends what stands now, without waiting for its turn. It stays until its consumer has handled it."""
    _send(item.news)


def wake(item: Standing) -> bool:
    """What rests goes back to the sweeper, with all its tries before it. False when it does not rest any more."""
    row = _row(item.news)
    tx = Transaction()
    tx.put(row)
    tx.delete(OutboxRow(REST, row.sk), OutboxRow.pk.exists(), lambda _: None)
    try:
        tx.commit()
    except AlreadyDone:
        return False
    return True


def _rest(row: OutboxRow) -> None:
    """Nobody could handle it for days: it leaves the sweeper's way and waits for a person under pk `rest`."""
    log.error("news could not be handled", news=row.sk, event=row.data["event"])
    tx = Transaction()
    tx.put(OutboxRow(REST, row.sk, data=row.data, sends=row.sends))
    tx.delete(OutboxRow(row.pk, row.sk), OutboxRow.pk.exists(), lambda _: None)
    with suppress(AlreadyDone):  # its consumer has handled it after all
        tx.commit()


def oldest() -> tuple[str, Instant] | None:
    """A27: the id of the news that has stood longest, given up or not, and when it should have been handled: a minute
    after it came to stand there. One row of each partition is read."""
    found = []
    for pk in (*map(str, range(SHARDS)), REST):
        for row in OutboxRow.query(pk, limit=1):
            ms, _, news_id = row.sk.partition("#")
            found.append((Instant(int(ms) + GRACE_MS), news_id))
    at, news_id = min(found, default=(None, ""))
    return (news_id, at) if at is not None else None
