"""What the functions say on standard output: one JSON object a line, read here as CloudWatch would."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.runtime import log
from chalicelib.runtime.settings import Settings, SettingsError
from infra.local.events import lambda_context
from tests import world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.client import Client


class Lines:
    """Everything that is written meanwhile, parsed."""

    def __init__(self) -> None:
        self.text = io.StringIO()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.getvalue().splitlines()]

    def of(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.all() if line.get("message") == message]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The functions' own handler at its usual level, with its stream in memory."""
    found, level = Lines(), log.logger().level
    log.send_to(found.text)
    log.logger().setLevel(logging.INFO)
    yield found
    log.logger().setLevel(level)
    log.send_to(None)


def test_a_line_is_one_json_object_with_its_fields_and_its_trace(lines: Lines) -> None:
    """Level, time, service, stage and message; what is bound; what the call adds; the stack trace."""
    try:
        raise LookupError("nobody is there")
    except LookupError as error:
        with log.bound(request_id="req_1", account_id=""):
            log.error("二 failed\nin two lines", error, tries=3, money={"minor": 5}, level="no")
    (line,) = lines.all()
    assert (line["level"], line["service"], line["stage"]) == ("ERROR", "linli", "test")
    assert line["message"] == "二 failed\nin two lines"
    assert line["time"].endswith("+00:00")
    assert (line["request_id"], line["tries"], line["money"]) == ("req_1", 3, {"minor": 5})
    assert "account_id" not in line
    assert line["exception_name"] == "LookupError"
    assert "test_log.py" in line["exception"]


def test_no_line_names_a_person(lines: Lines) -> None:
    """Phones and tokens are stars in the message, in a field however deep, and in a trace."""
    try:
        raise ValueError("+8613800000001 with Bearer abc.def")
    except ValueError as error:
        log.error("call +8613800000002", error, to="+8613800000003", deep={"keys": ["sk_test_abc", "whsec_x1"]})
    written = lines.text.getvalue()
    assert written.count("+***") >= 3
    assert not [secret for secret in ("13800", "abc", "x1") if secret in written]


def test_what_is_bound_ends_with_its_block(lines: Lines) -> None:
    """Nothing of one message stands on the lines of the next."""
    log.bind(order_id="lost")
    with log.bound(queue="notify"):
        with log.bound(request_id="m1"):
            log.bind(order_id="ord_1")
            log.info("inner")
        log.info("outer")
    log.info("after")
    inner, outer, after = lines.all()
    assert (inner["queue"], inner["request_id"], inner["order_id"]) == ("notify", "m1", "ord_1")
    assert outer["queue"] == "notify"
    assert not {"request_id", "order_id"} & set(outer)
    assert not {"queue", "order_id"} & set(after)


def test_a_word_that_is_no_level_stops_the_start() -> None:
    """One clear line, before anything is served."""
    assert Settings.from_env({"LINLI_LOG_LEVEL": "DEBUG", "LINLI_METRICS": "on"}).log_level == "DEBUG"
    with pytest.raises(SettingsError, match="LINLI_LOG_LEVEL must be one of DEBUG, INFO"):
        Settings.from_env({"LINLI_LOG_LEVEL": "loud"})
    with pytest.raises(SettingsError, match="LINLI_METRICS must be one of on, off"):
        Settings.from_env({"LINLI_METRICS": "some"})


def test_every_request_is_one_line_with_who_what_and_how_much(lines: Lines) -> None:
    """Request id, operation, status, milliseconds, units; the account; the order where path or result has one."""
    customer = identity.person()
    visit = build.booked(salons.salon(), customer=customer)
    customer.client.get(f"/v1/orders/{visit.id}", X_Request_Id="req-of-the-app")
    Client().get("/v1/orders/not-an-order")
    served = lines.of("served")
    assert all(
        {"request_id", "operation", "status", "ms", "read_units", "write_units", "function"} <= set(line)
        for line in served
    )
    (placed,) = [line for line in served if line["operation"] == "place_order"]
    assert (placed["status"], placed["order_id"], placed["account_id"]) == (201, visit.id, customer.account_id)
    assert placed["write_units"] > 4
    read, refused = served[-2:]
    assert (read["request_id"], read["order_id"], read["read_units"] > 0) == ("req-of-the-app", visit.id, True)
    assert (refused["status"], refused["code"]) == (401, "unauthorized")
    assert "order_id" not in refused


def test_every_message_and_every_job_is_one_line(lines: Lines) -> None:
    """The news id and the order of a message; AWS's request id where the context has one."""
    visit = build.booked()
    visit.pay()
    world.deliver_webhooks()
    (webhook,) = [line for line in lines.of("served") if line.get("order_id") == visit.id and "event_id" in line][-1:]
    assert webhook["operation"] == "stripe_webhook"
    world.run_queues()
    (told,) = [line for line in lines.of("consumed") if line["order_id"] == visit.id]
    assert told["news"].startswith(f"order.confirmed:{visit.id}:")
    assert {"request_id", "aws_request_id", "function", "ms", "read_units", "write_units"} <= set(told)
    (notified,) = [line for line in lines.of("notified") if line["order_id"] == visit.id]
    assert notified["news"] == told["news"]
    world.run_schedule("relay_outbox")
    done = lines.of("job done")[-1]
    assert (done["job"], done["function"]) == ("relay_outbox", "relay_outbox")
    assert {"aws_request_id", "ms", "read_units", "write_units", "relayed"} <= set(done)


def test_a_message_that_fails_says_which_it_was(lines: Lines) -> None:
    """The order and the news stand beside the trace."""
    from app import app
    from infra.local.events import sqs_event

    order_id = ids.random_id("ord")
    body = json.dumps({"id": "n1", "event": "order.paid", "at": str(world.now()), "data": {"order_id": order_id}})
    message = {"MessageId": "m1", "ReceiptHandle": "r", "Body": body}
    answer = app.handler_map["refund"](sqs_event("arn:aws:sqs:us-east-1:0:q", [message]), lambda_context("refund"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    (line,) = lines.of("message failed")
    assert (line["news"], line["order_id"], line["request_id"]) == ("n1", order_id, "m1")
    assert line["exception_name"] == "UnknownOrder"
