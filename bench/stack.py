"""The stack that is measured: one of our own in a temporary folder, or one that runs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.local.engines import ROOT
from infra.local.processes import free_ports

UP_WITHIN_SECONDS = 60
DOWN_WITHIN_SECONDS = 20
ANSWER_WITHIN_SECONDS = 30


class BenchError(Exception):
    """The benchmark cannot go on; the message is for a person."""


@dataclass(frozen=True)
class Target:
    """Where the stack answers; `pid` is its process and `data` its directory when it is our own."""

    url: str
    pid: int | None = None
    data: Path | None = None

    @property
    def own(self) -> bool:
        return self.pid is not None

    def environment(self) -> dict[str, str]:
        """What a program needs to work with the same tables and files. Raises BenchError when the stack is not ours."""
        if self.data is None:
            raise BenchError("only a stack of the benchmark's own tells its environment")
        found: dict[str, str] = json.loads((self.data / "env.json").read_text(encoding="utf-8"))
        return {**os.environ, **found}


@contextlib.contextmanager
def target(url: str | None) -> Iterator[Target]:
    """The running stack at `url`, or one of our own that lives until the block ends. Raises BenchError."""
    if url is not None:
        yield Target(url.rstrip("/"))
        return
    with tempfile.TemporaryDirectory(prefix="linli-bench-") as folder, _started(Path(folder)) as started:
        yield started


@contextlib.contextmanager
def _started(folder: Path) -> Iterator[Target]:
    port = free_ports(1)[0]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LINLI_"))}
    if "LINLI_MINISTACK_VENV" in os.environ:
        environ["LINLI_MINISTACK_VENV"] = os.environ["LINLI_MINISTACK_VENV"]
    environ |= {"LINLI_PORT": str(port), "LINLI_DATA": str(folder / "data")}
    printed = folder / "stack.log"
    with printed.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.start", "--with-parent"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + UP_WITHIN_SECONDS
        while not (folder / "data" / "env.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"the stack does not start: {printed.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        yield Target(f"http://127.0.0.1:{port}", process.pid, folder / "data")
    finally:
        process.terminate()
        try:
            process.wait(DOWN_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Reply:
    """`status` 0: nobody answered, and `body` says why. The text is read as JSON when it is first looked at: that is no
    part of the time that an answer takes."""

    status: int
    text: bytes

    @cached_property
    def body(self) -> Any:
        if self.status == 0:
            return self.text.decode()
        return json.loads(self.text) if self.text else None

    @property
    def code(self) -> str:
        """The problem's code, or what there is in its place."""
        if self.status == 0:
            return str(self.body)
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


class Caller:
    """JSON over HTTP; each thread keeps a connection of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._place = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._kept = threading.local()

    def get(self, path: str, token: str = "") -> Reply:
        return self._ask("GET", path, None, {}, token)

    def post(self, path: str, body: Any = None, token: str = "", key: str = "") -> Reply:
        """With an idempotency key, a fresh one unless it is given."""
        headers = {"Idempotency-Key": key or secrets.token_hex(12)}
        return self._ask("POST", path, body if body is not None else {}, headers, token)

    def told(self, reply: Reply, *expected: int) -> Any:
        """The body of an answer with one of the expected statuses. Raises BenchError for any other."""
        if reply.status not in expected:
            raise BenchError(f"the stack answered {reply.status}: {json.dumps(reply.body, ensure_ascii=False)[:500]}")
        return reply.body

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str], token: str) -> Reply:
        content = None if body is None else json.dumps(body).encode()
        headers |= {"Content-Type": "application/json", "Accept-Language": "en"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is not None:
            try:
                return _exchange(kept, method, path, content, headers)
            except ConnectionError:
                kept.close()  # the server may close an idle connection at any time, RFC 9112 section 9.3.1: ask again
            except (OSError, http.client.HTTPException) as error:
                return self._unheard(kept, error)
        fresh = http.client.HTTPConnection(*self._place, timeout=ANSWER_WITHIN_SECONDS)
        self._kept.connection = fresh
        try:
            return _exchange(fresh, method, path, content, headers)
        except (OSError, http.client.HTTPException) as error:
            return self._unheard(fresh, error)

    def _unheard(self, connection: http.client.HTTPConnection, error: Exception) -> Reply:
        connection.close()
        self._kept.connection = None
        return Reply(0, type(error).__name__.encode())


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, content: bytes | None, headers: dict[str, str]
) -> Reply:
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    return Reply(answer.status, answer.read())
