"""Every schedule and its EventBridge expression, how long it may be silent, and which one is overdue.

Handlers take their expression from here, so that whoever watches them need not load them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import jobs

SCHEDULES: dict[str, str] = {
    "relay_outbox": "rate(1 minute)",
    "sweep": "rate(1 minute)",
    "watch": "rate(5 minutes)",
    "reconcile": "cron(0 18 * * ? *)",  # 02:00 in Shanghai
    "settle": "cron(0 19 * * ? *)",  # 03:00 in Shanghai, an hour after the reconciliation
    # A city that is new, or has changed much, or whose base the log cannot reach waits no longer than this for a base.
    "build_search": "rate(10 minutes)",
    "repair_notes": "cron(30 19 * * ? *)",
    "anchor_audit": "cron(10 16 * * ? *)",  # ten past midnight in Shanghai
}

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
_RATE_SECONDS = {"minute": 60, "hour": HOUR_SECONDS, "day": DAY_SECONDS}


def longest_gap_seconds(expression: str) -> int:
    """The longest time between two runs of an EventBridge expression; a cron expression counts as hourly or daily.
    Raises ValueError for what is rarer or is not understood: CloudWatch looks back seven days at most.

    >>> longest_gap_seconds("rate(5 minutes)"), longest_gap_seconds("cron(0 18 * * ? *)")
    (300, 86400)
    """
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate:
        return int(rate[1]) * _RATE_SECONDS[rate[2]]
    cron = re.fullmatch(r"cron\(\S+ (?P<hour>\S+) (?P<day>\S+) (?P<month>\S+) (?P<week_day>\S+) \S+\)", expression)
    if not cron or cron["month"] != "*" or {cron["day"], cron["week_day"]} != {"*", "?"}:
        raise ValueError(f"no alarm can watch {expression!r}: it is rarer than daily, or not understood")
    return HOUR_SECONDS if cron["hour"] == "*" else DAY_SECONDS


def most_overdue(last_ok: Mapping[str, Instant], since: Instant) -> tuple[str, Instant]:
    """The schedule that should have run first, and when it should have; ahead of now when none is late. `last_ok` is
    when each last ended well. One that never did is reckoned from `since`."""
    due = [
        (last_ok.get(name, since).plus(seconds=longest_gap_seconds(expression)), name)
        for name, expression in SCHEDULES.items()
    ]
    at, name = min(due)
    return name, at


def last_runs() -> dict[str, Instant]:
    """When each schedule last ended well; those that never did are left out."""
    return jobs.last_ok(SCHEDULES)
