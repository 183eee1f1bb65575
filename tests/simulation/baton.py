"""Threads of which one runs: the one with the baton. It may pass it on only where real functions can be overtaken, at
an outside call or while they wait, and the seed says to whom. So a run with the same seed is the same run.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

MAX_PAUSES = 60_000  # of one run; more, and it does not come to rest


class Restless(Exception):
    """The run makes calls without end."""


class Task:
    """One line of work in a thread of its own. `name` stands in the trace."""

    def __init__(self, name: str, work: Callable[[], object], wake_ms: int) -> None:
        self.name = name
        self.work = work
        self.wake_ms = wake_ms
        self.dead = False  # its function has crashed, and whatever still unwinds in it reaches nobody
        self.skew_ms = 0  # how far its function's clock is off
        self.go = threading.Semaphore(0)
        self.thread: threading.Thread | None = None


class Baton:
    """The tasks of one run, and its clock: `now_ms`, which moves when everybody waits, and a little at each call."""

    def __init__(self, seed: int, now_ms: int) -> None:
        self.now_ms = now_ms
        self.choose = random.Random(seed)  # noqa: S311  # not a secret
        self.running: Task | None = None  # whoever has the baton; None while the run is prepared and looked at
        self._pauses = 0
        self._tasks: list[Task] = []
        self._over = threading.Semaphore(0)
        self._failure: BaseException | None = None

    def spawn(self, name: str, work: Callable[[], object], after_ms: int = 0) -> None:
        """Work that begins after so long, and runs beside all other."""
        self._tasks.append(Task(name, work, self.now_ms + after_ms))

    def run(self) -> None:
        """Until every task has ended. Raises the first exception that a task did not handle."""
        if not self._tasks:
            return
        self._pass(self._next())
        self._over.acquire()
        self.running = None
        if self._failure is not None:
            for task in self._tasks:
                if task.thread is not None:
                    task.go.release()
                    task.thread.join()
            raise self._failure

    def pause(self) -> None:
        """Somebody else may go on here."""
        self._pauses += 1
        if self._pauses > MAX_PAUSES:
            raise Restless(f"more than {MAX_PAUSES} calls")
        self.now_ms += self.choose.randint(1, 12)
        self._give_way()

    def sleep(self, ms: int) -> None:
        """The running task waits; the clock moves on when all do."""
        assert self.running is not None
        self.running.wake_ms = self.now_ms + max(0, ms)
        self._give_way()

    def _give_way(self) -> None:
        if self._failure is not None:
            raise SystemExit  # the run is lost, and what is under way in it unwinds
        task, following = self.running, self._next()
        assert task is not None
        if following is not task:
            self._pass(following)
            task.go.acquire()
            if self._failure is not None:
                raise SystemExit

    def _next(self) -> Task:
        ready = [task for task in self._tasks if task.wake_ms <= self.now_ms]
        if not ready:
            self.now_ms = min(task.wake_ms for task in self._tasks)
            ready = [task for task in self._tasks if task.wake_ms <= self.now_ms]
        return ready[0] if len(ready) == 1 else self.choose.choice(ready)

    def _pass(self, task: Task) -> None:
        self.running = task
        if task.thread is None:
            task.thread = threading.Thread(target=self._live, args=(task,), name=task.name, daemon=True)
            task.thread.start()
        else:
            task.go.release()

    def _live(self, task: Task) -> None:
        try:
            task.work()
        except BaseException as error:  # whatever it is, it is the run's
            if self._failure is not None:
                return
            self._failure = error
        self._tasks.remove(task)
        if self._failure is not None or not self._tasks:
            self._over.release()
        else:
            self._pass(self._next())


class Lock:
    """A lock of the product's memory, taken by tasks: whoever finds it taken lets others go on."""

    def __init__(self, baton: Callable[[], Baton | None]) -> None:
        self._baton = baton
        self._taken = False

    def __enter__(self) -> None:
        while self._taken:
            baton = self._baton()
            assert baton is not None
            baton.sleep(1)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False
