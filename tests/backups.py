"""Copies of all tables, as point-in-time recovery keeps them, and tables made anew from a copy.

A copy is taken table by table, so copies of two moments can be put together as if one table had come back a transaction
earlier than the others.
"""

from __future__ import annotations

from typing import Any

from infra.declare import tables
from tests import engine

Copy = dict[str, list[dict[str, Any]]]

_BATCH = 25  # BatchWriteItem's limit


def take() -> Copy:
    """Every item of every table, by the table's full name."""
    return engine.everything()


def cut(later: Copy, earlier: Copy, *behind: str) -> Copy:
    """The later copy with the tables of these short names as they were earlier."""
    names = {table.name for table in tables() if table.short in behind}
    assert len(names) == len(behind), behind
    return {name: earlier[name] if name in names else rows for name, rows in later.items()}


def restore(copy: Copy) -> None:
    """Drops all tables and makes them again with nothing but what the copy has."""
    client = engine.admin()
    for table in tables():
        client.delete_table(TableName=table.name)
        client.create_table(**table.create_arguments())
        rows = copy[table.name]
        for start in range(0, len(rows), _BATCH):
            puts = [{"PutRequest": {"Item": item}} for item in rows[start : start + _BATCH]]
            answer = client.batch_write_item(RequestItems={table.name: puts})
            assert not answer["UnprocessedItems"]
