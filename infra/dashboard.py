"""The dashboard of a stage: one picture in which a person sees whether people can book, and what is in their way.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
An account's first three dashboards are free as long as each shows at most fifty metrics.
"""

from __future__ import annotations

import json
from typing import Any

from chalicelib.runtime import metrics
from chalicelib.runtime.metrics import Metric
from infra.declare import Stack
from infra.functions import GATEWAY_STAGE, Stage
from infra.watched import api_name, function_name, surfaces

DASHBOARD_ID = "Dashboard"
MOST_METRICS = 50
_WIDTH, _HEIGHT = 8, 6
_PEOPLE_WAIT = ("operator", "public")  # the surfaces whose median is shown beside the slowest twentieth
_SHOWN_TABLES = ("booking_days", "identity", "ledger_journal", "orders", "outbox")

Line = list[Any]


def resources(stack: Stack, stage: Stage, alarms: dict[str, Any]) -> dict[str, Any]:
    """`alarms` are the stage's, by logical name: their states stand on top."""
    body = {"start": "-PT12H", "widgets": _widgets(stack, stage, alarms)}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    properties = {"DashboardName": f"{stage.prefix}overview", "DashboardBody": {"Fn::Sub": text}}
    return {DASHBOARD_ID: {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}}


def metric_count(stack: Stack, stage: Stage) -> int:
    return sum(len(lines) for _, lines, _ in _graphs(stack, stage))


def _widgets(stack: Stack, stage: Stage, alarms: dict[str, Any]) -> list[dict[str, Any]]:
    names = [made["Properties"]["AlarmName"] for made in alarms.values() if "AlarmName" in made["Properties"]]
    arn = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:"
    states = {"title": "Alarms; each names its page in docs/runbook", "alarms": [arn + name for name in names]}
    widgets: list[dict[str, Any]] = [
        {"type": "alarm", "x": 0, "y": 0, "width": 24, "height": 5, "properties": states},
    ]
    for place, (title, lines, extra) in enumerate(_graphs(stack, stage)):
        shown = {"view": "timeSeries", "region": "${AWS::Region}", "period": 300, "stat": "Sum"}
        widgets.append(
            {
                "type": "metric",
                "x": place % 3 * _WIDTH,
                "y": 5 + place // 3 * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": {**shown, "title": title, "metrics": lines, **extra},
            }
        )
    return widgets


def _graphs(stack: Stack, stage: Stage) -> list[tuple[str, list[Line], dict[str, Any]]]:
    """Title, lines and what is said besides, left to right and top to bottom."""
    apis = surfaces(stack)
    functions = [(each.name if each.queue or each.schedule else each.surface, each) for each in stack.functions]
    return [
        ("Orders", [_own(stage, metrics.ORDERS_PLACED), _own(stage, metrics.ORDERS_CONFIRMED)], {}),
        (
            "Failures",
            [_own(stage, metrics.REQUEST_FAILURES), *(_api(stage, each, "5XXError") for each in apis)],
            {},
        ),
        (
            "Time to answer, ms",
            [
                *(_api(stage, each, "Latency", stat="p95") for each in apis),
                *(_api(stage, each, "Latency", stat="p50") for each in apis if each in _PEOPLE_WAIT),
            ],
            {},
        ),
        ("Requests", [_api(stage, each, "Count") for each in apis], {}),
        (
            "Failures of functions",
            [
                ["AWS/Lambda", "Errors", "FunctionName", function_name(each, stage), {"label": label}]
                for label, each in functions
            ],
            {},
        ),
        ("Queues: age of the oldest message, s", [_queue(stage, each.name, "age") for each in stack.queues], {}),
        ("Dead letters", [_queue(stage, each.dead_letter_name, "count") for each in stack.queues], {}),
        ("Written units", [_table(stage, name, "ConsumedWriteCapacityUnits") for name in _SHOWN_TABLES], {}),
        ("Read units", [_table(stage, name, "ConsumedReadCapacityUnits") for name in _SHOWN_TABLES], {}),
        (
            "Late, s",
            [_own(stage, each, stat="Maximum") for each in (metrics.UNCONFIRMED, metrics.OUTBOX_LATE)]
            + [_own(stage, metrics.SCHEDULE_OVERDUE, stat="Maximum")],
            {"annotations": {"horizontal": [{"label": "alarm", "value": 600}]}},
        ),
        (
            "Money that stands, s",
            [_own(stage, each, stat="Maximum") for each in (metrics.REFUND_PAYABLE, metrics.SUSPENSE)],
            {
                "annotations": {
                    "horizontal": [
                        {"label": "refunds: alarm", "value": 72 * 3600},
                        {"label": "suspense: alarm", "value": 24 * 3600},
                    ]
                }
            },
        ),
        ("Parked webhooks", [_own(stage, metrics.PARKED, stat="Maximum")], {}),
    ]


def _own(stage: Stage, metric: Metric, **shown: str) -> Line:
    return [metrics.NAMESPACE, metric.name, metrics.DIMENSION, stage.name, {"label": metric.says, **shown}]


def _api(stage: Stage, surface: str, metric: str, **shown: str) -> Line:
    label = f"{surface} {shown['stat']}" if shown else surface
    where = ["ApiName", api_name(surface, stage), "Stage", GATEWAY_STAGE]
    return ["AWS/ApiGateway", metric, *where, {"label": label, **shown}]


def _queue(stage: Stage, name: str, what: str) -> Line:
    metric = "ApproximateAgeOfOldestMessage" if what == "age" else "ApproximateNumberOfMessagesVisible"
    return ["AWS/SQS", metric, "QueueName", stage.prefix + name, {"label": name, "stat": "Maximum"}]


def _table(stage: Stage, name: str, metric: str) -> Line:
    return ["AWS/DynamoDB", metric, "TableName", stage.prefix + name, {"label": name}]
