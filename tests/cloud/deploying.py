"""Deploys one package by CloudFormation."""

from __future__ import annotations

import json
import time
from typing import Any

from infra.functions import Stage
from infra.ops.package import Package
from tests.cloud.region import NAME, Region

_BUCKET = "artefacts"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


def deploy(region: Region, stage: Stage, package: Package) -> dict[str, str]:
    """Uploads, creates the stack and returns its outputs."""
    s3, cloudformation = region.client("s3"), region.client("cloudformation")
    s3.create_bucket(Bucket=_BUCKET)
    s3.upload_file(str(package.zip_file), _BUCKET, "deployment.zip")
    template = json.loads(package.template.read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{_BUCKET}/deployment.zip"
        if resource["Type"] == "AWS::IAM::Role":
            _name_secrets(resource, stage)
    s3.put_object(Bucket=_BUCKET, Key="template.json", Body=json.dumps(template).encode())
    name = f"linli-{stage.name}"
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"https://s3.{NAME}.amazonaws.com/{_BUCKET}/template.json",
        Capabilities=_CAPABILITIES,
        Parameters=[{"ParameterKey": "PublicUrl", "ParameterValue": "https://linli.example"}],
    )
    while True:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.1)
    assert found["StackStatus"] == "CREATE_COMPLETE", found
    return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}


def _name_secrets(role: dict[str, Any], stage: Stage) -> None:
    """MiniStack's Ref of a secret is its name, not its ARN."""
    arn = f"arn:aws:secretsmanager:{NAME}:000000000000:secret:{stage.secret_name}-*"
    for policy in role["Properties"].get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement.get("Sid") == "Secrets":
                statement["Resource"] = arn


def put_secrets(region: Region, stage: Stage, secrets: dict[str, str]) -> None:
    region.client("secretsmanager").put_secret_value(SecretId=stage.secret_name, SecretString=json.dumps(secrets))


def api_id(outputs: dict[str, str], surface: str) -> str:
    return outputs["RestAPIId"]


def function_name(stage: Stage, name: str) -> str:
    return f"linli-{stage.name}-{name}"
