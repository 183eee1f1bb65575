"""The scheduler: calls the application's scheduled handlers as EventBridge does in the cloud.

A rate runs by the real clock, once soon after the start and then at its rate. A cron expression runs by the local
clock, so that moving that clock past midnight brings what midnight brings; several missed times become one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chalice.app import Chalice, ScheduledEventConfig, ScheduleExpression

from infra.local.events import Handler, handler_of, lambda_context, schedule_event
from infra.local.schedules import At, Every, parse
from infra.local.usage import Usage

log = logging.getLogger("linli.local.scheduler")

# The first runs are spread over a second, so that they do not all start at once, nor before the start is announced.
FIRST_RUN_AFTER_SECONDS = 0.5
FIRST_RUNS_SPREAD_SECONDS = 1.0
CRON_TICK_SECONDS = 1.0


class UnknownScheduleError(KeyError):
    """No schedule has this name."""


@dataclass(frozen=True)
class Run:
    """What one run gave: the handler's own `result` and how long it took."""

    name: str
    took_ms: int
    result: Any


@dataclass(frozen=True)
class Schedule:
    """One scheduled function; `running` is held while it runs, so that it never overlaps with itself."""

    name: str
    expression: str
    when: Every | At
    handler: Handler
    running: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)


class Scheduler:
    """All schedules of an application, each in a thread of its own."""

    def __init__(self, app: Chalice, now: Callable[[], datetime], usage: Usage | None = None) -> None:
        """`now` is the local clock. Raises `ValueError` for an expression that is not understood."""
        self._now = now
        self._usage = usage or Usage()
        self._stop = threading.Event()
        self._schedules = {
            source.name: _schedule(app, source)
            for source in app.event_sources
            if isinstance(source, ScheduledEventConfig)
        }

    @property
    def expressions(self) -> dict[str, str]:
        """The schedule expression of each schedule, by name, sorted."""
        return {name: self._schedules[name].expression for name in sorted(self._schedules)}

    def start(self) -> None:
        """Start all schedules; returns at once."""
        for position, schedule in enumerate(self._schedules.values()):
            first_in_seconds = FIRST_RUN_AFTER_SECONDS + FIRST_RUNS_SPREAD_SECONDS * position / len(self._schedules)
            threading.Thread(
                target=self._follow, args=(schedule, first_in_seconds), name=f"schedule-{schedule.name}", daemon=True
            ).start()

    def stop(self) -> None:
        """Start no further run. A run at work is not waited for: handlers bear being cut off."""
        self._stop.set()

    def run_now(self, name: str) -> Run:
        """Run the schedule `name` in this thread, after a run at work has ended, and return what it gave.

        Raises `UnknownScheduleError`, or whatever the handler raises.
        """
        schedule = self._schedules.get(name)
        if schedule is None:
            raise UnknownScheduleError(name)
        return self._run(schedule, self._now())

    def _follow(self, schedule: Schedule, first_in_seconds: float) -> None:
        if isinstance(schedule.when, Every):
            self._follow_rate(schedule, schedule.when.seconds, first_in_seconds)
        else:
            self._follow_cron(schedule, schedule.when)

    def _follow_rate(self, schedule: Schedule, every_seconds: int, first_in_seconds: float) -> None:
        due = time.monotonic() + first_in_seconds
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._run_safely(schedule, self._now())
            # A run longer than the rate is followed at the next full interval, not by all the missed ones.
            late = max(0.0, time.monotonic() - due)
            due += every_seconds * (1 + late // every_seconds)

    def _follow_cron(self, schedule: Schedule, when: At) -> None:
        seen = self._now()
        while not self._stop.wait(CRON_TICK_SECONDS):
            now = self._now()
            moment = when.last_between(seen, now)
            if moment is not None:
                self._run_safely(schedule, moment)
            seen = now

    def _run_safely(self, schedule: Schedule, at: datetime) -> None:
        try:
            self._run(schedule, at)
        except Exception:  # one broken schedule must not stop the others, nor itself for ever
            log.exception("schedule %s failed", schedule.name)

    def _run(self, schedule: Schedule, at: datetime) -> Run:
        with schedule.running:
            started = time.monotonic()
            with self._usage.invocation(schedule.name):
                result = schedule.handler(schedule_event(schedule.name, at), lambda_context(schedule.name))
            return Run(schedule.name, int((time.monotonic() - started) * 1000), result)


def _schedule(app: Chalice, source: ScheduledEventConfig) -> Schedule:
    expression = source.schedule_expression
    text = expression.to_string() if isinstance(expression, ScheduleExpression) else str(expression)
    return Schedule(source.name, text, parse(text), handler_of(app, source))
