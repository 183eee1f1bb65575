"""Queues, and which news goes to which of them. Schedules stand on their handlers (`entry.schedule`)."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from chalicelib.runtime import aws
from chalicelib.runtime.settings import settings


@dataclass(frozen=True)
class Queue:
    """`timeout_seconds` is the consumer function's; visibility is six times that, as Lambda asks."""

    name: str
    timeout_seconds: int = 30
    batch_size: int = 10
    max_receives: int = 5

    @property
    def visibility_seconds(self) -> int:
        return 6 * self.timeout_seconds

    @property
    def full_name(self) -> str:
        return f"linli-{settings().stage}-{self.name}"


NOTIFY = Queue("notify")
REFUND = Queue("refund")
RATE = Queue("rate")

QUEUES = (NOTIFY, REFUND, RATE)

# An event that stands here is news and has one queue: its outbox row stands until that queue's consumer is done. A
# second consumer of the same event would be a second event. Publishing any other name raises.
TOPICS: dict[str, Queue] = {
    "order.confirmed": NOTIFY,
    "order.paid": NOTIFY,
    "order.cancelled": NOTIFY,
    "order.declined": NOTIFY,
    "order.refund_approved": REFUND,
    "order.refunded": NOTIFY,
    "review.changed": RATE,
}

_lock = threading.Lock()
_sqs: aws.Client | None = None
_urls: dict[str, str] = {}


def sqs() -> aws.Client:
    """The process's one client of SQS."""
    global _sqs  # noqa: PLW0603  # one client per process, made at first use
    with _lock:
        if _sqs is None:
            _sqs = aws.Client(aws.SQS, read_seconds=5, tries=2, connections=32)
    return _sqs


def queue_url(queue: Queue) -> str:
    url = _urls.get(queue.full_name)
    if url is None:
        url = _urls[queue.full_name] = str(sqs().call("GetQueueUrl", {"QueueName": queue.full_name})["QueueUrl"])
    return url


def send(queue: Queue, body: str) -> None:
    """Raises botocore's ClientError and BotoCoreError when it was not taken."""
    sqs().call("SendMessage", {"QueueUrl": queue_url(queue), "MessageBody": body})
