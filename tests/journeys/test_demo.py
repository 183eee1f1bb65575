"""What a new user sees first: `make start`, then `make demo`."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.journeys.stack import ROOT, LocalStack

pytestmark = pytest.mark.stack


def demo(stack: LocalStack) -> subprocess.CompletedProcess[str]:
    environ = stack.environ | {"PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "infra.ops.demo"]
    return subprocess.run(command, cwd=ROOT, env=environ, text=True, capture_output=True, timeout=90, check=False)


def test_the_demo_plays_twice_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """Every step of the story checks itself; played again, it finds what it needs and ends with nothing open."""
    stack = LocalStack(tmp_path / "data")
    refused = demo(stack)
    assert refused.returncode == 1
    assert "make start" in refused.stdout
    first_seconds = stack.start()
    try:
        assert stat.S_IMODE((stack.data / "env.json").stat().st_mode) == 0o600
        for _ in range(2):
            played = demo(stack)
            assert played.returncode == 0, played.stdout[-3000:] + played.stderr[-2000:]
            figures = json.loads(played.stdout.splitlines()[-1])
            print(json.dumps(figures))
            assert figures["demo"] == "ok"
            assert figures["proofs_hold"] == figures["orders"] == 3
            assert (figures["differences_found"], figures["differences_open"]) == (2, 0)
            assert figures["seconds"] < 30
        assert stack.stop() == 0
        assert stack.left_over() == []
        assert not (stack.data / "env.json").exists()
        second_seconds = stack.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/healthz", timeout=5) as answer:
            assert answer.status == 200
        assert stack.stop() == 0
        assert stack.left_over() == []
    finally:
        stack.end()
    print(f"first start {first_seconds:.1f} s, second {second_seconds:.1f} s")
