"""What must be true of the tables whatever has happened, each as one scan that names the rows that break it.

`broken(shops=…)` looks at some shops only, so that tests beside each other do not see one another's; without it the
whole of the tables is looked at. `at_rest=True` adds what is promised only when nothing is under way any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date

from chalicelib.booking import model as booking
from chalicelib.booking.tables import DayRow
from chalicelib.ledger.entries import Entry
from chalicelib.ledger.model import parts_of
from chalicelib.ledger.tables import JournalRow, _entry
from chalicelib.orders import saving, tables
from chalicelib.orders.model import Order, proof_of
from chalicelib.orders.tables import OrderRow
from chalicelib.payments.tables import InboxRow
from chalicelib.runtime import jobs
from chalicelib.runtime.outbox import OutboxRow
from tests import engine, world

Row = tuple[str, date, str]
"""Shop, local day, resource."""


@dataclass(frozen=True)
class Tables:
    """One reading of everything that the invariants look at, of some shops."""

    orders: dict[str, Order]
    entries: dict[str, list[Entry]]
    quanta: dict[Row, frozenset[int]]
    refs: dict[tuple[Row, int], str]
    news: dict[str, str]  # outbox rows by news id, with the order's id
    parked: frozenset[str]  # the provider's objects whose facts could not be applied
    intents: list[dict[str, object]]
    refunds: list[dict[str, object]]


def read(shops: Collection[str] | None = None) -> Tables:
    """Scans the tables, strongly, and the provider's book."""
    rows = OrderRow.scan(consistent_read=True)
    orders = {one.id: one for one in map(tables._order, rows) if shops is None or one.shop_id in shops}
    entries: dict[str, list[Entry]] = defaultdict(list)
    for row in JournalRow.scan(consistent_read=True):
        if row.pk in orders or (shops is None and row.pk.startswith("ord_")):
            entries[row.pk].append(_entry(row))
    quanta: dict[Row, frozenset[int]] = {}
    refs: dict[tuple[Row, int], str] = {}
    for item in engine.scan(DayRow.Meta.table_name):
        shop_id, _, day = item["pk"]["S"].partition("#")
        if shops is not None and shop_id not in shops:
            continue
        key = (shop_id, date(int(day[:4]), int(day[4:6]), int(day[6:])), item["sk"]["S"])
        quanta[key] = frozenset(int(number) for number in item.get("q", {}).get("NS", []))
        for name, value in item.items():
            if name[0] == "b" and name[1:].isdigit():
                refs[key, int(name[1:])] = value["S"]
    news = {}
    for row in OutboxRow.scan(consistent_read=True):
        news_id = row.sk.partition("#")[2]
        order_id = str(row.data["data"].get("order_id", ""))
        if shops is None or order_id in orders:
            news[news_id] = order_id
    return Tables(
        orders,
        dict(entries),
        quanta,
        refs,
        news,
        frozenset(row.pk.partition("#")[2] for row in InboxRow.scan(consistent_read=True) if row.open),
        [one for one in world.book("payment_intent") if shops is None or _order_id(one) in orders],
        [one for one in world.book("refund") if shops is None or _order_id(one) in orders],
    )


def _order_id(thing: dict[str, object]) -> str:
    metadata = thing.get("metadata")
    return str(metadata.get("order_id", "")) if isinstance(metadata, dict) else ""


def holds_slot(order: Order) -> bool:
    """A place is given back when an order is cancelled or declined; whoever did not come has used it up."""
    return order.state not in ("cancelled", "declined") or order.cancel_reason == "no_show"


# ---------------------------------------------------------------------------------------------- always


def calendar_equals_orders(seen: Tables) -> list[str]:
    """Taken quanta are exactly what living orders hold: nothing twice, nothing for nobody, each under its order."""
    wanted: dict[Row, set[int]] = defaultdict(set)
    names: dict[tuple[Row, int], str] = {}
    faults = []
    for order in seen.orders.values():
        if not holds_slot(order):
            continue
        for claim in booking.claims_of(saving.blocks_of(order)):
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


def proofs_hold(seen: Tables) -> list[str]:
    """The books of each order agree with the facts in its row, and the row names the head of its chain."""
    faults = []
    for order in seen.orders.values():
        proof = proof_of(order, seen.entries.get(order.id, []))
        faults += [f"{order.id} ({order.state}): {failure}" for failure in proof.failures]
        if proof.hash != order.last_hash:
            faults.append(f"{order.id}: the row names another head of the chain")
    return faults + [f"{owner}: entries without an order" for owner in seen.entries.keys() - seen.orders.keys()]


def captured_once(seen: Tables) -> list[str]:
    """One charge, one payment; each further one is on its way back, and no more goes back than came in."""
    faults = []
    for order in seen.orders.values():
        confirmed = [entry for entry in seen.entries.get(order.id, []) if entry.event == "payment_confirmed"]
        if len(confirmed) > 1:
            faults.append(f"{order.id}: confirmed {len(confirmed)} times")
        came = {a.intent_id: a.received_minor for c in order.charges for a in c.attempts if a.state == "succeeded"}
        goes: dict[str, int] = defaultdict(int)
        for refund in order.refunds:
            goes[refund.intent_id] += refund.amount_minor
        faults += [
            f"{order.id}: {amount} goes back of {came.get(intent, 0)} on {intent}"
            for intent, amount in goes.items()
            if amount > came.get(intent, 0)
        ]
    return faults


def provider_refunds_once(seen: Tables) -> list[str]:
    """Each try of a refund is one refund at the provider, of the right amount."""
    faults = []
    tries: dict[str, int] = defaultdict(int)
    amounts = {record.id: record.amount_minor for order in seen.orders.values() for record in order.refunds}
    for refund in seen.refunds:
        metadata = refund["metadata"]
        assert isinstance(metadata, dict)
        own_id = metadata.get("refund_id", "")
        tries[own_id] += 1
        if amounts.get(own_id.partition(".")[0]) != refund["amount"]:
            faults.append(
                f"{refund['id']}: {refund['amount']} was sent, {amounts.get(own_id.partition('.')[0])} is owed"
            )
    return faults + [
        f"refund {own_id} stands {count} times at the provider" for own_id, count in tries.items() if count > 1
    ]


def nobody_is_forgotten(seen: Tables) -> list[str]:
    """Whatever still has to happen to an order by itself lies where the sweep has not passed yet."""
    cursor = int(jobs.cursor("due").get("ms", 0))
    return [
        f"{order.id} ({order.state}): its mark {order.due_at} lies behind the sweep"
        for order in seen.orders.values()
        if (order.state in ("pending_payment", "paid", "fulfilled") or any(refund.moving for refund in order.refunds))
        and order.due_at.ms <= cursor - 120_000
    ]


# ---------------------------------------------------------------------------------------------- at rest


def money_at_the_provider_is_known(seen: Tables) -> list[str]:
    """What an intent brought in is in its order, or waits among the parked facts; what the order says came in did."""
    theirs: dict[str, dict[str, int]] = defaultdict(dict)
    for intent in seen.intents:
        if intent["status"] == "succeeded" and intent["id"] not in seen.parked:
            theirs[_order_id(intent)][str(intent["id"])] = int(str(intent["amount_received"]))
    faults = []
    for order in seen.orders.values():
        ours = {a.intent_id: a.received_minor for c in order.charges for a in c.attempts if a.state == "succeeded"}
        if ours != theirs.get(order.id, {}):
            faults.append(f"{order.id}: the provider has {theirs.get(order.id, {})}, the order {ours}")
    return faults


def paid_or_refunded(seen: Tables) -> list[str]:
    """Money that came in lives on in its order or has gone back; nothing is owed any more."""
    faults = []
    for order in seen.orders.values():
        rests = order.captured_minor - order.refunded_minor
        due = order.terms.cash_minor if order.payment_state == "paid" else 0
        if order.state in ("cancelled", "declined"):
            due = parts_of(order.terms, order.kept_minor).cash
        # What could not be given back in five tries waits for a person, and is still owed.
        due += sum(refund.amount_minor for refund in order.refunds if refund.open and not refund.moving)
        if rests != due:
            faults.append(f"{order.id} ({order.state}): {rests} of its money is here, {due} should be")
        faults += [f"{order.id}: refund {r.id} is {r.state}" for r in order.refunds if r.moving]
    return faults


def dead_orders_cannot_be_paid(seen: Tables) -> list[str]:
    """No intent that anybody was shown can still be paid at the provider when its order has ended."""
    payable = {"requires_payment_method", "requires_confirmation", "requires_action", "processing"}
    return [
        f"{intent['id']} of {_order_id(intent)} is {intent['status']}"
        for intent in seen.intents
        if intent["status"] in payable
        and (order := seen.orders.get(_order_id(intent))) is not None
        and order.state in ("cancelled", "declined", "fulfilled", "completed")
        and any(a.intent_id == intent["id"] for c in order.charges for a in c.attempts)
    ]


def no_news_is_left(seen: Tables) -> list[str]:
    """Every piece of news has been handled."""
    return [f"{news_id} still stands" for news_id in seen.news]


ALWAYS: tuple[Callable[[Tables], list[str]], ...] = (
    calendar_equals_orders,
    proofs_hold,
    captured_once,
    provider_refunds_once,
    nobody_is_forgotten,
)
AT_REST: tuple[Callable[[Tables], list[str]], ...] = (
    money_at_the_provider_is_known,
    paid_or_refunded,
    dead_orders_cannot_be_paid,
    no_news_is_left,
)


def broken(shops: Collection[str] | None = None, *, at_rest: bool = False) -> list[str]:
    """Every fault that is found, each with the name of the invariant that it breaks."""
    seen = read(shops)
    return [f"{check.__name__}: {fault}" for check in ALWAYS + (AT_REST if at_rest else ()) for fault in check(seen)]
