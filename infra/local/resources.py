"""What the application finds in place when it starts: its tables and its queues.

Creation is idempotent and happens at each start: MiniStack forgets queues when it is killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from chalice.app import Chalice, SQSEventConfig

from infra.declare import tables

VISIBILITY_SECONDS = 30  # shorter than in the cloud, so that a failed message is seen again while one watches
MAX_RECEIVES = 5
RETENTION_SECONDS = 14 * 24 * 3600


def queue_names(app: Chalice) -> list[str]:
    """Return the names of the queues the application listens to, without repetition, in order of declaration."""
    sources = (source for source in app.event_sources if isinstance(source, SQSEventConfig))
    return list(dict.fromkeys(source.queue for source in sources if source.queue))


def dead_letter_name(queue: str) -> str:
    """Return the name of `queue`'s dead-letter queue; a FIFO queue keeps the suffix AWS demands.

    >>> dead_letter_name("news"), dead_letter_name("news.fifo")
    ('news-dead', 'news-dead.fifo')
    """
    stem, dot, suffix = queue.partition(".fifo")
    return f"{stem}-dead{dot}{suffix}"


def create_queues(sqs: Any, names: Iterable[str]) -> None:
    """Create each queue with its dead-letter queue, or bring the attributes of an existing one up to date.

    `sqs` is a boto3 SQS client.
    """
    for name in names:
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        keep = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
        dead_url = _ensure_queue(sqs, dead_letter_name(name), keep, fifo)
        dead = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": str(MAX_RECEIVES)})
        _ensure_queue(sqs, name, keep | {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": redrive}, fifo)


def create_resources(dynamodb: Any, sqs: Any, app: Chalice) -> None:
    """Create what `app` needs on the local engines; `dynamodb` and `sqs` are boto3 clients."""
    create_tables(dynamodb)
    create_queues(sqs, queue_names(app))


def create_tables(dynamodb: Any) -> None:
    """Create each declared table that is not there yet."""
    present = {name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]}
    for table in tables():
        if table.name not in present:
            dynamodb.create_table(**table.create_arguments())


def _ensure_queue(sqs: Any, name: str, attributes: dict[str, str], fixed: dict[str, str]) -> str:
    """Create `name` or update its `attributes`; `fixed` are those that only a creation may carry. Returns the URL."""
    # CreateQueue refuses a name that exists with other attributes, so the changeable ones are set in a second step.
    url = str(sqs.create_queue(QueueName=name, Attributes=fixed)["QueueUrl"])
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url
