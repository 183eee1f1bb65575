"""Dead letters: what a queue's consumer could not handle in all its tries, read and sent back without losing one.

Reading hides a message for a while and gives it back; a message is deleted only after the queue that it goes to has
acknowledged it. Killed in between, it is there twice, and consumers know a repeat.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import resources
from chalicelib.runtime.resources import Queue

PEEK_SECONDS = 30
REPLAY_SECONDS = 120
WAIT_SECONDS = 1  # a long poll asks every server of a queue; a short one may come back empty from a full queue
BATCH = 10


@dataclass(frozen=True)
class Letter:
    """One dead letter. `sent_at` is when it was first sent, by the queue's own clock."""

    queue: str
    message_id: str
    receipt: str
    body: str
    sent_at: Instant
    receives: int

    @property
    def news(self) -> dict[str, Any]:
        """The message as published; empty when it is none of ours."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def event(self) -> str:
        return str(self.news.get("event", "unreadable"))

    def facts(self) -> dict[str, str]:
        """The ids that the message carries. What is neither an id nor a number is a star: it may be about somebody."""
        data = self.news.get("data")
        said = {str(name): value for name, value in data.items()} if isinstance(data, dict) else {}
        return {name: _plain(value) for name, value in said.items()}


def _plain(value: object) -> str:
    if type(value) is int or (isinstance(value, str) and ids.is_id(value, value.partition("_")[0])):
        return str(value)
    return "***"


@dataclass
class Replayed:
    """What a replay did: message ids that went back, those that were wanted and not found, and how many were left."""

    sent: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    left: int = 0


def queue_named(name: str) -> Queue:
    """Raises KeyError for a name that is not declared."""
    return {queue.name: queue for queue in resources.QUEUES}[name]


def dead_url(queue: Queue) -> str:
    return str(resources.sqs().call("GetQueueUrl", {"QueueName": f"{queue.full_name}-dead"})["QueueUrl"])


def count(url: str) -> int:
    """Roughly how many messages a queue holds, those included that somebody is looking at."""
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    found = resources.sqs().call("GetQueueAttributes", {"QueueUrl": url, "AttributeNames": names})["Attributes"]
    return sum(int(found.get(name, 0)) for name in names)


def peek(queue: Queue, limit: int) -> list[Letter]:
    """Up to so many dead letters of a queue, oldest first. All of them are there again when it returns."""
    url = dead_url(queue)
    found: list[Letter] = []
    try:
        for letter in _received(queue, url, PEEK_SECONDS):
            found.append(letter)
            if len(found) >= limit:
                break
    finally:
        _give_back(url, found)
    return sorted(found, key=lambda letter: (letter.sent_at, letter.message_id))


def replay(
    queue: Queue,
    wanted: Collection[str] | None,
    progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Sends dead letters back to the queue that they came from: those with these message ids, or all with None. What
    dies again in the meantime is left."""
    begun = Instant(time.time_ns() // 1_000_000)
    url = dead_url(queue)
    total = len(wanted) if wanted is not None else count(url)
    done, held = Replayed(), list[Letter]()
    try:
        for letter in _received(queue, url, REPLAY_SECONDS):
            held.append(letter)
            if letter.sent_at >= begun or (wanted is not None and letter.message_id not in wanted):
                continue
            resources.send(queue, letter.body)
            resources.sqs().call("DeleteMessage", {"QueueUrl": url, "ReceiptHandle": letter.receipt})
            held.pop()
            done.sent.append(letter.message_id)
            if progress:
                progress(len(done.sent), total)
            if wanted is not None and len(done.sent) == len(wanted):
                break
    finally:
        _give_back(url, held)
    done.missing = sorted(set(wanted or ()) - set(done.sent))
    done.left = count(url)
    return done


def _received(queue: Queue, url: str, hidden_seconds: int) -> Iterator[Letter]:
    """Each message once, hidden from others for so long, until there are none that were not seen. One that is received
    and not taken, because the reader stopped, is given back."""
    seen: set[str] = set()
    asked = {
        "QueueUrl": url,
        "MaxNumberOfMessages": BATCH,
        "VisibilityTimeout": hidden_seconds,
        "WaitTimeSeconds": WAIT_SECONDS,
        "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
    }
    while True:
        answer = resources.sqs().call("ReceiveMessage", asked)
        letters = [_letter(queue, message) for message in answer.get("Messages", ())]
        fresh = [letter for letter in letters if letter.message_id not in seen]
        if not fresh:
            return
        seen |= {letter.message_id for letter in fresh}
        for index, letter in enumerate(fresh):
            try:
                yield letter
            except GeneratorExit:
                _give_back(url, fresh[index + 1 :])
                raise


def _letter(queue: Queue, message: dict[str, Any]) -> Letter:
    told = message["Attributes"]
    return Letter(
        queue.name,
        message["MessageId"],
        message["ReceiptHandle"],
        message["Body"],
        Instant(int(told["SentTimestamp"])),
        int(told["ApproximateReceiveCount"]),
    )


def _give_back(url: str, letters: Collection[Letter]) -> None:
    """At once instead of after the visibility. Best effort: what cannot be given back comes back by itself."""
    held = list(letters)
    for start in range(0, len(held), BATCH):
        entries = [
            {"Id": str(i), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
            for i, letter in enumerate(held[start : start + BATCH])
        ]
        resources.sqs().call("ChangeMessageVisibilityBatch", {"QueueUrl": url, "Entries": entries})
