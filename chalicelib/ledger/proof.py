"""The proof of an order: that its books agree with what the provider says happened and with what was decided.

    captured − refunded − charged_back + subsidies = escrow + merchant + platform + tax + owed_back

The left side is facts from outside the journal, the right side is the journal. Balanced entries alone would always
agree with themselves, which is why neither side is ever computed from the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.ledger.entries import MERCHANT_ACCOUNTS, Entry, chain_failures, head_hash, in_order
from chalicelib.ledger.postings import Terms, parts_of

PLATFORM_ACCOUNTS = ("R.commission", "R.breakage", "R.penalty", "E.bad_debt")


@dataclass(frozen=True)
class Facts:
    """Minor units: `captured`, `refunded` and `charged_back` by succeeded attempts, succeeded refunds and lost
    disputes at the provider; `coupon` and `points` as far as the order's frozen terms still spend them."""

    captured: int
    refunded: int = 0
    charged_back: int = 0
    coupon: int = 0
    points: int = 0


@dataclass(frozen=True)
class Expected:
    """What the decision makes of the order's frozen terms, computed anew: the merchant's and the platform's part."""

    merchant: int
    platform: int


NOTHING_EARNED = Expected(0, 0)


def expected_of(terms: Terms, earned_minor: int, tips_minor: int = 0) -> Expected:
    """For `earned_minor` of the gross that the merchant has earned or keeps."""
    parts = parts_of(terms, earned_minor)
    return Expected(parts.merchant + tips_minor, parts.commission)


@dataclass(frozen=True)
class Proof:
    """`hash` is the head of the order's chain; `failures` says in words which conditions do not hold."""

    holds: bool
    equation: dict[str, int]
    entries: tuple[Entry, ...]
    hash: str
    failures: list[str]


def prove(entries: Sequence[Entry], facts: Facts, expected: Expected, terminal: bool) -> Proof:
    """Holds only if (1) the equation holds, (2) merchant and platform are what the decision makes them, and (3) a
    terminal order holds nothing back and owes nothing back. A broken chain proves nothing either."""

    def credit(*accounts: str) -> int:
        return -sum(leg.amount_minor for entry in entries for leg in entry.legs if leg.account.startswith(accounts))

    ordered = tuple(in_order(entries))
    right = {
        "escrow": credit("L.escrow"),
        "merchant": credit(*MERCHANT_ACCOUNTS),
        "platform": credit(*PLATFORM_ACCOUNTS),
        "tax": credit("L.tax"),
        "owed_back": credit("L.refund_payable"),
    }
    left = {
        "captured": facts.captured,
        "refunded": facts.refunded,
        "charged_back": facts.charged_back,
        "subsidies": facts.coupon + facts.points,
    }
    failures = chain_failures(entries)
    received = facts.captured - facts.refunded - facts.charged_back + facts.coupon + facts.points
    if received != sum(right.values()):
        failures.append(f"equation: {received} came in, {sum(right.values())} is booked")
    # Tax is a part of the commission, so the platform's part is decided before it is taken off.
    for name, booked, decided in (
        ("merchant", right["merchant"], expected.merchant),
        ("platform", right["platform"] + right["tax"], expected.platform),
    ):
        if booked != decided:
            failures.append(f"{name}: {booked} is booked, {decided} was decided")
    if terminal and (right["escrow"] or right["owed_back"]):
        failures.append(f"terminal: escrow {right['escrow']}, owed back {right['owed_back']}")
    return Proof(not failures, {**left, **right}, ordered, head_hash(entries), failures)
