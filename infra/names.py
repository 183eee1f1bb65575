"""Logical names in the template: one rule, used by the template, the policies and their tests."""

from __future__ import annotations

from infra.declare import API


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


def log_group_id(name: str) -> str:
    return f"{camel(name)}LogGroup"


def event_id(name: str) -> str:
    """The event source mapping of a queue's consumer, inside the function."""
    return f"{camel(name)}SqsEventSource"
