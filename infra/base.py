"""The base stack of a stage: everything that holds data, and everything that watches. No functions.

Surfaces come and go; this stays. They find what stands here by its physical name.
"""

from __future__ import annotations

from typing import Any

from infra import alarms
from infra.declare import Queue, Stack, Table
from infra.functions import Stage
from infra.names import FILES_BUCKET, PHOTOS_BUCKET, STAGE_PARAMETER, dead_letter_id, queue_id, table_id
from infra.policies import FILES
from infra.storage import bucket, kept

DAY_SECONDS = 86_400
RETENTION_SECONDS = 14 * DAY_SECONDS  # the longest SQS keeps a message
FILES_ID = "Files"
PHOTOS_ID = "Photos"
PHOTOS_READER = "PhotosReaderArn"
_HAS_READER = "HasPhotosReader"
MADE_ANEW = {FILES["chalicelib.search"]: 3}
"""Days after which the old versions are gone: the base of a city of a million shops is a few hundred MB."""

Resource = dict[str, Any]


def template(stack: Stack, stage: Stage) -> dict[str, Any]:
    """The whole template. The same Stack gives the same text."""
    resources: dict[str, Resource] = {}
    for table in stack.tables:
        resources[table_id(table.short)] = _table(table, stage)
    for queue in stack.queues:
        resources |= _queue(queue, stage)
    name = {"Fn::Sub": FILES_BUCKET}
    days = 90 if stage.guarded else 7
    resources |= bucket(FILES_ID, name, guarded=stage.guarded, old_versions_days=days, made_anew=MADE_ANEW)
    resources |= _photos(stage)
    made: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Linli, {stage.name}: data and alarms",
        "Parameters": {
            STAGE_PARAMETER: {"Type": "String", "Default": stage.name, "AllowedValues": [stage.name]},
            PHOTOS_READER: {
                "Type": "String",
                "Default": "",
                "Description": "The ARN of the CloudFront distribution that shows the photos; empty for none yet.",
                "AllowedPattern": "(arn:[a-z-]+:cloudfront::[0-9]{12}:distribution/[A-Z0-9]+)?",
            },
        },
        "Conditions": {_HAS_READER: {"Fn::Not": [{"Fn::Equals": [{"Ref": PHOTOS_READER}, ""]}]}},
        "Resources": resources,
        "Outputs": {"FilesBucket": {"Value": {"Ref": FILES_ID}}, "PhotosBucket": {"Value": {"Ref": PHOTOS_ID}}},
    }
    if stage.alarms:
        made["Parameters"] |= alarms.parameters()
        made["Conditions"] |= alarms.conditions()
        made["Resources"] |= alarms.resources(stack, stage)
        made["Outputs"]["AlarmTopicArn"] = {"Value": {"Ref": alarms.TOPIC_ID}}
    return made


def _photos(stage: Stage) -> dict[str, Resource]:
    """People's photos. Browsers put them by a form that a function has signed, whatever page they are on; a CDN may
    read those that are to be seen, and nobody reads the uploads but our functions."""
    rule = {"AllowedMethods": ["POST"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"], "MaxAge": 3600}
    read = {
        "Sid": "Reader",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": {"Fn::Sub": f"${{{PHOTOS_ID}.Arn}}/photos/*"},
        "Condition": {"StringEquals": {"AWS:SourceArn": {"Ref": PHOTOS_READER}}},
    }
    return bucket(
        PHOTOS_ID,
        {"Fn::Sub": PHOTOS_BUCKET},
        guarded=stage.guarded,
        old_versions_days=30 if stage.guarded else 7,
        passing="uploads/",
        allows=[{"Fn::If": [_HAS_READER, read, {"Ref": "AWS::NoValue"}]}],
        CorsConfiguration={"CorsRules": [rule]},
    )


def _table(table: Table, stage: Stage) -> Resource:
    properties = {
        **table.create_arguments(),
        "TableName": stage.prefix + table.short,
        "DeletionProtectionEnabled": stage.guarded,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    if table.ttl:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.ttl, "Enabled": True}
    return kept({"Type": "AWS::DynamoDB::Table", "Properties": properties}, guarded=stage.guarded)


def _queue(queue: Queue, stage: Stage) -> dict[str, Resource]:
    dead = dead_letter_id(queue.name)
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": [dead, "Arn"]}, "maxReceiveCount": queue.max_receives}
    made = _sqs(stage.prefix + queue.name, VisibilityTimeout=queue.visibility_seconds, RedrivePolicy=redrive)
    return {
        queue_id(queue.name): kept(made, guarded=stage.guarded),
        dead: kept(_sqs(stage.prefix + queue.dead_letter_name), guarded=stage.guarded),
    }


def _sqs(name: str, **properties: Any) -> Resource:
    common = {"QueueName": name, "MessageRetentionPeriod": RETENTION_SECONDS, "SqsManagedSseEnabled": True}
    return {"Type": "AWS::SQS::Queue", "Properties": {**common, **properties}}
