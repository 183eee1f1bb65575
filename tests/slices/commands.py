"""`linli` for tests: as a process of its own, or in this one where only its answer matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from typer.testing import CliRunner

from infra.ops import cli


def linli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, on the same engine and provider."""
    return run(arguments, {**os.environ, **environment})


def run(arguments: Iterable[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.ops.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


ANY = -1


@contextmanager
def own_environment() -> Iterator[None]:
    """What is put into the environment while it lasts is gone afterwards."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def answer(*arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command answers as JSON, run in this process; it must end with this exit code."""
    done = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert code in (ANY, done.exit_code), (done.exit_code, done.stdout, done.stderr, done.exception)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refusal(*arguments: str, code: int) -> str:
    """What it says on standard error when it does not do it."""
    done = CliRunner().invoke(cli.app, list(arguments))
    assert (done.exit_code, done.stdout) == (code, ""), (done.exit_code, done.stdout, done.stderr)
    return done.stderr
