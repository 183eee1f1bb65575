"""What a refund at the provider tells of an order whose own decision was lost by a restore. Pure."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import half_up
from chalicelib.ledger import model as ledger
from chalicelib.orders.changes import Change, moved, told, with_due, with_refund_state
from chalicelib.orders.decisions import SENT_BACK
from chalicelib.orders.model import ORDER, Order
from chalicelib.payments.model import RefundRecord
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
    order = replace(moved(order, event), cancel_reason="operator", kept_minor=kept, refunds=(*order.refunds, record))
    if kept:
        order = replace(order, earned_at=now)
    order = with_refund_state(told(order, now, "operator", "cancelled", "refund_approved"))
    legs = ledger.kept(order.terms, order.merchant_id, kept)
    return Change(with_due(order, now), (("cancelled", legs, ""),), ("order.cancelled",), releases=True)


def _kept(order: Order, refunded_minor: int) -> int | None:
    """How much of the gross was kept, told by what went back in cash. None when no such part gives that amount."""
    terms = order.terms
    cash = terms.cash_minor - refunded_minor
    if not 0 <= cash <= terms.cash_minor or not terms.cash_minor:
        return None
    kept = half_up(cash * terms.gross_minor, terms.cash_minor)
    return kept if ledger.parts_of(terms, kept).cash == cash else None
