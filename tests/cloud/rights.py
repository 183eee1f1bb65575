"""What the role of each function may do: asked of the deployment by trying, and read from the deployed policies.

A call is made so that it changes nothing where it is allowed: under a key that nobody has, with a condition that fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from botocore.exceptions import ClientError

from infra.declare import Stack
from tests.cloud.deployed import STAGE, Deployed
from tests.cloud.region import NAME

ACCOUNT = "000000000000"
PHONE = "+8613800009999"
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
# What a call that was let through may answer: it was made to come to nothing.
_HARMLESS = {
    "ConditionalCheckFailedException",
    "TransactionCanceledException",
    "ReceiptHandleIsInvalid",
    "InvalidParameterValue",
    "ResourceAlreadyExistsException",
}
_NOBODY = {"pk": {"S": "nobody"}, "sk": {"S": "nobody"}}
_IF_THERE = "attribute_exists(pk)"


def _query(client: Any, table: str, index: str = "", key: str = "pk") -> Any:
    more = {"IndexName": index} if index else {}
    return client.query(
        TableName=table,
        KeyConditionExpression="#k = :k",
        ExpressionAttributeNames={"#k": key},
        ExpressionAttributeValues={":k": {"S": "nobody"}},
        **more,
    )


TABLE_CALLS: dict[str, Callable[[Any, str], Any]] = {
    "GetItem": lambda client, table: client.get_item(TableName=table, Key=_NOBODY),
    "BatchGetItem": lambda client, table: client.batch_get_item(RequestItems={table: {"Keys": [_NOBODY]}}),
    "Query": _query,
    "Scan": lambda client, table: client.scan(TableName=table, Limit=1),
    "PutItem": lambda client, table: client.put_item(TableName=table, Item=_NOBODY, ConditionExpression=_IF_THERE),
    "UpdateItem": lambda client, table: client.update_item(
        TableName=table,
        Key=_NOBODY,
        UpdateExpression="SET a = :a",
        ConditionExpression=_IF_THERE,
        ExpressionAttributeValues={":a": {"S": "a"}},
    ),
    "DeleteItem": lambda client, table: client.delete_item(TableName=table, Key=_NOBODY, ConditionExpression=_IF_THERE),
    "ConditionCheckItem": lambda client, table: client.transact_write_items(
        TransactItems=[{"ConditionCheck": {"TableName": table, "Key": _NOBODY, "ConditionExpression": _IF_THERE}}]
    ),
    "BatchWriteItem": lambda client, table: client.batch_write_item(
        RequestItems={table: [{"DeleteRequest": {"Key": _NOBODY}}]}
    ),
    "DescribeTable": lambda client, table: client.describe_table(TableName=table),
    "DeleteTable": lambda client, table: client.delete_table(TableName=table),
}
QUEUE_CALLS: dict[str, Callable[[Any, str], Any]] = {
    "GetQueueUrl": lambda client, url: client.get_queue_url(QueueName=url.rpartition("/")[2]),
    "GetQueueAttributes": lambda client, url: client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]),
    "ReceiveMessage": lambda client, url: client.receive_message(QueueUrl=url, VisibilityTimeout=0),
    "DeleteMessage": lambda client, url: client.delete_message(QueueUrl=url, ReceiptHandle="none"),
    "ChangeMessageVisibility": lambda client, url: client.change_message_visibility(
        QueueUrl=url, ReceiptHandle="none", VisibilityTimeout=0
    ),
    # Longer than SQS takes: let through, it is still refused.
    "SendMessage": lambda client, url: client.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=901),
    "SetQueueAttributes": lambda client, url: client.set_queue_attributes(QueueUrl=url, Attributes={}),
}


@dataclass(frozen=True)
class Try:
    """One call on one resource, as IAM names them."""

    action: str
    resource: str
    call: Callable[[Any], Any]

    @property
    def service(self) -> str:
        return self.action.partition(":")[0]

    @property
    def name(self) -> str:
        return f"{self.action} {self.resource.rpartition(':')[2]}"


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{NAME}:{ACCOUNT}:{rest}"


def tries(deployed: Deployed, stack: Stack) -> list[Try]:
    """Each verb on each table, index, queue, secret, topic and log of the stage."""
    found = []
    for table in stack.tables:
        name = STAGE.prefix + table.short
        where = arn("dynamodb", f"table/{name}")
        for verb, call in TABLE_CALLS.items():
            found.append(Try(f"dynamodb:{verb}", where, _bound(call, name)))
        for index in table.indexes.values():
            found.append(
                Try("dynamodb:Query", f"{where}/index/{index.name}", _bound(_query, name, index.name, index.pk))
            )
    for queue in stack.queues:
        for name in (STAGE.prefix + queue.name, STAGE.prefix + queue.dead_letter_name):
            url = deployed.region.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
            for verb, call in QUEUE_CALLS.items():
                found.append(Try(f"sqs:{verb}", arn("sqs", name), _bound(call, url)))
    for name in sorted(deployed.parameters()):
        where = arn("ssm", f"parameter{name}")
        found.append(Try("ssm:GetParameters", where, lambda client, name=name: client.get_parameters(Names=[name])))
    for name in deployed.functions():
        group = f"/aws/lambda/{STAGE.prefix}{name}"
        where = arn("logs", f"log-group:{group}:log-stream:try")
        found.append(
            Try(
                "logs:CreateLogStream",
                where,
                lambda client, group=group: client.create_log_stream(logGroupName=group, logStreamName="try"),
            )
        )
    for topic in deployed.topics():
        found.append(
            Try("sns:Publish", topic, lambda client, topic=topic: client.publish(TopicArn=topic, Message="try"))
        )
    # A telephone number is no resource: IAM sees `*`.
    found.append(Try("sns:Publish", "*", lambda client: client.publish(PhoneNumber=PHONE, Message="try")))
    return found


def _bound(call: Callable[..., Any], *rest: str) -> Callable[[Any], Any]:
    return lambda client: call(client, *rest)


def is_let(client: Any, attempt: Try) -> bool:
    """Whether a call is let through. Raises what is neither a refusal by IAM nor an expected end."""
    try:
        attempt.call(client)
    except ClientError as error:
        code = error.response["Error"]["Code"].rpartition(".")[2]
        if code in _DENIED:
            return False
        if code not in _HARMLESS:
            raise AssertionError(f"{attempt.name}: {error}") from error
    return True


@dataclass(frozen=True)
class Policy:
    """The statements of a role, as they were deployed, and of the topics' own policies."""

    statements: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, deployed: Deployed, function: str) -> Policy:
        """Within one account either kind of policy is enough."""
        iam, role = deployed.region.client("iam"), deployed.role_of(function).rpartition("/")[2]
        documents = []
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            documents.append(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)
            documents.append(found["PolicyVersion"]["Document"])
        documents += deployed.topics().values()
        plain = (json.loads(one) if isinstance(one, str) else one for one in documents)
        return cls(tuple(statement for document in plain for statement in document["Statement"]))

    def says(self, attempt: Try) -> bool:
        """Whether some statement allows it. There are no denials, and no conditions of what is tried:
        raises where there are."""
        return any(_allows(statement, attempt) for statement in self.statements)


def _allows(statement: dict[str, Any], attempt: Try) -> bool:
    if "Service" in statement.get("Principal", {}):
        return False
    if statement["Effect"] != "Allow" or "NotAction" in statement:
        raise AssertionError(f"not understood: {statement}")
    # IAM does not care how an action is written: a topic's policy says SNS:Publish.
    if attempt.action.lower() not in (action.lower() for action in _listed(statement["Action"])):
        return False
    if "Condition" in statement:
        raise AssertionError(f"not understood: {statement}")
    if "NotResource" in statement:
        return not any(fnmatchcase(attempt.resource, one) for one in _listed(statement["NotResource"]))
    return any(fnmatchcase(attempt.resource, one) for one in _listed(statement["Resource"]))


def _listed(found: str | Iterable[str]) -> list[str]:
    return [found] if isinstance(found, str) else list(found)
