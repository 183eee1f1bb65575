"""Schedule expressions, and the scheduler that follows them."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chalice import Chalice, Cron, Rate

from infra.local.scheduler import Scheduler, UnknownScheduleError
from infra.local.schedules import At, Every, parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "seconds"), [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 days)", 172_800)]
)
def test_a_rate_is_a_number_of_seconds(expression: str, seconds: int) -> None:
    assert parse(expression) == Every(seconds)


@pytest.mark.parametrize(
    ("expression", "after", "until", "fires"),
    [
        ("cron(0 18 * * ? *)", "2026-11-22T17:59:59", "2026-11-22T18:00:00", "2026-11-22T18:00:00"),
        ("cron(0 18 * * ? *)", "2026-11-22T18:00:00", "2026-11-22T18:00:01", None),
        ("cron(0 18 * * ? *)", "2026-11-20T00:00:00", "2026-11-22T12:00:00", "2026-11-21T18:00:00"),
        ("cron(*/15 * * * ? *)", "2026-11-22T10:00:00", "2026-11-22T10:31:00", "2026-11-22T10:30:00"),
        ("cron(5/10 8-9 * * ? *)", "2026-11-22T00:00:00", "2026-11-22T23:00:00", "2026-11-22T09:55:00"),
        ("cron(0 2 ? * MON-FRI *)", "2026-11-20T03:00:00", "2026-11-23T01:59:00", None),
        ("cron(0 2 ? * 2 *)", "2026-11-20T03:00:00", "2026-11-23T02:00:00", "2026-11-23T02:00:00"),
        ("cron(0 0 1 JAN,JUL ? 2027)", "2026-07-01T00:00:00", "2027-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_a_cron_expression_fires_at_the_latest_time_it_matches(
    expression: str, after: str, until: str, fires: str | None
) -> None:
    """2026-11-22 is a Sunday; several missed times become one."""
    when = parse(expression)
    assert isinstance(when, At)
    assert when.last_between(at(after), at(until)) == (at(fires) if fires else None)


@pytest.mark.parametrize(
    "expression",
    [
        "every day",
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "cron(0 18 * * *)",
        "cron(0 18 * * * *)",
        "cron(60 18 * * ? *)",
        "cron(0 18 L * ? *)",
        "cron(*/0 18 * * ? *)",
        "cron(9-5 18 * * ? *)",
    ],
)
def test_what_eventbridge_refuses_is_refused_with_the_expression_in_the_message(expression: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expression)):
        parse(expression)


class Toy:
    """An application whose schedules note when they ran; its clock is moved by hand."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.now = at("2026-11-22T12:00:00")
        self.most_at_once = 0
        self._at_once = 0
        app = Chalice("toy")

        @app.schedule(Rate(1, unit=Rate.MINUTES))
        def sweep(event: Any) -> dict[str, int]:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            time.sleep(0.02)
            self._at_once -= 1
            self.seen.append(("sweep", event.to_dict()))
            return {"swept": 3}

        @app.schedule("rate(1 minute)")
        def broken(event: Any) -> None:
            self.seen.append(("broken", event.to_dict()))
            raise RuntimeError("broken")

        @app.schedule(Cron(0, 18, "*", "*", "?", "*"))
        def settle(event: Any) -> None:
            self.seen.append(("settle", event.to_dict()))

        self.scheduler = Scheduler(app, lambda: self.now)

    def names(self) -> set[str]:
        return {name for name, _ in self.seen}


def wait_until(condition: Any, seconds: float = 4.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_rates_run_soon_after_the_start_and_cron_follows_the_local_clock() -> None:
    """A schedule that fails stops neither itself nor the others."""
    toy = Toy()
    toy.scheduler.start()
    wait_until(lambda: toy.names() == {"sweep", "broken"}, seconds=2.0)
    time.sleep(0.6)  # every thread has looked at the clock by now
    toy.now += timedelta(days=2)
    wait_until(lambda: "settle" in toy.names())
    toy.scheduler.stop()
    (settled,) = [event for name, event in toy.seen if name == "settle"]
    assert settled["time"] == "2026-11-23T18:00:00Z"
    assert settled["detail-type"] == "Scheduled Event"
    assert settled["resources"][0].endswith(":rule/settle")


def test_a_schedule_can_be_run_now_and_never_overlaps_with_itself() -> None:
    toy = Toy()
    runs: list[Any] = []
    threads = [threading.Thread(target=lambda: runs.append(toy.scheduler.run_now("sweep"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.result for run in runs] == [{"swept": 3}] * 5
    assert all(run.took_ms >= 20 for run in runs)
    assert toy.most_at_once == 1


def test_an_unknown_schedule_is_named() -> None:
    toy = Toy()
    with pytest.raises(UnknownScheduleError, match="nothing"):
        toy.scheduler.run_now("nothing")
    assert sorted(toy.scheduler.expressions) == ["broken", "settle", "sweep"]
