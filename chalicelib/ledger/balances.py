"""What the ledger keeps beside the journal: guarded balances, and the provider's lines of an order."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.kernel.instant import Instant


@dataclass(frozen=True)
class MerchantBalance:
    """Guarded amounts of one merchant in one currency, minor units; none is ever below zero."""

    merchant_id: str
    currency: str
    available: int = 0
    withdrawing: int = 0
    reserve: int = 0
    owed: int = 0


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
