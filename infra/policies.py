"""One IAM policy for each function, from what its code can reach. They name resources of the template by their logical
names, so one file serves every stage, and nothing is granted that the stage does not have.

What a function reaches is over-estimated (a module counts with all it imports), never under-estimated: a table that
is missing here would be missed in the cloud only. Two things have no name that a policy could use, and they are the
only stars: a log stream, which Lambda names, and a telephone number, which is no resource; for that one, all topics
are left out instead.
"""

from __future__ import annotations

import ast
from typing import Any

from chalicelib.providers.ports import Ports
from chalicelib.runtime import resources
from infra.declare import API, Function, Stack, Table, route_modules
from infra.imports import reached_from, tree_of
from infra.names import camel, queue_id, table_id

# `entry` stands around every handler and `wiring` finds adapters; what they need is said by kind and by port, below.
_NOT_FOLLOWED = frozenset({"chalicelib.runtime.entry", "chalicelib.wiring"})
_JOBS = "chalicelib.runtime.jobs"
_OUTBOX = "chalicelib.runtime.outbox"
_HEALTH = "chalicelib.runtime.health"

_READ = ("BatchGetItem", "GetItem", "Query")
_WRITE = ("ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem")
# What has been posted stays as it is: nothing that runs may change or remove an entry.
APPEND_ONLY = {"ledger_journal": ("GetItem", "PutItem", "Query")}

SECRETS_ID = "Secrets"

# What each port's adapter in the cloud asks of AWS. A new port must be named here, or rendering fails.
_PORT_NEEDS = {"secrets": ("secret",), "payments": ("secret",), "wechat_login": ("secret",), "sms": ("sms",)}

Statement = dict[str, Any]


def policy(function: Function, stack: Stack) -> dict[str, Any]:
    """The policy document of one function."""
    reached = _reached_by_routes() if function.name == API else reached_from(function.module, stop_at=_NOT_FOLLOWED)
    statements = [_logs(function), *_tables(stack, reached | _of_its_kind(function))]
    if function.queue:
        statements.append(_consume(function.queue))
    if _OUTBOX in reached:
        statements.append(_relay(reached))
    statements += _ports(reached)
    return {"Version": "2012-10-17", "Statement": statements}


def _reached_by_routes() -> set[str]:
    """The app loads the modules of its routes by name, which a look at its imports does not show."""
    names = set(route_modules().values())
    return reached_from("app").union(*(reached_from(name) for name in names))


def _of_its_kind(function: Function) -> set[str]:
    """What `entry` does for a handler: a schedule takes a lease, a consumer removes the news that it has handled."""
    return ({_JOBS} if function.schedule else set()) | ({_OUTBOX} if function.queue else set())


def _allow(sid: str, actions: list[str], found: Any) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": found}


def _logs(function: Function) -> Statement:
    group = (
        "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"
        f"/aws/lambda/${{AWS::StackName}}-{function.name}:*"
    )
    return _allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::Sub": group})


def _tables(stack: Stack, reached: set[str]) -> list[Statement]:
    """Two statements at most for the tables that may be changed, and one for each that may only grow."""
    used = [table for table in stack.tables if table.modules & reached]
    plain = [table for table in used if table.short not in APPEND_ONLY]
    statements = []
    if plain:
        actions = [f"dynamodb:{name}" for name in sorted(_READ + _WRITE)]
        statements.append(_allow("Tables", actions, [_arn(table) for table in plain]))
    for table in used:
        if table.short in APPEND_ONLY:
            actions = [f"dynamodb:{name}" for name in APPEND_ONLY[table.short]]
            statements.append(_allow(f"{camel(table.short)}Grows", actions, [_arn(table)]))
    indexes = [_index_arn(table, name) for table in used for name in sorted(table.indexes)]
    if indexes:
        statements.append(_allow("Indexes", ["dynamodb:Query"], indexes))
    return statements


def _arn(table: Table) -> dict[str, Any]:
    return {"Fn::GetAtt": [table_id(table.short), "Arn"]}


def _index_arn(table: Table, index: str) -> dict[str, Any]:
    return {"Fn::Sub": f"${{{table_id(table.short)}.Arn}}/index/{index}"}


def _consume(queue: str) -> Statement:
    actions = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    return _allow("Consume", actions, [{"Fn::GetAtt": [queue_id(queue), "Arn"]}])


def _relay(reached: set[str]) -> Statement:
    """Sending; and looking at the queues, for whoever answers how the process is."""
    heard = sorted({queue.name for queue in resources.TOPICS.values()})
    arns = [{"Fn::GetAtt": [queue_id(name), "Arn"]} for name in heard]
    looking = ["sqs:GetQueueAttributes"] if _HEALTH in reached else []
    return _allow("Relay", [*looking, "sqs:GetQueueUrl", "sqs:SendMessage"], arns)


def ports_used(module: str) -> set[str]:
    """The ports that a module takes from a context: `ctx.ports.sms`, `wiring.ports().secrets`."""
    known = {name for name in vars(Ports) if not name.startswith("_")}
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute) and node.attr in known:
            inner = node.value.func if isinstance(node.value, ast.Call) else node.value
            if (isinstance(inner, ast.Attribute) and inner.attr == "ports") or (
                isinstance(inner, ast.Name) and inner.id == "ports"
            ):
                found.add(node.attr)
    return found


def _ports(reached: set[str]) -> list[Statement]:
    used = {port for module in reached for port in ports_used(module)}
    needs = {need for port in used for need in _PORT_NEEDS[port]}
    statements = []
    if "secret" in needs:
        statements.append(_allow("Secrets", ["secretsmanager:GetSecretValue"], {"Ref": SECRETS_ID}))
    if "sms" in needs:
        topics = {"Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:*"}
        statements.append({"Sid": "Sms", "Effect": "Allow", "Action": ["sns:Publish"], "NotResource": topics})
    return statements
