"""Short campaigns over all journeys, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.simulation import journeys, plan
from tests.simulation.plan import Plan, quiet
from tests.simulation.workers import ROOT, Crew, Worker

REGRESSIONS = [
    line
    for line in (Path(__file__).parent / "regressions.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def _told(*arguments: str, hash_seed: int = 1) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _figures(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def test_nothing_is_lost_oversold_or_paid_twice() -> None:
    """Every journey by chance, and with one fault at some of its calls: all invariants hold, and much went wrong."""
    told = _told("--seeds", "24", "--every", "24", "--workers", "2")
    figures = _figures(told)
    assert told.returncode == 0, told.stdout
    assert figures["failures"] == 0
    assert figures["seeds"] == 24
    assert figures["exhaustive"] > 3 * len(journeys.names())
    assert min(figures[name] for name in ("orders", "crashes", "duplicates", "reorders")) > 30
    assert figures["faults"].keys() == set(plan.CALL_FAULTS + plan.MESSAGE_FAULTS)
    assert all(f"\n{name} " in told.stdout for name in journeys.names())


def test_a_seed_is_the_same_run_everywhere() -> None:
    """Not the interpreter's hashes, nor how many processes share the work, change a run; another seed is another."""
    found = ("book_and_pay", "reconciliation", "price_change", "reviews")
    seeds = ("--no-exhaustive", "--seeds", "6", *(f"--journey={name}" for name in found))
    one = _figures(_told(*seeds, "--workers", "1", hash_seed=1))
    same = _figures(_told(*seeds, "--workers", "2", hash_seed=2))
    other = _figures(_told(*seeds, "--workers", "2", "--first", "6"))
    assert one["calls"] > 1_000
    assert {**one, "seconds": 0} == {**same, "seconds": 0}
    assert one["trace_hash"] != other["trace_hash"]


def test_a_replay_shows_the_run(tmp_path: Path) -> None:
    """The trace in words, on the screen or in a file, and what it comes to."""
    said = _told("--replay", "book_and_pay/1/0/crash_before@9")
    assert said.returncode == 0
    assert any(line.split()[0] == "9" and line.endswith(" crash_before") for line in said.stdout.splitlines())
    kept = _told("--replay", "book_and_pay/1/0/crash_before@9", "--trace", str(tmp_path / "trace"))
    trace = (tmp_path / "trace").read_text()
    assert said.stdout == trace + kept.stdout
    assert len(trace.splitlines()) > 200


@pytest.mark.parametrize(
    "arguments",
    [
        ("--journey", "nowhere"),
        ("--seeds", "-1"),
        ("--workers", "0"),
        ("--replay", "book_and_pay/1"),
        ("--replay", "nowhere/1/0/"),
        ("--shrink", "book_and_pay/1/0/crash@1"),
    ],
)
def test_wrong_use_is_said_so(arguments: tuple[str, str]) -> None:
    """What nobody can play is refused before anything starts."""
    told = _told(*arguments)
    assert told.returncode == 2
    assert arguments[0] in told.stderr


def test_nothing_to_shrink() -> None:
    """A plan that does not fail is told to be sound."""
    told = _told("--shrink", "book_and_pay/1/0/")
    assert told.returncode == 0
    assert told.stdout == "book_and_pay/1/0/ does not fail\n"


def test_what_was_broken_once_holds() -> None:
    """Every plan that has found a bug is played again."""
    with Crew(2) as crew:
        failed = [
            (played.plan, played.failures) for played in crew.play(map(Plan.parse, REGRESSIONS)) if played.failures
        ]
    assert failed == []


def _listed(columns: str) -> list[str]:
    command = ["ps", "-A", "-o", columns]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _alive(group: int) -> list[str]:
    """Processes of a group that still run."""
    rows = [line.split(None, 2) for line in _listed("pgid=,stat=,args=")]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def _gone(group: int) -> bool:
    deadline = time.monotonic() + 10
    while _alive(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _alive(group)


def test_a_worker_that_dies_fails_its_plan_and_leaves_nothing() -> None:
    """Killed in the middle, it takes its engines along; the plan counts as failed; the next one gets a new process."""
    worker = Worker()
    try:
        assert worker.play(quiet("book_and_pay")).failures == ()
        process = worker._process
        assert process is not None
        threading.Timer(0.05, lambda: os.kill(process.pid, signal.SIGKILL)).start()
        lost = worker.play(quiet("book_and_pay"))
        assert lost.failures[0].startswith("process: ")
        assert _gone(process.pid)
        assert worker.play(quiet("book_and_pay")).failures == ()
        last = worker._process
        assert last is not None
        assert len(_alive(last.pid)) >= 2
    finally:
        worker.end()
    assert _gone(last.pid)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_campaign_leaves_nothing(how: signal.Signals) -> None:
    """Ctrl-C ends it with what was done until then; and however it dies, its workers and their engines go with it."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "100000", "--workers", "2", "--no-exhaustive"]
    campaign = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        workers = _children(campaign.pid)
        time.sleep(1)
        campaign.send_signal(how)
        said, _ = campaign.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            campaign.kill()
    assert len(workers) == 2
    assert all(_gone(worker) for worker in workers)
    if how == signal.SIGINT:
        assert campaign.returncode == 130
        assert json.loads(said.splitlines()[-1])["seeds"] < 100_000
        assert "broken off" in said


def _children(parent: int) -> list[int]:
    """The process groups of both workers, once their engines run."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = [line.split() for line in _listed("pid=,ppid=")]
        found = [int(pid) for pid, ppid in rows if int(ppid) == parent]
        if len(found) == 2 and all(len(_alive(one)) >= 2 for one in found):
            return found
        time.sleep(0.1)
    return []
