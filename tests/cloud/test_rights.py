"""Each role may do what its function needs and nothing else: every verb on every resource, tried under every role."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.declare import stack
from infra.names import secrets_path
from tests.cloud import rights
from tests.cloud.deployed import STAGE, Deployed
from tests.cloud.rights import Policy, Try

pytestmark = pytest.mark.cloud

Matrix = dict[str, dict[str, bool]]
"""Function → what was tried → whether IAM let it through."""

JOURNAL = f"{STAGE.prefix}ledger_journal"


@pytest.fixture(scope="module")
def attempts(deployed: Deployed) -> list[Try]:
    return rights.tries(deployed, stack())


@pytest.fixture(scope="module")
def seen(deployed: Deployed, attempts: list[Try]) -> Matrix:
    found: Matrix = {}
    for function in deployed.functions():
        keys = deployed.region.keys_of(deployed.role_of(function))
        clients: dict[str, Any] = {}
        for attempt in attempts:
            if attempt.service not in clients:
                clients[attempt.service] = deployed.region.client(attempt.service, **keys)
            found.setdefault(function, {})[attempt.name] = rights.is_let(clients[attempt.service], attempt)
    return found


def test_every_function_has_a_role_of_its_own(deployed: Deployed) -> None:
    """A shared role would have the rights of the one for the other."""
    roles = [deployed.role_of(function) for function in deployed.functions()]
    assert len(set(roles)) == len(roles) > 1


def test_what_the_policies_say_is_what_happens(deployed: Deployed, attempts: list[Try], seen: Matrix) -> None:
    """Each call is let through exactly if a statement of the deployed policy allows it."""
    for function in deployed.functions():
        policy = Policy.of(deployed, function)
        said = {attempt.name: policy.says(attempt) for attempt in attempts}
        assert seen[function] == said, function
        assert {True, False} == set(said.values())


def test_nobody_changes_the_journal(seen: Matrix) -> None:
    """What has been posted stays: entries are put and read, and never touched again."""
    where = f"table/{JOURNAL}"
    for function, let in seen.items():
        for verb in ("UpdateItem", "DeleteItem", "BatchWriteItem"):
            assert not let[f"dynamodb:{verb} {where}"], function
    assert any(let[f"dynamodb:PutItem {where}"] for let in seen.values())


def test_nobody_reads_or_removes_whole_tables(seen: Matrix) -> None:
    """Scans, batches of writes and the tables themselves are the operators' tools', not the functions'."""
    for function, let in seen.items():
        for name, is_let in let.items():
            if name.split()[0] in ("dynamodb:Scan", "dynamodb:BatchWriteItem", "dynamodb:DescribeTable"):
                assert not is_let, (function, name)
            if name.split()[0] in ("dynamodb:DeleteTable", "sqs:SetQueueAttributes"):
                assert not is_let, (function, name)


def test_a_posted_entry_cannot_be_altered_from_inside(deployed: Deployed) -> None:
    """The role that settles may read the journal and add to it; the same role's update is refused, in a transaction
    too."""
    client = deployed.client_of("jobs-settle", "dynamodb")
    key = {"pk": {"S": "nobody"}, "sk": {"S": "nobody"}}
    values = {":pk": {"S": "nobody"}}
    read = client.query(TableName=JOURNAL, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)
    assert read["Items"] == []
    change = {"TableName": JOURNAL, "Key": key, "UpdateExpression": "REMOVE legs"}
    with pytest.raises(ClientError, match=r"AccessDenied.*dynamodb:UpdateItem"):
        client.update_item(**change)
    with pytest.raises(ClientError, match=r"AccessDenied.*dynamodb:UpdateItem"):
        client.transact_write_items(TransactItems=[{"Update": change}])
    put = {"TableName": JOURNAL, "Item": key, "ConditionExpression": "attribute_exists(pk)"}
    with pytest.raises(ClientError, match=r"TransactionCanceled.*ConditionalCheckFailed"):
        client.transact_write_items(TransactItems=[{"Put": put}])


def test_the_webhooks_role_cannot_read_who_people_are(deployed: Deployed) -> None:
    """What payment providers call reads orders; accounts and the keys of their telephone numbers it does not."""
    tables = deployed.client_of("webhooks-api_handler", "dynamodb")
    key = {"pk": {"S": "nobody"}, "sk": {"S": "nobody"}}
    assert "Item" not in tables.get_item(TableName=f"{STAGE.prefix}orders", Key=key)
    for name in ("identity", "settlement_statements", "reconciliation"):
        with pytest.raises(ClientError, match=r"AccessDenied.*dynamodb:GetItem"):
            tables.get_item(TableName=STAGE.prefix + name, Key=key)
    secrets, path = deployed.client_of("webhooks-api_handler", "ssm"), secrets_path(STAGE.name)
    webhook, phone = f"{path}stripe_webhook_secret", f"{path}phone_key"
    [found] = secrets.get_parameters(Names=[webhook], WithDecryption=True)["Parameters"]
    assert found["Value"] == deployed.secrets["stripe_webhook_secret"]
    with pytest.raises(ClientError, match=r"AccessDenied.*ssm:GetParameters"):
        secrets.get_parameters(Names=[webhook, phone], WithDecryption=True)
