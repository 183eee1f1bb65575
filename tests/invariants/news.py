"""News and messages: nothing is left lying, everybody is told, and nobody twice."""

from __future__ import annotations

from collections import Counter, defaultdict

from chalicelib.kernel.instant import HOUR_MS
from chalicelib.notifications.model import Receipt
from chalicelib.orders.model import Order
from chalicelib.runtime.settings import settings
from tests.invariants.reading import Seen

# What makes a message untrue that was true when it happened.
_LEAVES = {
    "order.confirmed": ("cancelled", "no_show", "checked_in", "started"),
    "order.paid": ("accepted", "declined", "cancelled"),
}
ONCE = ("order.confirmed", "order.paid", "order.cancelled", "order.declined")


def told_at_most_once(seen: Seen) -> list[str]:
    """Notifications: one marker for each thing that happened to an order, and a message of a refund for each refund."""
    told = _told(seen)
    faults = []
    for order in seen.orders.values():
        for event in ONCE:
            if len(told[order.id, event]) > 1:
                faults.append(f"{order.id}: {event} was told {len(told[order.id, event])} times")
        paid_out = {entry.n for entry in seen.entries_of(order.id) if entry.event == "refund_succeeded"}
        faults += [
            f"{order.id}: a refund was told of version {version}, in which none succeeded"
            for version in told[order.id, "order.refunded"] - paid_out
        ]
    twice = Counter((one.recipient, one.id) for one in seen.receipts)
    faults += [f"{receipt}: {count} markers of {who}" for (who, receipt), count in twice.items() if count > 1]
    return faults + [
        f"{one.id}: told to {one.recipient}, who has not placed it"
        for one in seen.receipts
        if (found := seen.orders.get(_order_of(one.id))) is not None and found.account_id != one.recipient
    ]


# ---------------------------------------------------------------------------------------------- at rest


def no_news_is_left(seen: Seen) -> list[str]:
    """Every piece of news has been handled."""
    return [f"{one.news.id} still stands" for one in seen.news]


def everybody_is_told(seen: Seen) -> list[str]:
    """Notifications: whoever's order was confirmed, cancelled, declined or refunded has a marker of the message."""
    told = _told(seen)
    today = Counter(one.recipient for one in seen.receipts)
    faults = []
    for order in seen.orders.values():
        if order.account_id not in seen.reachable or today[order.account_id] >= settings().notices_per_day:
            continue
        faults += [
            f"{order.id} ({order.state}): nobody was told {event}"
            for event in _due(order, seen)
            if not told[order.id, event]
        ]
        paid_out = {entry.n for entry in seen.entries_of(order.id) if entry.event == "refund_succeeded"}
        if len(told[order.id, "order.refunded"]) < len(paid_out):
            faults.append(f"{order.id}: {len(paid_out)} refunds, told {len(told[order.id, 'order.refunded'])}")
    return faults


def every_marker_has_its_message(seen: Seen) -> list[str]:
    """Notifications: a marker that is held stands for a message that has left, and none is let go for good; unless it
    was no longer true by the time when the news came again."""
    return [
        f"{one.recipient}: {one.id} is {'held' if one.by else 'let go'}, and no message has left"
        for one in seen.receipts
        if f"{one.recipient}#{one.id}" not in seen.sent and not _overtaken(seen.orders.get(_order_of(one.id)), one)
    ]


def _overtaken(order: Order | None, marker: Receipt) -> bool:
    """Has the order left the state that the message tells, or its visit begun, within an hour of the marker? (News
    comes again after three minutes, and clocks differ by seconds.)"""
    ends = _LEAVES.get(marker.id.rpartition("#")[2])
    if order is None or ends is None:
        return False
    moments = [event.at for event in order.timeline if event.event in ends]
    moments += [order.starts_at] if order.starts_at else []
    return any(-5_000 <= at.since(marker.at) <= HOUR_MS for at in moments)


def _due(order: Order, seen: Seen) -> list[str]:
    """What a customer must have heard of an order as it stands: what was true when it happened is true still."""
    to_come = order.starts_at is None or order.starts_at > seen.now
    if order.state in ("paid", "confirmed"):
        return [f"order.{order.state}"] if to_come else []
    if order.state == "declined":
        return ["order.declined"]
    by_others = order.cancel_reason in ("merchant", "operator", "no_show")
    if order.state == "cancelled" and (
        by_others or (order.cancel_reason == "customer" and order.payment_state == "paid")
    ):
        return ["order.cancelled"]
    return []


def _order_of(receipt_id: str) -> str:
    return receipt_id.split(":")[1] if receipt_id.count(":") == 2 else ""


def _told(seen: Seen) -> dict[tuple[str, str], set[int]]:
    """Versions of which an order's customer was told, by order and event."""
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for receipt in seen.receipts:
        news_id, _, event = receipt.id.partition("#")
        if news_id.count(":") == 2:
            _, order_id, version = news_id.split(":")
            found[order_id, event].add(int(version))
    return found


ALWAYS = (told_at_most_once,)
AT_REST = (no_news_is_left, everybody_is_told, every_marker_has_its_message)
