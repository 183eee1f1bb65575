"""What was deployed, kept by version, so that going back is deploying it again: the zip and the surfaces' templates.

They lie in the account's artefact bucket, with what the stage was told beside its templates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from infra.names import APP
from infra.ops.package import Package
from infra.ops.stacks import DeployError


@dataclass(frozen=True)
class Release:
    """A package in the bucket. `templates` are texts by part, as they were built."""

    stage: str
    version: str
    zip_key: str
    templates: Mapping[str, str]


def version_of(package: Package) -> str:
    """From what is deployed, not from when: the same bytes are the same release."""
    found = hashlib.sha256(package.zip_file.read_bytes())
    for part in sorted(package.templates):
        found.update(package.templates[part].read_bytes())
    try:
        number = version(APP)
    except PackageNotFoundError:
        number = "0"
    return f"{number}-{found.hexdigest()[:12]}"


class Store:
    """The artefact bucket of an account in a region."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def keep(self, package: Package) -> Release:
        """Uploads what is not there yet."""
        release = version_of(package)
        zip_bytes = package.zip_file.read_bytes()
        # By its content: a function whose code has the same key is not deployed again.
        zip_key = f"{package.stage}/code/{hashlib.sha256(zip_bytes).hexdigest()[:32]}.zip"
        if not self._has(zip_key):
            self._client.put_object(Bucket=self.bucket, Key=zip_key, Body=zip_bytes)
        templates = {part: path.read_text(encoding="utf-8") for part, path in package.templates.items()}
        made = Release(package.stage, release, zip_key, templates)
        key = _release_key(package.stage, release)
        if not self._has(key):
            content = {"zip_key": zip_key, "templates": templates}
            self._put(key, json.dumps(content, ensure_ascii=False))
        return made

    def load(self, stage: str, release: str) -> Release:
        """A release that was kept. Raises DeployError."""
        key = _release_key(stage, release)
        if not self._has(key):
            known = ", ".join(name for name, _ in list(self.list(stage))[:5]) or "none"
            raise DeployError(f"{stage} has no release {release}; the latest are: {known}")
        content = json.loads(self._get(key))
        return Release(stage, release, content["zip_key"], content["templates"])

    def list(self, stage: str) -> Iterable[tuple[str, str]]:
        """Versions and when each was first deployed, the newest first."""
        begin = f"{stage}/releases/"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=begin)
        found = [each for page in pages for each in page.get("Contents", [])]
        for each in sorted(found, key=lambda each: each["LastModified"], reverse=True):
            yield each["Key"].removeprefix(begin).removesuffix(".json"), f"{each['LastModified']:%Y-%m-%d %H:%M:%S} UTC"

    def told(self, stage: str) -> dict[str, str]:
        """What the stage is told beside its templates, from its last deployment."""
        key = f"{stage}/told.json"
        found: dict[str, str] = json.loads(self._get(key)) if self._has(key) else {}
        return found

    def tell(self, stage: str, told: Mapping[str, str]) -> None:
        self._put(f"{stage}/told.json", json.dumps(dict(sorted(told.items())), indent=1))

    def put_template(self, stage: str, part: str, text: str) -> str:
        """Returns the address at which CloudFormation reads it."""
        key = f"{stage}/templates/{hashlib.sha256(text.encode()).hexdigest()[:32]}-{part}.json"
        self._put(key, text)
        return f"{self._client.meta.endpoint_url}/{self.bucket}/{key}"

    def _put(self, key: str, text: str) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=text.encode(), ContentType="application/json")

    def _get(self, key: str) -> str:
        text: str = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
        return text

    def _has(self, key: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True


def _release_key(stage: str, release: str) -> str:
    return f"{stage}/releases/{release}.json"
