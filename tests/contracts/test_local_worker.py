"""The queue worker: what Lambda's event source mapping promises, on the local queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from chalice import Chalice
from moto import mock_aws

from infra.local.resources import create_queues, dead_letter_name, queue_names
from infra.local.worker import QueueConsumer, consumers


class Recorder:
    """A toy application with one queue; it keeps the events it saw and answers what it is told to."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failing: set[str] = set()
        self.explodes = False
        self.app = Chalice("toy")

        @self.app.on_sqs_message(queue="news", batch_size=10)
        def on_news(event: Any) -> dict[str, Any]:
            records = event.to_dict()["Records"]
            self.events.append(event.to_dict())
            if self.explodes:
                raise RuntimeError("broken")
            failed = [record["messageId"] for record in records if record["body"] in self.failing]
            return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}


@pytest.fixture
def sqs() -> Iterator[Any]:
    # A region of its own: the suite's queues are in another one, and each test begins with none.
    with mock_aws():
        own = {"region_name": "eu-west-1", "endpoint_url": "https://sqs.eu-west-1.amazonaws.com"}
        client = boto3.client("sqs", aws_access_key_id="x", aws_secret_access_key="x", **own)
        for url in client.list_queues().get("QueueUrls", []):
            client.delete_queue(QueueUrl=url)
        yield client


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def consumer(recorder: Recorder, sqs: Any) -> QueueConsumer:
    create_queues(sqs, queue_names(recorder.app))
    return consumers(recorder.app, sqs)[0]


def send(sqs: Any, *bodies: str) -> None:
    url = sqs.get_queue_url(QueueName="news")["QueueUrl"]
    for body in bodies:
        attributes = {"kind": {"DataType": "String", "StringValue": "toy"}}
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)


def left(sqs: Any, name: str = "news") -> int:
    """How many messages a queue holds, visible or not."""
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def test_a_record_looks_as_lambda_makes_it(sqs: Any, consumer: QueueConsumer, recorder: Recorder) -> None:
    send(sqs, "a")
    assert consumer.consume_once(0) == 1
    (record,) = recorder.events[0]["Records"]
    assert record["body"] == "a"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"].isdecimal()
    assert record["messageAttributes"]["kind"]["stringValue"] == "toy"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":news")
    assert left(sqs) == 0


def test_only_the_messages_given_back_stay(sqs: Any, consumer: QueueConsumer, recorder: Recorder) -> None:
    send(sqs, "good", "bad", "fine")
    recorder.failing = {"bad"}
    handled = 0
    while recorder.events == [] or handled < 2:
        handled += consumer.consume_once(0)
    ids = [record["messageId"] for event in recorder.events for record in event["Records"]]
    assert len(set(ids)) == len(ids) == 3
    assert left(sqs) == 1


def test_an_exception_deletes_nothing(sqs: Any, consumer: QueueConsumer, recorder: Recorder) -> None:
    send(sqs, "a", "b")
    recorder.explodes = True
    assert consumer.consume_once(0) == 0
    assert left(sqs) == 2


def test_a_message_that_never_succeeds_ends_in_the_dead_letter_queue(
    sqs: Any, recorder: Recorder, consumer: QueueConsumer
) -> None:
    """After five receives."""
    url = sqs.get_queue_url(QueueName="news")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    send(sqs, "poison")
    recorder.failing = {"poison"}
    for _ in range(7):
        consumer.consume_once(0)
    counts = [int(event["Records"][0]["attributes"]["ApproximateReceiveCount"]) for event in recorder.events]
    assert counts == [1, 2, 3, 4, 5]
    assert (left(sqs), left(sqs, "news-dead")) == (0, 1)


def test_queues_are_created_once_and_updated_afterwards(sqs: Any) -> None:
    """MiniStack forgets queues when it is killed, so every start creates them again."""
    create_queues(sqs, ["news", "paid.fifo"])
    url = sqs.get_queue_url(QueueName="news")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})
    create_queues(sqs, ["news", "paid.fifo"])
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "30"
    redrive = json.loads(attributes["RedrivePolicy"])
    assert int(redrive["maxReceiveCount"]) == 5
    assert redrive["deadLetterTargetArn"].endswith(":news-dead")
    names = {each.rsplit("/", 1)[1] for each in sqs.list_queues()["QueueUrls"]}
    assert names == {"news", "news-dead", "paid.fifo", dead_letter_name("paid.fifo")}
