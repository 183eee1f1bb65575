"""One IAM policy for each function, from what its code can reach (`infra.reach`): the tables and indexes with the verbs
that it uses on them, the queues, the secrets by name. They name resources as the templates' parameters say, so one file
serves every stage, and nothing is granted that the stage does not have.

Three things have no name that a policy could use, and they are the only stars: a log stream, which Lambda names, a file
under a prefix, which its day names, and a telephone number, which is no resource; for that one, all topics are left out
instead.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache, lru_cache
from typing import Any

from chalicelib.providers.secrets.names import NAMES
from chalicelib.runtime import resources
from chalicelib.runtime.context import STAFF
from infra.declare import API, Function, Stack, Table, operations, rows
from infra.imports import tree_of
from infra.names import APP, FILES_BUCKET, OWN, PHOTOS_BUCKET, STAGE_PARAMETER, TABLE_PREFIX_PARAMETER, function_name
from infra.reach import Part, Place, follow, uses

# What has been posted stays as it is: nothing that runs may change or remove an entry.
APPEND_ONLY = {
    "ledger_journal": frozenset({"GetItem", "PutItem", "Query"}),
    "audit": frozenset({"ConditionCheckItem", "GetItem", "PutItem", "Query"}),
}
FILES = {"chalicelib.runtime": "audit/", "chalicelib.search": "search/"}
"""What of the file store each part of the code may come to, by the key's beginning. Nothing else may be removed than
what the code removes, and no anchor of the audit log is."""

# Where a request proves who sends it. A surface without operations for people never comes to these.
_TOKENS, _STAFF = Place("chalicelib.web.auth", "read_access_token"), Place("chalicelib.web.auth", "_staff_actor")

# What the methods of the file store come to. A store that is handed on whole is read and added to.
_FILE_ACTIONS = {
    "": ("s3:GetObject", "s3:PutObject"),
    "get": ("s3:GetObject",),
    "read": ("s3:GetObject",),
    "local": ("s3:GetObject",),
    "put_new": ("s3:PutObject",),
    "put_file": ("s3:PutObject",),
    "delete": ("s3:DeleteObject",),
    "list": ("s3:ListBucket",),
}

# What the methods of the photos come to, by the part of their bucket. A place is signed by the role that may put there.
_PHOTO_ACTIONS = {
    "place": ("uploads/", "s3:PutObject"),
    "fetch": ("uploads/", "s3:GetObject"),
    "keep": ("photos/", "s3:PutObject"),
    "drop": ("photos/", "s3:DeleteObject"),
}

_QUEUE_VERBS = {
    "get_queue_attributes": "GetQueueAttributes",
    "get_queue_url": "GetQueueUrl",
    "send_message": "SendMessage",
}

Statement = dict[str, Any]
Reached = dict[Place, Part]


def policy(function: Function, stack: Stack) -> dict[str, Any]:
    """The policy document of one function. Raises ValueError where it would change what may only grow."""
    reached = reach(function)
    statements = [_logs(function), *_tables(stack, reached)]
    if function.queue:
        statements.append(_consume(function.queue))
    statements += _queues(reached)
    names = secret_names(function)
    if names:
        paths = [_arn("ssm", f"parameter/{APP}/${{{STAGE_PARAMETER}}}/{name}") for name in names]
        statements.append(_allow("Secrets", ["ssm:GetParameters"], paths))
    statements += [*_files(reached), *_photos(reached)]
    if "sms" in ports_of(function):
        topics = _arn("sns", "*")
        statements.append({"Sid": "Sms", "Effect": "Allow", "Action": ["sns:Publish"], "NotResource": topics})
    return {"Version": "2012-10-17", "Statement": statements}


@cache
def reach(function: Function) -> Reached:
    """What a function can come to, adapters included."""
    if function.name != API:
        return follow([Place(function.module, function.handler.rpartition(".")[2])], _adapters())
    # The app loads the modules of its operations by name, which a look at its imports does not show.
    served = operations(function.surface)
    kinds = {operation.allow.kind for operation in served}
    cut = {_TOKENS} if kinds <= {"public", "signed"} else set()
    cut |= set() if STAFF in kinds else {_STAFF}
    roots = [Place("app"), *(Place(operation.module, operation.name) for operation in served)]
    return follow(roots, _adapters(), frozenset(cut))


@lru_cache(maxsize=1)
def _adapters() -> dict[str, Place]:
    """The class behind each port, in the cloud."""
    from infra.functions import SETTINGS
    from infra.reach import PORTS

    return {port: Place(*SETTINGS[f"LINLI_{port.upper()}"].split(":")) for port in PORTS}


def _allow(sid: str, actions: list[str], found: Any) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": found}


def _arn(service: str, rest: str) -> dict[str, str]:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"}


def _logs(function: Function) -> Statement:
    group = _arn("logs", f"log-group:/aws/lambda/{OWN}{function_name(function)}:*")
    return _allow("Logs", ["logs:CreateLogStream", "logs:PutLogEvents"], group)


def verbs(function: Function) -> dict[str, set[str]]:
    """What a function does with each table, and with each index (`orders/due`), in DynamoDB's words."""
    return _verbs(reach(function))


def _verbs(reached: Reached) -> dict[str, set[str]]:
    known = {Place(row.__module__, row.__name__): row for row in rows()}
    found: dict[str, set[str]] = defaultdict(set)
    for use in uses(reached, known):
        row = known[use.row]
        short = Table(row.Meta.table_name).short
        index = f"/{getattr(row, use.index).Meta.index_name}" if use.index else ""
        found[short + index].add(use.verb)
    return found


def _tables(stack: Stack, reached: Reached) -> list[Statement]:
    """A statement for each set of verbs, with the tables and indexes that it is used on."""
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, used in sorted(_verbs(reached).items()):
        table, _, index = name.partition("/")
        if table in APPEND_ONLY and not used <= APPEND_ONLY[table]:
            raise ValueError(f"{table} may only grow, and the code would do {', '.join(sorted(used))}")
        if table in {each.short for each in stack.tables}:
            together[tuple(sorted(used))].append(f"{table}/index/{index}" if index else table)
    return [
        _allow(
            f"Tables{number}",
            [f"dynamodb:{verb}" for verb in used],
            [_arn("dynamodb", f"table/${{{TABLE_PREFIX_PARAMETER}}}{name}") for name in names],
        )
        for number, (used, names) in enumerate(sorted(together.items()), 1)
    ]


def _consume(queue: str) -> Statement:
    actions = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    return _allow("Consume", actions, [_arn("sqs", f"{OWN}{queue}")])


def _queues(reached: Reached) -> list[Statement]:
    """What is asked of the queues that news goes to, beside consuming."""
    said = {word for here in reached.values() for node in here.nodes for word in _words(node)}
    found = sorted(verb for name, verb in _QUEUE_VERBS.items() if name in said or verb in said)
    heard = sorted({queue.name for queue in resources.TOPICS.values()})
    names = [_arn("sqs", f"{OWN}{name}") for name in heard]
    return [_allow("News", [f"sqs:{verb}" for verb in found], names)] if found else []


def _files(reached: Reached) -> list[Statement]:
    """What is asked of the file store, for each part of it."""
    asked: dict[str, set[str]] = defaultdict(set)
    for here in reached.values():
        for port, method in here.ports:
            if port == "files":
                asked[FILES[".".join(here.place.module.split(".")[:2])]].update(_FILE_ACTIONS[method])
    statements = []
    # A bucket's name is the world's, so its ARN has neither region nor account.
    bucket = f"arn:${{AWS::Partition}}:s3:::{FILES_BUCKET}"
    for prefix, actions in sorted(asked.items()):
        name = f"Files{prefix.rstrip('/').title()}"
        if "s3:ListBucket" in actions:
            listed = _allow(f"{name}List", ["s3:ListBucket"], {"Fn::Sub": bucket})
            statements.append({**listed, "Condition": {"StringLike": {"s3:prefix": f"{prefix}*"}}})
        on_objects = sorted(actions - {"s3:ListBucket"})
        if on_objects:
            statements.append(_allow(name, on_objects, {"Fn::Sub": f"{bucket}/{prefix}*"}))
    return statements


def _photos(reached: Reached) -> list[Statement]:
    """What is asked of the photos, for each part of their bucket."""
    asked: dict[str, set[str]] = defaultdict(set)
    for method in {method for here in reached.values() for port, method in here.ports if port == "photos"}:
        prefix, action = _PHOTO_ACTIONS[method]
        asked[prefix].add(action)
    bucket = f"arn:${{AWS::Partition}}:s3:::{PHOTOS_BUCKET}"
    return [
        _allow(f"Photos{prefix.rstrip('/').title()}", sorted(actions), {"Fn::Sub": f"{bucket}/{prefix}*"})
        for prefix, actions in sorted(asked.items())
    ]


def _words(node: ast.AST) -> set[str]:
    """Attributes and texts of a piece of code."""
    attributes = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return attributes | {str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)}


def ports_of(function: Function) -> set[str]:
    """The ports that a function can come to."""
    return {port for here in reach(function).values() for port, _ in here.ports}


def secret_names(function: Function) -> list[str]:
    """The secrets that a function may read, sorted."""
    return sorted({name for here in reach(function).values() for node in here.nodes for name in _secrets(node)})


def secrets_asked(module: str) -> set[str]:
    """The declared secrets that a module names."""
    return _secrets(tree_of(module))


def _secrets(tree: ast.AST) -> set[str]:
    """As a text of its own, or by how an f-string begins (`token_key_…`)."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in NAMES:
            found.add(str(node.value))
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
            begin = str(node.values[0].value)
            found |= {name for name in NAMES if begin.endswith("_") and name.startswith(begin)}
    return found
