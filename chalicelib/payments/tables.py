"""Table `payments_inbox`: facts that could not be applied, and payments without an order that are given back. Attempts
and refunds live in their order's row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.payments.model import Parked, RefundRecord
from chalicelib.payments.orphans import Orphan
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, table_name
from chalicelib.runtime.transaction import AlreadyDone, Otherwise, Transaction

KEPT_MS = 3 * DAY_MS


class _DueIndex(GlobalSecondaryIndex["InboxRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    class Meta:
        index_name = "parked"
        projection = KeysOnlyProjection()

    open = UnicodeAttribute(hash_key=True, attr_name="o")
    sk = UnicodeAttribute(range_key=True)


class InboxRow(Row):
    """pk `<provider>#<object id>`, sk the event's id."""

    class Meta:
        table_name = table_name("payments_inbox")
        ttl_attribute = "t"

    parked_index = _DueIndex()
    open = UnicodeAttribute(attr_name="o", null=True)
    kind = UnicodeAttribute(attr_name="k")
    reason = UnicodeAttribute(attr_name="r")
    received_ms = IntegerAttribute(attr_name="at")
    ttl = IntegerAttribute(attr_name="t")


def park(fact: Parked) -> None:
    """Put-if-absent: an event that is told again keeps the time of its first telling, or it would never grow old."""
    row = InboxRow(
        f"{fact.provider}#{fact.object_id}",
        fact.event_id,
        open="open",
        kind=fact.kind,
        reason=fact.reason,
        received_ms=fact.received_at.ms,
        # Kept a month for the operator; it stops being retried after three days.
        ttl=fact.received_at.plus(days=30).seconds,
    )
    tx = Transaction()
    tx.put_new(row, lambda _: None)
    with suppress(AlreadyDone):
        tx.commit()


def parked(limit: int = 200) -> Iterator[Parked]:
    """A18: parked facts that are still open."""
    for key in InboxRow.parked_index.query("open", limit=limit):
        # The index may still name what the store has taken away by its age.
        for row in InboxRow.query(key.pk, InboxRow.sk == key.sk, consistent_read=True):
            if row.open:
                provider, _, object_id = row.pk.partition("#")
                yield Parked(provider, row.kind, object_id, row.sk, row.reason, Instant(row.received_ms))


def parked_count(limit: int) -> int:
    """A18: how many parked facts are open, `limit` at the most; counted in the index, no row is read."""
    return InboxRow.parked_index.count("open", limit=limit)


def close_parked(fact: Parked) -> None:
    """It was applied after all, or nothing is left to apply: it leaves the index and stays readable."""
    row = InboxRow(f"{fact.provider}#{fact.object_id}", fact.event_id)
    tx = Transaction()
    tx.update(row, [InboxRow.open.remove()], InboxRow.pk.exists(), lambda _: None)
    with suppress(AlreadyDone):  # its time was over
        tx.commit()


class OrphanRow(Row):
    """pk `<provider>#<intent id>`, sk `orphan`: a payment without an order that is given back. It has no end: as long
    as it stands, no order can live on that money."""

    class Meta:
        table_name = table_name("payments_inbox")
        ttl_attribute = "t"

    version = IntegerAttribute(attr_name="v")
    data = PackedAttribute(attr_name="d")


def orphan(provider: str, intent_id: str) -> Orphan | None:
    """A70: the payment without an order, once it is being given back; strong."""
    for row in OrphanRow.query(f"{provider}#{intent_id}", OrphanRow.sk == "orphan", consistent_read=True):
        d = row.data
        record = _record(d["rf"]) if d["rf"] else None
        return Orphan(provider, intent_id, d["o"], d["cu"], d["a"], record, row.version, d["h"])
    return None


def _record(packed: list[Any]) -> RefundRecord:
    own_id, amount, state, reason, intent_id, tries, provider_id, approved_ms = packed
    return RefundRecord(own_id, amount, state, reason, intent_id, tries, provider_id, Instant(approved_ms))


def save_orphan(tx: Transaction, after: Orphan, otherwise: Otherwise) -> None:
    """Put-if-absent for the first version, otherwise the version before must stand."""
    r = after.refund
    packed = (
        [r.id, r.amount_minor, r.state, r.reason, r.intent_id, r.tries, r.provider_id, r.approved_at.ms] if r else []
    )
    row = OrphanRow(
        f"{after.provider}#{after.intent_id}",
        "orphan",
        version=after.version,
        data={
            "o": after.order_id,
            "cu": after.currency,
            "a": after.received_minor,
            "rf": packed,
            "h": after.last_hash,
        },
    )
    if after.version == 1:
        tx.put_new(row, otherwise)
    else:
        tx.put(row, OrphanRow.version == after.version - 1, otherwise)
