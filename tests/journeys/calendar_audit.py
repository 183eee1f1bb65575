"""`python -m tests.journeys.calendar_audit`: reads a stack's calendar and orders from its tables, below the HTTP API.

Run with the stack's own environment. Prints one JSON object: `orders` and `quanta` that were compared, and `wrong`, a
sentence for each quantum that belongs to two orders, to none, or to an order that the calendar does not know.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from typing import Any

from chalicelib.booking.model import claims_of
from chalicelib.booking.tables import DayRow
from chalicelib.orders import saving, tables
from tests import engine

ENDED = ("cancelled", "declined")
Place = tuple[str, str, str, int]
"""Shop, local day, resource, quantum."""


def taken() -> tuple[set[Place], set[tuple[Place, str]]]:
    """What the rows of days say: the taken quanta, and which order begins at which."""
    quanta: set[Place] = set()
    begins: set[tuple[Place, str]] = set()
    for item in engine.scan(DayRow.Meta.table_name):
        shop, _, day = item["pk"]["S"].partition("#")
        resource = item["sk"]["S"]
        quanta |= {(shop, day, resource, int(number)) for number in item.get("q", {}).get("NS", [])}
        begins |= {
            ((shop, day, resource, int(name[1:])), value["S"])
            for name, value in item.items()
            if name[0] == "b" and name[1:].isdigit()
        }
    return quanta, begins


def day_text(day: date) -> str:
    return f"{day:%Y%m%d}"


def audit() -> dict[str, Any]:
    wrong: list[str] = []
    owners: dict[Place, list[str]] = defaultdict(list)
    begins: set[tuple[Place, str]] = set()
    orders = 0
    for row in tables.OrderRow.scan(consistent_read=True):
        order = tables._order(row)
        if order.state in ENDED:
            continue
        orders += 1
        for claim in claims_of(saving.blocks_of(order)):
            where = (claim.shop_id, day_text(claim.day), claim.resource_id)
            for quantum in claim.quanta:
                owners[(*where, quantum)].append(order.id)
            begins |= {((*where, quantum), order.id) for quantum in claim.refs}
    rows, marks = taken()
    wrong += [f"{place} belongs to {ids}" for place, ids in sorted(owners.items()) if len(ids) > 1]
    wrong += [f"{place} is taken for no order" for place in sorted(rows - set(owners))]
    wrong += [f"{place} of {owners[place][0]} is not taken" for place in sorted(set(owners) - rows)]
    wrong += [f"{mark} stands on one side only" for mark in sorted(marks ^ begins)]
    return {"orders": orders, "quanta": len(rows), "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(audit()))
