"""`linli dead` against a real queue engine: nothing is lost by looking, and what is replayed is in its queue again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import audit, resources
from chalicelib.runtime.outbox import News
from infra.local.engines import find_ministack_python, start_ministack, wait_for_ministack
from infra.local.processes import Children, free_ports
from infra.local.resources import MAX_RECEIVES, create_queues
from infra.ops import dead_letters
from tests import world
from tests.queues import admin
from tests.slices.commands import answer, refusal

NOTIFY = resources.NOTIFY
AT = Instant.parse("2026-11-22T10:00:00.000Z")
SECRET_NAME = "Wang Xiaomei, +8613912345678"


class Queues:
    """A queue engine with our queues."""

    def __init__(self, address: str) -> None:
        self.client = boto3.session.Session().client("sqs", endpoint_url=address, region_name="us-east-1")
        create_queues(self.client, [queue.full_name for queue in resources.QUEUES])
        self.source = self.client.get_queue_url(QueueName=NOTIFY.full_name)["QueueUrl"]
        self.dead = self.client.get_queue_url(QueueName=f"{NOTIFY.full_name}-dead")["QueueUrl"]

    def bury(self, body: str) -> str:
        """A dead letter, put where the engine would have put it. Returns its message id."""
        return str(self.client.send_message(QueueUrl=self.dead, MessageBody=body)["MessageId"])

    def bodies(self, url: str) -> list[str]:
        """What can be received from a queue, taken out of it."""
        found = []
        while messages := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(message["Body"])
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return sorted(found)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sqs")
    children = Children(folder)
    (port,) = free_ports(1)
    wait_for_ministack(start_ministack(children, find_ministack_python(), port, ["sqs"], folder), port)
    yield f"http://127.0.0.1:{port}"
    children.stop()


@pytest.fixture
def queues(engine: str, monkeypatch: pytest.MonkeyPatch) -> Queues:
    """The functions' own client is made for that engine."""
    found = Queues(engine)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", engine)
    monkeypatch.setattr(resources, "_sqs", None)
    monkeypatch.setattr(resources, "_urls", {})
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)  # one engine has one server to ask
    found.bodies(found.source)
    found.bodies(found.dead)
    return found


def news(order_id: str = "") -> str:
    data = {"order_id": order_id or ids.random_id("ord"), "account_id": ids.random_id("acc"), "name": SECRET_NAME}
    return News("order.confirmed:x:1", "order.confirmed", AT, data).body()


def test_what_fails_for_good_is_listed_and_shown_without_anybodys_data(queues: Queues) -> None:
    """A message that was received too often dies by itself; its event and ids are shown, a name is not; looking twice
    finds it twice."""
    order_id = ids.random_id("ord")
    queues.client.send_message(QueueUrl=queues.source, MessageBody=news(order_id))
    for _ in range(MAX_RECEIVES + 1):
        queues.client.receive_message(QueueUrl=queues.source, VisibilityTimeout=0)
    (letter,) = answer("dead", "list", "notify", code=1)["items"]
    assert (letter["queue"], letter["event"]) == ("notify", "order.confirmed")
    assert order_id in letter["subject"]
    shown = answer("dead", "show", "notify", letter["message_id"])
    assert (shown["order_id"], shown["name"]) == (order_id, "***")
    assert shown["receives"] >= MAX_RECEIVES
    assert "Xiaomei" not in json.dumps([letter, shown])
    assert queues.bodies(queues.dead) == [json.dumps(json.loads(news(order_id)) | {"data": _data(order_id, shown)})]


def _data(order_id: str, shown: dict[str, Any]) -> dict[str, Any]:
    return {"order_id": order_id, "account_id": shown["account_id"], "name": SECRET_NAME}


def test_one_letter_goes_back_and_the_others_stay(queues: Queues) -> None:
    """Of three, one by its id; a dry run before it changes nothing. The audit log says who did it."""
    bodies = [news() for _ in range(3)]
    chosen, *_ = [queues.bury(body) for body in bodies]
    dry = answer("dead", "replay", "notify", "--message-id", chosen, "--dry-run")
    assert [row["message_id"] for row in dry["items"]] == [chosen]
    done = answer("dead", "replay", "notify", "--message-id", chosen, "--actor", "ada", "--reason", "fixed")
    assert done == {"queue": "notify", "replayed": 1, "left": 2, "missing": []}
    assert queues.bodies(queues.source) == [bodies[0]]
    assert queues.bodies(queues.dead) == sorted(bodies[1:])
    begun, ended = list(audit.entries())[-2:]
    assert (begun.act, begun.subject, begun.actor, begun.reason) == ("dead.replay", "queue notify", "ada", "fixed")
    assert ended.act == "dead.replay.done"


def test_all_letters_go_back(queues: Queues) -> None:
    """More than one receive brings, each once; afterwards there is nothing to list."""
    bodies = [news() for _ in range(25)] + ["no news at all"]
    for body in bodies:
        queues.bury(body)
    assert len(answer("dead", "list", "notify", code=1)["items"]) == 26
    done = answer("dead", "replay", "notify", "--all")
    assert (done["replayed"], done["left"]) == (26, 0)
    assert queues.bodies(queues.source) == sorted(bodies)
    assert answer("dead", "list") == {"items": []}


def test_a_letter_that_is_not_there_is_said(queues: Queues) -> None:
    """The others go back all the same; the exit code is that of trouble."""
    there = queues.bury(news())
    asked = ["--message-id", there, "--message-id", "11111111-aaaa"]
    assert answer("dead", "replay", "notify", *asked, "--dry-run", code=1)["missing"] == ["11111111-aaaa"]
    done = answer("dead", "replay", "notify", *asked, code=1)
    assert (done["replayed"], done["missing"]) == (1, ["11111111-aaaa"])


def test_without_a_queue_nothing_is_deleted(queues: Queues) -> None:
    """The letter goes only after its queue has taken it: a queue that is away costs nothing but time."""
    body = news()
    queues.bury(body)
    queues.client.delete_queue(QueueUrl=queues.source)
    said = refusal("dead", "replay", "notify", "--all", code=1)
    create_queues(queues.client, [NOTIFY.full_name])
    assert said.startswith("The queue cannot be used")
    assert len(said.splitlines()) == 1
    assert queues.bodies(queues.dead) == [body]


def test_a_letter_in_hand_is_given_back_when_its_queue_goes() -> None:
    """The queue vanishes between the look and the send: the error goes up, and the letter can be received at once."""
    url, mark = dead_letters.dead_url(NOTIFY), ids.random_id("ord")
    resources.queue_url(NOTIFY)  # known, so that the look comes before the failure
    admin().send_message(QueueUrl=url, MessageBody=news(mark))
    with world.queue_away("notify"), pytest.raises(ClientError, match="NonExistentQueue"):
        dead_letters.replay(NOTIFY, None)
    (letter,) = [letter for letter in dead_letters.peek(NOTIFY, 100) if mark in letter.body]
    assert dead_letters.replay(NOTIFY, {letter.message_id}).sent == [letter.message_id]
    world.forget_queue("notify")


def test_a_queue_that_does_not_exist_is_wrong_use(queues: Queues) -> None:
    """As is a replay of nothing in particular."""
    assert "choose one of notify, rate, refund" in refusal("dead", "list", "nobody", code=2)
    assert "--message-id or --all" in refusal("dead", "replay", "notify", code=2)
    with pytest.raises(KeyError):
        dead_letters.queue_named("nobody")
