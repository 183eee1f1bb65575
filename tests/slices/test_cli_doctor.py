"""`linli doctor` and `linli secrets`: what is well is green, and what is not is found by the check for it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chalicelib import wiring
from chalicelib.providers.secrets.local import FileSecrets
from chalicelib.providers.secrets.names import NAMES, SECRETS
from chalicelib.runtime import jobs, resources
from infra import declare
from infra.imports import modules, tree_of
from infra.ops import cli, dead_letters, health
from infra.ops.commands.house import context
from tests import conftest, engine, queues, world
from tests.slices.commands import ANY, answer


def told(area: str, name: str) -> tuple[str, str]:
    """(status, sentence) of one check."""
    doctor = health.doctor(context(), None)
    (found,) = [check for check in doctor.examine(area) if check.name == name]
    return found.status, found.says


def test_a_healthy_stack_is_not_red() -> None:
    """Every area is looked at; the webhook's secret passes the real adapter, and the provider answers."""
    found = answer("doctor", code=ANY)
    by_name = {(check["area"], check["name"]): check["status"] for check in found["checks"]}
    assert {area for area, _ in by_name} == set(health.doctor(context(), None).areas())
    for name in (("provider", "webhook secret"), ("provider", "stripe"), ("database", "clock skew")):
        assert by_name[name] == "green"
    assert {status for (area, _), status in by_name.items() if area in ("settings", "tables", "secrets")} == {"green"}
    assert {f"linli-{table.short}" for table in declare.tables()} == {n for area, n in by_name if area == "tables"}
    assert not any(secret in json.dumps(found) for secret in conftest.SECRETS.values())


def test_what_is_red_is_the_exit_code() -> None:
    """A provider that does not answer and a queue that is away; the rest is looked at all the same."""
    with world.provider_answers(500), world.queue_away("refund"):
        found = answer("doctor", code=1)
        people = CliRunner().invoke(cli.app, ["doctor"])
    assert found["status"] == "red"
    red = {check["area"] for check in found["checks"] if check["status"] == "red"}
    assert {"provider", "queues"} <= red
    assert "tables" not in red
    assert people.exit_code == 1
    assert "clock skew" in people.stdout


def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    """With where it comes from; one that may be missing is not."""
    gone = ("quote_key", "stripe_webhook_secret")
    path = tmp_path / "secrets.json"
    path.write_text(
        json.dumps({name: v for name, v in conftest.SECRETS.items() if name not in gone} | {"cursor_key": " "})
    )
    ports = wiring.Adapters()
    ports.__dict__["secrets"] = FileSecrets(str(path))
    doctor = health.doctor(replace(context(), ports=ports), None)
    missing = {check.name: check.says for check in doctor.examine("secrets") if check.status == "red"}
    assert set(missing) == {*gone, "cursor_key"}
    assert "Stripe dashboard" in missing["stripe_webhook_secret"]
    assert answer("secrets", "missing") == {"items": []}


def test_every_secret_that_the_code_asks_for_by_name_is_in_the_list() -> None:
    """A secret that nobody lists would be missed in the cloud first."""
    asked = set()
    for module in modules("chalicelib"):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("secrets.get"):
                (argument,) = node.args
                if isinstance(argument, ast.Constant):
                    asked.add(argument.value)
    assert asked
    assert asked <= NAMES
    assert set(conftest.SECRETS) <= {secret.name for secret in SECRETS}


@pytest.fixture
def without_a_table() -> Iterator[str]:
    """A table that is there and not as declared, and afterwards is again."""
    table = next(table for table in declare.tables() if table.short == "rate_windows")
    engine.admin().delete_table(TableName=table.name)
    yield table.name
    engine.admin().delete_table(TableName=table.name)
    engine.admin().create_table(**table.create_arguments())


def test_a_table_that_is_not_as_declared_is_red(without_a_table: str) -> None:
    """Missing, and with other keys."""
    assert told("tables", without_a_table) == ("red", "it does not exist")
    engine.admin().create_table(
        TableName=without_a_table,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    assert told("tables", without_a_table) == ("red", "its keys are not as declared")


def test_a_dead_letter_is_red_until_it_is_replayed() -> None:
    """With the command that shows it."""
    assert told("queues", "refund dead letters") == ("green", "none")
    queues.admin().send_message(QueueUrl=dead_letters.dead_url(resources.REFUND), MessageBody="{}")
    status, says = told("queues", "refund dead letters")
    assert (status, "linli dead list refund" in says) == ("red", True)
    dead_letters.replay(resources.REFUND, None)
    world.forget_queue("refund")
    assert told("queues", "refund dead letters")[0] == "green"


def test_a_queue_without_a_place_for_the_dead_is_red() -> None:
    """What fails for good would be tried for fourteen days and then be gone."""
    url = resources.queue_url(resources.REFUND)
    before = queues.admin().get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    queues.admin().set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    try:
        status, says = told("queues", "refund")
    finally:
        queues.admin().set_queue_attributes(QueueUrl=url, Attributes=before)
    assert (status, says.partition(";")[0]) == ("red", "what fails for good is not kept")
    assert told("queues", "refund")[0] == "green"


def test_a_schedule_that_is_silent_is_red() -> None:
    """Half as long again as the longest time between two of its runs, and a minute."""
    now = world.now()
    before = jobs.last_ok(["relay_outbox", "settle"])
    jobs.note_ok("relay_outbox", now.plus(seconds=-140))
    jobs.note_ok("settle", now.plus(hours=-30))
    assert (told("schedules", "relay_outbox")[0], told("schedules", "settle")[0]) == ("green", "green")
    jobs.note_ok("relay_outbox", now.plus(seconds=-160))
    jobs.note_ok("settle", now.plus(hours=-37))
    assert (told("schedules", "relay_outbox")[0], told("schedules", "settle")[0]) == ("red", "red")
    for name in ("relay_outbox", "settle"):
        jobs.note_ok(name, before.get(name, now))


def test_a_clock_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the database's own; AWS refuses what is signed five minutes off."""
    import time

    real = time.time
    monkeypatch.setattr(health.time, "time", lambda: real() + 20)
    assert told("database", "clock skew")[0] == "yellow"
    monkeypatch.setattr(health.time, "time", lambda: real() - 90)
    assert told("database", "clock skew")[0] == "red"
