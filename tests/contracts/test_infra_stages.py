"""The stages: what each is told, how large it may grow, and what it may never be told."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import import_module

import pytest

from chalicelib.providers.ports import Ports
from chalicelib.providers.secrets.names import SECRETS
from chalicelib.runtime.settings import Settings
from chalicelib.web.application import HTTP_SURFACES, SURFACES, WEBHOOKS
from infra import functions
from infra.declare import API
from infra.functions import STAGES, chalice_stage, stage_of
from tests.builders.cloud import stack

UNRESERVED_AT_LEAST = 100  # what Lambda keeps for functions without a reservation
ACCOUNT_CONCURRENCY = 1_000
ACCOUNT_CALLS_A_SECOND = 10_000


def test_config_is_as_the_code_says() -> None:
    """What is committed under .chalice/ is what deploying uses."""
    files = functions.files(stack())
    stale = [path.name for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    assert not stale, "run: make openapi"
    folder = next(path.parent for path in files if path.parent.name == "policies")
    assert set(folder.glob("*.json")) <= set(files), "a policy of a function that there is no more"


def test_config_names_settings_and_adapters_that_exist() -> None:
    """A misspelt setting is ignored and a misspelt adapter fails at its first use; neither may wait until then."""
    config = functions.config(stack())
    told = dict(config["environment_variables"])
    for deployment in config["stages"].values():
        told |= deployment["environment_variables"]
        Settings.from_env(config["environment_variables"] | deployment["environment_variables"])
    known = {f"LINLI_{field.name.upper()}" for field in fields(Settings)}
    assert {name for name in told if name.startswith("LINLI_")} <= known
    ports = {name for name in vars(Ports) if not name.startswith("_")}
    assert {f"LINLI_{port.upper()}" for port in ports} <= set(told)
    for text in told.values():
        module, _, name = text.partition(":")
        assert not name or hasattr(import_module(module), name)
        assert ".local:" not in text, "what stands in for the outside on one machine must not be deployed"


def test_a_deployment_knows_its_stage_and_surface() -> None:
    """One code: which part of it runs is only said here."""
    deployments = functions.config(stack())["stages"]
    assert set(deployments) == {f"{stage.name}-{surface}" for stage in STAGES for surface in SURFACES}
    for stage in STAGES:
        for surface in SURFACES:
            told = deployments[chalice_stage(stage, surface)]["environment_variables"]
            assert (told["LINLI_STAGE"], told["LINLI_SURFACE"]) == (stage.name, surface)
            assert told["LINLI_TABLE_PREFIX"] == f"linli-{stage.name}-"
            assert told["LINLI_SECRETS_FILE"] == f"/linli/{stage.name}/"


def test_no_secret_stands_in_what_is_committed() -> None:
    """Names and paths only: no variable is called like a secret, and no value looks like one."""
    text = json.dumps(functions.config(stack()))
    assert not [secret.name for secret in SECRETS if f'"{secret.name}"' in text or secret.name.upper() in text]
    for mark in ("sk_live", "sk_test", "whsec_", "AKIA", "-----BEGIN"):
        assert mark not in text


def test_a_new_account_can_hold_dev() -> None:
    """It has ten concurrent executions, none of which can be reserved."""
    deployments = functions.config(stack())["stages"]
    for stage in STAGES:
        made = [
            function
            for surface in SURFACES
            for function in deployments[chalice_stage(stage, surface)]["lambda_functions"].values()
        ]
        reserved = [function["reserved_concurrency"] for function in made if "reserved_concurrency" in function]
        assert bool(reserved) == stage.reserves
        assert sum(reserved) <= ACCOUNT_CONCURRENCY - UNRESERVED_AT_LEAST
    assert not stage_of("dev").reserves
    assert stage_of("staging").reserves
    assert stage_of("prod").reserves


def test_webhooks_and_jobs_take_nothing_from_buyers() -> None:
    """Their concurrency is their own, and no more than that."""
    made = functions.config(stack())["stages"]
    assert made["prod-webhooks"]["lambda_functions"][API]["reserved_concurrency"] > 0
    assert all("reserved_concurrency" in each for each in made["prod-jobs"]["lambda_functions"].values())
    assert "reserved_concurrency" not in made["prod-public"]["lambda_functions"][API]


def test_throttles_leave_the_account_room() -> None:
    """All APIs of a region share the account's limit; the public one must not be starved by the two others."""
    for stage in STAGES:
        assert set(stage.throttles) == set(HTTP_SURFACES)
        assert all(throttle.burst >= throttle.rate > 0 for throttle in stage.throttles.values())
        assert stage.throttles["public"].rate > stage.throttles[WEBHOOKS].rate > stage.throttles["operator"].rate
    assert sum(throttle.rate for stage in STAGES for throttle in stage.throttles.values()) < ACCOUNT_CALLS_A_SECOND


def test_a_function_ends_before_whoever_waits_for_it() -> None:
    """API Gateway waits 29 seconds, a queue's message is hidden for six times the function's timeout."""
    timeouts = {queue.name: queue.timeout_seconds for queue in stack().queues}
    for function in stack().functions:
        size = functions.size_of(function, stack())
        if function.name == API:
            assert size.timeout_seconds <= 29
        elif function.queue:
            assert size.timeout_seconds == timeouts[function.queue]
        assert 512 <= size.memory_mb <= 1769


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_only_production_is_guarded(name: str) -> None:
    """What is made for trying can be taken down; what people rely on cannot."""
    assert stage_of(name).guarded == (name == "prod")
    assert stage_of(name).log_days in (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365), "CloudWatch knows no other"
