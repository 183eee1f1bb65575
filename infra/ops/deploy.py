"""`make deploy STAGE=dev|staging|prod`: brings a stage to what the code says.

The base first, for a table must exist before a function reads it; then the consumers, so that news of a new kind finds
somebody who understands it; then the APIs. Each is a change set, and one that would lose data is refused.

    make deploy STAGE=staging                        package and deploy what is here
    make deploy STAGE=staging DRY=1                  say what would change, and change nothing
    make deploy STAGE=prod RELEASE=0.1.0-5e1f0c2a9b7d   the functions of an earlier release; data stay as they are
    make deploy STAGE=dev TELL="LINLI_SMS_SENDER_ID=Linli PublicUrl=https://api.example.org"
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from chalicelib.runtime.settings import Settings, SettingsError
from chalicelib.web.application import HTTP_SURFACES, JOBS, OPERATOR, PUBLIC, WEBHOOKS
from infra import account
from infra.names import BASE, PUBLIC_URL_PARAMETER, stack_name
from infra.ops.package import Package
from infra.ops.releases import Release, Store
from infra.ops.stacks import Change, DeployError, Event, Progress, Stacks, Template

ORDER = (JOBS, WEBHOOKS, OPERATOR, PUBLIC)
NOWHERE = "https://not-known-yet.invalid"
"""The public address until API Gateway has given one."""

# The templates say these; as a variable one of them would win over the template, and the policies would not fit.
_NOT_TOLD = frozenset(
    f"LINLI_{name}" for name in ("STAGE", "SURFACE", "TABLE_PREFIX", "PUBLIC_URL", "SECRET_NAMES", "VERSION")
)


@dataclass(frozen=True)
class Deployed:
    """What a deployment came to. `urls` are by surface, without a slash at the end; a dry run has only `changes`."""

    stage: str
    version: str
    changes: Mapping[str, tuple[Change, ...]]
    urls: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def _silent(_: Event) -> None:
    """Tells nobody."""


class Cloud:
    """One account and region. `endpoint_url` names something that speaks for AWS; None is AWS itself, or what the
    environment says (`AWS_ENDPOINT_URL`)."""

    def __init__(self, session: Any = None, endpoint_url: str | None = None, poll_seconds: float = 3.0) -> None:
        import boto3

        self._session: Any = session or boto3.Session()
        self._endpoint_url = endpoint_url
        self.poll_seconds = poll_seconds

    def client(self, service: str) -> Any:
        """boto3's client of a service, in this account and region."""
        return self._session.client(service, endpoint_url=self._endpoint_url)

    def stacks(self, progress: Progress) -> Stacks:
        return Stacks(self.client("cloudformation"), progress, self.poll_seconds)

    def store(self, progress: Progress = _silent) -> Store:
        """The artefact bucket; made, with the rest of what an account shares, when there is none."""
        stacks = self.stacks(progress)
        text = json.dumps(account.template())
        outputs = stacks.outputs(account.STACK)
        if outputs is None:
            stacks.apply(account.STACK, Template(text), {})
            outputs = stacks.outputs(account.STACK) or {}
        return Store(self.client("s3"), outputs[account.BUCKET_OUTPUT])


def deploy(
    stage: str,
    what: Package | str,
    cloud: Cloud,
    told: Mapping[str, str] | None = None,
    progress: Progress = _silent,
    *,
    dry_run: bool = False,
) -> Deployed:
    """Deploys a package, or the functions of an earlier release, given by its version.

    `told` are template parameters by their names (`PublicUrl`, `TablePrefix`, `AlarmEmail`) and variables of the
    functions (`LINLI_…`, and others in capitals). They are kept beside the artefacts and hold until told otherwise; an
    empty text takes one back. Raises DeployError.
    """
    store = cloud.store(progress)
    release = store.load(stage, what) if isinstance(what, str) else store.keep(what)
    if release.stage != stage:
        raise DeployError(f"packaged for {release.stage}, not for {stage}")
    said = _said(store.told(stage), told or {})
    one = _Deployment(cloud, store, release, progress, dry_run=dry_run)
    one.check(said)
    changes: dict[str, tuple[Change, ...]] = {}
    if not isinstance(what, str):
        changes[BASE] = one.apply(BASE, said)
    known = PUBLIC_URL_PARAMETER in said
    address = said.get(PUBLIC_URL_PARAMETER) or one.url(PUBLIC) or NOWHERE
    for part in ORDER:
        changes[part] = one.apply(part, {**said, PUBLIC_URL_PARAMETER: address})
    if dry_run:
        return Deployed(stage, release.version, changes)
    found = one.url(PUBLIC)
    if not known and found and found != address:
        # The first time: only now is it known where the functions are reached from outside.
        for part in ORDER:
            one.apply(part, {**said, PUBLIC_URL_PARAMETER: found})
    store.tell(stage, said)
    outputs = {part: one.stacks.outputs(stack_name(stage, part)) or {} for part in (BASE, *ORDER)}
    urls = {surface: one.url(surface) for surface in HTTP_SURFACES}
    return Deployed(stage, release.version, changes, urls, outputs)


class _Deployment:
    """One release on its way into one stage."""

    def __init__(self, cloud: Cloud, store: Store, release: Release, progress: Progress, *, dry_run: bool) -> None:
        self.stacks = cloud.stacks(progress)
        self._store = store
        self._release = release
        self._dry_run = dry_run

    def check(self, said: Mapping[str, str]) -> None:
        """Refuses what no template and no setting knows, before anything is changed."""
        known = {name for text in self._release.templates.values() for name in json.loads(text).get("Parameters", {})}
        unknown = [name for name in said if not _is_variable(name) and name not in known]
        settings = {f"LINLI_{each.name.upper()}" for each in fields(Settings)} - _NOT_TOLD
        unknown += [name for name in said if name.startswith("LINLI_") and name not in settings]
        if unknown:
            raise DeployError(f"neither a parameter nor a setting that can be told: {', '.join(sorted(unknown))}")
        try:
            Settings.from_env(said)
        except SettingsError as error:
            raise DeployError(str(error)) from error

    def apply(self, part: str, said: Mapping[str, str]) -> tuple[Change, ...]:
        text = self._release.templates[part]
        if part != BASE:
            text = self._with_code(text, {name: value for name, value in said.items() if _is_variable(name)})
        url = self._store.put_template(self._release.stage, part, text)
        name = stack_name(self._release.stage, part)
        return self.stacks.apply(name, Template(text, url), said, dry_run=self._dry_run)

    def _with_code(self, text: str, variables: Mapping[str, str]) -> str:
        """The template with its code in the bucket and what the stage was told."""
        template = json.loads(text)
        for found in template["Resources"].values():
            if found["Type"] == "AWS::Serverless::Function":
                properties = found["Properties"]
                properties["CodeUri"] = {"Bucket": self._store.bucket, "Key": self._release.zip_key}
                told = {**variables, "LINLI_VERSION": self._release.version}
                properties["Environment"]["Variables"] |= dict(sorted(told.items()))
        return json.dumps(template, ensure_ascii=False)

    def url(self, surface: str) -> str:
        """Where a surface is reached, or an empty text where it is not deployed."""
        outputs = self.stacks.outputs(stack_name(self._release.stage, surface)) or {}
        return outputs.get("EndpointURL", "").rstrip("/")


def _is_variable(name: str) -> bool:
    return re.fullmatch(r"[A-Z][A-Z0-9_]*", name) is not None


def _said(before: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in {**before, **told}.items() if value}
