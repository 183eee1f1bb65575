"""States and the ways between them, by tables of their own: what the product's tables say is checked too."""

from __future__ import annotations

from itertools import pairwise

from chalicelib.orders.changes import MAX_TIMELINE
from chalicelib.orders.model import Order
from tests.invariants.reading import Seen

STATES = {
    "order": [
        "pending_payment",
        "paid",
        "confirmed",
        "in_fulfilment",
        "fulfilled",
        "completed",
        "cancelled",
        "declined",
    ],
    "charge": ["open", "paid", "void"],
    "attempt": ["created", "requires_action", "processing", "failed", "canceled", "succeeded"],
    "refund": ["approved", "processing", "succeeded", "failed", "returned"],
    "payment": ["none", "processing", "paid", "late"],
    "refunded": ["none", "partial", "full"],
    "dispute": ["none"],
    "appointment": ["expected", "checked_in", "in_service", "finished", "no_show"],
    "statement": ["closing", "closed"],
    "difference": ["open", "repaired", "accepted"],
    "fact": ["intent", "refund"],
}
# What an event of the timeline does to the order: from → to. Whatever is not named here leaves it where it is.
MOVES: dict[str, dict[str, str]] = {
    "paid": {"pending_payment": "paid", "cancelled": "paid"},
    "confirmed": {"paid": "confirmed"},
    "declined": {"paid": "declined"},
    "expired": {"pending_payment": "cancelled"},
    "cancelled": dict.fromkeys(("pending_payment", "paid", "confirmed", "in_fulfilment"), "cancelled"),
    "no_show": {"confirmed": "cancelled"},
    "checked_in": {"confirmed": "in_fulfilment"},
    "started": {"confirmed": "in_fulfilment", "in_fulfilment": "in_fulfilment"},
    "finished": {"in_fulfilment": "fulfilled"},
    "completed": {"fulfilled": "completed"},
}
STAYS = {"payment_started", "payment_failed", "hold_extended", "revived", "accepted", "refund_approved", "refunded"}
STAYS |= {"refund_failed", "refund_returned", "wrong_amount_payment", "duplicate_payment", "late_payment"}
# Where the service stands, by where its order does.
FITS = {
    "pending_payment": ("expected",),
    "paid": ("expected",),
    "confirmed": ("expected",),
    "in_fulfilment": ("checked_in", "in_service"),
    "fulfilled": ("finished",),
    "completed": ("finished",),
    "cancelled": ("expected", "checked_in", "in_service"),
    "declined": ("expected",),
}
PAID = {
    "pending_payment": ("none", "processing"),
    "cancelled": ("none", "processing", "paid", "late"),
    **dict.fromkeys(("paid", "confirmed", "in_fulfilment", "fulfilled", "completed", "declined"), ("paid",)),
}


def states_are_of_their_tables(seen: Seen) -> list[str]:
    """States: every state of every row is one of its machine's."""
    found: list[tuple[str, str, str]] = []
    for order in seen.orders.values():
        found.append((order.id, "order", order.state))
        found += [(order.id, "charge", charge.state) for charge in order.charges]
        found += [(a.id, "attempt", a.state) for charge in order.charges for a in charge.attempts]
        found += [(refund.id, "refund", refund.state) for refund in order.refunds]
        found += [(line.id, line.kind, line.fulfilment_state) for line in order.lines]
        found.append((order.id, "payment", order.payment_state))
        found.append((order.id, "refunded", order.refund_state))
        found.append((order.id, "dispute", order.dispute_state))
    found += [(orphan.intent_id, "refund", orphan.refund.state) for orphan in seen.orphans if orphan.refund]
    found += [(paper.statement.id, "statement", paper.statement.state) for paper in seen.statements]
    found += [(one.difference.ref, "difference", one.state) for one in seen.differences]
    found += [(fact.object_id, "fact", fact.kind) for fact, _ in seen.facts]
    return [
        f"{name}: {state!r} is no state of {kind}" for name, kind, state in found if state not in STATES.get(kind, ())
    ]


def walked(order: Order) -> str:
    """Where an order's timeline leads. Raises ValueError for a step that its state does not know."""
    state = "pending_payment" if order.terms.cash_minor else "paid"
    if not order.timeline or order.timeline[0].event != "placed":
        raise ValueError("it does not begin with its placing")
    expired = False
    for event in order.timeline[1:]:
        if event.event in STAYS:
            continue
        moves = MOVES.get(event.event)
        if moves is None or state not in moves:
            raise ValueError(f"{event.event} in {state}")
        if state == "cancelled" and not expired:
            raise ValueError(f"{event.event} after it was ended on purpose")
        expired = event.event == "expired"
        state = moves[state]
    return state


def timelines_are_paths(seen: Seen) -> list[str]:
    """money 16: every order's timeline is a path through the table of orders, and leads to where the order is."""
    faults = []
    for order in seen.orders.values():
        if len(order.timeline) >= MAX_TIMELINE:
            continue  # its middle was let go
        try:
            state = walked(order)
        except ValueError as error:
            faults.append(f"{order.id}: {error}")
            continue
        if state != order.state:
            faults.append(f"{order.id}: is {order.state}, its timeline leads to {state}")
    return faults


def versions_count_the_moves(seen: Seen) -> list[str]:
    """States: an order's version counts its writes, of which each that is told has an instant of its own."""
    faults = []
    for order in seen.orders.values():
        told = {event.at for event in order.timeline if event.event != "placed"}
        placed = {event.at for event in order.timeline if event.event == "placed"}
        # A write tells all its events at one instant; two writes may fall upon the same one, and some tell nothing.
        if order.version < 1 + len(told - placed):
            faults.append(f"{order.id}: version {order.version} after {1 + len(told - placed)} writes")
    return faults


def nothing_ends_before_its_time(seen: Seen) -> list[str]:
    """States: a hold runs out, a merchant's time to accept ends and an order is closed at its deadline, not before."""
    faults = []
    for order in seen.orders.values():
        waits = {"expired": order.cancel_reason == "timeout", "completed": True}
        waits["declined"] = order.cancel_reason == "timeout"
        last = {event.event: event.at for event in order.timeline}
        faults += [
            f"{order.id}: {name} at {last[name]}, its deadline is {order.deadline}"
            for name, by_clock in waits.items()
            if by_clock and name in last and last[name] < order.deadline
        ]
    return faults


def fulfilment_fits_its_order(seen: Seen) -> list[str]:
    """States: the service of every line stands where its order does; one who did not come has cancelled the order."""
    faults = []
    for order in seen.orders.values():
        missed = order.state == "cancelled" and order.cancel_reason == "no_show"
        fits = ("no_show",) if missed else FITS.get(order.state, ())
        faults += [
            f"{order.id} ({order.state} {order.cancel_reason}): a line is {line.fulfilment_state}"
            for line in order.lines
            if line.fulfilment_state not in fits
        ]
    return faults


def payment_fits_its_order(seen: Seen) -> list[str]:
    """States: an order that goes on is paid, one that waits is not, one that never was has no charge left open."""
    faults = []
    for order in seen.orders.values():
        charges = {charge.state for charge in order.charges}
        if order.payment_state not in PAID.get(order.state, ()):
            faults.append(f"{order.id}: {order.state} and {order.payment_state}")
        wanted = {"paid"} if order.payment_state == "paid" else {"open"}
        if order.payment_state != "paid" and order.state == "cancelled":
            wanted = {"void"}
        if charges - wanted:
            faults.append(f"{order.id} ({order.state}, {order.payment_state}): its charges are {sorted(charges)}")
        if bool(order.cancel_reason) != (order.state in ("cancelled", "declined")):
            faults.append(f"{order.id}: {order.state} because of {order.cancel_reason!r}")
    return faults


def refund_state_is_the_sum(seen: Seen) -> list[str]:
    """States: an order is refunded in part or in full by what goes back of all that came."""
    faults = []
    for order in seen.orders.values():
        back = sum(refund.amount_minor for refund in order.refunds)
        wanted = "none" if not back else "full" if back >= order.captured_minor else "partial"
        if order.refund_state != wanted:
            faults.append(f"{order.id}: {order.refund_state}, and {back} of {order.captured_minor} goes back")
    return faults


def attempts_count_up(seen: Seen) -> list[str]:
    """States: the attempts of a charge are numbered from 1, and money is only on those that have succeeded."""
    faults = []
    for order in seen.orders.values():
        for charge in order.charges:
            numbers = [0, *(attempt.ordinal for attempt in charge.attempts)]
            if any(later != earlier + 1 for earlier, later in pairwise(numbers)):
                faults.append(f"{charge.id}: attempts {numbers[1:]}")
            faults += [
                f"{attempt.id}: {attempt.state} with {attempt.received_minor}"
                for attempt in charge.attempts
                if bool(attempt.received_minor) != (attempt.state == "succeeded")
            ]
    return faults


def no_stray_attempt_lives(seen: Seen) -> list[str]:
    """States: a new attempt ends the living one, and nothing can be paid of a charge that is paid or void."""
    return [
        f"{attempt.id}: {attempt.state} on a charge that is {charge.state}"
        for order in seen.orders.values()
        for charge in order.charges
        if charge.state != "open"
        for attempt in charge.attempts
        if attempt.living
    ]


ALWAYS = (
    states_are_of_their_tables,
    timelines_are_paths,
    versions_count_the_moves,
    nothing_ends_before_its_time,
    fulfilment_fits_its_order,
    payment_fits_its_order,
    refund_state_is_the_sum,
    attempts_count_up,
)

AFTER_A_SWEEP = (no_stray_attempt_lives,)
