"""The base stack of a stage: everything that holds data, and everything that watches. No functions.

Surfaces come and go; this stays. They find what stands here by its physical name.
"""

from __future__ import annotations

from typing import Any

from infra import watching
from infra.declare import Queue, Stack, Table
from infra.functions import Stage
from infra.names import OWN, STAGE_PARAMETER, dead_letter_id, queue_id, table_id

DAY_SECONDS = 86_400
RETENTION_SECONDS = 14 * DAY_SECONDS  # the longest SQS keeps a message
FILES_ID = "Files"

Resource = dict[str, Any]


def template(stack: Stack, stage: Stage) -> dict[str, Any]:
    """The whole template. The same Stack gives the same text."""
    resources: dict[str, Resource] = {}
    for table in stack.tables:
        resources[table_id(table.short)] = _table(table, stage)
    for queue in stack.queues:
        resources |= _queue(queue, stage)
    resources |= _files(stage)
    made: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Linli, {stage.name}: data and alarms",
        "Parameters": {STAGE_PARAMETER: {"Type": "String", "Default": stage.name, "AllowedValues": [stage.name]}},
        "Resources": resources,
        "Outputs": {"FilesBucket": {"Value": {"Ref": FILES_ID}}},
    }
    return watching.added(made, stack, stage)


def _kept(resource: Resource, stage: Stage) -> Resource:
    """What holds data outlives the stack that made it, where the stage is guarded."""
    policy = "Retain" if stage.guarded else "Delete"
    return {**resource, "DeletionPolicy": policy, "UpdateReplacePolicy": policy}


def _table(table: Table, stage: Stage) -> Resource:
    properties = {
        **table.create_arguments(),
        "TableName": stage.prefix + table.short,
        "DeletionProtectionEnabled": stage.guarded,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    if table.ttl:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.ttl, "Enabled": True}
    return _kept({"Type": "AWS::DynamoDB::Table", "Properties": properties}, stage)


def _queue(queue: Queue, stage: Stage) -> dict[str, Resource]:
    dead = dead_letter_id(queue.name)
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": [dead, "Arn"]}, "maxReceiveCount": queue.max_receives}
    made = _sqs(stage.prefix + queue.name, VisibilityTimeout=queue.visibility_seconds, RedrivePolicy=redrive)
    return {
        queue_id(queue.name): _kept(made, stage),
        dead: _kept(_sqs(stage.prefix + queue.dead_letter_name), stage),
    }


def _sqs(name: str, **properties: Any) -> Resource:
    common = {"QueueName": name, "MessageRetentionPeriod": RETENTION_SECONDS, "SqsManagedSseEnabled": True}
    return {"Type": "AWS::SQS::Queue", "Properties": {**common, **properties}}


def _files(stage: Stage) -> dict[str, Resource]:
    """The file store: encrypted, versioned, closed to the public, reached over TLS 1.2 or later only."""
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "BucketName": {"Fn::Sub": f"{OWN}files-${{AWS::AccountId}}"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "old-versions",
                        "Status": "Enabled",
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 90 if stage.guarded else 7},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    }
                ]
            },
        },
    }
    arn = {"Fn::GetAtt": [FILES_ID, "Arn"]}
    everything = [arn, {"Fn::Sub": f"${{{FILES_ID}.Arn}}/*"}]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything}
    statements = [
        {**deny, "Sid": "NoPlainHttp", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {**deny, "Sid": "NoOldTls", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ]
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": FILES_ID},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }
    return {FILES_ID: _kept(bucket, stage), f"{FILES_ID}Policy": policy}
