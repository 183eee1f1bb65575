"""An AWS region on this machine: MiniStack in a process of its own, which asks IAM before it does anything.

With AUTH=true MiniStack runs each function with temporary credentials of the function's own role, and looks at the
role's policies at every call that it serves. README.md says what it checks and what it does not.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.local import engines
from infra.local.processes import LOOPBACK, Child, Children, answers_ok, wait_ready

NAME = "us-east-1"
# MiniStack's account root, whom no policy binds: the person who deploys.
ROOT_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
SERVICES = (
    "apigateway",
    "cloudformation",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
)


class Region:
    """MiniStack with IAM enforced. Everything it keeps stands below `data` and goes with it."""

    def __init__(self, children: Children, port: int, data: Path) -> None:
        import boto3

        # One for all: each session reads the services' descriptions anew.
        self.session = boto3.Session(region_name=NAME, **ROOT_KEYS)
        self.url = f"http://{LOOPBACK}:{port}"
        self.log = self._start(children, port, data).log

    def _start(self, children: Children, port: int, data: Path) -> Child:
        python = engines.find_ministack_python()
        settings = {"AUTH": "true", "PERSIST_STATE": "0", "S3_PERSIST": "0"}
        program = ("-P", str(Path(__file__).with_name("ministack_as_aws.py")))
        child = engines.start_ministack(children, python, port, list(SERVICES), data, settings, program)
        wait_ready(child, lambda: answers_ok(f"{self.url}/_ministack/health"), seconds=60)
        return child

    @property
    def environ(self) -> dict[str, str]:
        """The environment of somebody who deploys to it, or works on it with the operators' tools."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_", "PYTEST"))}
        return kept | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": NAME,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, **keys: str) -> Any:
        """A boto3 client; without `keys` the root's."""
        from botocore.config import Config

        config = Config(read_timeout=60, retries={"total_max_attempts": 1})
        return self.session.client(service, endpoint_url=self.url, config=config, **keys)

    def keys_of(self, role_arn: str) -> dict[str, str]:
        """Temporary credentials of a role, such as its function runs with."""
        given = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def sms(self, phone: str = "") -> dict[str, list[str]]:
        """What SNS was asked to send: for each phone the texts, oldest first."""
        query = f"?phoneNumber={quote(phone)}" if phone else ""
        where = f"{self.url}/_ministack/sns/sms-messages{query}"
        with urllib.request.urlopen(where, timeout=10) as answer:  # noqa: S310  (our own loopback URL)
            found = json.loads(answer.read())["sms_messages"]
        return {number: [record["Message"] for record in records] for number, records in found.items()}

    def printed(self, function: str) -> list[dict[str, Any]]:
        """The JSON lines that a function has logged, oldest first."""
        logs = self.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
        lines = sorted((event["timestamp"], event["message"]) for page in pages for event in page["events"])
        return [json.loads(text) for _, text in lines if text.startswith("{")]
