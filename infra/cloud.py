"""The Stack as CloudFormation: what `chalice package --merge-template` lays over the template that Chalice makes.

Chalice knows functions, roles and the API; here stand tables, queues, the secret, alarms, and what Chalice leaves out
of its own resources. A name that Chalice does not use would merge without a word as a resource that does nothing, so
`tests/contracts/test_infra.py` looks at the built template.
"""

from __future__ import annotations

import json
from typing import Any

from chalicelib.kernel import errors
from chalicelib.web import problems
from infra import alarms
from infra.declare import Function, Queue, Stack, Table
from infra.functions import APP, Stage
from infra.names import dead_letter_id, event_id, function_id, log_group_id, queue_id, table_id
from infra.policies import SECRETS_ID

DAY_SECONDS = 86_400
RETENTION_SECONDS = 14 * DAY_SECONDS  # the longest SQS keeps a message
PUBLIC_URL = "PublicUrl"

Resource = dict[str, Any]


def merge_template(stack: Stack, stage: Stage) -> dict[str, Any]:
    """The whole template of one stage. The same Stack gives the same text."""
    resources: dict[str, Resource] = {
        SECRETS_ID: _secret(stage),
        "RestAPI": _api(stage),
        **alarms.resources(stack, stage),
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
            },
            **alarms.parameters(),
        },
        "Conditions": alarms.conditions(),
        "Resources": resources,
        "Outputs": {"AlarmTopicArn": {"Value": {"Ref": alarms.TOPIC_ID}}, "SecretName": {"Value": stage.secret_name}},
    }


def _kept(resource: Resource, stage: Stage) -> Resource:
    """What holds data outlives the stack that made it, where the stage is guarded."""
    policy = "Retain" if stage.guarded else "Delete"
    return {**resource, "DeletionPolicy": policy, "UpdateReplacePolicy": policy}


def _secret(stage: Stage) -> Resource:
    """Made empty: a person puts the values in, as one JSON object of names and values."""
    properties = {"Name": stage.secret_name, "Description": "What Linli must not show, by name; see ports.Secrets."}
    return _kept({"Type": "AWS::SecretsManager::Secret", "Properties": properties}, stage)


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
    }


def _sqs(name: str, **properties: Any) -> Resource:
    common = {"QueueName": name, "MessageRetentionPeriod": RETENTION_SECONDS, "SqsManagedSseEnabled": True}
    return {"Type": "AWS::SQS::Queue", "Properties": {**common, **properties}}


def _function(function: Function) -> dict[str, Resource]:
    """What Chalice leaves out of a function."""
    own = function_id(function.name)
    properties: dict[str, Any] = {
        # Named, so that its policy can name its log group before either exists.
        "FunctionName": {"Fn::Sub": f"${{AWS::StackName}}-{function.name}"},
        "Environment": {"Variables": {"LINLI_PUBLIC_URL": {"Ref": PUBLIC_URL}}},
    }
    if function.queue:
        # Without the response type Lambda deletes what the consumer gave back.
        source = {
            "Queue": {"Fn::Sub": f"${{{queue_id(function.queue)}.Arn}}"},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }
        properties["Events"] = {event_id(function.name): {"Properties": source}}
    return {
        own: {"Properties": properties},
        # Chalice names the API's log group after a function that it has renamed.
        log_group_id(function.name): {"Properties": {"LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{own}}}"}}},
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
