"""`linli --stage` against an engine that stands in for the cloud: it works on that stage's resources alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra import declare
from infra.functions import STAGES
from infra.imports import ROOT
from infra.local.engines import find_ministack_python, start_ministack, wait_for_ministack
from infra.local.processes import Children, free_ports

STAGING = next(stage for stage in STAGES if stage.name == "staging")
UNGUARDED = "rate_windows"  # the one table that is made without what protects it


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which everything of AWS is one local engine that has the tables and queues of staging."""
    folder = tmp_path_factory.mktemp("cloud")
    children = Children(folder)
    (port,) = free_ports(1)
    services = ["dynamodb", "sqs", "s3", "sts", "cloudwatch", "secretsmanager", "ssm"]
    wait_for_ministack(start_ministack(children, find_ministack_python(), port, services, folder), port)
    address = f"http://127.0.0.1:{port}"
    session = boto3.session.Session()
    _make_tables(session.client("dynamodb", endpoint_url=address, region_name="us-east-1"))
    _make_queues(session.client("sqs", endpoint_url=address, region_name="us-east-1"))
    account = session.client("sts", endpoint_url=address, region_name="us-east-1").get_caller_identity()["Account"]
    s3 = session.client("s3", endpoint_url=address, region_name="us-east-1")
    s3.create_bucket(Bucket=f"{STAGING.prefix}files-{account}")
    known = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_"))}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    # What was left behind from a local stack must not be mixed with the stage's.
    left = {"LINLI_TABLE_PREFIX": "linli-", "LINLI_DATA": str(folder), "LINLI_STRIPE_BASE_URL": "http://127.0.0.1:9"}
    yield {**known, **keys, **left, "AWS_ENDPOINT_URL": address}
    children.stop()


def _make_tables(client: Any) -> None:
    for table in declare.tables():
        name = STAGING.prefix + table.short
        client.create_table(**{**table.create_arguments(), "TableName": name})
        if table.ttl:
            ttl = {"AttributeName": table.ttl, "Enabled": True}
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)
        if table.short != UNGUARDED:
            kept = {"PointInTimeRecoveryEnabled": True}
            client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=kept)


def _make_queues(client: Any) -> None:
    for queue in declare.queues():
        name = STAGING.prefix + queue.name
        dead = client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": queue.max_receives})
        attributes = {"VisibilityTimeout": str(queue.visibility_seconds), "RedrivePolicy": redrive}
        client.create_queue(QueueName=name, Attributes=attributes)


def linli(cloud: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a command on staging."""
    command = [sys.executable, "-m", "infra.ops.cli", "--stage", "staging", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=cloud, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_doctor_sees_what_only_a_cloud_can_tell(cloud: dict[str, str]) -> None:
    """Tables with their recovery, queues with their visibility; the one table without recovery is named, and so is
    each secret that nobody has put there."""
    code, found = linli(cloud, "doctor")
    assert (code, found["stage"]) == (1, "staging")
    of = {(check["area"], check["name"]): (check["status"], check["says"]) for check in found["checks"]}
    tables = {name: told for (area, name), told in of.items() if area == "tables"}
    assert set(tables) == {STAGING.prefix + table.short for table in declare.tables()}
    red = {name: says for name, (status, says) in tables.items() if status == "red"}
    assert red == {STAGING.prefix + UNGUARDED: "it cannot be restored to a point in time"}
    for queue in declare.queues():
        assert of["queues", queue.name] == ("green", "0 messages")
    secrets = {told for (area, _), told in of.items() if area == "secrets"}
    assert any(status == "red" for status, _ in secrets)


def test_a_command_works_on_the_stage_and_leaves_its_trace_there(cloud: dict[str, str]) -> None:
    """The audit log is staging's own, and verifies against the bucket that carries the account's number."""
    code, found = linli(cloud, "outbox", "send", "--actor", "ada")
    assert (code, found) == (0, {"sent": 0, "woken": 0})
    code, found = linli(cloud, "audit", "verify")
    assert (code, found["items"]) == (0, [])
    assert (found["audit_entries"], found["anchors"]) == (2, 0)


def test_restored_tables_have_a_prefix_of_their_own(cloud: dict[str, str]) -> None:
    """One that begins as the stage's does is chosen on purpose; any other, as in the tests above, was left behind."""
    _, found = linli(cloud | {"LINLI_TABLE_PREFIX": f"{STAGING.prefix}r1122-"}, "doctor")
    names = {check["name"] for check in found["checks"] if check["area"] == "tables"}
    assert names == {f"{STAGING.prefix}r1122-{table.short}" for table in declare.tables()}
