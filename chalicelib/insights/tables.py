"""Table `insights`: what the watch remembers, and a projection of the journal: refunds that have not been paid out."""

from __future__ import annotations

from typing import Any

from chalicelib.insights.model import Memory, Owed, Payment, Standing
from chalicelib.kernel.instant import Instant
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, table_name

_OWED, _WATCH = "owed", "watch"


class InsightsRow(Row):
    """pk `watch`, sk `-`: the watch's memory. pk `owed`, sk `<ms>#<order id>`: what an order owes, oldest first."""

    class Meta:
        table_name = table_name("insights")

    data = PackedAttribute(attr_name="d", null=True)
    amount = IntegerAttribute(attr_name="a", null=True)


def memory() -> Memory | None:
    """A80: what the last run left, strongly."""
    for row in InsightsRow.query(_WATCH, InsightsRow.sk == "-", consistent_read=True):
        return _memory(row.data)
    return None


def _memory(d: dict[str, Any]) -> Memory:
    return Memory(
        first_run=Instant(d["f"]),
        payments_until=Instant(d["p"]),
        books_until=Instant(d["b"]),
        unheard={intent: Payment(order_id, Instant(ms)) for intent, (order_id, ms) in d["u"].items()},
        suspense={currency: Standing(amount, Instant(ms)) for currency, (amount, ms) in d["s"].items()},
    )


def remember(found: Memory) -> None:
    packed = {
        "f": found.first_run.ms,
        "p": found.payments_until.ms,
        "b": found.books_until.ms,
        "u": {intent: [each.order_id, each.at.ms] for intent, each in found.unheard.items()},
        "s": {currency: [each.amount_minor, each.since.ms] for currency, each in found.suspense.items()},
    }
    InsightsRow(_WATCH, "-", data=packed).save()


def _sort(since: Instant, order_id: str) -> str:
    return f"{since.ms:013d}#{order_id}"


def oldest_owed() -> tuple[str, Instant] | None:
    """A81: the order whose refund has been owed longest, and since when. One row."""
    for row in InsightsRow.query(_OWED, limit=1, consistent_read=True):
        ms, _, order_id = row.sk.partition("#")
        return order_id, Instant(int(ms))
    return None


def keep_owed(order_id: str, found: Owed) -> None:
    """A82: makes the projection say what the order's entries say. Doing it again changes nothing."""
    rows = InsightsRow.batch_get(
        [(_OWED, _sort(at, order_id)) for at in sorted(set(found.moments))], consistent_read=True
    )
    stands = {row.sk: row.amount for row in rows}
    wanted = {_sort(found.standing.since, order_id): found.standing.amount_minor} if found.standing else {}
    for sk, amount in wanted.items():
        if stands.get(sk) != amount:
            InsightsRow(_OWED, sk, amount=amount).save()
    for sk in stands.keys() - wanted.keys():
        InsightsRow(_OWED, sk).delete()
