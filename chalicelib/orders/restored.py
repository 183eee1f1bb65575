"""What a refund at the provider tells of an order whose own decision was lost by a restore. Pure."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import half_up
from chalicelib.ledger import model as ledger
from chalicelib.ledger.model import Entry
from chalicelib.orders.changes import Change, Clocks, moved, told, with_due, with_lines, with_refund_state
from chalicelib.orders.decisions import SENT_BACK, served
from chalicelib.orders.model import ORDER, Order
from chalicelib.payments.model import RefundRecord, refund_id
from chalicelib.providers.ports import Refund


def refund_found(order: Order, refund: Refund, now: Instant) -> Change | None:
    """The order with the decision that must have led to this refund. None when it cannot be one of ours.

    Money that is sent back by itself was decided anew by the same fact; the refund that is on its way already is that
    one. Any other refund followed the end of a paid order: it ended, and what did not go back was kept.
    """
    own_id, _, tries = refund.refund_id.rpartition(".")
    if not ids.is_id(own_id, "ref") or not tries.isdecimal() or refund.amount.currency != order.currency:
        return None
    record = RefundRecord(
        own_id, refund.amount.amount_minor, "approved", "cancelled", refund.intent_id, int(tries), "", now
    )
    same = next((r for r in order.refunds if r.intent_id == refund.intent_id and r.reason in SENT_BACK), None)
    if same is not None:
        if same.provider_id or same.amount_minor != record.amount_minor:
            return None
        record = replace(record, reason=same.reason)
        refunds = tuple(record if r.id == same.id else r for r in order.refunds)
        return Change(with_due(replace(order, refunds=refunds), now))
    return _ended(order, record, now)


def decided(order: Order, entry: Entry, clocks: Clocks, now: Instant) -> Change | None:
    """The move of people that an entry of the journal tells of, for a row that does not know it. None for what the
    provider did: its facts come again."""
    if entry.event == "earned" and ORDER.can(order.state, "fulfil"):
        return served(order, "finished", "finished", now, clocks)
    if entry.event not in ("cancelled", "declined", "no_show"):
        return None
    kept = -entry.on("L.merchant_pending:") - entry.on("R.commission")
    given_back = -entry.on("L.refund_payable")
    paid = next((a for c in order.charges if c.state == "paid" for a in c.attempts if a.state == "succeeded"), None)
    record = None
    if given_back and paid is not None:
        own_id = refund_id(order.id, entry.n)
        record = RefundRecord(own_id, given_back, "approved", "cancelled", paid.intent_id, 0, "", now)
    event = {"declined": "decline", "no_show": "no_show"}.get(entry.event, "cancel")
    if not ORDER.can(order.state, event):
        event = "operator_cancel"
    if not ORDER.can(order.state, event):
        return None
    return _end(order, event, entry.event, kept, record, now)


def without_place(change: Change) -> Change:
    """The same, for an order whose place the calendar has not (any more)."""
    return replace(change, releases=False)


def _ended(order: Order, record: RefundRecord, now: Instant) -> Change | None:
    event = next((name for name in ("cancel", "operator_cancel") if ORDER.can(order.state, name)), None)
    paid_by = {a.intent_id for c in order.charges if c.state == "paid" for a in c.attempts if a.state == "succeeded"}
    if event is None or order.payment_state != "paid" or record.intent_id not in paid_by:
        return None
    kept = _kept(order, record.amount_minor)
    if kept is None:
        return None
    return _end(order, event, "cancelled", kept, record, now)


def _end(order: Order, event: str, entry_event: str, kept: int, record: RefundRecord | None, now: Instant) -> Change:
    reason = {"declined": "declined", "no_show": "no_show"}.get(entry_event, "operator")
    order = replace(moved(order, event), cancel_reason=reason, kept_minor=kept)
    if entry_event == "no_show":
        order = with_lines(order, "no_show")
    order = told(order, now, "operator", entry_event)
    if kept:
        order = replace(order, earned_at=now)
    news: tuple[str, ...] = ("order.declined" if entry_event == "declined" else "order.cancelled",)
    if record is not None:
        order = told(replace(order, refunds=(*order.refunds, record)), now, "system", "refund_approved")
        news = (*news, "order.refund_approved")
    legs = ledger.kept(order.terms, order.merchant_id, kept)
    entries = ((entry_event, legs, ""),) if legs else ()
    return Change(with_due(with_refund_state(order), now), entries, news, releases=entry_event != "no_show")


def _kept(order: Order, refunded_minor: int) -> int | None:
    """How much of the gross was kept, told by what went back in cash. None when no such part gives that amount."""
    terms = order.terms
    cash = terms.cash_minor - refunded_minor
    if not 0 <= cash <= terms.cash_minor or not terms.cash_minor:
        return None
    kept = half_up(cash * terms.gross_minor, terms.cash_minor)
    return kept if ledger.parts_of(terms, kept).cash == cash else None
