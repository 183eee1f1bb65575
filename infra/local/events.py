"""The events Lambda would hand to our handlers, and the handlers themselves.

`chalice.test` gives every SQS record the same message id, so the events are built here as AWS documents them:
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from chalice.app import BaseEventSourceConfig, Chalice
from chalice.local import LambdaContext

Handler = Callable[[dict[str, Any], Any], Any]
REGION = "us-east-1"
ACCOUNT = "000000000000"
HANDLER_SECONDS = 60


def handler_of(app: Chalice, source: BaseEventSourceConfig) -> Handler:
    """Return the callable Lambda would load for `source`: it takes a raw event and a context."""
    handler: Handler = app.handler_map[source.name]
    return handler


def lambda_context(name: str) -> LambdaContext:
    """Return a context as Lambda gives it to the function `name`."""
    return LambdaContext(function_name=name, memory_size=512, max_runtime_ms=HANDLER_SECONDS * 1000)


def sqs_event(queue_arn: str, messages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the event for `messages`, each as boto3's `receive_message` gave it with all its attributes."""
    return {"Records": [_sqs_record(queue_arn, message) for message in messages]}


def schedule_event(rule: str, at: datetime) -> dict[str, Any]:
    """Return the event of EventBridge's rule `rule` firing `at` (aware)."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"],
        "detail": {},
    }


def _sqs_record(queue_arn: str, message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """SQS says `StringValue`, Lambda says `stringValue` and adds the two empty lists."""
    renamed = {name[0].lower() + name[1:]: content for name, content in value.items()}
    return {"stringListValues": [], "binaryListValues": [], **renamed}
