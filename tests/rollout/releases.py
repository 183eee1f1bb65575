"""The previous release: which it is, its code in a folder of its own, and a process that runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.imports import ROOT
from tests.client import Client

RELEASES = ROOT / "docs" / "releases.json"
GIT = shutil.which("git") or "/usr/bin/git"
_DRIVER = Path(__file__).parent / "driver.py"


def released() -> list[dict[str, str]]:
    """Every release, oldest first; the work in progress is none yet."""
    found: list[dict[str, str]] = json.loads(RELEASES.read_text(encoding="utf-8"))["releases"]
    return found


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([GIT, "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)


def previous_commit() -> str:
    """The commit of the newest release: its tag where the clone has it, else what the list says. Fails with what to do
    when the clone has no history that far."""
    newest = released()[-1]
    for name in (f"v{newest['version']}", newest["commit"]):
        found = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if found.returncode == 0:
            return found.stdout.strip()
    raise AssertionError(
        f"release {newest['version']} ({newest['commit'][:12]}) is not in this clone: run git fetch --unshallow --tags"
    )


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """That commit's files in a temporary folder; afterwards neither the folder nor a trace in the clone is left."""
    with tempfile.TemporaryDirectory(prefix="linli-release-") as folder:
        path = Path(folder) / "code"
        made = _git("worktree", "add", "--detach", "--force", str(path), commit)
        assert made.returncode == 0, made.stderr
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


class Release:
    """A running release: its app and its handlers, on the tables, queues, secrets and clock of the tests."""

    def __init__(self, code: Path, **environment: str) -> None:
        kept = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, str(_DRIVER)],
            cwd=code,
            env={**kept, "PYTHONPATH": str(code), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Release:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the release ended over {str(request)[:200]}"
        return json.loads(line)

    def handle(self, handler: str, event: dict[str, Any]) -> Any:
        """What the handler of that name answers to an event of a queue or a schedule."""
        return self.ask(do="handler", handler=handler, event=event)

    def client(self, like: Client | None = None) -> Client:
        """A client of this release, with another one's token and language."""
        return _ClientOf(self, like or Client())


class _ClientOf(Client):
    def __init__(self, release: Release, like: Client) -> None:
        super().__init__(like.token, language=like.language)
        self._release = release

    def _send(self, event: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._release.ask(do="http", event=event)
        return answer
