"""How large each function is and what it is told: `.chalice/config.json`, rendered from the Stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.web.application import OPERATOR, PUBLIC, SURFACES, WEBHOOKS
from infra import policies
from infra.declare import API, Function, Stack
from infra.imports import ROOT
from infra.names import APP, function_name, prefix, secrets_path

ARCHITECTURE = "arm64"
"""A fifth cheaper than x86_64 for the same memory."""
GATEWAY_STAGE = "api"
"""The first part of the path under API Gateway's own host name."""


@dataclass(frozen=True)
class Throttle:
    """What API Gateway lets through to one surface: calls a second, and how many at once. More is answered 429."""

    rate: int
    burst: int


@dataclass(frozen=True)
class Stage:
    """A deployment with tables, queues and secrets of its own.

    `guarded` data refuse to be deleted. `reserves` says whether webhooks and jobs have concurrency of their own: a new
    account has ten concurrent executions in all and lets none of them be reserved.
    """

    name: str
    log_days: int
    guarded: bool
    alarms: bool
    reserves: bool
    throttles: Mapping[str, Throttle]

    @property
    def prefix(self) -> str:
        """Stands before the name of every table and queue."""
        return prefix(self.name)

    def settings(self, surface: str) -> dict[str, str]:
        """The environment in which this deployment differs from the others."""
        return {
            "LINLI_STAGE": self.name,
            "LINLI_SURFACE": surface,
            "LINLI_TABLE_PREFIX": self.prefix,
            "LINLI_SECRETS_FILE": secrets_path(self.name),
            # A metric of one's own costs as much as three alarms; without alarms nobody looks.
            "LINLI_METRICS": "on" if self.alarms else "off",
        }


def _throttles(public: Throttle, webhooks: Throttle, operator: Throttle) -> dict[str, Throttle]:
    return {PUBLIC: public, WEBHOOKS: webhooks, OPERATOR: operator}


STAGES = (
    Stage(
        "dev",
        log_days=7,
        guarded=False,
        alarms=False,
        reserves=False,
        throttles=_throttles(Throttle(50, 100), Throttle(20, 40), Throttle(10, 20)),
    ),
    Stage(
        "staging",
        log_days=14,
        guarded=False,
        alarms=True,
        reserves=True,
        throttles=_throttles(Throttle(200, 400), Throttle(50, 100), Throttle(20, 40)),
    ),
    # Together they stay below the 10,000 calls a second that an account has in a region.
    Stage(
        "prod",
        log_days=90,
        guarded=True,
        alarms=True,
        reserves=True,
        throttles=_throttles(Throttle(2_000, 4_000), Throttle(200, 400), Throttle(50, 100)),
    ),
)


def stage_of(name: str) -> Stage:
    """Raises KeyError for a stage that does not exist."""
    return {stage.name: stage for stage in STAGES}[name]


# Everything that a stage is told by name; what a person must not read stands in a parameter, never here.
SETTINGS = {
    "LINLI_SECRETS": "chalicelib.providers.secrets.aws:ParameterStore",
    "LINLI_SMS": "chalicelib.providers.sms.sns:SnsSender",
    "LINLI_PAYMENTS": "chalicelib.providers.payments.stripe:StripePayments",
    "LINLI_FILES": "chalicelib.providers.files.s3:Bucket",
    "LINLI_PHOTOS": "chalicelib.providers.files.s3_photos:S3Photos",
    "LINLI_TEXTS": "chalicelib.providers.texts.rules:WordList",
    "LINLI_WECHAT_LOGIN": "chalicelib.providers.wechat_login.api:WechatApi",
    "LINLI_LOG_LEVEL": "INFO",
}


@dataclass(frozen=True)
class Size:
    """`concurrency` is how many run at once at most: reserved where the stage reserves, None for the common pool.
    `disk_mb` is the temporary disk; the first 512 cost nothing."""

    memory_mb: int
    timeout_seconds: int
    concurrency: int | None = None
    disk_mb: int = 512


# Memory buys processor time in proportion: 1,769 MB is one core, and a cold start is all processor.
_APIS = {
    # API Gateway waits 29 s. Search holds its cities' columns in memory, 400 MB at most, and maps their files from the
    # disk: of a million shops some 400 MB, twice while a newer one takes the place of an older one.
    PUBLIC: Size(memory_mb=1024, timeout_seconds=29, disk_mb=2048),
    # A flood of webhooks leaves the buyers their capacity; the provider sends again what is refused.
    WEBHOOKS: Size(memory_mb=1024, timeout_seconds=29, concurrency=20),
    OPERATOR: Size(memory_mb=1024, timeout_seconds=29),
}
_QUEUE_MEMORY_MB = 512
QUEUE_CONCURRENCY = 5
# Never two runs at once: a lease guards against that too, and this saves the second run. Jobs are cut to 5 minutes.
_SCHEDULE = Size(memory_mb=512, timeout_seconds=300, concurrency=1)
_SCHEDULES = {
    # A million shops take minutes of one core to read and to sort, and the file is written to the disk before it goes.
    "build_search": Size(memory_mb=1769, timeout_seconds=900, concurrency=1, disk_mb=2048),
}


def size_of(function: Function, stack: Stack) -> Size:
    """A queue's consumer runs as long as its queue says, which is what the queue's visibility is reckoned from."""
    if function.name == API:
        return _APIS[function.surface]
    if function.schedule:
        return _SCHEDULES.get(function.name, _SCHEDULE)
    timeout = {queue.name: queue.timeout_seconds for queue in stack.queues}[function.queue]
    return Size(memory_mb=_QUEUE_MEMORY_MB, timeout_seconds=timeout, concurrency=QUEUE_CONCURRENCY)


def config(stack: Stack, architecture: str = ARCHITECTURE) -> dict[str, Any]:
    """What Chalice reads from `.chalice/config.json`; a stage of Chalice is one surface of a stage of ours."""
    return {
        "version": "2.0",
        "app_name": APP,
        "api_gateway_endpoint_type": "REGIONAL",
        "api_gateway_stage": GATEWAY_STAGE,
        "autogen_policy": False,
        "lambda_architecture": architecture,
        "xray": True,
        "environment_variables": dict(SETTINGS),
        "stages": {
            chalice_stage(stage, surface): _deployment(stack, stage, surface)
            for stage in STAGES
            for surface in SURFACES
        },
    }


def chalice_stage(stage: Stage, surface: str) -> str:
    return f"{stage.name}-{surface}"


def _deployment(stack: Stack, stage: Stage, surface: str) -> dict[str, Any]:
    return {
        "log_retention_in_days": stage.log_days,
        "environment_variables": stage.settings(surface),
        "lambda_functions": {function.name: _function(function, stack, stage) for function in stack.of(surface)},
    }


def _function(function: Function, stack: Stack, stage: Stage) -> dict[str, Any]:
    size = size_of(function, stack)
    found: dict[str, Any] = {
        "iam_policy_file": _policy_file(function),
        "lambda_memory_size": size.memory_mb,
        "lambda_timeout": size.timeout_seconds,
    }
    if stage.reserves and size.concurrency is not None:
        found["reserved_concurrency"] = size.concurrency
    return found


def _policy_file(function: Function) -> str:
    return f"policies/{function_name(function)}.json"


def files(stack: Stack, architecture: str = ARCHITECTURE) -> dict[Path, str]:
    """Every generated file under `.chalice/` and its text."""
    rendered = {"config.json": config(stack, architecture)}
    for function in stack.functions:
        rendered[_policy_file(function)] = policies.policy(function, stack)
    return {ROOT / ".chalice" / name: json.dumps(content, indent=2) + "\n" for name, content in rendered.items()}
