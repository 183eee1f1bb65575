"""The alarms of a stage: who is told when something fails, waits too long or does not happen."""

from __future__ import annotations

import re
from typing import Any

from chalicelib.web.application import HTTP_SURFACES
from infra.declare import Function, Queue, Stack
from infra.functions import GATEWAY_STAGE, Stage
from infra.names import camel, dead_letter_id, function_name, queue_id, stack_name

DAY_SECONDS = 86_400
TOPIC_ID = "AlarmTopic"

Resource = dict[str, Any]


def added(template: dict[str, Any], stack: Stack, stage: Stage) -> dict[str, Any]:
    """The base template with the alarms of its stage."""
    if not stage.alarms:
        return template
    resources: dict[str, Resource] = {
        TOPIC_ID: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{stage.prefix}alarms"}}
    }
    for queue in stack.queues:
        resources |= _of_queue(queue, stage)
    for function in stack.functions:
        resources |= _of_function(function, stage)
    for surface in HTTP_SURFACES:
        # The Router turns every failure into an answer, so Lambda counts none: API Gateway does.
        dimensions = {"ApiName": stack_name(stage.name, surface), "Stage": GATEWAY_STAGE}
        alarm = _alarm(f"The API {surface} answers 5xx", "AWS/ApiGateway", "5XXError", dimensions)
        resources[f"{camel(surface)}ApiErrorsAlarm"] = alarm
    return {
        **template,
        "Resources": template["Resources"] | resources,
        "Outputs": template["Outputs"] | {"AlarmTopicArn": {"Value": {"Ref": TOPIC_ID}}},
    }


def _of_queue(queue: Queue, stage: Stage) -> dict[str, Resource]:
    return {
        # A message that fails is seen again after the visibility; older than two rounds, work stands still.
        f"{queue_id(queue.name)}AgeAlarm": _alarm(
            "Messages wait too long",
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            {"QueueName": stage.prefix + queue.name},
            threshold=max(600, 2 * queue.visibility_seconds),
            statistic="Maximum",
        ),
        f"{dead_letter_id(queue.name)}Alarm": _alarm(
            "A message failed for good: look at it, then replay it",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": stage.prefix + queue.dead_letter_name},
            statistic="Maximum",
        ),
    }


def _of_function(function: Function, stage: Stage) -> dict[str, Resource]:
    own = camel(function_name(function))
    dimensions = {"FunctionName": stage.prefix + function_name(function)}
    found = {
        f"{own}ErrorsAlarm": _alarm(f"{function.name} fails", "AWS/Lambda", "Errors", dimensions),
        f"{own}ThrottlesAlarm": _alarm(f"{function.name} is refused processors", "AWS/Lambda", "Throttles", dimensions),
    }
    if function.schedule:
        found[f"{own}SilenceAlarm"] = _silence(function, dimensions)
    return found


def _silence(function: Function, dimensions: dict[str, Any]) -> Resource:
    """A schedule that does not run makes no error: what alarms is that nothing happens."""
    gap_seconds = longest_gap_seconds(function.schedule)
    # Half as long again as the gap. CloudWatch looks back one day in short periods and seven in periods of an hour.
    period = 300 if gap_seconds < 3600 else 3600
    periods = max(3, -(-gap_seconds * 3 // (2 * period)))
    description = f"{function.name} has not run for {periods * period // 60} minutes"
    alarm = _alarm(description, "AWS/Lambda", "Invocations", dimensions)
    alarm["Properties"] |= {
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": periods,
        "Period": period,
        "TreatMissingData": "breaching",
    }
    return alarm


_RATE_SECONDS = {"minute": 60, "hour": 3600, "day": DAY_SECONDS}


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
    return 3600 if cron["hour"] == "*" else DAY_SECONDS


def _alarm(
    description: str,
    namespace: str,
    metric: str,
    dimensions: dict[str, Any],
    *,
    threshold: int = 1,
    statistic: str = "Sum",
) -> Resource:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmActions": [{"Ref": TOPIC_ID}],
            "AlarmDescription": description,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())],
            "EvaluationPeriods": 1,
            "MetricName": metric,
            "Namespace": namespace,
            "Period": 300,
            "Statistic": statistic,
            "Threshold": threshold,
            "TreatMissingData": "notBreaching",
        },
    }
