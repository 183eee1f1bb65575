"""Rows of receipts: one for each message that was sent, or is about to be."""

from __future__ import annotations

from pynamodb.attributes import UnicodeAttribute

from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.notifications.model import KEEP_DAYS, Receipt
from chalicelib.runtime.dynamo import IntegerAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import Transaction

_KEEP_SECONDS = KEEP_DAYS * DAY_MS // 1000


class ReceiptRow(Row):
    """pk the recipient's account, sk `<event id>#<message>`, the message being named by its event."""

    class Meta:
        table_name = table_name("notifications")
        ttl_attribute = "t"

    by = UnicodeAttribute(attr_name="b", null=True)
    at_ms = IntegerAttribute(attr_name="c")
    ttl = IntegerAttribute(attr_name="t")


def receipts(recipient: str) -> list[Receipt]:
    """A26: what was sent to somebody in the last 90 days."""
    return [Receipt(row.pk, row.sk, row.by or "", Instant(row.at_ms)) for row in query_all(ReceiptRow, recipient)]


def claim(tx: Transaction, receipt: Receipt, from_dead: str = "") -> None:
    """AlreadyDone when another queue message holds it; `from_dead` is one whose claim may be taken over."""
    row = ReceiptRow(
        receipt.recipient,
        receipt.id,
        by=receipt.by,
        at_ms=receipt.at.ms,
        ttl=receipt.at.seconds + _KEEP_SECONDS,
    )
    free = ReceiptRow.pk.does_not_exist() | ReceiptRow.by.does_not_exist() | (ReceiptRow.by == receipt.by)
    if from_dead:
        free |= ReceiptRow.by == from_dead
    tx.put(row, free, lambda _: None)


def let_go(tx: Transaction, receipt: Receipt) -> None:
    """The message did not leave: any queue message may claim it. AlreadyDone when another holds it by now."""
    row = ReceiptRow(receipt.recipient, receipt.id)
    tx.update(row, [ReceiptRow.by.remove()], ReceiptRow.by == receipt.by, lambda _: None)
