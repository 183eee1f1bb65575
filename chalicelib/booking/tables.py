"""Table `booking_days`: one row for each shop, local day and resource. An overlap cannot be written into it.

The attributes `b<quantum>` have names made of data, which PynamoDB cannot declare, so these expressions are built here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from chalicelib.booking.model import Claim, SlotNotHeld, SlotTaken, Taken
from chalicelib.runtime import dynamo
from chalicelib.runtime.dynamo import IntegerAttribute, IntegerSetAttribute, Row, table_name
from chalicelib.runtime.transaction import Transaction


class DayRow(Row):
    """pk `<shop>#<yyyymmdd>` of the shop-local date, sk the resource: `stf_…` or `chr_…`.

    `q` taken quanta · `v` how often it was written · `b<quantum>` the order that begins there.
    """

    class Meta:
        table_name = table_name("booking_days")

    quanta = IntegerSetAttribute(attr_name="q")
    writes = IntegerAttribute(attr_name="v", default=0)


@dataclass(frozen=True)
class DayState:
    """A shop's whole day: taken quanta by resource, orders by (resource, first quantum), and a revision that grows."""

    busy: dict[str, frozenset[int]]
    orders: dict[tuple[str, int], str]
    revision: int


def _pk(shop_id: str, day: date) -> str:
    return f"{shop_id}#{day:%Y%m%d}"


def day(shop_id: str, on: date, *, consistent: bool = True) -> DayState:
    """A11: everything taken on a shop's local day, one Query."""
    answer = dynamo.client().call(
        "Query",
        {
            "TableName": DayRow.Meta.table_name,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": _pk(shop_id, on)}},
            "ConsistentRead": consistent,
        },
    )
    busy: dict[str, frozenset[int]] = {}
    orders: dict[tuple[str, int], str] = {}
    revision = 0
    for item in answer["Items"]:
        resource = item["sk"]["S"]
        busy[resource] = frozenset(int(number) for number in item.get("q", {}).get("NS", []))
        revision += int(item.get("v", {}).get("N", "0"))
        for name, value in item.items():
            if name[0] == "b" and name[1:].isdigit():
                orders[resource, int(name[1:])] = value["S"]
    return DayState(busy, orders, revision)


def everything_taken() -> Iterator[Taken]:
    """A71: every row of the calendar, in no order; strong."""
    for item in dynamo.client().items("Scan", {"TableName": DayRow.Meta.table_name, "ConsistentRead": True}):
        shop_id, _, on = item["pk"]["S"].partition("#")
        yield Taken(
            shop_id,
            date(int(on[:4]), int(on[4:6]), int(on[6:])),
            item["sk"]["S"],
            frozenset(int(number) for number in item.get("q", {}).get("NS", [])),
            {int(name[1:]): value["S"] for name, value in item.items() if name[0] == "b" and name[1:].isdigit()},
            int(item.get("v", {}).get("N", "0")),
        )


def free(tx: Transaction, row: Taken, quanta: frozenset[int], refs: frozenset[int]) -> None:
    """A72: gives back what belongs to no order, if the row is as it was read. Raises SlotNotHeld otherwise."""
    removed = " REMOVE " + ", ".join(f"b{number}" for number in sorted(refs)) if refs else ""
    tx.raw(
        "Update",
        {
            "TableName": DayRow.Meta.table_name,
            "Key": {"pk": {"S": _pk(row.shop_id, row.day)}, "sk": {"S": row.resource_id}},
            "UpdateExpression": f"SET v = :next DELETE q :s{removed}",
            "ConditionExpression": "v = :seen",
            "ExpressionAttributeValues": {
                ":s": {"NS": [str(number) for number in sorted(quanta)]},
                ":seen": {"N": str(row.writes)},
                ":next": {"N": str(row.writes + 1)},
            },
            "ReturnValuesOnConditionCheckFailure": "NONE",
        },
        SlotNotHeld(),
    )


def claim(tx: Transaction, wanted: Claim, order_id: str) -> None:
    """A12: adds the quanta unless one of them is taken. A repeat of the same order never gets here: its own row, which
    stands first in the transaction, refuses it."""
    quanta = sorted(wanted.quanta)
    names = {f":q{number}": {"N": str(number)} for number in quanta}
    taken = " OR ".join(f"contains(q, :q{number})" for number in quanta)
    values = {
        **names,
        ":s": {"NS": [str(number) for number in quanta]},
        ":one": {"N": "1"},
    }
    marks = "".join(f", b{number} = :o" for number in sorted(wanted.refs))
    if wanted.refs:
        values[":o"] = {"S": order_id}
    tx.raw(
        "Update",
        {
            "TableName": DayRow.Meta.table_name,
            "Key": {"pk": {"S": _pk(wanted.shop_id, wanted.day)}, "sk": {"S": wanted.resource_id}},
            # `v` only orders notes about the day; counting a write twice is harmless.
            "UpdateExpression": f"SET v = if_not_exists(v, :zero) + :one{marks} ADD q :s",
            "ConditionExpression": f"NOT ({taken})",
            "ExpressionAttributeValues": {**values, ":zero": {"N": "0"}},
            "ReturnValuesOnConditionCheckFailure": "NONE",
        },
        SlotTaken(alternatives=[]),
    )


def release(tx: Transaction, held: Claim, order_id: str) -> None:
    """A13: gives the quanta back if this order still owns them. Resources without references are freed only together
    with one that has them, in the same transaction, whose condition guards both."""
    quanta = sorted(held.quanta)
    refs = sorted(held.refs)
    arguments: dict[str, Any] = {
        "TableName": DayRow.Meta.table_name,
        "Key": {"pk": {"S": _pk(held.shop_id, held.day)}, "sk": {"S": held.resource_id}},
        "UpdateExpression": "SET v = if_not_exists(v, :zero) + :one DELETE q :s"
        + (" REMOVE " + ", ".join(f"b{number}" for number in refs) if refs else ""),
        "ExpressionAttributeValues": {
            ":s": {"NS": [str(number) for number in quanta]},
            ":one": {"N": "1"},
            ":zero": {"N": "0"},
        },
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if refs:
        arguments["ConditionExpression"] = " AND ".join(f"b{number} = :o" for number in refs)
        arguments["ExpressionAttributeValues"][":o"] = {"S": order_id}
    tx.raw("Update", arguments, SlotNotHeld())
