"""Movements of ours and lines of the provider's, for the match; every argument has a default."""

from __future__ import annotations

from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.providers.ports import BalanceLine
from chalicelib.reconciliation.model import Movement
from tests.builders.ledger import NOW


def move(
    ref: str = "ch_1", amount: int = 12_800, currency: str = "CNY", *, at: Instant = NOW, entry_id: str = ""
) -> Movement:
    """An entry's movement, ten hours before the tests' `LATER`."""
    return Movement(entry_id or f"entry:{ref}:1", f"ord_{ref}", ref, currency, amount, at)


def line(
    ref: str = "ch_1",
    amount: int = 12_800,
    currency: str = "CNY",
    *,
    fee: int = 77,
    category: str = "",
    line_id: str = "",
    at: Instant = NOW,
) -> BalanceLine:
    """The provider's line for it; the category follows from the sign."""
    return BalanceLine(
        line_id=line_id or f"txn_{ref}",
        category=category or ("charge" if amount > 0 else "refund"),
        amount=Money(amount, currency),
        fee=Money(fee, currency),
        source=ref,
        created=at,
        available_on=at.plus(days=2),
        order_id=f"ord_{ref}",
    )
