"""Deploys one package by CloudFormation."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from chalicelib.providers.secrets.names import SECRETS
from chalicelib.web.application import SURFACES
from infra.functions import Stage
from infra.names import BASE, secrets_path, stack_name
from infra.ops.package import Package
from tests.cloud.region import NAME, Region

_BUCKET = "artefacts"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]


def deploy(region: Region, stage: Stage, package: Package) -> dict[str, dict[str, str]]:
    """Uploads, creates the stacks and returns the outputs of each."""
    s3 = region.client("s3")
    s3.create_bucket(Bucket=_BUCKET)
    s3.upload_file(str(package.zip_file), _BUCKET, "deployment.zip")
    return {part: _create(region, s3, stage, part, package.templates[part]) for part in (BASE, *SURFACES)}


def _create(region: Region, s3: Any, stage: Stage, part: str, path: Path) -> dict[str, str]:
    template = json.loads(path.read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{_BUCKET}/deployment.zip"
    s3.put_object(Bucket=_BUCKET, Key=f"{part}.json", Body=json.dumps(template).encode())
    given = {"PublicUrl": "https://linli.example"}
    known = template.get("Parameters", {})
    cloudformation, name = region.client("cloudformation"), stack_name(stage.name, part)
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"https://s3.{NAME}.amazonaws.com/{_BUCKET}/{part}.json",
        Capabilities=_CAPABILITIES,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items() if k in known],
    )
    while True:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.1)
    if found["StackStatus"] != "CREATE_COMPLETE":
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        raise AssertionError([e for e in events if "FAILED" in e["ResourceStatus"]])
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}


def put_secrets(region: Region, stage: Stage, secrets: dict[str, str]) -> None:
    """As an operator does it, before or after the stacks."""
    ssm = region.client("ssm")
    for secret in SECRETS:
        if secret.name in secrets:
            name = secrets_path(stage.name) + secret.name
            ssm.put_parameter(Name=name, Value=secrets[secret.name], Type="SecureString")
