"""Schedules run because EventBridge's rules call them, and the outbox keeps its promise under IAM."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from infra.ops import demo_acts as acts
from infra.ops.demo_stage import DemoFailed
from tests.cloud import backstage
from tests.cloud.deployed import STAGE, Deployed

pytestmark = pytest.mark.cloud

RULE_AND_CONSUMER_SECONDS = 150  # a rule of one minute that is looked at every ten seconds, and two functions' starts


def test_what_the_webhook_may_not_send_the_schedule_sends(deployed: Deployed) -> None:
    """A denial reaches a running function at once: the order is paid and its news stays in the outbox, until the rule
    runs the relay, whose role may send."""
    told = io.StringIO()
    stage = backstage.stage(deployed, Console(file=told, width=140))
    try:
        cast = acts.sign_in(stage)
        acts.search(cast)
        acts.look(cast)
        order, _ = acts.place(cast, acts.free_start(cast)["starts_at"])
        since, phone = stage.mark(), cast.customer.phone
        with denied(deployed, "webhooks-api_handler", "sqs:SendMessage"):
            acts.approve(cast, order, "alipay")
            assert not stage.sms(phone, "order.confirmed", since)
            assert any("AccessDenied" in str(line) for line in said(deployed, "webhooks-api_handler", "relay failed"))
        relayed = len(said(deployed, "jobs-relay_outbox", "job done"))
        stage.advance(61)  # younger news is left to whoever has just written it
        stage.wait_for(
            "the rule runs the relay",
            lambda: stage.sms(phone, "order.confirmed", since),
            seconds=RULE_AND_CONSUMER_SECONDS,
            every_seconds=0.5,
        )
        # The text may be there before the run that sent its news has ended and said so.
        stage.wait_for(
            "the relay says what it did",
            lambda: sum(run["relayed"] for run in said(deployed, "jobs-relay_outbox", "job done")[relayed:]) >= 1,
            seconds=30,
            every_seconds=0.5,
        )
    except DemoFailed as failure:
        pytest.fail(f"{told.getvalue()[-3000:]}\n{failure}\n{failure.document}\n{deployed.trouble()}")


@contextmanager
def denied(deployed: Deployed, function: str, action: str) -> Iterator[None]:
    """Takes a right away from a function's role, and gives it back."""
    iam, role = deployed.region.client("iam"), deployed.role_of(function).rpartition("/")[2]
    statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="denied")


def said(deployed: Deployed, function: str, words: str) -> list[dict[str, object]]:
    """The lines of a function's log with these words."""
    return [line for line in deployed.region.printed(STAGE.prefix + function) if words in str(line.get("message"))]
