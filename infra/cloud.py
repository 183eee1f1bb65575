"""The Stack as CloudFormation: what `chalice package --merge-template` lays over the template that Chalice makes.

Chalice knows functions, roles and the API; here stand tables, queues, the secret, alarms, and what Chalice leaves out
of its own resources. A name that Chalice does not use would merge without a word as a resource that does nothing, so
`tests/contracts/test_infra.py` looks at the built template.
"""

from __future__ import annotations

import json
import re
from typing import Any

from chalicelib.kernel import errors
from chalicelib.web import problems
from infra.declare import Function, Queue, Stack, Table
from infra.functions import APP, GATEWAY_STAGE, Stage
from infra.names import dead_letter_id, event_id, function_id, log_group_id, queue_id, table_id
from infra.policies import FILES_ID, SECRETS_ID

DAY_SECONDS = 86_400
RETENTION_SECONDS = 14 * DAY_SECONDS  # the longest SQS keeps a message
TOPIC_ID = "AlarmTopic"
PUBLIC_URL = "PublicUrl"

Resource = dict[str, Any]


def merge_template(stack: Stack, stage: Stage) -> dict[str, Any]:
    """The whole template of one stage. The same Stack gives the same text."""
    resources: dict[str, Resource] = {
        SECRETS_ID: _secret(stage),
        FILES_ID: _files(stage),
        TOPIC_ID: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{stage.prefix}alarms"}},
        "RestAPI": _api(stage),
        "ApiErrorsAlarm": _api_errors_alarm(stage),
    }
    for table in stack.tables:
        resources[table_id(table.short)] = _table(table, stage)
    for queue in stack.queues:
        resources |= _queue(queue, stage)
    for function in stack.functions:
        resources |= _function(function)
    return {
        "Parameters": {
            PUBLIC_URL: {
                "Type": "String",
                "Description": "Where the API is reached from outside, without a slash at the end.",
                "AllowedPattern": "https://[^/]+(/[^/]+)*",
            }
        },
        "Resources": resources,
        "Outputs": {"AlarmTopicArn": {"Value": {"Ref": TOPIC_ID}}, "SecretName": {"Value": stage.secret_name}},
    }


def _kept(resource: Resource, stage: Stage) -> Resource:
    """What holds data outlives the stack that made it, where the stage is guarded."""
    policy = "Retain" if stage.guarded else "Delete"
    return {**resource, "DeletionPolicy": policy, "UpdateReplacePolicy": policy}


def _secret(stage: Stage) -> Resource:
    """Made empty: a person puts the values in, as one JSON object of names and values."""
    properties = {"Name": stage.secret_name, "Description": "What Linli must not show, by name; see ports.Secrets."}
    return _kept({"Type": "AWS::SecretsManager::Secret", "Properties": properties}, stage)


def _files(stage: Stage) -> Resource:
    """The file store: nobody outside reads it, and what was overwritten or removed by hand can be had back."""
    properties = {
        "BucketName": {"Fn::Sub": f"{stage.prefix}files-${{AWS::AccountId}}"},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "VersioningConfiguration": {"Status": "Enabled"},
    }
    return _kept({"Type": "AWS::S3::Bucket", "Properties": properties}, stage)


def _table(table: Table, stage: Stage) -> Resource:
    properties = {
        **table.create_arguments(),
        "TableName": stage.prefix + table.short,
        "DeletionProtectionEnabled": stage.guarded,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    if table.ttl:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.ttl, "Enabled": True}
    return _kept({"Type": "AWS::DynamoDB::Table", "Properties": properties}, stage)


def _queue(queue: Queue, stage: Stage) -> dict[str, Resource]:
    own, dead = queue_id(queue.name), dead_letter_id(queue.name)
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": [dead, "Arn"]}, "maxReceiveCount": queue.max_receives}
    made = _sqs(stage.prefix + queue.name, VisibilityTimeout=queue.visibility_seconds, RedrivePolicy=redrive)
    return {
        own: _kept(made, stage),
        dead: _kept(_sqs(stage.prefix + queue.dead_letter_name), stage),
        # A message that fails is seen again after the visibility; older than two rounds, work stands still.
        f"{own}AgeAlarm": _alarm(
            "Messages wait too long",
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            {"QueueName": {"Fn::GetAtt": [own, "QueueName"]}},
            threshold=max(600, 2 * queue.visibility_seconds),
            statistic="Maximum",
        ),
        f"{dead}Alarm": _alarm(
            "A message failed for good: look at it, then replay it",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": {"Fn::GetAtt": [dead, "QueueName"]}},
            statistic="Maximum",
        ),
    }


def _sqs(name: str, **properties: Any) -> Resource:
    common = {"QueueName": name, "MessageRetentionPeriod": RETENTION_SECONDS, "SqsManagedSseEnabled": True}
    return {"Type": "AWS::SQS::Queue", "Properties": {**common, **properties}}


def _function(function: Function) -> dict[str, Resource]:
    """What Chalice leaves out of a function, and its alarms."""
    own = function_id(function.name)
    properties: dict[str, Any] = {
        # Named, so that its policy can name its log group before either exists.
        "FunctionName": {"Fn::Sub": f"${{AWS::StackName}}-{function.name}"},
        "Environment": {
            "Variables": {"LINLI_PUBLIC_URL": {"Ref": PUBLIC_URL}, "LINLI_FILES_BUCKET": {"Ref": FILES_ID}}
        },
    }
    if function.queue:
        # Without the response type Lambda deletes what the consumer gave back.
        source = {
            "Queue": {"Fn::Sub": f"${{{queue_id(function.queue)}.Arn}}"},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }
        properties["Events"] = {event_id(function.name): {"Properties": source}}
    found: dict[str, Resource] = {
        own: {"Properties": properties},
        # Chalice names the API's log group after a function that it has renamed.
        log_group_id(function.name): {"Properties": {"LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{own}}}"}}},
        f"{own}ErrorsAlarm": _lambda_alarm(own, "Errors", f"{function.name} fails"),
        f"{own}ThrottlesAlarm": _lambda_alarm(own, "Throttles", f"{function.name} is refused processors"),
    }
    if function.schedule:
        found[f"{own}SilenceAlarm"] = _silence_alarm(own, function)
    return found


def _lambda_alarm(own: str, metric: str, description: str) -> Resource:
    return _alarm(description, "AWS/Lambda", metric, {"FunctionName": {"Ref": own}})


def _silence_alarm(own: str, function: Function) -> Resource:
    """A schedule that does not run makes no error: what alarms is that nothing happens."""
    gap_seconds = longest_gap_seconds(function.schedule)
    # Half as long again as the gap. CloudWatch looks back one day in short periods and seven in periods of an hour.
    period = 300 if gap_seconds < 3600 else 3600
    periods = max(3, -(-gap_seconds * 3 // (2 * period)))
    alarm = _lambda_alarm(own, "Invocations", f"{function.name} has not run for {periods * period // 60} minutes")
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


def _api_errors_alarm(stage: Stage) -> Resource:
    """The Router turns every failure into an answer, so Lambda counts none: API Gateway does."""
    dimensions = {"ApiName": f"{APP}-{stage.name}", "Stage": GATEWAY_STAGE}
    return _alarm("The API answers 5xx", "AWS/ApiGateway", "5XXError", dimensions)


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


# What API Gateway answers by itself, without asking the function, and the problem that it is.
_GATEWAY_ANSWERS: dict[str, type[errors.Problem]] = {
    "ACCESS_DENIED": errors.Forbidden,
    "API_CONFIGURATION_ERROR": errors.Problem,
    "BAD_REQUEST_BODY": errors.Malformed,
    "BAD_REQUEST_PARAMETERS": errors.Malformed,
    "EXPIRED_TOKEN": errors.Unauthorized,
    "INTEGRATION_FAILURE": errors.Unavailable,
    "INTEGRATION_TIMEOUT": errors.Unavailable,
    "INVALID_API_KEY": errors.Forbidden,
    "INVALID_SIGNATURE": errors.Forbidden,
    # An unknown path, or a known one with a method that it does not take: API Gateway tells them not apart.
    "MISSING_AUTHENTICATION_TOKEN": errors.NotFound,
    "QUOTA_EXCEEDED": errors.TooMany,
    "REQUEST_TOO_LARGE": errors.TooLarge,
    "RESOURCE_NOT_FOUND": errors.NotFound,
    "THROTTLED": errors.TooMany,
    "UNAUTHORIZED": errors.Unauthorized,
    "UNSUPPORTED_MEDIA_TYPE": errors.WrongMediaType,
    "WAF_FILTERED": errors.Forbidden,
}


def _api(stage: Stage) -> Resource:
    """The API's own name, by which its metrics are found, and its answers as problem documents."""
    answers = {kind: _gateway_answer(problem) for kind, problem in _GATEWAY_ANSWERS.items()}
    body = {"info": {"title": f"{APP}-{stage.name}"}, "x-amazon-apigateway-gateway-responses": answers}
    return {"Properties": {"DefinitionBody": body}}


def _gateway_answer(problem: type[errors.Problem]) -> dict[str, Any]:
    """API Gateway cannot choose a language, so it says both."""
    documents = [problems.document(problem(detail_args={"seconds": "1"}), language, "") for language in ("zh-CN", "en")]
    document = {
        **documents[1],
        "title": " / ".join(each["title"] for each in documents),
        "detail": " / ".join(each["detail"] for each in documents),
        "request_id": "$context.requestId",
    }
    parameters = {"gatewayresponse.header.Content-Language": "'zh-CN, en'"}
    if problem.status in (429, 503):
        parameters["gatewayresponse.header.Retry-After"] = "'1'"
    return {
        "statusCode": str(problem.status),
        "responseParameters": parameters,
        "responseTemplates": {problems.MEDIA_TYPE: json.dumps(document, ensure_ascii=False)},
    }
