"""Child processes of the local stack: on loopback, ready before use, and never left behind.

Three things keep a child from outliving its parent. An orderly stop sends TERM to each child's process group and KILL
after three seconds. A guard process holds the read end of a pipe whose write end only the parent has: when the parent
is gone, however it went, the guard kills every group it was told of. On Linux the kernel is asked for the same as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 3.0
_PR_SET_PDEATHSIG = 1

# The guard is a program of a few lines, so that it starts in milliseconds and imports nothing of ours.
_GUARD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
groups = [int(line) for line in sys.stdin]
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class StartError(Exception):
    """Something of the local stack could not be started; the message is one line for a person."""


def free_ports(count: int) -> list[int]:
    """Return `count` different loopback ports that were free a moment ago."""
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def require_free_port(port: int) -> None:
    """Raise `StartError` when `port` cannot be bound on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise StartError(
                f"port {port} cannot be used ({error.strerror}); choose another with LINLI_PORT"
            ) from error


@dataclass(frozen=True)
class Child:
    """One running child: `name` for messages, `log` where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        """Return the last line the child wrote, shortened for a one-line message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it wrote nothing"


class Children:
    """All children of one supervisor, started by its main thread: on Linux a child dies with its parent's thread."""

    def __init__(self, log_dir: Path, keep_open: Sequence[int] = ()) -> None:
        """Children write to `log_dir/<name>.log`; they inherit the descriptors in `keep_open` (the data lock)."""
        self._log_dir = log_dir
        self._keep_open = tuple(keep_open)
        self._running: list[Child] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD], stdin=subprocess.PIPE, start_new_session=True
        )

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Child:
        """Start `command` in a process group of its own and return at once.

        Raises `StartError` when it cannot be executed.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log = self._log_dir / f"{name}.log"
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    list(command),
                    env=dict(env),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=self._keep_open,
                    preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509  (no thread runs yet)
                )
            except OSError as error:
                raise StartError(f"{name} could not be started: {error.strerror} ({command[0]})") from error
        child = Child(name, process, log)
        self._running.append(child)
        assert self._guard.stdin is not None  # noqa: S101  (it was asked for above)
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(b"%d\n" % process.pid)
            self._guard.stdin.flush()
        return child

    def dead(self) -> Child | None:
        """Return a child that has ended by itself, if there is one."""
        return next((child for child in self._running if child.process.poll() is not None), None)

    def stop(self) -> None:
        """End every child and its own children: TERM, KILL after `STOP_SECONDS`. Returns when none is left."""
        for child in self._running:
            _signal_group(child.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
        for child in self._running:
            _signal_group(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self._running.clear()
        self._guard.kill()  # before its pipe closes, so that it cannot mistake a reused number for a child of ours
        self._guard.wait()


def wait_ready(child: Child, ready: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once `ready()` is true; raise `StartError` when the child ends or `seconds` pass first."""
    deadline = time.monotonic() + seconds
    while not ready():
        if child.process.poll() is not None:
            raise StartError(f"{child.name} ended while starting: {child.last_words()}")
        if time.monotonic() > deadline:
            raise StartError(f"{child.name} was not ready within {seconds:.0f} s; see {child.log}")
        time.sleep(0.01)


def accepts_connections(port: int) -> bool:
    """Tell whether something listens on loopback `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def answers_ok(url: str) -> bool:
    """Tell whether a GET of `url` (http, loopback) is answered with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310  (our own loopback URLs)
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return what the child runs before exec so that Linux kills it with its parent; None on other systems."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: a forked child should allocate as little as possible

    def arm() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return arm
