"""A merchant's earnings with everything that a settlement looks at, and the run itself."""

from __future__ import annotations

from chalicelib import wiring
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import ProviderLine
from chalicelib.runtime.context import Context
from chalicelib.settlement import service
from tests.builders.ledger import NOW, Books, terms


def run(now: Instant) -> dict[str, int]:
    """The settlement of a night."""
    return service.settle(Context(now=now, ports=wiring.ports()))


def available(order: Books, *, on: Instant = NOW, at: Instant = NOW, fee_minor: int = 60) -> None:
    """The provider's line of an order's charge, matched and usable from `on`."""
    ledger.keep_line(
        ProviderLine(
            order.order_id,
            f"txn_{order.order_id}",
            order.charge,
            order.terms.currency,
            order.terms.cash_minor,
            fee_minor,
            on,
            at,
        )
    )


def served(
    merchant_id: str, shop_id: str, *, cash: int = 10_000, at: Instant = NOW, matched: bool = True, **changed: str
) -> Books:
    """An order that was paid, served and, when `matched`, whose money can be used."""
    money = terms(cash=cash, coupon=0, points=0, currency=changed.pop("currency", "CNY"))
    order = Books(money, merchant_id=merchant_id, shop_id=shop_id, at=at, stored=True, **changed)
    order.captured()
    order.earned()
    if matched:
        available(order)
    return order
