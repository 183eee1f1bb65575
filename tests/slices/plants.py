"""Rows that are wrong, one by one, put into a sound reading: what each invariant must see, and no other may.

A plant names the invariant that it breaks first, then those that cannot help seeing the same row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.ledger.balances import Counted
from chalicelib.ledger.entries import Entry, Leg
from chalicelib.ledger.tables import JournalRow
from chalicelib.orders.model import Charge, Line, Order
from chalicelib.payments.model import Attempt, RefundRecord
from tests.invariants.ledger import own_hash
from tests.invariants.reading import Raw, Seen

Plant = Callable[[Seen], Seen]


@dataclass(frozen=True)
class Planted:
    """`broken` are the names of the invariants that must find it, the one that it is for first."""

    broken: tuple[str, ...]
    plant: Plant

    @property
    def name(self) -> str:
        return f"{self.broken[0]}-{self.plant.__name__}"


PLANTS: list[Planted] = []


def breaks(*broken: str) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        PLANTS.append(Planted(broken, plant))
        return plant

    return register


# ---------------------------------------------------------------------------------------------- tools


def order_in(seen: Seen, state: str, reason: str = "") -> Order:
    return next(o for o in seen.orders.values() if o.state == state and reason in ("", o.cancel_reason))


def with_order(seen: Seen, order: Order) -> Seen:
    return replace(seen, orders={**seen.orders, order.id: order})


def with_line(order: Order, **changed: Any) -> Order:
    lines: tuple[Line, ...] = (replace(order.lines[0], **changed), *order.lines[1:])
    return replace(order, lines=lines)


def with_charge(order: Order, **changed: Any) -> Order:
    charges: tuple[Charge, ...] = (replace(order.charges[0], **changed), *order.charges[1:])
    return replace(order, charges=charges)


def with_attempt(order: Order, **changed: Any) -> Order:
    attempts: tuple[Attempt, ...] = order.charges[0].attempts
    return with_charge(order, attempts=(replace(attempts[0], **changed), *attempts[1:]))


def with_refund(order: Order, **changed: Any) -> Order:
    refunds: tuple[RefundRecord, ...] = (replace(order.refunds[0], **changed), *order.refunds[1:])
    return replace(order, refunds=refunds)


def entry_of(seen: Seen, event: str, business_id: str = "") -> Entry:
    return next(e for e in seen.journal if e.event == event and business_id in ("", e.business_id))


def rebooked(seen: Seen, wrong: Entry, **changed: Any) -> Seen:
    """An entry that says something else, and a chain that was written anew behind it: only what it says is wrong."""
    entries = seen.entries_of(wrong.business_id)
    by_previous = {entry.previous_hash: entry for entry in entries}
    rest = tuple(entry for entry in seen.journal if entry.business_id != wrong.business_id)
    made: list[Entry] = []
    old, new = "", ""
    while old in by_previous:
        entry = by_previous[old]
        old = entry.hash
        entry = replace(entry, previous_hash=new, **(changed if entry.id == wrong.id else {}))
        entry = replace(entry, legs=tuple(sorted(entry.legs, key=lambda leg: leg.account)))
        new = own_hash(entry)
        made.append(replace(entry, hash=new))
    seen = replace(seen, journal=(*rest, *made))
    order = seen.orders.get(wrong.business_id)
    return with_order(seen, replace(order, last_hash=new)) if order else seen


def legs_of(entry: Entry, **moved: int) -> tuple[Leg, ...]:
    """An entry's legs with another amount more on accounts that begin so: `A_psp` for A.psp."""
    return tuple(
        replace(leg, amount_minor=leg.amount_minor + sum(n for a, n in moved.items() if _begins(leg.account, a)))
        for leg in entry.legs
    )


def _begins(account: str, name: str) -> bool:
    return account.startswith(name.replace("_", ".", 1))


def renamed(entry: Entry, account: str, becomes: str) -> tuple[Leg, ...]:
    return tuple(replace(leg, account=becomes) if leg.account.startswith(account) else leg for leg in entry.legs)


def with_item(seen: Seen, table: str, change: Callable[[Raw], Raw]) -> Seen:
    """The first item of a table as `change` makes it."""
    first, *rest = seen.raw[table]
    return replace(seen, raw={**seen.raw, table: [change(first), *rest]})


def changed_at(things: tuple[Any, ...], wanted: Callable[[Any], bool], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    """A tuple with the first that is wanted changed."""
    index = next(i for i, thing in enumerate(things) if wanted(thing))
    return (*things[:index], change(things[index]), *things[index + 1 :])


def refund_of(seen: Seen, order: Order) -> Callable[[dict[str, Any]], bool]:
    return lambda one: one["metadata"]["order_id"] == order.id


def whole_refund(seen: Seen) -> Order:
    """One that its customer paid and cancelled in time."""
    ended = (order for order in seen.orders.values() if order.cancel_reason == "customer" and not order.kept_minor)
    return next(order for order in ended if order.payment_state == "paid")


# ---------------------------------------------------------------------------------------------- calendar

JOURNAL = JournalRow.Meta.table_name
ACCOUNT = ("our_account_is_the_providers_balance", "carried_sum_is_the_journals")


@breaks("calendar_equals_orders")
def a_place_is_taken_for_nobody(seen: Seen) -> Seen:
    row = next(iter(seen.quanta))
    return replace(seen, quanta={**seen.quanta, row: seen.quanta[row] | {299}})


@breaks("calendar_equals_orders")
def a_place_is_free_that_is_sold(seen: Seen) -> Seen:
    row = next(row for row, taken in seen.quanta.items() if taken)
    return replace(seen, quanta={**seen.quanta, row: frozenset()})


@breaks("calendar_equals_orders")
def a_place_is_under_another_order(seen: Seen) -> Seen:
    at = next(iter(seen.refs))
    return replace(seen, refs={**seen.refs, at: "ord_another"})


@breaks("nothing_is_sold_twice", "calendar_equals_orders")
def two_orders_have_one_place(seen: Seen) -> Seen:
    other = order_in(seen, "pending_payment")
    return with_order(seen, with_line(order_in(seen, "confirmed"), booking=other.booking))


# ---------------------------------------------------------------------------------------------- ledger


@breaks("entries_balance")
def an_entry_does_not_balance(seen: Seen) -> Seen:
    fee = entry_of(seen, "provider_fee")
    return rebooked(seen, fee, legs=legs_of(fee, E_psp_fee=1))


@breaks("entries_balance")
def an_entry_has_one_leg(seen: Seen) -> Seen:
    fee = entry_of(seen, "provider_fee")
    return rebooked(seen, fee, legs=fee.legs[:1])


@breaks("accounts_are_of_the_chart")
def a_leg_stands_on_no_account(seen: Seen) -> Seen:
    fee = entry_of(seen, "provider_fee")
    return rebooked(seen, fee, legs=renamed(fee, "E.psp_fee", "E.fees"))


@breaks("accounts_are_of_the_chart", "pending_marks_are_sums")
def another_merchant_earns(seen: Seen) -> Seen:
    earned = entry_of(seen, "earned")
    return rebooked(seen, earned, legs=renamed(earned, "L.merchant_pending", "L.merchant_pending:mch_another"))


@breaks("chains_hold")
def an_entry_was_written_over(seen: Seen) -> Seen:
    fee = entry_of(seen, "provider_fee")
    return replace(seen, journal=changed_at(seen.journal, lambda e: e is fee, lambda e: replace(e, meta={})))


@breaks("chains_hold", "rows_name_their_heads", "proofs_hold")
def an_entry_follows_nothing(seen: Seen) -> Seen:
    earned = entry_of(seen, "earned")
    loose = replace(earned, previous_hash="ab" * 32)
    loose = replace(loose, hash=own_hash(loose))
    return replace(seen, journal=changed_at(seen.journal, lambda e: e is earned, lambda _: loose))


@breaks("rows_name_their_heads")
def a_row_names_another_head(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "completed"), last_hash="ab" * 32))


@breaks("rows_name_their_heads", "money_at_the_provider_is_known", "calendar_equals_orders")
def an_order_is_gone(seen: Seen) -> Seen:
    gone = order_in(seen, "completed")
    return replace(seen, orders={name: order for name, order in seen.orders.items() if name != gone.id})


@breaks("one_entry_per_event", "fees_are_booked_once", *ACCOUNT)
def a_fee_is_booked_twice(seen: Seen) -> Seen:
    fee = entry_of(seen, "provider_fee")
    again = replace(fee, n=2, previous_hash=fee.hash)
    return replace(seen, journal=(*seen.journal, replace(again, hash=own_hash(again))))


@breaks("entries_are_numbered_by_their_rows")
def an_entry_is_ahead_of_its_row(seen: Seen) -> Seen:
    order = order_in(seen, "confirmed")
    return rebooked(seen, entry_of(seen, "payment_confirmed", order.id), n=order.version + 1)


@breaks("entries_lie_where_jobs_look")
def an_entry_lies_in_no_day(seen: Seen) -> Seen:
    return with_item(seen, JOURNAL, lambda item: {**item, "pb": {"S": "20200101#0"}})


@breaks("entries_lie_where_jobs_look")
def an_entry_is_sorted_under_another_name(seen: Seen) -> Seen:
    return with_item(seen, JOURNAL, lambda item: {**item, "ps": {"S": item["ps"]["S"] + "0"}})


@breaks("balances_are_rebuilt", "available_is_what_was_settled")
def a_balance_has_more_than_its_entries(seen: Seen) -> Seen:
    return with_balance(seen, available=1)


@breaks("balances_are_rebuilt")
def a_balance_has_counted_too_much(seen: Seen) -> Seen:
    key, row = next(iter(seen.balances.items()))
    return replace(seen, balances={**seen.balances, key: replace(row, entries=row.entries + 1)})


def with_balance(seen: Seen, **more: int) -> Seen:
    key, row = next(iter(seen.balances.items()))
    held = replace(row.balance, **{name: getattr(row.balance, name) + n for name, n in more.items()})
    return replace(seen, balances={**seen.balances, key: Counted(held, row.entries)})


@breaks("pending_marks_are_sums")
def a_mark_is_another_sum(seen: Seen) -> Seen:
    key, mark = next(iter(seen.marks.items()))
    return replace(seen, marks={**seen.marks, key: replace(mark, amount_minor=mark.amount_minor + 1)})


@breaks("carried_sum_is_the_journals")
def the_night_carries_another_sum(seen: Seen) -> Seen:
    cursor = seen.cursors["reconcile"]
    more = {**cursor, "psp_CNY": int(cursor["psp_CNY"]) + 1}
    return replace(seen, cursors={**seen.cursors, "reconcile": more})


@breaks("nothing_guarded_is_negative", "balances_are_rebuilt")
def a_balance_is_below_zero(seen: Seen) -> Seen:
    return with_balance(seen, withdrawing=-1)
