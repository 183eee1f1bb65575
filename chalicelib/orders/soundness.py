"""Do an order's row, its place in the calendar and its journal tell one story?

They are written in one transaction, so only a restore can part them: each table comes back by itself, and a transaction
that was under way at that instant may stand in one of them alone. Here that is found, and mended where the tables that
have it say enough.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from chalicelib.booking import service as booking
from chalicelib.booking.model import Claim, SlotNotHeld, SlotTaken, Taken, claims_of
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as ledger
from chalicelib.ledger import service as ledger_service
from chalicelib.ledger.model import Entry, Legs
from chalicelib.orders import changes, restored, saving, tables
from chalicelib.orders.changes import Change
from chalicelib.orders.decisions import SENT_BACK
from chalicelib.orders.model import Changed, Order, proof_of
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction

ENTRY_MISSING, ROW_BEHIND, PROOF = "entry_missing", "row_behind", "proof"
PLACE_MISSING, PLACE_UNOWNED = "place_missing", "place_unowned"
_VERSIONS_BACK = 3  # the moves that can lie between a restored table and the others


@dataclass(frozen=True)
class Fault:
    """What is wrong with an order or a row of the calendar. ENTRY_MISSING: the row names an entry that the journal has
    not. ROW_BEHIND: the journal has an entry that the row does not know. PLACE_MISSING: a living order is not in the
    calendar. PLACE_UNOWNED: the calendar is taken for nobody. PROOF: the books do not add up."""

    kind: str
    subject: str
    detail: str


def holds_place(order: Order) -> bool:
    """A place goes back when an order ends before its service; whoever did not come has used it up."""
    return order.state not in ("cancelled", "declined") or order.cancel_reason == "no_show"


def faults(ctx: Context, since: Instant | None = None) -> Iterator[Fault]:
    """Every fault of orders to which something has happened since an instant (of all, without one), and of the whole
    calendar. It reads all orders and all taken days once, and the journal of the orders it looks at."""
    for order in _suspects(ctx, since):
        yield from faults_of(order)
    for row, quanta in _unowned():
        yield _unowned_fault(row, quanta)


def _suspects(ctx: Context, since: Instant | None) -> Iterator[Order]:
    """Orders that say so themselves, or of which the journal says so: a row can be older than its journal."""
    seen = set()
    for order in tables.everything(since or Instant(0)):
        seen.add(order.id)
        yield order
    if since is not None:
        entries = ledger_service.posted_between(since, ctx.now.plus(hours=1))
        yield from tables.many({e.business_id for e in entries if ids.is_id(e.business_id, "ord")} - seen)


def faults_of(order: Order) -> list[Fault]:
    """What is wrong with one order, its own place included."""
    found = []
    entries = ledger_service.entries_of(order.id)
    head = ledger.head_hash(entries)
    if head != order.last_hash:
        known = not order.last_hash or order.last_hash in {entry.hash for entry in entries}
        ahead = [entry.id for entry in _ahead(order, entries)]
        found.append(Fault(ROW_BEHIND if known else ENTRY_MISSING, order.id, ", ".join(ahead) or order.last_hash))
    else:
        found += [Fault(PROOF, order.id, failure) for failure in proof_of(order, entries).failures]
    missing = ", ".join(f"{claim.resource_id} on {claim.day}" for claim in _missing(order))
    return found + ([Fault(PLACE_MISSING, order.id, missing)] if missing else [])


def _ahead(order: Order, entries: list[Entry]) -> list[Entry]:
    """Entries that stand behind the one that the row names as its last."""
    ordered = ledger.in_order(entries)
    hashes = ["", *(entry.hash for entry in ordered)]
    return ordered[hashes.index(order.last_hash) :] if order.last_hash in hashes else []


def _missing(order: Order) -> list[Claim]:
    if not holds_place(order):
        return []
    return [claim for claim in claims_of(saving.blocks_of(order)) if not booking.holds(claim, order.id)]


def _unowned() -> Iterator[tuple[Taken, frozenset[int]]]:
    """Rows of the calendar, and their quanta that no living order holds."""
    days: dict[tuple[str, date], list[Taken]] = defaultdict(list)
    for row in booking.everything_taken():
        days[row.shop_id, row.day].append(row)
    for rows in days.values():
        owners = tables.many(order_id for row in rows for order_id in row.orders.values())
        living = [order for order in owners if holds_place(order)]
        held: dict[tuple[date, str], set[int]] = defaultdict(set)
        for claim in claims_of(block for order in living for block in saving.blocks_of(order)):
            held[claim.day, claim.resource_id] |= claim.quanta
        for row in rows:
            extra = row.quanta - held[row.day, row.resource_id]
            if extra:
                yield row, extra


def _unowned_fault(row: Taken, quanta: frozenset[int]) -> Fault:
    names = ", ".join(sorted({row.orders[number] for number in quanta if number in row.orders}))
    return Fault(PLACE_UNOWNED, f"{row.shop_id}#{row.day}#{row.resource_id}", names or f"{len(quanta)} quanta")


# ---------------------------------------------------------------------------------------------- mending


def mend(ctx: Context, since: Instant) -> int:
    """Mends what can be mended of `faults`; returns how much. The rest is for the provider's facts, or for a person.

    Orders first: a place that is theirs again is not unowned any more.
    """
    mended = 0
    for order in list(_suspects(ctx, since)):
        wrong = faults_of(order)
        mended += sum(_mend_order(ctx, order.id, fault.kind) for fault in wrong)
    return mended + sum(booking.free_unowned(row, quanta) for row, quanta in list(_unowned()))


def _mend_order(ctx: Context, order_id: str, kind: str) -> bool:
    order = tables.order(order_id)
    if order is None:
        return False
    try:
        if kind == ENTRY_MISSING:
            return _post_missing(order, ctx.ports.payments.name)
        if kind == ROW_BEHIND:
            return _follow(ctx, order)
        if kind == PLACE_MISSING:
            return _claim_again(order)
    except (Changed, SlotTaken, AlreadyDone):
        return False
    return False


def _post_missing(order: Order, provider: str) -> bool:
    """Writes the entry that the row names as its last, if it can be made again: its hash says whether it is the one."""
    head = ledger.head_hash(ledger_service.entries_of(order.id))
    times = {event.at for event in order.timeline}
    for event, legs, ref in _candidates(order, provider):
        for version in range(order.version, max(0, order.version - _VERSIONS_BACK), -1):
            for at in times:
                made = changes.entry_of(order, event, legs, ref, version=version, at=at, previous_hash=head)
                if made.hash == order.last_hash:
                    tx = Transaction()
                    tables.check_unmoved(tx, order)
                    ledger_service.post(tx, made)
                    tx.commit()
                    return True
    return False


def _candidates(order: Order, provider: str) -> Iterable[tuple[str, Legs, str]]:
    """Whatever can have been booked last for an order as it stands."""
    attempts = [a for c in order.charges for a in c.attempts if a.state == "succeeded"]
    refs = {a.intent_id: a.charge_ref or a.intent_id for a in attempts}
    for ref in refs.values():
        yield "payment_confirmed", ledger.payment_confirmed(order.terms, provider), ref
    for refund in order.refunds:
        if refund.reason in SENT_BACK and refund.intent_id in refs:
            legs = ledger.unexpected_money(refund.amount_minor, provider)
            yield f"{refund.reason}_payment", legs, refs[refund.intent_id]
        yield "refund_succeeded", ledger.refund_succeeded(refund.amount_minor, provider), refund.provider_id
    legs = ledger.kept(order.terms, order.merchant_id, order.kept_minor)
    if legs:
        yield from ((event, legs, "") for event in ("cancelled", "declined", "no_show"))
    earned = ledger.earned(order.terms, order.merchant_id, order.terms.gross_minor)
    if earned:
        yield "earned", earned, ""


def _follow(ctx: Context, order: Order) -> bool:
    """Moves the row to what its journal says was done by people. What the provider did comes by its facts."""
    if not order.behind:
        order = saving.write(ctx, order, Change(replace(order, behind=True)))
    for entry in _ahead(order, ledger_service.entries_of(order.id)):
        change = restored.decided(order, entry, saving.clocks(ctx), ctx.now)
        if change is None:
            return False
        try:
            order = saving.write(ctx, order, change)
        except SlotNotHeld:
            order = saving.write(ctx, order, restored.without_place(change))
    return True


def _claim_again(order: Order) -> bool:
    tx = Transaction()
    tables.check_unmoved(tx, order)
    for claim in _missing(order):
        booking.claim_part(tx, order.id, claim)
    tx.commit()
    return True
