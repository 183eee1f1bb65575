"""The alarms of a stage: who is told when something fails, waits, does not happen, or stands wrong in the books.

All of them watch things by their physical names, so they live in the base stack while deployments come and go. Each has
a page in `docs/runbook/`, named in its description, and says when it is over as well. Prices:
https://aws.amazon.com/cloudwatch/pricing/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.runtime import metrics
from chalicelib.runtime.metrics import Metric
from chalicelib.runtime.schedules import longest_gap_seconds
from infra import dashboard
from infra.declare import Function, Queue, Stack
from infra.functions import GATEWAY_STAGE, Stage
from infra.names import camel
from infra.watched import api_name, function_name, surfaces

TOPIC_ID = "AlarmTopic"
EMAIL, ENDPOINT = "AlarmEmail", "AlarmEndpoint"
RUNBOOK = "docs/runbook"
WAKE, MORNING = "wake somebody", "look in the morning"
# Tables whose throttling turns a buyer away. Trouble of the others shows as a job that fails or is late.
WATCHED_TABLES = (
    "booking_days",
    "catalog",
    "identity",
    "ledger_journal",
    "orders",
    "outbox",
    "payments_inbox",
    "rate_windows",
    "search",
)
_OPERATIONS = ("GetItem", "PutItem", "Query", "TransactWriteItems", "UpdateItem")
METRIC_USD, ALARM_USD = 0.30, 0.10  # a month

Resource = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What all alarms of one page have in common. `severity` is whether it can wait."""

    page: str
    severity: str


FUNCTION_ERRORS = Kind("function-errors", WAKE)
FUNCTION_THROTTLES = Kind("function-throttles", WAKE)
SCHEDULE_SILENT = Kind("schedule-silent", WAKE)
SCHEDULE_OVERDUE = Kind("schedule-overdue", WAKE)
DEAD_LETTERS = Kind("dead-letters", WAKE)
QUEUE_AGE = Kind("queue-age", WAKE)
API_5XX = Kind("api-5xx", WAKE)
API_LATENCY = Kind("api-latency", MORNING)
UNCONFIRMED = Kind("unconfirmed-payments", WAKE)
OUTBOX_LATE = Kind("outbox-late", WAKE)
PARKED = Kind("parked-webhooks", WAKE)
SUSPENSE = Kind("suspense", MORNING)
REFUNDS_OWED = Kind("refunds-owed", MORNING)
DATABASE_THROTTLES = Kind("database-throttles", MORNING)
DATABASE_ERRORS = Kind("database-errors", MORNING)


def parameters() -> dict[str, Any]:
    """Where alarms go: chosen at deployment, both, either or none."""
    return {
        EMAIL: {
            "Type": "String",
            "Default": "",
            "Description": "Who is written to about alarms; empty for nobody. AWS asks them to confirm.",
            "AllowedPattern": r"([^@\s]+@[^@\s]+)?",
        },
        ENDPOINT: {
            "Type": "String",
            "Default": "",
            "Description": "An https address that alarms are posted to, such as a pager's; empty for none.",
            "AllowedPattern": r"(https://\S+)?",
        },
    }


def conditions() -> dict[str, Any]:
    return {f"Has{name}": {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} for name in (EMAIL, ENDPOINT)}


def resources(stack: Stack, stage: Stage) -> dict[str, Resource]:
    """The topic, its subscriptions, every alarm and the dashboard, by logical name."""
    made: dict[str, Resource] = {
        TOPIC_ID: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{stage.prefix}alarms"}},
        "AlarmEmailSubscription": _subscription(EMAIL, "email"),
        "AlarmEndpointSubscription": _subscription(ENDPOINT, "https"),
    }
    alarms = [*_business(stage), *_database(stage)]
    for function in stack.functions:
        alarms += _of_function(function, stage)
    for surface in surfaces(stack):
        alarms += _of_api(surface, stage)
    for queue in stack.queues:
        alarms += _of_queue(queue, stage)
    for name, kind, symptom, watched in alarms:
        made[f"{camel(name)}Alarm"] = _alarm(stage, name, kind, symptom, watched)
    return made | dashboard.resources(stack, stage, made)


def monthly_usd(made: dict[str, Resource]) -> float:
    """What metrics and alarms cost a month by the list, whether anything happens or not."""
    count = len([each for each in made.values() if each["Type"] == "AWS::CloudWatch::Alarm"])
    return len(metrics.METRICS) * METRIC_USD + count * ALARM_USD


def _subscription(parameter: str, protocol: str) -> Resource:
    properties = {"TopicArn": {"Ref": TOPIC_ID}, "Protocol": protocol, "Endpoint": {"Ref": parameter}}
    return {"Type": "AWS::SNS::Subscription", "Condition": f"Has{parameter}", "Properties": properties}


_Described = tuple[str, Kind, str, dict[str, Any]]
"""Name, kind, the symptom in a sentence, and what is watched."""


def _alarm(stage: Stage, name: str, kind: Kind, symptom: str, watched: dict[str, Any]) -> Resource:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": f"{stage.prefix}{name.replace('_', '-')}",
            "AlarmDescription": f"{symptom} Severity: {kind.severity}. Runbook: {RUNBOOK}/{kind.page}.md",
            "AlarmActions": [{"Ref": TOPIC_ID}],
            "OKActions": [{"Ref": TOPIC_ID}],
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "EvaluationPeriods": 1,
            "TreatMissingData": "notBreaching",
            **watched,
        },
    }


def _metric(
    namespace: str, name: str, dimensions: dict[str, str], threshold: int, *, statistic: str = "Sum", period: int = 300
) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in sorted(dimensions.items())],
        "Threshold": threshold,
        "Statistic": statistic,
        "Period": period,
    }


# ---------------------------------------------------------------------------------------------- functions


def _of_function(function: Function, stage: Stage) -> list[_Described]:
    """What is called often, and again when it fails, may fail a little; what runs once a night, and an API that does
    not even answer, may not."""
    name = f"{function.surface}-{function.name}"
    dimensions = {"FunctionName": function_name(function, stage)}
    often = function.queue or (function.schedule and longest_gap_seconds(function.schedule) < 3600)
    period, errors = (900, 3) if often else (300, 1)
    # A queue that is ahead of its consumers is refused processors now and then, and asks again.
    throttles = 100 if function.queue else errors
    found: list[_Described] = [
        (
            f"{name}-errors",
            FUNCTION_ERRORS,
            f"The function {name} has failed.",
            _metric("AWS/Lambda", "Errors", dimensions, errors, period=period),
        ),
        (
            f"{name}-throttles",
            FUNCTION_THROTTLES,
            f"The function {name} is refused processors.",
            _metric("AWS/Lambda", "Throttles", dimensions, throttles, period=period),
        ),
    ]
    if function.schedule:
        found.append((f"{name}-silent", SCHEDULE_SILENT, *_silence(function, dimensions)))
    return found


def _silence(function: Function, dimensions: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """A schedule that does not run makes no error: what alarms is that nothing happens."""
    gap_seconds = longest_gap_seconds(function.schedule)
    # Half as long again as the gap. CloudWatch looks back one day in short periods and seven in periods of an hour.
    period = 300 if gap_seconds < 3600 else 3600
    periods = max(3, -(-gap_seconds * 3 // (2 * period)))
    symptom = f"The schedule {function.name} has not run for {periods * period // 60} minutes."
    return symptom, {
        **_metric("AWS/Lambda", "Invocations", dimensions, 1, period=period),
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": periods,
        "TreatMissingData": "breaching",
    }


def _of_api(surface: str, stage: Stage) -> list[_Described]:
    """The Router turns every failure into an answer, so Lambda counts none: API Gateway does."""
    dimensions = {"ApiName": api_name(surface, stage), "Stage": GATEWAY_STAGE}
    slow = _metric("AWS/ApiGateway", "Latency", dimensions, 3_000)
    del slow["Statistic"]
    slow |= {"ExtendedStatistic": "p95", "EvaluationPeriods": 3, "EvaluateLowSampleCountPercentile": "ignore"}
    return [
        (
            f"{surface}-5xx",
            API_5XX,
            f"The API {surface} answers 5xx.",
            _metric("AWS/ApiGateway", "5XXError", dimensions, 5),
        ),
        (f"{surface}-latency", API_LATENCY, f"One in 20 answers of the API {surface} takes over 3 seconds.", slow),
    ]


def _of_queue(queue: Queue, stage: Stage) -> list[_Described]:
    def watched(name: str, metric: str, threshold: int) -> dict[str, Any]:
        return _metric("AWS/SQS", metric, {"QueueName": stage.prefix + name}, threshold, statistic="Maximum")

    # A message that fails is seen again after the visibility; older than two rounds, work stands still.
    patience_seconds = max(600, 2 * queue.visibility_seconds)
    return [
        (
            f"{queue.name}-age",
            QUEUE_AGE,
            f"Messages wait in the queue {queue.name} for over {patience_seconds // 60} minutes.",
            watched(queue.name, "ApproximateAgeOfOldestMessage", patience_seconds),
        ),
        (
            queue.dead_letter_name,
            DEAD_LETTERS,
            f"A message of the queue {queue.name} has failed for good.",
            watched(queue.dead_letter_name, "ApproximateNumberOfMessagesVisible", 1),
        ),
    ]


# ---------------------------------------------------------------------------------------------- the business


def _business(stage: Stage) -> list[_Described]:
    """Gauges of the schedule `watch`. While it is silent they keep their state; its silence alarms by itself."""
    hour = 3600

    def gauge(metric: Metric, threshold: int, periods: int = 1) -> dict[str, Any]:
        dimensions = {metrics.DIMENSION: stage.name}
        watched = _metric(metrics.NAMESPACE, metric.name, dimensions, threshold, statistic="Maximum")
        return {**watched, "EvaluationPeriods": periods, "TreatMissingData": "ignore"}

    # Two or three measures fall into each quarter of an hour: none at all means that nobody measures any more.
    overdue = gauge(metrics.SCHEDULE_OVERDUE, 600) | {"Period": 900, "TreatMissingData": "breaching"}
    return [
        (
            "unconfirmed-payments",
            UNCONFIRMED,
            "The provider has had money for over 10 minutes of which no order knows.",
            gauge(metrics.UNCONFIRMED, 600),
        ),
        ("outbox-late", OUTBOX_LATE, "News is handled over a minute too late.", gauge(metrics.OUTBOX_LATE, 60)),
        (
            "parked-webhooks",
            PARKED,
            "Facts of the payment provider cannot be applied.",
            gauge(metrics.PARKED, 1, periods=2),
        ),
        (
            "suspense",
            SUSPENSE,
            "Money has stood in suspense for over 24 hours.",
            gauge(metrics.SUSPENSE, 24 * hour),
        ),
        (
            "refunds-owed",
            REFUNDS_OWED,
            "A refund has been owed for over 72 hours.",
            gauge(metrics.REFUND_PAYABLE, 72 * hour),
        ),
        ("schedule-overdue", SCHEDULE_OVERDUE, "A schedule has not ended well when it should have.", overdue),
    ]


def _database(stage: Stage) -> list[_Described]:
    found: list[_Described] = []
    for table in WATCHED_TABLES:
        for what, metric in (("reads", "ReadThrottleEvents"), ("writes", "WriteThrottleEvents")):
            watched = _metric("AWS/DynamoDB", metric, {"TableName": stage.prefix + table}, 10)
            symptom = f"DynamoDB throttles {what} of the table {table}."
            found.append((f"{table}-{what}-throttled", DATABASE_THROTTLES, symptom, watched))
    for operation in _OPERATIONS:
        dimensions = {"TableName": f"{stage.prefix}orders", "Operation": operation}
        watched = _metric("AWS/DynamoDB", "SystemErrors", dimensions, 5)
        name = f"database-errors-{operation.lower()}"
        found.append((name, DATABASE_ERRORS, f"DynamoDB itself fails at {operation}.", watched))
    return found
