"""News that must not be lost: a row in the transaction that makes it true, relayed to its queues after the commit.

The inline relay is the speed, the sweeper is the promise. A crash between send and delete sends a message twice, so
every consumer dedupes inside its own effect.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import log, resources
from chalicelib.runtime.dynamo import PackedAttribute, Row, table_name
from chalicelib.runtime.transaction import Transaction

SHARDS = 8
GRACE_MS = 60_000  # younger rows are the inline relay's
PAGE = 200  # rows a sweep takes from one shard; what is left waits a minute


class OutboxRow(Row):
    """pk `<shard>`, sk `<ms>#<event id>`: what stands here has not been relayed. A27 = rows older than a minute."""

    class Meta:
        table_name = table_name("outbox")

    data = PackedAttribute(attr_name="d")


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
    """Adds the rows to the transaction, and relays them once it stands. Raises KeyError for an undeclared event."""
    rows = []
    for item in news:
        resources.TOPICS[item.event]
        shard = zlib.crc32(item.id.encode()) % SHARDS
        row = OutboxRow(str(shard), f"{item.at.ms}#{item.id}", data={"event": item.event, "data": item.data})
        tx.put(row)
        rows.append(row)
    tx.after_commit(lambda: _relay_quietly(rows))


def _relay_quietly(rows: list[OutboxRow]) -> None:
    try:
        relay(rows)
    except Exception as error:  # the rows stand; the sweeper will relay them
        log.warning("inline relay failed, the sweeper will do it", error=str(error))


def relay(rows: list[OutboxRow]) -> int:
    """Sends each row to its queues, then deletes it. Returns how many went."""
    for row in rows:
        ms, _, news_id = row.sk.partition("#")
        news = News(news_id, row.data["event"], Instant(int(ms)), row.data["data"])
        for queue in resources.TOPICS[news.event]:
            resources.sqs().send_message(QueueUrl=resources.queue_url(queue), MessageBody=news.body())
        row.delete()
    return len(rows)


def sweep(now: Instant) -> int:
    """Relays what was left behind for more than a minute. Returns how many rows went."""
    before = OutboxRow.sk < str(now.ms - GRACE_MS)
    return sum(relay(list(OutboxRow.query(str(shard), before, limit=PAGE))) for shard in range(SHARDS))
