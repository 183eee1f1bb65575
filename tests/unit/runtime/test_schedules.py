"""How long a schedule may be silent, and which one has been so for longest."""

from __future__ import annotations

import pytest

from chalicelib.kernel.instant import Instant
from chalicelib.runtime.schedules import SCHEDULES, longest_gap_seconds, most_overdue

NOW = Instant.parse("2026-11-22T10:00:00.000Z")


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86_400),
        ("cron(*/5 * * * ? *)", 3600),
        ("cron(10 18 * * ? *)", 86_400),
    ],
)
def test_the_gap_of_a_schedule(expression: str, seconds: int) -> None:
    """The alarm on a silent schedule waits longer than the schedule does."""
    assert longest_gap_seconds(expression) == seconds


@pytest.mark.parametrize("expression", ["cron(0 8 ? * MON *)", "cron(0 8 1 * ? *)", "at(2026-11-22T00:00:00)"])
def test_a_schedule_that_no_alarm_can_watch_is_refused(expression: str) -> None:
    """CloudWatch looks back a week, which is too short for what runs weekly."""
    with pytest.raises(ValueError, match="no alarm can watch"):
        longest_gap_seconds(expression)


def test_the_most_overdue_is_the_one_that_should_have_run_first() -> None:
    """By its own gap: a day for the night's jobs, a minute for the sweep."""
    all_well = dict.fromkeys(SCHEDULES, NOW)
    assert most_overdue(all_well, NOW)[1] == NOW.plus(seconds=60)
    late = all_well | {"settle": NOW.plus(hours=-26), "sweep": NOW.plus(minutes=-90)}
    assert most_overdue(late, NOW) == ("settle", NOW.plus(hours=-2))


def test_a_schedule_that_never_ran_is_reckoned_from_the_beginning() -> None:
    """A stage on which a job was forgotten says so."""
    ran = {name: NOW for name in SCHEDULES if name != "reconcile"}
    assert most_overdue(ran, NOW.plus(days=-3)) == ("reconcile", NOW.plus(days=-2))
