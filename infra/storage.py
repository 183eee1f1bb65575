"""A bucket as we make every bucket: encrypted, versioned, closed to the public, reached over TLS 1.2 or later only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

Resource = dict[str, Any]
NOTHING: Mapping[str, int] = MappingProxyType({})


def kept(resource: Resource, *, guarded: bool) -> Resource:
    """What holds data outlives the stack that made it, where it is guarded."""
    policy = "Retain" if guarded else "Delete"
    return {**resource, "DeletionPolicy": policy, "UpdateReplacePolicy": policy}


def bucket(
    logical_id: str,
    name: Any,
    *,
    guarded: bool,
    old_versions_days: int,
    passing: str = "",
    made_anew: Mapping[str, int] = NOTHING,
    allows: Sequence[Resource] = (),
    **more: Any,
) -> dict[str, Resource]:
    """The bucket and its policy, by their logical names. What begins with `passing` goes after a day. `made_anew` names
    the beginnings of keys whose files we can make again, and after how many days their old versions go: of two rules
    that fit, S3 follows the shorter. `allows` are statements of who may do what without a role of ours, `more` are
    further properties of the bucket."""
    made = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "BucketName": name,
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
                        "NoncurrentVersionExpiration": {"NoncurrentDays": old_versions_days},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    },
                    *([_passing(passing)] if passing else []),
                    *(_short_rule(prefix, days) for prefix, days in sorted(made_anew.items())),
                ]
            },
            **more,
        },
    }
    everything = [{"Fn::GetAtt": [logical_id, "Arn"]}, {"Fn::Sub": f"${{{logical_id}.Arn}}/*"}]
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": everything}
    statements = [
        {**deny, "Sid": "NoPlainHttp", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {**deny, "Sid": "NoOldTls", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        *allows,
    ]
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": logical_id},
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }
    return {logical_id: kept(made, guarded=guarded), f"{logical_id}Policy": policy}


def _passing(prefix: str) -> dict[str, Any]:
    """With its old versions: of what nobody used nothing is left."""
    return {
        "Id": "passing",
        "Status": "Enabled",
        "Prefix": prefix,
        "ExpirationInDays": 1,
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }


def _short_rule(prefix: str, days: int) -> Resource:
    """Also the marks that S3 sets where a file was deleted, once nothing lies under them."""
    return {
        "Id": f"old-versions-{prefix.strip('/')}",
        "Status": "Enabled",
        "Prefix": prefix,
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        "ExpiredObjectDeleteMarker": True,
    }
