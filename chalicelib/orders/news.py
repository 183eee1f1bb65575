"""What others hear of an order."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.kernel.instant import Instant
from chalicelib.orders.model import Order
from chalicelib.runtime.outbox import News


def news_of(order: Order, events: Sequence[str], now: Instant) -> list[News]:
    return [
        News.of(
            event, order.id, order.version, now, order_id=order.id, account_id=order.account_id, shop_id=order.shop_id
        )
        for event in events
    ]
