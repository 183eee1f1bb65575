"""The `linli` command as an operator runs it: a process of its own on the same engine and provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from beancount import loader

from chalicelib.ledger import service as ledger
from chalicelib.reconciliation import model
from chalicelib.runtime import jobs
from infra.ops import cli
from tests import world
from tests.builders import orders as build


def linli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return _run(arguments, {**os.environ, **environment})


def _run(arguments: Iterable[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.ops.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_reconcile_settle_and_export_do_what_they_say(tmp_path: Path) -> None:
    """The paid order's line is kept by the command's run; the export passes beancount with its entries in it."""
    visit = build.booked()
    visit.pay()
    today = model.provider_day(world.now()).isoformat()
    done = linli("reconcile", "--day", today, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["days"] == 1
    assert len(ledger.lines_of(visit.id)) == 1

    settled = linli("settle", "--json")
    assert settled.returncode == 0, settled.stderr
    assert json.loads(settled.stdout).keys() == {"accounts", "statements", "waiting", "failed"}

    path = tmp_path / "journal.beancount"
    exported = linli("export", "journal", "--since", today, "-o", str(path), "--json")
    assert exported.returncode == 0, exported.stderr
    directives, errors, _ = loader.load_file(str(path))
    assert errors == []
    ids = {found.meta["id"] for found in directives if "id" in found.meta}
    assert len(ids) == json.loads(exported.stdout)["entries"]
    assert {entry.id for entry in ledger.entries_of(visit.id)} <= ids


def test_what_an_operator_gets_wrong_is_one_line_and_exit_code_1() -> None:
    """A date that is none; a run beside another; a database that is not there."""
    wrong = linli("reconcile", "--day", "yesterday")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "not a date" in wrong.stderr
    jobs.take_lease("settle", world.now(), 600)
    busy = linli("settle", "--json")
    jobs.end_lease("settle", world.now())
    assert (busy.returncode, busy.stdout) == (1, "")
    assert "job_running" in busy.stderr
    gone = linli("settle", AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9")
    assert gone.returncode == 1
    assert "Traceback" not in gone.stderr


def test_beside_a_running_stack_it_takes_that_stacks_environment(tmp_path: Path) -> None:
    """What is set already wins; the rest comes from the stack's file."""
    (tmp_path / "env.json").write_text(json.dumps({"LINLI_STAGE": "other", "LINLI_FROM_STACK": "yes"}))
    before = dict(os.environ)
    try:
        os.environ["LINLI_DATA"] = str(tmp_path)
        cli.local_environment()
        assert (os.environ["LINLI_STAGE"], os.environ["LINLI_FROM_STACK"]) == (before["LINLI_STAGE"], "yes")
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    """Nothing configured and no stack: one line and exit code 2, and no look for anybody's AWS account. Help works."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_"))}
    nowhere = {**known, "LINLI_DATA": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    for arguments in (["settle", "--json"], ["reconcile"], ["export", "journal"]):
        done = _run(arguments, nowhere)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines() == [f"no stack is running with its data in {tmp_path}: run `make start`"]
    assert _run(["settle", "--help"], nowhere).returncode == 0
    assert _run(["--help"], nowhere).returncode == 0


@pytest.mark.parametrize("until", ["2026-11-21", "2026-11-22"])
def test_an_export_of_no_time_at_all_is_refused(until: str, tmp_path: Path) -> None:
    """Its end must come after its beginning: one line, exit code 2, no file."""
    path = tmp_path / "journal.beancount"
    done = linli("export", "journal", "--since", "2026-11-22", "--until", until, "-o", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"nothing to export: --since 2026-11-22 is not before --until {until}"]
    assert list(tmp_path.iterdir()) == []
