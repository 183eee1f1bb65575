"""The processes that play the plans of a campaign, and the order in which their outcomes are taken."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.plan import Plan

ROOT = Path(__file__).parent.parent.parent
RUN_SECONDS = 120.0  # of wall time for one run; more, and it stands still
_ENDS_SECONDS = 5.0


class NotStarted(Exception):
    """A worker ended before it could play anything; it has said why on standard error."""


@dataclass(frozen=True)
class Played:
    """What a worker tells of one run, see `runner.Outcome`. If asked for: the trace in `lines`, and in `reach` the kind
    of each call that a fault may strike, see `shape.kind`."""

    plan: str
    failures: tuple[str, ...] = ()
    trace_hash: str = ""
    calls: int = 0
    messages: int = 0
    orders: int = 0
    reorders: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    reach: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, told: dict[str, Any]) -> Played:
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})


class Worker:
    """One process. A process that dies or stands still has failed its plan; the next plan gets a new one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def play(self, plan: Plan, *, trace: bool = False, shape: bool = False) -> Played:
        """Raises NotStarted."""
        process = self._begun()
        late = threading.Timer(RUN_SECONDS, self.end)
        late.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"plan": str(plan), "trace": trace, "shape": shape}) + "\n")
            process.stdin.flush()
            told = process.stdout.readline()
        except (OSError, ValueError):  # it is gone, or its end was closed
            told = ""
        finally:
            late.cancel()
        if told.endswith("\n"):
            return Played.of(json.loads(told))
        self.end()
        return Played(str(plan), (f"process: it died, or took more than {RUN_SECONDS:.0f} s",))

    def end(self) -> None:
        """Ends the process with all that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_SECONDS)
        # Its group outlives it when it was killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _begun(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.simulation.worker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # a group of its own: it ends as one, and Ctrl-C does not reach it
            )
            assert self._process.stdout is not None
            if not self._process.stdout.readline():
                self.end()
                raise NotStarted
        return self._process


_Results = queue.SimpleQueue[tuple[int, Played] | BaseException | None]


class Crew:
    """Workers beside each other."""

    def __init__(self, size: int) -> None:
        self._workers = [Worker() for _ in range(size)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def play(self, plans: Iterable[Plan], *, shape: bool = False) -> Iterator[Played]:
        """The outcomes in the order of their plans, whoever played them. Raises NotStarted."""
        waiting = enumerate(plans)
        taken = threading.Lock()
        stopped = threading.Event()
        done: _Results = queue.SimpleQueue()

        def works(worker: Worker) -> None:
            try:
                while not stopped.is_set():
                    with taken:
                        number, plan = next(waiting, (-1, None))
                    if plan is None:
                        break
                    done.put((number, worker.play(plan, shape=shape)))
                done.put(None)
            except BaseException as error:  # the campaign's, which must not wait for this one
                done.put(error)

        threads = [threading.Thread(target=works, args=(worker,), daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        try:
            yield from _in_order(done, len(threads))
        finally:
            stopped.set()


def _in_order(done: _Results, working: int) -> Iterator[Played]:
    early: dict[int, Played] = {}
    following = 0
    while working:
        result = done.get()
        if result is None:
            working -= 1
            continue
        if isinstance(result, BaseException):
            raise result
        early[result[0]] = result[1]
        while following in early:
            yield early.pop(following)
            following += 1
