"""How large each function is and what it is told: `.chalice/config.json`, rendered from the Stack."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import policies
from infra.declare import API, Function, Stack
from infra.imports import ROOT

APP = "linli"
ARCHITECTURE = "x86_64"
GATEWAY_STAGE = "api"
"""The first part of the path under API Gateway's own host name."""


@dataclass(frozen=True)
class Stage:
    """A deployment with tables, queues and secrets of its own. `guarded` tables refuse to be deleted."""

    name: str
    log_days: int
    guarded: bool

    @property
    def prefix(self) -> str:
        """Stands before the name of every table and queue."""
        return f"{APP}-{self.name}-"

    @property
    def secret_name(self) -> str:
        return f"{APP}-{self.name}"

    def settings(self) -> dict[str, str]:
        """The environment in which this stage differs from the others."""
        return {
            "LINLI_STAGE": self.name,
            "LINLI_TABLE_PREFIX": self.prefix,
            "LINLI_SECRETS_FILE": self.secret_name,
        }


STAGES = (Stage("staging", log_days=14, guarded=False), Stage("prod", log_days=90, guarded=True))

# Everything that a stage is told by name; what a person must not read stands in the secret, never here.
SETTINGS = {
    "LINLI_SECRETS": "chalicelib.providers.secrets.aws:SecretsManager",
    "LINLI_SMS": "chalicelib.providers.sms.sns:SnsSender",
    "LINLI_PAYMENTS": "chalicelib.providers.payments.stripe:StripePayments",
    "LINLI_WECHAT_LOGIN": "chalicelib.providers.wechat_login.api:WechatApi",
    "LINLI_LOG_LEVEL": "INFO",
}


@dataclass(frozen=True)
class Size:
    """`reserved_concurrency` None leaves a function in the account's common pool."""

    memory_mb: int
    timeout_seconds: int
    reserved_concurrency: int | None = None


# Memory buys processor time in proportion: 1,769 MB is one core, and a cold start is all processor.
_API = Size(memory_mb=1024, timeout_seconds=29)  # API Gateway waits 29 s
_QUEUE_MEMORY_MB = 512
# Never two runs at once: a lease guards against that too, and this saves the second run. Jobs are cut to 5 minutes.
_SCHEDULE = Size(memory_mb=512, timeout_seconds=300, reserved_concurrency=1)


def size_of(function: Function, stack: Stack) -> Size:
    """A queue's consumer runs as long as its queue says, which is what the queue's visibility is reckoned from."""
    if function.name == API:
        return _API
    if function.schedule:
        return _SCHEDULE
    timeout = {queue.name: queue.timeout_seconds for queue in stack.queues}[function.queue]
    return Size(memory_mb=_QUEUE_MEMORY_MB, timeout_seconds=timeout)


def config(stack: Stack) -> dict[str, Any]:
    """What Chalice reads from `.chalice/config.json`."""
    return {
        "version": "2.0",
        "app_name": APP,
        "api_gateway_endpoint_type": "REGIONAL",
        "api_gateway_stage": GATEWAY_STAGE,
        "autogen_policy": False,
        "lambda_architecture": ARCHITECTURE,
        "environment_variables": dict(SETTINGS),
        "lambda_functions": {function.name: _function(function, stack) for function in stack.functions},
        "stages": {
            stage.name: {"log_retention_in_days": stage.log_days, "environment_variables": stage.settings()}
            for stage in STAGES
        },
    }


def _function(function: Function, stack: Stack) -> dict[str, Any]:
    size = size_of(function, stack)
    found: dict[str, Any] = {
        "iam_policy_file": _policy_file(function),
        "lambda_memory_size": size.memory_mb,
        "lambda_timeout": size.timeout_seconds,
    }
    if size.reserved_concurrency is not None:
        found["reserved_concurrency"] = size.reserved_concurrency
    return found


def _policy_file(function: Function) -> str:
    return f"policies/{function.name}.json"


def files(stack: Stack) -> dict[Path, str]:
    """Every generated file under `.chalice/` and its text."""
    rendered = {"config.json": config(stack)}
    for function in stack.functions:
        rendered[_policy_file(function)] = policies.policy(function, stack)
    return {ROOT / ".chalice" / name: json.dumps(content, indent=2) + "\n" for name, content in rendered.items()}
