"""What an account needs once in a region, whatever stages it holds: `linli-account`.

The bucket of artefacts, and the role by which API Gateway writes its logs: an account has one such role for all APIs of
a region, so no stage may own it.
"""

from __future__ import annotations

from typing import Any

from infra.names import APP
from infra.storage import bucket

STACK = f"{APP}-account"
BUCKET_OUTPUT = "Artefacts"


def template() -> dict[str, Any]:
    """The whole template, small enough to be sent along."""
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "apigateway.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
            "ManagedPolicyArns": [
                {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"}
            ],
        },
    }
    account = {
        "Type": "AWS::ApiGateway::Account",
        "Properties": {"CloudWatchRoleArn": {"Fn::GetAtt": ["GatewayLogs", "Arn"]}},
    }
    name = {"Fn::Sub": f"{APP}-artefacts-${{AWS::AccountId}}-${{AWS::Region}}"}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Linli: what all stages of an account share",
        "Resources": {
            **bucket("Artefacts", name, guarded=True, old_versions_days=90),
            "GatewayLogs": role,
            "Gateway": account,
        },
        "Outputs": {BUCKET_OUTPUT: {"Value": {"Ref": "Artefacts"}}},
    }
