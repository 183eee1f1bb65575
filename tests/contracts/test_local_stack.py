"""The whole local stack: its processes, its files, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.engines import DYNAMODB_ENDPOINT, SQS_ENDPOINT, plan_engines
from infra.local.files import local_secrets, lock_data
from infra.local.processes import Children, StartError, free_ports, require_free_port, wait_ready

PS = shutil.which("ps") or "/bin/ps"
ROOT = Path(__file__).resolve().parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)",
]
TOY_APP = """
from chalice import Chalice
app = Chalice("toy")

@app.route("/healthz")
def healthz():
    return {"status": "ok"}

@app.on_sqs_message(queue="news")
def news(event):
    pass
"""


def is_alive(pid: int) -> bool:
    """A zombie is not alive."""
    done = subprocess.run([PS, "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_stopping_ends_a_stubborn_child_and_its_own_children(tmp_path: Path) -> None:
    children = Children(tmp_path)
    stubborn = children.start("stubborn", STUBBORN, os.environ)
    wait_until(lambda: stubborn.log.read_text().strip().isdecimal())
    grandchild = int(stubborn.log.read_text())
    children.stop()
    assert not is_alive(stubborn.process.pid)
    wait_until(lambda: not is_alive(grandchild))


def test_a_killed_parent_leaves_no_child(tmp_path: Path) -> None:
    """Not even a grandchild whose parent ignores SIGTERM."""
    program = (
        "import os, sys, time; from pathlib import Path; from infra.local.processes import Children;"
        f"child = Children(Path({str(tmp_path)!r})).start('stubborn', {STUBBORN!r}, os.environ);"
        "print(child.process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    log = tmp_path / "stubborn.log"
    wait_until(lambda: log.read_text().strip().isdecimal())
    grandchild = int(log.read_text())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not is_alive(child) and not is_alive(grandchild))


def test_a_child_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    children = Children(tmp_path)
    try:
        with pytest.raises(StartError, match="nothing could not be started: No such file"):
            children.start("nothing", ["/nowhere/nothing"], os.environ)
        failing = children.start("failing", [sys.executable, "-c", "raise SystemExit('no disk')"], os.environ)
        with pytest.raises(StartError, match="failing ended while starting: no disk"):
            wait_ready(failing, lambda: False)
    finally:
        children.stop()


def test_a_data_directory_is_locked_until_the_last_child_is_gone(tmp_path: Path) -> None:
    lock = lock_data(tmp_path / "data")
    with pytest.raises(StartError, match="another `make start` is using"):
        lock_data(tmp_path / "data", wait_seconds=0)
    children = Children(tmp_path, keep_open=[lock])
    children.start("sleep", SLEEP, os.environ)
    os.close(lock)
    with pytest.raises(StartError):
        lock_data(tmp_path / "data", wait_seconds=0)
    children.stop()
    os.close(lock_data(tmp_path / "data"))


def test_secrets_are_made_once_and_only_missing_ones_are_added(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = local_secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first["stripe_secret_key"].startswith("sk_test_")
    assert first["stripe_webhook_secret"].startswith("whsec_")
    assert local_secrets(path) == first
    path.write_text(json.dumps({"cursor_key": "kept", "own": "kept too"}))
    again = local_secrets(path)
    assert (again["cursor_key"], again["own"]) == ("kept", "kept too")
    assert set(again) == {*first, "own"}
    path.write_text("[1")
    with pytest.raises(StartError, match="not a JSON object"):
        local_secrets(path)


def test_a_brought_endpoint_replaces_its_engine() -> None:
    brought = {DYNAMODB_ENDPOINT: "https://dynamodb.example", SQS_ENDPOINT: "https://sqs.example"}
    plan = plan_engines(brought, (1, 2))
    assert (plan.dynoxide, plan.ministack_port) == (None, None)
    assert plan.endpoints == brought


def test_without_dynoxides_binary_ministack_stands_in_and_says_so(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "ministack" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    plan = plan_engines({}, (1, 2), root=tmp_path)
    assert plan.notice is not None
    assert plan.endpoints[DYNAMODB_ENDPOINT] == plan.endpoints[SQS_ENDPOINT] == "http://127.0.0.1:2"
    assert "dynamodb" in plan.ministack_services


def test_a_taken_port_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StartError, match="LINLI_PORT"):
        require_free_port(taken.getsockname()[1])


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A directory with an application to start the stack in."""
    (tmp_path / "app.py").write_text(TOY_APP)
    return tmp_path


def start_stack(toy: Path, port: int, data: str) -> subprocess.Popen[str]:
    """Run what `make start` runs."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_PORT", "LINLI_DATA"))
    }
    env |= {"PYTHONPATH": str(ROOT), "LINLI_PORT": str(port), "LINLI_DATA": data}
    return subprocess.Popen(
        [sys.executable, "-m", "infra.local.start"],
        cwd=toy,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(json.load(answer) == {"status": "ok"})
    except OSError:
        return False


def mentioning(text: str) -> list[str]:
    """The command lines of running processes that mention `text`."""
    listing = subprocess.run([PS, "-A", "-o", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if text in line and not line.startswith("Z")]


@pytest.fixture
def stacks() -> Iterator[list[subprocess.Popen[str]]]:
    """The stacks of a test, killed at its end should it fail."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for each in running:
        each.kill()
        each.communicate()


@pytest.mark.stack
def test_two_stacks_run_side_by_side_and_leave_nothing(toy: Path, stacks: list[subprocess.Popen[str]]) -> None:
    """One is told to stop and one is killed; then both data directories are free at once."""
    ports = free_ports(2)
    stacks += [start_stack(toy, port, data) for port, data in zip(ports, ("one", "two"), strict=True)]
    wait_until(lambda: all(is_up(port) for port in ports), seconds=20)
    refused = start_stack(toy, free_ports(1)[0], "one")
    stacks.append(refused)
    said, _ = refused.communicate(timeout=10)
    assert (refused.returncode, len(said.splitlines())) == (1, 1)
    assert "another `make start`" in said
    stacks[0].send_signal(signal.SIGTERM)
    assert stacks[0].wait(timeout=5) == 0
    stacks[1].kill()
    for data in ("one", "two"):
        os.close(lock_data(toy / data))  # children hold the lock too, so this says that they are gone
    wait_until(lambda: mentioning(str(toy)) == [])
