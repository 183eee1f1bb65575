"""A whole local stack as `make start` runs it, in processes of its own: started, asked, stopped, killed."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.files import lock_data
from infra.local.processes import free_ports

ROOT = Path(__file__).resolve().parents[2]
PS = shutil.which("ps") or "/bin/ps"
UP_WITHIN_SECONDS = 60
DOWN_WITHIN_SECONDS = 15


class LocalStack:
    """One stack: its port stays the same over several starts, and so does its data."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: set[int] = set()

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a person who starts it, without anything of this test's own engines."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_", "PYTEST"))}
        if "LINLI_MINISTACK_VENV" in os.environ:
            kept["LINLI_MINISTACK_VENV"] = os.environ["LINLI_MINISTACK_VENV"]
        return kept | {"LINLI_PORT": str(self.port), "LINLI_DATA": str(self.data)}

    @property
    def tools(self) -> dict[str, str]:
        """The environment of an operator's tool beside the running stack."""
        known: dict[str, str] = json.loads((self.data / "env.json").read_text(encoding="utf-8"))
        return self.environ | known

    @property
    def secrets(self) -> dict[str, str]:
        known: dict[str, str] = json.loads((self.data / "secrets.json").read_text(encoding="utf-8"))
        return known

    def start(self) -> float:
        """Starts it and waits until it is up; returns the seconds that took."""
        began = time.monotonic()
        (self.data / "env.json").unlink(missing_ok=True)
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.start"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while not (self.data / "env.json").exists():
            assert self._process.poll() is None, self.last_words()
            assert time.monotonic() - began < UP_WITHIN_SECONDS, self.last_words()
            time.sleep(0.05)
        self._seen |= set(self.tree())
        return time.monotonic() - began

    @property
    def _log(self) -> Path:
        return self.data.with_suffix(".log")

    def last_words(self) -> str:
        """The end of what the stack has printed."""
        return self._log.read_text(errors="replace")[-3000:]

    def tree(self) -> list[int]:
        """The process and everything below it."""
        assert self._process is not None
        listing = subprocess.run([PS, "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        children: dict[int, list[int]] = {}
        for line in listing.splitlines():
            pid, parent = (int(number) for number in line.split())
            children.setdefault(parent, []).append(pid)
        found = [self._process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def kill(self) -> None:
        """kill -9 of every process at once: engines, provider and application."""
        assert self._process is not None
        for pid in reversed(self.tree()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, as Ctrl-C in the terminal; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(DOWN_WITHIN_SECONDS)

    def end(self) -> None:
        """For the end of a test, however it went."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def left_over(self) -> list[int]:
        """Processes of this stack that still run. Its children hold the lock of the data, so that must be free too."""
        os.close(lock_data(self.data))
        listing = subprocess.run([PS, "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
        running = {int(line.split()[0]) for line in listing.splitlines() if not line.split()[1].startswith("Z")}
        return sorted(self._seen & running)


@dataclass(frozen=True)
class Reply:
    """`status` 0: nobody answered."""

    status: int
    body: Any
    headers: dict[str, str]


class Caller:
    """HTTP to a stack; each thread keeps a connection of its own. Nobody answering is an answer too."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self.token = token
        self._kept = threading.local()

    def get(self, target: str) -> Reply:
        return self.ask("GET", target)

    def post(self, target: str, body: Any = None, key: str = "") -> Reply:
        return self.ask("POST", target, body if body is not None else {}, key or secrets.token_hex(8))

    def ask(self, method: str, target: str, body: Any = None, key: str = "") -> Reply:
        headers = {"Content-Type": "application/json", "Accept-Language": "en"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if key:
            headers["Idempotency-Key"] = key
        connection = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, target, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            text = answer.read()
            return Reply(answer.status, json.loads(text) if text else None, dict(answer.getheaders()))
        except (OSError, http.client.HTTPException):
            connection.close()
            return Reply(0, None, {})
