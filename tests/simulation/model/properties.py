"""What must hold in every state, at every move, and at rest. Each says by name what is broken, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from chalicelib.fulfilment.model import APPOINTMENT
from chalicelib.kernel.states import StateMachine
from chalicelib.ledger.model import Entry, parts_of
from chalicelib.orders.changes import entry_of
from chalicelib.orders.model import CHARGE, ORDER, Order, proof_of
from chalicelib.payments.model import ATTEMPT, REFUND
from tests.simulation.model.moves import PAYABLE
from tests.simulation.model.world import BEGIN, INSTANTS, LAST, Buyer, Row

OF_RIGHT = "cancelled"  # the reason of a refund that an order's own end has made


def books_prove(row: Row) -> Iterator[str]:
    """The proof of the order over its journal, made of the real postings and chained anew."""
    entries: list[Entry] = []
    for number, (event, legs, ref) in enumerate(row.posts, 1):
        head = entries[-1].hash if entries else ""
        entries.append(entry_of(row.order, event, legs, ref, version=number, at=BEGIN, previous_hash=head))
    yield from proof_of(row.order, entries).failures


def paid_once(row: Row) -> Iterator[str]:
    confirmed = sum(event == "payment_confirmed" for event, _, _ in row.posts)
    if confirmed > 1:
        yield f"{confirmed} payments were taken for one charge"


def served_once_or_refunded(row: Row) -> Iterator[str]:
    """Earned once, and never both served and given back."""
    events = Counter(event for event, _, _ in row.posts)
    ends = events["cancelled"] + events["declined"] + events["no_show"]
    if events["earned"] > 1 or (events["earned"] and ends) or ends > 1:
        yield f"it ended as {sorted((events & Counter(earned=9, cancelled=9, declined=9, no_show=9)).elements())}"
    served = any(line.fulfilment_state == "finished" for line in row.order.lines)
    if served and any(refund.reason == OF_RIGHT for refund in row.order.refunds):
        yield "it was served, and is given back"


def refunds_within_captured(row: Row, buyer: Buyer) -> Iterator[str]:
    """Refunded and pending, per intent, is no more than came in: in our row, and at the provider."""
    came = {a.intent_id: a.received_minor for c in row.order.charges for a in c.attempts if a.state == "succeeded"}
    goes: Counter[str] = Counter()
    for refund in row.order.refunds:
        goes[refund.intent_id] += refund.amount_minor
    for intent_id, amount in goes.items():
        if amount > came.get(intent_id, 0):
            yield f"{amount} goes back of {came.get(intent_id, 0)} on {intent_id}"
    for number, intent in enumerate(buyer.intents, 1):
        sent = sum(r.amount for r in buyer.refunds if r.intent_id == f"pi_{number}" and r.state != "failed")
        if sent > intent.received:
            yield f"the provider gives back {sent} of {intent.received} on intent {number}"


def one_effect_of_a_refund(row: Row, buyer: Buyer) -> Iterator[str]:
    """At most one try of a refund moves money, and each try stands at the provider once."""
    for key, count in Counter(refund.key for refund in buyer.refunds).items():
        if count > 1:
            yield f"{key[-2:]}: stands {count} times at the provider"
    moving = Counter(refund.key.rpartition(".")[0] for refund in buyer.refunds if refund.state != "failed")
    if any(count > 1 for count in moving.values()):
        yield "two tries of one refund move money"


def freed_places_cannot_be_paid(row: Row, buyer: Buyer) -> Iterator[str]:
    """An order that ended unpaid has no intent left that somebody was shown and can pay, unless the provider kept
    silent about it, or said until the end that money was moving."""
    order = row.order
    if order.state != "cancelled" or buyer.silent:
        return
    for charge in (one for one in order.charges if one.state == "void"):
        for attempt in charge.attempts:
            intent = buyer.intents[int(attempt.intent_id[3:]) - 1]
            if attempt.key and intent.state in PAYABLE and "processing" not in intent.told:
                yield f"{attempt.intent_id} is {intent.state} at the provider"


OF_ROWS: tuple[Callable[[Row], Iterator[str]], ...] = (books_prove, paid_once, served_once_or_refunded)
OF_BUYERS: tuple[Callable[[Row, Buyer], Iterator[str]], ...] = (
    one_effect_of_a_refund,
    refunds_within_captured,
    freed_places_cannot_be_paid,
)


# ---------------------------------------------------------------------------------------------- moves


def _ways(machine: StateMachine) -> dict[str, set[str]]:
    """What can be reached from each state, itself included."""
    found: dict[str, set[str]] = {}
    for state in machine.states:
        ahead, seen = [state], {state}
        while ahead:
            new = set(machine.table[ahead.pop()].values()) - seen
            seen |= new
            ahead += new
        found[state] = seen
    return found


_WAYS = {machine.name: _ways(machine) for machine in (ORDER, CHARGE, ATTEMPT, REFUND, APPOINTMENT)}


def moves_by_the_tables(before: Order, after: Order) -> Iterator[str]:
    """Whatever has a state goes only where its table leads; what is terminal stays as it is; nothing disappears."""
    if ORDER.terminal(before.state) and (before.state, before.kept_minor) != (after.state, after.kept_minor):
        yield f"a {before.state} order became {after.state}"
    for machine, was, now in _states(before, after):
        if now is None or now not in _WAYS[machine][was]:
            yield f"{machine}: {was} became {now}"


def _states(before: Order, after: Order) -> Iterator[tuple[str, str, str | None]]:
    yield ORDER.name, before.state, after.state
    for line, then in zip(before.lines, after.lines, strict=True):
        yield APPOINTMENT.name, line.fulfilment_state, then.fulfilment_state
    for charge, later in zip(before.charges, after.charges, strict=True):
        yield CHARGE.name, charge.state, later.state
        attempts = {attempt.intent_id: attempt.state for attempt in later.attempts}
        yield from ((ATTEMPT.name, a.state, attempts.get(a.intent_id)) for a in charge.attempts)
    refunds = {refund.id: refund.state for refund in after.refunds}
    yield from ((REFUND.name, refund.state, refunds.get(refund.id)) for refund in before.refunds)


# ---------------------------------------------------------------------------------------------- at rest


def nothing_is_owed(row: Row, buyer: Buyer) -> Iterator[str]:
    """What the provider took is in its order, and lives on in it or has gone back; nothing is under way."""
    order = row.order
    ours = {a.intent_id: a.received_minor for c in order.charges for a in c.attempts if a.state == "succeeded"}
    theirs = {f"pi_{n}": one.received for n, one in enumerate(buyer.intents, 1) if one.state == "succeeded"}
    if ours != theirs:
        yield f"the provider has {theirs}, the order {ours}"
    for_a_person = sum(refund.amount_minor for refund in order.refunds if refund.open and not refund.moving)
    due = order.terms.cash_minor if order.payment_state == "paid" else 0
    if order.state in ("cancelled", "declined"):
        due = parts_of(order.terms, order.kept_minor).cash
    if order.captured_minor - order.refunded_minor != due + for_a_person:
        yield f"{order.captured_minor - order.refunded_minor} of its money is here, {due} + {for_a_person} should be"
    if order.state == "pending_payment" or (order.state == "paid" and order.deadline <= INSTANTS[LAST]):
        yield f"it is still {order.state}"
    back = sum(one.amount for one in buyer.refunds if one.state == "succeeded")
    if back != order.refunded_minor:
        yield f"the provider has given back {back}, the order says {order.refunded_minor}"
    yield from (f"a refund is {refund.state}" for refund in order.refunds if refund.moving)
    if buyer.flights:
        yield f"{buyer.flights[0].name} is still under way"
