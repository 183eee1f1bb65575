"""What is taken of a shop's people and chairs, against what orders hold."""

from __future__ import annotations

from collections import defaultdict

from chalicelib.booking import model as booking
from chalicelib.kernel.errors import Problem
from chalicelib.orders import saving
from chalicelib.orders.model import Order
from tests.invariants.reading import Row, Seen


def holds_slot(order: Order) -> bool:
    """A place is given back when an order is cancelled or declined; whoever did not come has used it up."""
    return order.state not in ("cancelled", "declined") or order.cancel_reason == "no_show"


def calendar_equals_orders(seen: Seen) -> list[str]:
    """money 15: taken quanta are exactly what living orders hold: nothing for nobody, each under its order."""
    wanted: dict[Row, set[int]] = defaultdict(set)
    names: dict[tuple[Row, int], str] = {}
    faults = []
    for order in seen.orders.values():
        if not holds_slot(order):
            continue
        try:
            claims = booking.claims_of(saving.blocks_of(order))
        except Problem as problem:
            faults.append(f"{order.id}: its own lines cannot stand together ({problem.code})")
            continue
        for claim in claims:
            key = (claim.shop_id, claim.day, claim.resource_id)
            if wanted[key] & claim.quanta:
                faults.append(f"{order.id} overlaps another order at {key}")
            wanted[key] |= claim.quanta
            names |= {(key, number): order.id for number in claim.refs}
    for key in wanted.keys() | seen.quanta.keys():
        if wanted.get(key, set()) != seen.quanta.get(key, frozenset()):
            faults.append(f"{key}: {sorted(seen.quanta.get(key, ()))} is taken, {sorted(wanted.get(key, ()))} is held")
    return faults + [
        f"{at}: carries {seen.refs.get(at)}, belongs to {names.get(at)}"
        for at in names.keys() | seen.refs.keys()
        if names.get(at) != seen.refs.get(at)
    ]


def nothing_is_sold_twice(seen: Seen) -> list[str]:
    """money 15: no person and no chair serves two living orders at the same moment, by the clock and not by quanta."""
    taken: dict[tuple[str, str], list[tuple[int, int, str]]] = defaultdict(list)
    for order in seen.orders.values():
        for line in order.lines if holds_slot(order) else ():
            if line.booking is not None:
                span = (line.booking.occupied_from.ms, line.booking.occupied_until.ms, order.id)
                for resource in filter(None, (line.booking.staff_id, line.booking.chair_id)):
                    taken[order.shop_id, resource].append(span)
    faults = []
    for (_, resource), spans in taken.items():
        until, holder = 0, ""
        for begin, end, order_id in sorted(spans):
            if begin < until:
                faults.append(f"{resource} serves {holder} and {order_id} at the same time")
            if end > until:
                until, holder = end, order_id
    return faults


ALWAYS = (calendar_equals_orders, nothing_is_sold_twice)
