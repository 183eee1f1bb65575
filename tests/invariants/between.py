"""What may happen between two readings of one world, the earlier first."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from tests.invariants.reading import Seen
from tests.invariants.states import MOVES

TERMINAL = ("completed", "declined")


def journal_only_grows(before: Seen, after: Seen) -> list[str]:
    """money 2: what was posted stays as it was, to the letter."""
    return _kept({one.id: repr(one) for one in before.journal}, {one.id: repr(one) for one in after.journal})


def matched_lines_stay(before: Seen, after: Seen) -> list[str]:
    """money 10: a line of the provider's that was matched stays matched, with what it was matched with."""
    return _kept({one.line_id: one for one in before.kept}, {one.line_id: one for one in after.kept})


def closed_statements_stay(before: Seen, after: Seen) -> list[str]:
    """money 14: a closed statement is never changed, and none disappears."""
    return _kept(
        {one.statement.id: one for one in before.statements if one.statement.state == "closed"},
        {one.statement.id: one for one in after.statements},
    )


def versions_only_rise(before: Seen, after: Seen) -> list[str]:
    """States: no order disappears, and each that is another than it was has a higher version."""
    faults = [f"{one}: has disappeared" for one in before.orders.keys() - after.orders.keys()]
    for order_id in before.orders.keys() & after.orders.keys():
        old, new = before.orders[order_id], after.orders[order_id]
        if new.version < old.version or (new != old and new.version == old.version):
            faults.append(f"{order_id}: version {old.version} became version {new.version} and is not the same")
        if new.timeline[: len(old.timeline)] != old.timeline and len(new.timeline) < 60:
            faults.append(f"{order_id}: its timeline was written anew")
    return faults


def states_only_go_forward(before: Seen, after: Seen) -> list[str]:
    """money 16: an order goes on by its table, and one that has ended stays as it is; money that came has come."""
    faults = []
    for order_id in before.orders.keys() & after.orders.keys():
        old, new = before.orders[order_id], after.orders[order_id]
        if new.state != old.state and new.state not in _reachable(old.state):
            faults.append(f"{order_id}: from {old.state} to {new.state}")
        succeeded = {a.intent_id: a.received_minor for c in old.charges for a in c.attempts if a.state == "succeeded"}
        stands = {a.intent_id: a.received_minor for c in new.charges for a in c.attempts if a.state == "succeeded"}
        if any(stands.get(intent) != amount for intent, amount in succeeded.items()):
            faults.append(f"{order_id}: {succeeded} had come in, now it is {stands}")
        paid = {charge.id for charge in old.charges if charge.state == "paid"}
        faults += [
            f"{one.id}: was paid and is {one.state}" for one in new.charges if one.id in paid and one.state != "paid"
        ]
        if (old.terms, old.policy, old.request_hash, old.created_at) != (
            new.terms,
            new.policy,
            new.request_hash,
            new.created_at,
        ):
            faults.append(f"{order_id}: what was frozen when it was placed has changed")
    return faults


def _reachable(state: str) -> set[str]:
    """Every state that the table of orders leads to from one."""
    found: set[str] = set()
    wanted = [state]
    while wanted:
        here = wanted.pop()
        for moves in MOVES.values():
            if here in moves and moves[here] not in found:
                found.add(moves[here])
                wanted.append(moves[here])
    return found


def _kept(old: Mapping[str, Hashable], new: Mapping[str, Hashable]) -> list[str]:
    faults = [f"{name}: has disappeared" for name in old.keys() - new.keys()]
    return faults + [f"{name}: is not what it was" for name in old.keys() & new.keys() if old[name] != new[name]]


BETWEEN = (
    journal_only_grows,
    matched_lines_stay,
    closed_statements_stay,
    versions_only_rise,
    states_only_go_forward,
)
