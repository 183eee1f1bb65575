"""One IAM policy for each function, from what its code can reach. They name resources as the templates' parameters say,
so one file serves every stage, and nothing is granted that the stage does not have.

What a function reaches is over-estimated (a module counts with all it imports), never under-estimated: a table that
is missing here would be missed in the cloud only. Three things have no name that a policy could use, and they are the
only stars: a log stream, which Lambda names, a file under a prefix, which its day names, and a telephone number, which
is no resource; for that one, all topics are left out instead.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

from chalicelib.providers.ports import Ports
from chalicelib.providers.secrets.names import NAMES
from chalicelib.runtime import resources
from infra.declare import API, Function, Stack, Table, route_modules
from infra.imports import reached_from, tree_of
from infra.names import APP, FILES_BUCKET, OWN, STAGE_PARAMETER, TABLE_PREFIX_PARAMETER, camel, function_name

# `entry` stands around every handler and `wiring` finds adapters; what they need is said by kind and by port, below.
_NOT_FOLLOWED = frozenset({"chalicelib.runtime.entry", "chalicelib.wiring"})
_JOBS = "chalicelib.runtime.jobs"
_OUTBOX = "chalicelib.runtime.outbox"
_HEALTH = "chalicelib.runtime.health"

_READ = ("BatchGetItem", "GetItem", "Query")
_WRITE = ("ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem")
# What has been posted stays as it is: nothing that runs may change or remove an entry.
APPEND_ONLY = {
    "ledger_journal": ("GetItem", "PutItem", "Query"),
    "audit": ("ConditionCheckItem", "GetItem", "PutItem", "Query"),
}
FILES_PREFIX = "audit/"
"""What of the file store functions may read and add to; nothing of it may be removed by any of them."""

Statement = dict[str, Any]


def policy(function: Function, stack: Stack) -> dict[str, Any]:
    """The policy document of one function."""
    reached = reach(function)
    statements = [_logs(function), *_tables(stack, reached | _of_its_kind(function))]
    if function.queue:
        statements.append(_consume(function.queue))
    if _OUTBOX in reached:
        statements.append(_relay(reached))
    names = secret_names(function)
    if names:
        paths = [_arn("ssm", f"parameter/{APP}/${{{STAGE_PARAMETER}}}/{name}") for name in names]
        statements.append(_allow("Secrets", ["ssm:GetParameters"], paths))
    if "files" in _ports_of(reached):
        # A bucket's name is the world's, so its ARN has neither region nor account.
        kept = {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{FILES_BUCKET}/{FILES_PREFIX}*"}
        statements.append(_allow("Files", ["s3:GetObject", "s3:PutObject"], kept))
    if "sms" in _ports_of(reached):
        topics = _arn("sns", "*")
        statements.append({"Sid": "Sms", "Effect": "Allow", "Action": ["sns:Publish"], "NotResource": topics})
    return {"Version": "2012-10-17", "Statement": statements}


@cache
def reach(function: Function) -> frozenset[str]:
    """Our modules that a function can come to, adapters included."""
    if function.name == API:
        # The app loads the modules of its routes by name, which a look at its imports does not show.
        roots = {"app", *route_modules(function.surface).values()}
        found = set().union(*(reached_from(name, stop_at=_NOT_FOLLOWED) for name in roots))
    else:
        found = reached_from(function.module, stop_at=_NOT_FOLLOWED)
    for port in sorted(_ports_of(found)):
        found |= reached_from(_adapter(port), stop_at=_NOT_FOLLOWED)
    return frozenset(found)


def _adapter(port: str) -> str:
    from infra.functions import SETTINGS

    return SETTINGS[f"LINLI_{port.upper()}"].partition(":")[0]


def _of_its_kind(function: Function) -> set[str]:
    """What `entry` does for a handler: a schedule takes a lease, a consumer removes the news that it has handled."""
    return ({_JOBS} if function.schedule else set()) | ({_OUTBOX} if function.queue else set())


def _allow(sid: str, actions: list[str], found: Any) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": found}


def _arn(service: str, rest: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"}


def _logs(function: Function) -> Statement:
    group = _arn("logs", f"log-group:/aws/lambda/{OWN}{function_name(function)}:*")
    return _allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], group)


def _tables(stack: Stack, reached: frozenset[str] | set[str]) -> list[Statement]:
    """Two statements at most for the tables that may be changed, and one for each that may only grow."""
    used = [table for table in stack.tables if table.modules & reached]
    plain = [table for table in used if table.short not in APPEND_ONLY]
    statements = []
    if plain:
        actions = [f"dynamodb:{name}" for name in sorted(_READ + _WRITE)]
        statements.append(_allow("Tables", actions, [_table_arn(table) for table in plain]))
    for table in used:
        if table.short in APPEND_ONLY:
            actions = [f"dynamodb:{name}" for name in APPEND_ONLY[table.short]]
            statements.append(_allow(f"{camel(table.short)}Grows", actions, [_table_arn(table)]))
    indexes = [_table_arn(table, f"/index/{name}") for table in used for name in sorted(table.indexes)]
    if indexes:
        statements.append(_allow("Indexes", ["dynamodb:Query"], indexes))
    return statements


def _table_arn(table: Table, index: str = "") -> dict[str, str]:
    return _arn("dynamodb", f"table/${{{TABLE_PREFIX_PARAMETER}}}{table.short}{index}")


def _consume(queue: str) -> Statement:
    actions = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    return _allow("Consume", actions, [_arn("sqs", f"{OWN}{queue}")])


def _relay(reached: frozenset[str]) -> Statement:
    """Sending; and looking at the queues, for whoever answers how the process is."""
    heard = sorted({queue.name for queue in resources.TOPICS.values()})
    looking = ["sqs:GetQueueAttributes"] if _HEALTH in reached else []
    actions = [*looking, "sqs:GetQueueUrl", "sqs:SendMessage"]
    return _allow("Relay", actions, [_arn("sqs", f"{OWN}{name}") for name in heard])


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


def _ports_of(reached: frozenset[str] | set[str]) -> set[str]:
    return {port for module in reached for port in ports_used(module)}


def ports_of(function: Function) -> set[str]:
    """The ports that a function can come to."""
    return _ports_of(reach(function))


def secret_names(function: Function) -> list[str]:
    """The secrets that a function may read, sorted."""
    return sorted({name for module in reach(function) for name in secrets_asked(module)})


def secrets_asked(module: str) -> set[str]:
    """The declared secrets that a module names: as a text of its own, or by how an f-string begins (`token_key_…`)."""
    found = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Constant) and node.value in NAMES:
            found.add(str(node.value))
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
            begin = str(node.values[0].value)
            found |= {name for name in NAMES if begin.endswith("_") and name.startswith(begin)}
    return found
