"""The schedules of each minute, as they run by themselves.

A run of a schedule that finds nothing costs as many calls as somebody's order, and there would be dozens in each run of
the simulation. So those are left out that would find nothing, but for one in eight.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from chalicelib.orders.handlers import OVERLAP_MS
from chalicelib.orders.tables import OrderRow
from chalicelib.payments.tables import InboxRow
from chalicelib.providers.payments.stripe import EVENT_TYPES
from chalicelib.runtime import outbox
from chalicelib.runtime.jobs import JobRow

if TYPE_CHECKING:
    from tests.simulation.simulation import Run

_NEVERTHELESS = 8


def goes_off(run: Run, name: str) -> bool:
    """Whether a schedule runs this time. The seed decides where it would find nothing."""
    looks = _LOOKS.get(name)
    return looks is None or looks(run) or run.baton.choose.randrange(_NEVERTHELESS) == 0


def _news_stand(run: Run) -> bool:
    return any(item["pk"]["S"] != outbox.REST for item in run.store.scan(outbox.OutboxRow.Meta.table_name))


def _sweep_is_due(run: Run) -> bool:
    """An event of the provider that is young, or that no poll has seen; a fact that is parked; an order whose time came
    since the last sweep, or shortly before it."""
    now, jobs = run.baton.now_ms, _cursors(run)
    where = [(f"type IN ({', '.join('?' * len(EVENT_TYPES))})", EVENT_TYPES)]
    told = run.provider._store.page("event", where, limit=1).data
    if told and told[0]["created"] * 1000 > min(jobs.get("poll", 0), now - 2 * OVERLAP_MS):
        return True
    parked, due = InboxRow.open.attr_name, OrderRow.due_ms.attr_name
    if any(parked in item for item in run.store.scan(InboxRow.Meta.table_name)):
        return True
    marks = [int(item[due]["S"]) for item in run.store.scan(OrderRow.Meta.table_name) if due in item]
    return any(jobs.get("due", 0) - OVERLAP_MS < mark <= now for mark in marks)


def _cursors(run: Run) -> dict[str, int]:
    """Up to when jobs have looked, by their names."""
    rows = [item for item in run.store.scan(JobRow.Meta.table_name) if item["sk"]["S"] == "cursor"]
    values = ((row["pk"]["S"], json.loads(row[JobRow.value.attr_name]["S"])) for row in rows)
    return {name: value["ms"] for name, value in values if "ms" in value}


_LOOKS: dict[str, Callable[[Run], bool]] = {"relay_outbox": _news_stand, "sweep": _sweep_is_due}
