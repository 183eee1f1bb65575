"""Names in the cloud: one rule each, used by the templates, the policies, the deployment and their tests.

A deployment is a base stack, `linli-<stage>-base`, and one stack for each surface. They refer to each other by physical
names, never by exports, so that each can be deployed, rolled back and replaced alone.
"""

from __future__ import annotations

from infra.declare import API, Function

APP = "linli"
BASE = "base"

STAGE_PARAMETER = "Stage"
TABLE_PREFIX_PARAMETER = "TablePrefix"
PUBLIC_URL_PARAMETER = "PublicUrl"

OWN = f"{APP}-${{{STAGE_PARAMETER}}}-"
"""What stands before the name of every queue, function and bucket, as `Fn::Sub` writes it."""


FILES_BUCKET = f"{OWN}files-${{AWS::AccountId}}"
"""The bucket of the file store, as `Fn::Sub` writes it; buckets share one name space with the whole world."""


PHOTOS_BUCKET = f"{OWN}photos-${{AWS::AccountId}}"
"""The bucket of people's photos; apart from the files, because browsers write into it."""


def prefix(stage: str) -> str:
    """What stands before every name of a stage.

    >>> prefix("prod")
    'linli-prod-'
    """
    return f"{APP}-{stage}-"


def stack_name(stage: str, part: str) -> str:
    """`part` is `base` or a surface."""
    return prefix(stage) + part


def function_name(function: Function) -> str:
    """Without the stage's prefix.

    >>> function_name(Function("notify", "chalicelib.notifications.handlers.notify", queue="notify"))
    'jobs-notify'
    """
    return f"{function.surface}-{function.name}"


def secrets_path(stage: str) -> str:
    """
    >>> secrets_path("prod")
    '/linli/prod/'
    """
    return f"/{APP}/{stage}/"


def camel(name: str) -> str:
    """
    >>> camel("ledger_journal")
    'LedgerJournal'
    """
    return "".join(part[0].upper() + part[1:] for part in name.replace("-", "_").split("_") if part)


def table_id(short: str) -> str:
    return f"{camel(short)}Table"


def queue_id(name: str) -> str:
    return f"{camel(name)}Queue"


def dead_letter_id(name: str) -> str:
    return f"{camel(name)}DeadLetters"


def function_id(name: str) -> str:
    """Chalice's own rule, and its one exception: the API's function is renamed, but its role and log group are not."""
    return "APIHandler" if name == API else camel(name)


def role_id(name: str) -> str:
    return f"{camel(name)}Role"


def log_group_id(name: str) -> str:
    return f"{camel(name)}LogGroup"


def event_id(name: str) -> str:
    """The event source mapping of a queue's consumer, inside the function."""
    return f"{camel(name)}SqsEventSource"
