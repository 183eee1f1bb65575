"""The `linli` command as an operator runs it: a process of its own on the same engine and provider."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from beancount import loader
from typer.testing import CliRunner

from chalicelib.ledger import service as ledger
from chalicelib.reconciliation import model
from chalicelib.runtime import audit, jobs
from chalicelib.settlement import tables
from infra.functions import STAGES
from infra.imports import ROOT
from infra.ops import cli
from infra.ops.commands import house
from tests import engine, world
from tests.builders import orders as build
from tests.slices.commands import ANY, answer, linli, own_environment, refusal, run


def test_reconcile_settle_and_export_do_what_they_say(tmp_path: Path) -> None:
    """The paid order's line is kept by the command's run; the export passes beancount with its entries in it."""
    visit = build.booked()
    visit.pay()
    today = model.provider_day(world.now()).isoformat()
    told = answer("reconcile", "--day", today, "--dry-run", code=ANY)
    assert ledger.lines_of(visit.id) == []
    done = linli("reconcile", "--day", today, "--json", "--actor", "ada", "--reason", "a question of a merchant")
    found = json.loads(done.stdout)
    # Other tests leave differences on purpose, and they are the command's exit code.
    assert done.returncode == (1 if found["differences"] else 0), done.stderr
    assert found["days"] == 1
    assert told == {**found, "dry_run": True}
    begun, ended = list(audit.entries())[-2:]
    assert (begun.act, begun.actor, begun.reason) == ("reconcile", "ada", "a question of a merchant")
    assert (ended.act, ended.after) == ("reconcile.done", audit.digest(found))
    assert len(ledger.lines_of(visit.id)) == 1

    before = audit.head()
    assert answer("settle", "--dry-run")["dry_run"] is True
    assert audit.head() == before
    assert answer("settle").keys() == {"accounts", "statements", "waiting", "failed"}

    path = tmp_path / "journal.beancount"
    exported = answer("export", "journal", "--since", today, "-o", str(path))
    directives, errors, _ = loader.load_file(str(path))
    assert errors == []
    ids = {found.meta["id"] for found in directives if "id" in found.meta}
    assert len(ids) == exported["entries"]
    assert {entry.id for entry in ledger.entries_of(visit.id)} <= ids


def test_what_an_operator_gets_wrong_is_one_line() -> None:
    """A date that is none is wrong use; a run beside another, and a database that is not there, are trouble."""
    assert "not a date" in refusal("reconcile", "--day", "yesterday", code=2)
    jobs.take_lease("settle", world.now(), 600)
    busy = refusal("settle", "--json", code=1)
    jobs.end_lease("settle", world.now())
    assert busy.splitlines() == ["Already running. Another run of this job is under way. (job_running)"]
    gone = linli("settle", AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9")
    assert gone.returncode == 1
    assert "Traceback" not in gone.stderr


def test_beside_a_running_stack_it_takes_that_stacks_environment(tmp_path: Path) -> None:
    """What is set already wins; the rest comes from the stack's file."""
    (tmp_path / "env.json").write_text(json.dumps({"LINLI_STAGE": "other", "LINLI_FROM_STACK": "yes"}))
    before = os.environ["LINLI_STAGE"]
    with own_environment():
        os.environ["LINLI_DATA"] = str(tmp_path)
        cli.local_environment()
        assert (os.environ["LINLI_STAGE"], os.environ["LINLI_FROM_STACK"]) == (before, "yes")


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    """Nothing configured and no stack: one line and exit code 2, and no look for anybody's AWS account. Help works."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_"))}
    nowhere = {**known, "LINLI_DATA": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    for arguments in (["settle", "--json"], ["export", "journal"]):
        done = run(arguments, nowhere)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines() == [f"no stack is running with its data in {tmp_path}: run `make start`"]
    assert run(["settle", "--help"], nowhere).returncode == 0
    assert run(["--help"], nowhere).returncode == 0


@pytest.mark.parametrize("until", ["2026-11-21", "2026-11-22"])
def test_an_export_of_no_time_at_all_is_refused(until: str, tmp_path: Path) -> None:
    """Its end must come after its beginning: one line, exit code 2, no file."""
    path = tmp_path / "journal.beancount"
    said = refusal("export", "journal", "--since", "2026-11-22", "--until", until, "-o", str(path), code=2)
    assert said.splitlines() == [f"nothing to export: --since 2026-11-22 is not before --until {until}"]
    assert list(tmp_path.iterdir()) == []


def test_a_dry_settlement_says_what_the_real_one_does() -> None:
    """The same statements with the same lines and amounts; the dry run leaves every table as it was."""
    visit = build.booked()
    visit.pay()
    visit.until_start()
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    world.advance(days=4)
    before = engine.digest()
    told = [row for row in answer("settle", "--dry-run")["items"] if row["merchant"] == visit.salon.merchant.id]
    assert engine.digest() == before
    assert answer("settle")["statements"] >= 1
    (closed,) = tables.statements_of(visit.salon.merchant.id, (), None, 10).items
    assert [(row["number"], row["lines"], row["net_minor"]) for row in told] == [
        (closed.number, closed.line_count, closed.closing_minor)
    ]


def test_an_interrupted_job_gives_its_lease_back_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The audit log has its beginning and no end; the next run begins at once."""

    def run(ctx: Any) -> dict[str, int]:
        raise KeyboardInterrupt

    hand = house.Hand("ada", "here", "a drill")
    with pytest.raises(typer.Exit) as ended:
        house.under_lease("a-drill", run, hand, again="run it again, it goes on")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "interrupted: run it again, it goes on\n"
    assert list(audit.entries())[-1].act == "a-drill"
    assert jobs.last_ok(["a-drill"]) == {}
    assert house.under_lease("a-drill", lambda ctx: {"n": 1}, hand) == {"n": 1}


def test_term_is_an_interruption() -> None:
    """A terminal that is closed, a container that is stopped: the command ends as by Ctrl-C."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        house.interruptible()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_stage_that_does_not_exist_is_refused() -> None:
    """And those that do are named."""
    said = refusal("--stage", "production", "settle", code=2)
    assert "'production' is no stage" in said
    assert "staging, prod" in said


def test_production_is_not_changed_unasked() -> None:
    """Without a terminal to answer at, a command that changes something wants --yes, before it looks at anything."""
    with own_environment():
        done = CliRunner(env={"LINLI_STAGE": "prod", "LINLI_FILES_BUCKET": "a-bucket"}).invoke(cli.app, ["settle"])
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "this changes prod: say --yes\n")


def test_every_command_that_changes_something_can_be_asked_and_named() -> None:
    """Each that takes a reason for the audit log also takes who did it and --yes; each takes --json."""
    commands = {name: {each.name for each in command.params} for name, command in _commands()}
    assert {"settle", "reconcile", "dead replay", "outbox send", "rebuild projections"} <= set(commands)
    for name, parameters in commands.items():
        assert "as_json" in parameters, name
        assert ("reason" in parameters) == ("yes" in parameters) == ("actor" in parameters), name


def _commands() -> Iterator[tuple[str, Any]]:
    group = typer.main.get_command(cli.app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # ours is a group
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        for inner_name, inner_command in (inner or {}).items():
            yield f"{name} {inner_name}", inner_command


def test_the_stages_are_those_of_the_deployment() -> None:
    """`linli` must name them before it may import what declares them."""
    assert {stage.name for stage in STAGES} <= set(house.CLOUD_STAGES)


def test_commands_load_nothing_that_reads_the_environment() -> None:
    """Names of tables are made at import: a stage that is chosen later would work on another's."""
    program = "import sys; from infra.ops import cli; print([n for n in sys.modules if n.startswith('chalicelib')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("reconcile", "--day", "1900-01-01", "--dry-run"), "1900-01-01 is not between the years 2000 and 2100"),
        (("audit", "verify", "--until", "2150-01-01"), "2150-01-01 is not between the years 2000 and 2100"),
        (("export", "journal", "--since", "1970-01-01", "-o", "unmade"), "1970-01-01 is not between the years"),
        (("reconcile", "--day", "2099-01-01"), "2099-01-01 has not begun yet"),
    ],
)
def test_a_day_that_cannot_be_is_wrong_use(words: tuple[str, ...], says: str) -> None:
    """Too early or too late for any record, or still to come: one line, and nothing is noted or written."""
    before = audit.head()
    assert refusal(*words, code=2).startswith(says)
    assert audit.head() == before
    assert not Path("unmade").exists()


def test_the_command_finds_the_app_from_any_folder() -> None:
    """What a console script can import is what is installed: the packages, and the one module beside them."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert told["py-modules"] == ["app"]
