"""Table `orders`: one row holds the whole order, so that every decision about it is one conditional write.

pk is the owner's tag and sk the order's own half, together the order's id: a stranger's read finds nothing, and
put-if-absent is the record of idempotency. What conditions look at stands in attributes, everything else packed in `d`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger.model import Terms
from chalicelib.orders.model import Booking, Changed, Charge, Discount, Event, Line, Order
from chalicelib.payments.model import Attempt, RefundRecord, attempt_id
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, table_name
from chalicelib.runtime.settings import settings
from chalicelib.runtime.transaction import Otherwise, Transaction

MAX_OF_ACCOUNT = 1_000

_ACTORS = {name[0]: name for name in ("customer", "merchant", "operator", "provider", "system", "timeout", "no_show")}


class _DueIndex(GlobalSecondaryIndex["OrderRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    """The deadline index: a shard, and the millisecond at which the sweep looks again."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True, attr_name="due")
    due_ms = UnicodeAttribute(range_key=True, attr_name="dm")


class _ShopIndex(GlobalSecondaryIndex["OrderRow"]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    """A shop's orders by the time they were placed."""

    class Meta:
        index_name = "shop"
        projection = KeysOnlyProjection()

    shop_id = UnicodeAttribute(hash_key=True, attr_name="shp")
    created_ms = UnicodeAttribute(range_key=True, attr_name="ca")


class OrderRow(Row):
    class Meta:
        table_name = table_name("orders")

    due = _DueIndex()
    of_shop = _ShopIndex()
    version = IntegerAttribute(attr_name="v")
    state = UnicodeAttribute(attr_name="st")
    account_id = UnicodeAttribute(attr_name="acc")
    shop_id = UnicodeAttribute(attr_name="shp")
    merchant_id = UnicodeAttribute(attr_name="mch")
    created_ms = UnicodeAttribute(attr_name="ca")
    due_shard = UnicodeAttribute(attr_name="due")
    due_ms = UnicodeAttribute(attr_name="dm")
    deadline_ms = IntegerAttribute(attr_name="hu")
    data = PackedAttribute(attr_name="d")


def charge_id(order_id: str, index: int) -> str:
    return ids.derived("chg", order_id, str(index))


def line_id(order_id: str, index: int) -> str:
    return ids.derived("lin", order_id, str(index))


def _ms(instant: Instant) -> str:
    return f"{instant.ms:013d}"


def _row(order: Order) -> OrderRow:
    pk, sk = ids.split(order.id)
    return OrderRow(
        pk,
        sk,
        version=order.version,
        state=order.state,
        account_id=order.account_id,
        shop_id=order.shop_id,
        merchant_id=order.merchant_id,
        created_ms=_ms(order.created_at),
        due_shard=str(zlib.crc32(sk.encode()) % settings().due_shards),
        due_ms=_ms(order.due_at),
        deadline_ms=order.deadline.ms,
        data=_pack(order),
    )


def _pack(order: Order) -> dict[str, Any]:
    intents = [attempt.intent_id for charge in order.charges for attempt in charge.attempts]
    packed = {
        "ln": [_pack_line(line) for line in order.lines],
        "ch": [
            [c.purpose, c.amount_minor, c.state, [_pack_attempt(a, order.created_at) for a in c.attempts]]
            for c in order.charges
        ],
        "t": [order.terms.cash_minor, order.terms.coupon_minor, order.terms.points_minor, order.terms.commission_bps],
        "cu": order.terms.currency,
        "pl": [list(step) for step in order.policy],
        "cf": "" if order.confirmation == "instant" else order.confirmation,
        "zn": order.zone,
        "rh": order.request_hash,
        "ps": order.payment_state,
        "rs": order.refund_state,
        "ds": order.dispute_state,
        "cr": order.cancel_reason,
        "cm": order.cancel_mark,
        "cn": order.cancel_note,
        "kp": order.kept_minor,
        "x": int(order.extended),
        "bh": int(order.behind),
        "rf": [
            [
                r.id,
                r.amount_minor,
                r.state,
                r.reason,
                _place(r, intents),
                r.tries,
                r.provider_id,
                r.approved_at.since(order.created_at),
            ]
            for r in order.refunds
        ],
        "tl": [_pack_event(event, order.created_at) for event in order.timeline],
        "nt": order.note,
        "lh": base64.b64encode(bytes.fromhex(order.last_hash)).decode(),
        "ea": order.earned_at.ms if order.earned_at else 0,
    }
    # Most orders have no refund, no dispute and no note: what is empty is not stored, so that the row stays in 1 KB.
    return {name: value for name, value in packed.items() if value not in ("", 0, [], "none")}


def _place(refund: RefundRecord, intents: list[str]) -> int | str:
    """A refund's intent by its place among the order's attempts; a provider's id is 27 bytes long."""
    return intents.index(refund.intent_id) if refund.intent_id in intents else refund.intent_id


def _pack_event(event: Event, created_at: Instant) -> str:
    """`<event> <actor's letter> <milliseconds since the order began, in hex>`: about 20 bytes."""
    return f"{event.event} {event.actor[0]} {event.at.since(created_at):x}"


def _event(packed: str, created_at: Instant) -> Event:
    name, letter, since = packed.split(" ")
    return Event(name, created_at.plus(ms=int(since, 16)), _ACTORS[letter])


def _pack_line(line: Line) -> list[Any]:
    b = line.booking
    return [
        line.offer_id,
        line.offer_version,
        line.kind,
        list(line.option_ids),
        line.quantity,
        line.unit_price_minor,
        [[d.funder, d.id, d.amount_minor] for d in line.discounts],
        line.fulfilment_state,
        _pack_booking(b) if b else [],
    ]


def _pack_booking(b: Booking) -> list[Any]:
    """All but the start as distances from it, which are short."""
    others = (b.ends_at, b.occupied_from, b.occupied_until)
    return [b.staff_id, b.chair_id, b.starts_at.ms, *(instant.since(b.starts_at) for instant in others)]


def _booking(packed: list[Any]) -> Booking:
    staff_id, chair_id, start_ms, *others = packed
    start = Instant(start_ms)
    ends_at, occupied_from, occupied_until = (start.plus(ms=since) for since in others)
    return Booking(staff_id, chair_id, start, ends_at, occupied_from, occupied_until)


def _pack_attempt(a: Attempt, created_at: Instant) -> list[Any]:
    return [
        a.method,
        a.client,
        a.state,
        a.intent_id,
        a.key,
        a.opened_at.since(created_at),
        a.checked_at.since(a.opened_at),
        a.received_minor,
        a.charge_ref,
    ]


def _order(row: OrderRow) -> Order:
    d = row.data
    order_id = f"ord_{row.pk}{row.sk}"
    cash, coupon, points, bps = d["t"]
    created_at = Instant(int(row.created_ms))
    charges = tuple(_charge(order_id, i, packed, created_at) for i, packed in enumerate(d.get("ch", [])))
    intents = [attempt.intent_id for charge in charges for attempt in charge.attempts]
    return Order(
        id=order_id,
        account_id=row.account_id,
        merchant_id=row.merchant_id,
        shop_id=row.shop_id,
        zone=d["zn"],
        state=row.state,
        lines=tuple(_line(order_id, i, packed) for i, packed in enumerate(d["ln"])),
        charges=charges,
        terms=Terms(currency=d["cu"], cash_minor=cash, coupon_minor=coupon, points_minor=points, commission_bps=bps),
        policy=tuple((step[0], step[1]) for step in d.get("pl", [])),
        confirmation=d.get("cf", "instant"),
        deadline=Instant(row.deadline_ms),
        due_at=Instant(int(row.due_ms)),
        created_at=created_at,
        request_hash=d["rh"],
        version=row.version,
        payment_state=d.get("ps", "none"),
        refund_state=d.get("rs", "none"),
        dispute_state=d.get("ds", "none"),
        cancel_reason=d.get("cr", ""),
        cancel_mark=d.get("cm", ""),
        cancel_note=d.get("cn", ""),
        kept_minor=d.get("kp", 0),
        extended=bool(d.get("x", 0)),
        behind=bool(d.get("bh", 0)),
        refunds=tuple(_refund(packed, intents, created_at) for packed in d.get("rf", [])),
        timeline=tuple(_event(packed, created_at) for packed in d.get("tl", [])),
        note=d.get("nt", ""),
        last_hash=base64.b64decode(d.get("lh", "")).hex(),
        earned_at=Instant(d["ea"]) if d.get("ea") else None,
    )


def _refund(packed: list[Any], intents: list[str], created_at: Instant) -> RefundRecord:
    own_id, amount, state, reason, place, tries, provider_id, approved = packed
    intent_id = intents[place] if isinstance(place, int) else place
    return RefundRecord(own_id, amount, state, reason, intent_id, tries, provider_id, created_at.plus(ms=approved))


def _line(order_id: str, index: int, packed: list[Any]) -> Line:
    offer_id, version, kind, options, quantity, price, discounts, state, booking = packed
    return Line(
        id=line_id(order_id, index),
        offer_id=offer_id,
        offer_version=version,
        kind=kind,
        option_ids=tuple(options),
        quantity=quantity,
        unit_price_minor=price,
        discounts=tuple(Discount(*discount) for discount in discounts),
        fulfilment_state=state,
        booking=_booking(booking) if booking else None,
    )


def _charge(order_id: str, index: int, packed: list[Any], created_at: Instant) -> Charge:
    purpose, amount, state, attempts = packed
    own_id = charge_id(order_id, index)
    found = (_attempt(order_id, own_id, i + 1, a, created_at) for i, a in enumerate(attempts))
    return Charge(own_id, purpose, amount, state, tuple(found))


def _attempt(order_id: str, charge: str, ordinal: int, packed: list[Any], created_at: Instant) -> Attempt:
    method, client, state, intent_id, key, opened, checked, received, ref = packed
    return Attempt(
        id=attempt_id(order_id, charge, ordinal, method),
        ordinal=ordinal,
        method=method,
        client=client,
        state=state,
        intent_id=intent_id,
        key=key,
        opened_at=created_at.plus(ms=opened),
        checked_at=created_at.plus(ms=opened + checked),
        received_minor=received,
        charge_ref=ref,
    )


def order(order_id: str) -> Order | None:
    """A15: one order by its id, strong."""
    pk, sk = ids.split(order_id)
    try:
        return _order(OrderRow.get(pk, sk, consistent_read=True))
    except OrderRow.DoesNotExist:
        return None


def orders_of(account_id: str) -> list[Order]:
    """A16: a consumer's orders, newest first; read whole and sorted in memory, which is cheaper than an index."""
    rows = OrderRow.query(ids.tag(account_id), limit=MAX_OF_ACCOUNT, consistent_read=True)
    own = (_order(row) for row in rows if row.account_id == account_id)
    return sorted(own, key=lambda o: (-o.created_at.ms, o.id))


def due(until: Instant, since: Instant) -> Iterator[str]:
    """A17: ids of orders whose mark lies in (since, until], oldest first in each shard."""
    for shard in range(settings().due_shards):
        span = OrderRow.due_ms.between(_ms(since.plus(ms=1)), _ms(until))
        for key in OrderRow.due.query(str(shard), span):
            yield f"ord_{key.pk}{key.sk}"


def orders_of_shop(shop_id: str, since: Instant, limit: int) -> list[Order]:
    """A14: a shop's orders placed at or after an instant, oldest first."""
    keys = list(OrderRow.of_shop.query(shop_id, OrderRow.created_ms >= _ms(since), limit=limit))
    return many(f"ord_{key.pk}{key.sk}" for key in keys)


def many(order_ids: Iterable[str]) -> list[Order]:
    """Orders by id, in the given order; missing ones are left out. Strong, in batches of 100."""
    wanted = list(dict.fromkeys(order_ids))
    found: dict[str, Order] = {}
    for start in range(0, len(wanted), 100):
        keys = [ids.split(order_id) for order_id in wanted[start : start + 100]]
        for row in OrderRow.batch_get(keys, consistent_read=True):
            one = _order(row)
            found[one.id] = one
    return [found[order_id] for order_id in wanted if order_id in found]


def everything(touched_since: Instant) -> Iterator[Order]:
    """A63: every order to which something has happened since an instant, in no order; a strong scan."""
    for row in OrderRow.scan(consistent_read=True):
        one = _order(row)
        if max((event.at for event in one.timeline), default=one.created_at) >= touched_since:
            yield one


def put_new(tx: Transaction, placed: Order, otherwise: Otherwise) -> None:
    tx.put_new(_row(placed), otherwise)


def check_unmoved(tx: Transaction, seen: Order) -> None:
    """The transaction holds only if the order is as it was read. Raises Changed."""
    tx.check(OrderRow(*ids.split(seen.id)), OrderRow.version == seen.version, Changed())


def check_absent(tx: Transaction, order_id: str, otherwise: Otherwise) -> None:
    """The transaction holds only if there is no such order."""
    tx.check(OrderRow(*ids.split(order_id)), OrderRow.pk.does_not_exist(), otherwise)


def request_hash(old: dict[str, Any]) -> str:
    """The request hash inside a raw stored row."""
    return str(json.loads(old["d"]["S"])["rh"])


def save(tx: Transaction, before: Order, after: Order, *, due_by: Instant | None = None) -> None:
    """Moves an order from what was read to what was decided. `due_by`: its deadline must not lie after this instant.

    A lost race is Unavailable with an immediate retry; `saving.change` reads again and decides anew.
    """
    condition = (OrderRow.state == before.state) & (OrderRow.version == before.version)
    if due_by is not None:
        condition &= OrderRow.deadline_ms <= due_by.ms
    tx.put(_row(after), condition, Changed())


def size_of(one: Order) -> int:
    """Bytes of the stored row, as DynamoDB counts them: names and values in UTF-8, numbers about half a digit each."""
    item = _row(one).serialize()
    total = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        total += len(name) + (1 + (len(content) + 1) // 2 if kind == "N" else len(content.encode()))
    return total
