"""What the platform does with functions that fail: it tells them again, and lays aside what fails for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.simulation.workers import ROOT


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.simulation.probes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_message_comes_again_until_it_is_a_dead_letter(seen: dict[str, Any]) -> None:
    """After the time in which nobody else sees it, as often as its queue allows; then it is laid aside."""
    found = seen["unreadable_message"]
    wait, times = found["queue"]["visibility"], found["queue"]["receives"]
    assert found["tried_s"] == [number * wait for number in range(times)]
    assert found["dead"] == ["{}"]


def test_a_dead_consumer_gets_its_message_again(seen: dict[str, Any]) -> None:
    """It died before it did anything; the text is sent with the second try, once."""
    found = seen["crashing_consumer"]
    assert found["died"]
    assert found["tried_s"] == [0, found["queue"]["visibility"]]
    assert found["texts"] == 1


def test_a_dead_webhook_is_told_again(seen: dict[str, Any]) -> None:
    """The provider tells every event until it hears 200, and the order is confirmed by the second telling."""
    found = seen["crashing_webhook"]
    assert found["died"]
    assert found["tried_s"][-1] >= 60
    assert found["state"] == "confirmed"


def test_a_run_remembers_nothing_of_the_one_before(seen: dict[str, Any]) -> None:
    """Whatever a process has played before, the same plan is the same run."""
    first, second = seen["plans_between"]["hashes"]
    assert first == second
