"""What the ledger keeps beside the journal: guarded balances, and the provider's lines of an order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.instant import Instant
from chalicelib.ledger.entries import Entry


@dataclass(frozen=True)
class MerchantBalance:
    """Guarded amounts of one merchant in one currency, minor units; none is ever below zero."""

    merchant_id: str
    currency: str
    available: int = 0
    withdrawing: int = 0
    reserve: int = 0
    owed: int = 0


class BalanceMoved(Conflict):
    """A balance is not what it was when it was looked at."""

    code = "balance_moved"


@dataclass(frozen=True)
class Counted:
    """A balance, and how many entries have moved it."""

    balance: MerchantBalance
    entries: int

    def by_name(self) -> dict[str, int]:
        held = self.balance
        return {
            "available": held.available,
            "withdrawing": held.withdrawing,
            "reserve": held.reserve,
            "owed": held.owed,
            "entries": self.entries,
        }


def recounted(merchant_id: str, currency: str, entries: Iterable[Entry]) -> Counted:
    """What a merchant's entries make of its guarded amounts."""
    names = ("L.merchant_available:", "L.merchant_withdrawing:", "L.merchant_reserve:", "A.merchant_receivable:")
    sums = dict.fromkeys(names, 0)
    count = 0
    for entry in entries:
        if entry.currency == currency:
            moved = {name: entry.on(name + merchant_id) for name in names}
            count += any(moved.values())
            sums = {name: sums[name] + moved[name] for name in names}
    available, withdrawing, reserve, receivable = sums.values()
    return Counted(MerchantBalance(merchant_id, currency, -available, -withdrawing, -reserve, receivable), count)


@dataclass(frozen=True)
class PendingMark:
    """What a merchant had earned and not been settled at an instant: a sum that need not be made again."""

    until: Instant
    amount_minor: int


@dataclass(frozen=True)
class ProviderLine:
    """A line of the provider's account that was matched with an entry of an order. Amounts in the provider's sign."""

    order_id: str
    line_id: str
    ref: str
    currency: str
    amount_minor: int
    fee_minor: int
    available_on: Instant
    matched_at: Instant
