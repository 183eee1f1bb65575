"""The few figures that alarms and the dashboard need, in CloudWatch's embedded metric format: one log line with `_aws`,
which CloudWatch Logs turns into metrics. Nothing is called, and nothing waits.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Ten metrics at the most, one dimension: each costs money every month, and what nobody looks at helps nobody. Everything
else is a field of a log line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.runtime import clock, log
from chalicelib.runtime.settings import settings

NAMESPACE = "Linli"
DIMENSION = "Stage"
MOST = 10


@dataclass(frozen=True)
class Metric:
    """`unit` is CloudWatch's word for it; `says` is what a person reads beside the figure."""

    name: str
    unit: str
    says: str


ORDERS_PLACED = Metric("OrdersPlaced", "Count", "orders that hold a place")
ORDERS_CONFIRMED = Metric("OrdersConfirmed", "Count", "orders that are paid for and agreed")
REQUEST_FAILURES = Metric("RequestFailures", "Count", "requests that were answered 5xx")
UNCONFIRMED = Metric(
    "UnconfirmedPaymentSeconds", "Seconds", "for how long money has been at the provider of which no order knows"
)
SUSPENSE = Metric("SuspenseSeconds", "Seconds", "for how long money has stood in suspense")
REFUND_PAYABLE = Metric("RefundPayableSeconds", "Seconds", "for how long the oldest refund has been owed")
OUTBOX_LATE = Metric("OutboxLateSeconds", "Seconds", "by how much the oldest news is late")
PARKED = Metric("ParkedWebhooks", "Count", "facts of the provider that could not be applied")
SCHEDULE_OVERDUE = Metric("ScheduleOverdueSeconds", "Seconds", "by how much the most overdue schedule is late")

METRICS = (
    ORDERS_PLACED,
    ORDERS_CONFIRMED,
    REQUEST_FAILURES,
    UNCONFIRMED,
    SUSPENSE,
    REFUND_PAYABLE,
    OUTBOX_LATE,
    PARKED,
    SCHEDULE_OVERDUE,
)


def count(metric: Metric) -> None:
    """One more of it has happened."""
    emit({metric: 1})


def emit(values: Mapping[Metric, int]) -> None:
    """Writes the values as they are now, in one line. Nothing where metrics are off."""
    if settings().metrics == "on" and values:
        log.write(json.dumps(document(values, clock.machine_now().ms), separators=(",", ":")))


def document(values: Mapping[Metric, int], timestamp_ms: int) -> dict[str, object]:
    """The line as the specification wants it: the directive under `_aws`, dimension and values beside it."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": metric.name, "Unit": metric.unit} for metric in values],
    }
    return {
        "_aws": {"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]},
        DIMENSION: settings().stage,
        **{metric.name: value for metric, value in values.items()},
    }
