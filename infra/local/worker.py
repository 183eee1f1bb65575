"""The queue worker: does for the local queues what Lambda's event source mapping does in the cloud."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from chalice.app import Chalice, SQSEventConfig

from infra.local.events import Handler, handler_of, lambda_context, sqs_event
from infra.local.usage import Usage

log = logging.getLogger("linli.local.worker")

POLL_SECONDS = 1  # a long poll holds up an orderly stop for as long as it lasts
RETRY_SECONDS = 1.0
_RECEIVE_LIMIT = 10  # of SQS, per call


class Worker:
    """Polls every queue the application listens to, each in a thread of its own."""

    def __init__(self, app: Chalice, sqs: Any, usage: Usage | None = None) -> None:
        """`sqs` is a boto3 SQS client; clients may be shared between threads."""
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._poll, args=(consumer,), name=f"queue-{consumer.queue}", daemon=True)
            for consumer in consumers(app, sqs, usage or Usage())
        ]

    def start(self) -> None:
        """Start polling; returns at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no further batch. A batch at work is not waited for: its messages become visible again."""
        self._stop.set()

    def _poll(self, consumer: QueueConsumer) -> None:
        while not self._stop.is_set():
            try:
                consumer.consume_once(POLL_SECONDS)
            except Exception as error:  # the queue engine is away or refuses: the next round tries again
                if not self._stop.is_set():
                    log.warning("queue %s cannot be polled: %s", consumer.queue, error)
                self._stop.wait(RETRY_SECONDS)


class QueueConsumer:
    """One queue and its handler."""

    def __init__(
        self, sqs: Any, queue: str, handler: Handler, name: str, batch_size: int, usage: Usage | None = None
    ) -> None:
        """`name` is the function's name; `batch_size` above 10, SQS's own limit, counts as 10."""
        self.queue = queue
        self._sqs = sqs
        self._handler = handler
        self._name = name
        self._usage = usage or Usage()
        self._batch_size = min(batch_size, _RECEIVE_LIMIT)
        self._url: str | None = None
        self._arn = ""

    def consume_once(self, wait_seconds: int) -> int:
        """Receive one batch, waiting at most `wait_seconds` for it, and handle it; return how many were done with."""
        url = self._resolve()
        received = self._sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = received.get("Messages", [])
        if not messages:
            return 0
        done = self._handle(messages)
        if done:
            self._sqs.delete_message_batch(
                QueueUrl=url,
                Entries=[{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(done)],
            )
        return len(done)

    def _resolve(self) -> str:
        if self._url is None:
            url = str(self._sqs.get_queue_url(QueueName=self.queue)["QueueUrl"])
            attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
            self._arn, self._url = attributes["QueueArn"], url
        return self._url

    def _handle(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Call the handler with `messages` and return those it is done with."""
        try:
            with self._usage.invocation(self._name):
                answer = self._handler(sqs_event(self._arn, messages), lambda_context(self._name))
            failed = failed_ids(answer, {message["MessageId"] for message in messages})
        except Exception:
            log.exception("%s failed with %d message(s) of %s", self._name, len(messages), self.queue)
            return []
        if failed:
            log.warning("%s gave back %d of %d message(s) of %s", self._name, len(failed), len(messages), self.queue)
        return [message for message in messages if message["MessageId"] not in failed]


def consumers(app: Chalice, sqs: Any, usage: Usage | None = None) -> list[QueueConsumer]:
    """Return a consumer for each queue handler of `app`."""
    return [
        QueueConsumer(sqs, source.queue, handler_of(app, source), source.name, source.batch_size, usage)
        for source in app.event_sources
        if isinstance(source, SQSEventConfig) and source.queue
    ]


def failed_ids(answer: Any, sent: set[str]) -> set[str]:
    """Return the ids of the messages to keep, read from a handler's answer as Lambda reads it.

    No answer, or an empty `batchItemFailures`, is success. An answer Lambda cannot read fails the whole batch:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html

    >>> sorted(failed_ids({"batchItemFailures": [{"itemIdentifier": "b"}]}, {"a", "b"}))
    ['b']
    >>> sorted(failed_ids({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}))
    ['a', 'b']
    """
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not failures:
        return set()
    if not isinstance(failures, list):
        return set(sent)
    named = {failure.get("itemIdentifier") if isinstance(failure, dict) else None for failure in failures}
    return {str(name) for name in named} if named <= sent else set(sent)
