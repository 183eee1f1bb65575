"""Which legs an event books: one function a row of the table of postings, and how a net amount splits into legs.

Amounts are minor units, debit above zero. Legs of nothing are dropped, so an event that moves nothing (an order that
costs nothing) returns no legs and is no entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.kernel.money import BPS, half_up, share_bps
from chalicelib.ledger.entries import Leg, Legs

ESCROW = "L.escrow"
REFUND_PAYABLE = "L.refund_payable"
POINTS = "L.points"
SUSPENSE = "L.suspense"
COUPON_SUBSIDY = "E.coupon_subsidy"
PSP_FEE = "E.psp_fee"
COMMISSION = "R.commission"


def psp(provider: str) -> str:
    return f"A.psp:{provider}"


def pending(merchant_id: str) -> str:
    return f"L.merchant_pending:{merchant_id}"


def available(merchant_id: str) -> str:
    return f"L.merchant_available:{merchant_id}"


@dataclass(frozen=True)
class Terms:
    """The money of an order as frozen when it was placed, minor units. What is paid in coupons and points is paid by
    the platform; discounts that a merchant gives are off before and stand nowhere."""

    currency: str
    cash_minor: int
    coupon_minor: int
    points_minor: int
    commission_bps: int

    def __post_init__(self) -> None:
        if min(self.cash_minor, self.coupon_minor, self.points_minor) < 0:
            raise ValueError("terms hold no negative amounts")
        if not 0 <= self.commission_bps <= BPS:
            raise ValueError("a commission is between nothing and all")

    @property
    def gross_minor(self) -> int:
        """What is held for the order, and what commission is taken of."""
        return self.cash_minor + self.coupon_minor + self.points_minor


@dataclass(frozen=True)
class Parts:
    """The legs of a net amount: commission + merchant = cash + coupon + points = the net."""

    commission: int
    merchant: int
    cash: int
    coupon: int
    points: int


def parts_of(terms: Terms, net_minor: int) -> Parts:
    """The legs of what remains of an order. A refund books the difference of two such, so its outcome is the same
    however it is split, and no leg ever grows. Raises ValueError unless 0 ≤ net ≤ gross."""
    if not 0 <= net_minor <= terms.gross_minor:
        raise ValueError(f"net {net_minor} of {terms.gross_minor}")
    if net_minor == 0:
        return Parts(0, 0, 0, 0, 0)
    commission = share_bps(net_minor, terms.commission_bps)
    cash = half_up(net_minor * terms.cash_minor, terms.gross_minor)
    rest = net_minor - cash
    subsidies = terms.coupon_minor + terms.points_minor
    coupon = half_up(rest * terms.coupon_minor, subsidies) if subsidies else 0
    return Parts(commission, net_minor - commission, cash, coupon, rest - coupon)


def _legs(*sides: tuple[str, int]) -> Legs:
    return tuple(Leg(account, amount) for account, amount in sides if amount)


def payment_confirmed(terms: Terms, provider: str) -> Legs:
    return _legs(
        (psp(provider), terms.cash_minor),
        (COUPON_SUBSIDY, terms.coupon_minor),
        (POINTS, terms.points_minor),
        (ESCROW, -terms.gross_minor),
    )


def provider_fee(fee_minor: int, provider: str) -> Legs:
    """A fee given back is negative."""
    return _legs((PSP_FEE, fee_minor), (psp(provider), -fee_minor))


def unexpected_money(amount_minor: int, provider: str) -> Legs:
    """Money on a closed order, a second success of a charge, a wrong amount: it is owed back from that instant."""
    return _legs((psp(provider), amount_minor), (REFUND_PAYABLE, -amount_minor))


def unmatched_money(amount_minor: int, provider: str) -> Legs:
    """A payment that the provider has and of whose order nothing is known; below zero for a refund of such a one. It
    rests in suspense, which must come to nothing."""
    return _legs((psp(provider), amount_minor), (SUSPENSE, -amount_minor))


def suspense_owed_back(amount_minor: int) -> Legs:
    """What rests in suspense is to go back to whoever paid it."""
    return _legs((SUSPENSE, amount_minor), (REFUND_PAYABLE, -amount_minor))


def earned(terms: Terms, merchant_id: str, net_minor: int) -> Legs:
    """The service was given; `net_minor` is what refunds have left of the gross."""
    parts = parts_of(terms, net_minor)
    return _legs((ESCROW, net_minor), (pending(merchant_id), -parts.merchant), (COMMISSION, -parts.commission))


def earned_reversed(terms: Terms, merchant_id: str, net_minor: int) -> Legs:
    """The undo of `earned` with the same arguments."""
    return tuple(Leg(leg.account, -leg.amount_minor) for leg in earned(terms, merchant_id, net_minor))


def kept(terms: Terms, merchant_id: str, kept_minor: int) -> Legs:
    """Cancelled or not shown up: `kept_minor` of the gross goes to the merchant at the order's own rate, the rest goes
    back to whoever paid it. Nothing kept is the whole refund."""
    whole, stays = parts_of(terms, terms.gross_minor), parts_of(terms, kept_minor)
    return _legs(
        (ESCROW, terms.gross_minor),
        (REFUND_PAYABLE, stays.cash - whole.cash),
        (COUPON_SUBSIDY, stays.coupon - whole.coupon),
        (POINTS, stays.points - whole.points),
        (pending(merchant_id), -stays.merchant),
        (COMMISSION, -stays.commission),
    )


def refund_approved(terms: Terms, net_before: int, net_after: int) -> Legs:
    """Before earning: the net that remains goes down from one amount to the other."""
    before, after = parts_of(terms, net_before), parts_of(terms, net_after)
    if net_after > net_before:
        raise ValueError("a refund leaves no more than there was")
    return _legs(
        (ESCROW, net_before - net_after),
        (REFUND_PAYABLE, after.cash - before.cash),
        (COUPON_SUBSIDY, after.coupon - before.coupon),
        (POINTS, after.points - before.points),
    )


def refund_succeeded(amount_minor: int, provider: str) -> Legs:
    return _legs((REFUND_PAYABLE, amount_minor), (psp(provider), -amount_minor))


def refund_returned(amount_minor: int, provider: str) -> Legs:
    """The money of a refund that had succeeded came back to us, and is owed again."""
    return _legs((psp(provider), amount_minor), (REFUND_PAYABLE, -amount_minor))


def tip(amount_minor: int, provider: str) -> Legs:
    return _legs((psp(provider), amount_minor), (ESCROW, -amount_minor))


def tip_earned(amount_minor: int, merchant_id: str) -> Legs:
    """All of it: no commission is taken of a tip."""
    return _legs((ESCROW, amount_minor), (pending(merchant_id), -amount_minor))


def settled(net_minor: int, merchant_id: str) -> Legs:
    return _legs((pending(merchant_id), net_minor), (available(merchant_id), -net_minor))
