"""The schedule that looks whether something runs wrong without making an error."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.insights import service
from chalicelib.insights.model import Gauge, late
from chalicelib.runtime import entry, metrics
from chalicelib.runtime.context import Context
from chalicelib.runtime.metrics import Metric
from chalicelib.runtime.schedules import SCHEDULES

blueprint = Blueprint(__name__)


@blueprint.schedule(SCHEDULES[service.JOB], name=service.JOB)
@entry.schedule(service.JOB, lease_seconds=240)
def watch(ctx: Context) -> dict[str, Any]:
    """Measures the gauges, and says beside each what it is about. Raises Incomplete when one is missing."""
    facts, failed = service.watch(ctx)
    gauges: dict[str, tuple[Metric, Gauge]] = {
        "unconfirmed": (metrics.UNCONFIRMED, late(facts.unconfirmed, ctx.now)),
        "books": (metrics.SUSPENSE, late(facts.suspense, ctx.now)),
        "refund": (metrics.REFUND_PAYABLE, late(facts.refund, ctx.now)),
        "news": (metrics.OUTBOX_LATE, late(facts.news, ctx.now)),
        "parked": (metrics.PARKED, Gauge(facts.parked)),
        "schedule": (metrics.SCHEDULE_OVERDUE, late(facts.schedule, ctx.now)),
    }
    known = {name: pair for name, pair in gauges.items() if name not in failed}
    metrics.emit({metric: gauge.value for metric, gauge in known.values()})
    if failed:
        raise service.Incomplete(", ".join(failed))
    said: dict[str, Any] = {metric.name: gauge.value for metric, gauge in known.values()}
    return said | {f"{name}_is": gauge.what for name, (_, gauge) in known.items() if gauge.what}
