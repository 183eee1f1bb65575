"""Builders of entries and orders' money for tests; every argument has a default."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model, service
from chalicelib.ledger.model import Entry, Leg, Terms
from chalicelib.runtime.transaction import Transaction

NOW = Instant.parse("2026-11-22T10:00:00.000Z")
# The order of money.md's example: 100.00, a coupon of 10, points worth 5, commission 12 %.
EXAMPLE = Terms("CNY", cash_minor=8500, coupon_minor=1000, points_minor=500, commission_bps=1200)


def terms(cash: int = 8500, coupon: int = 1000, points: int = 500, bps: int = 1200, currency: str = "CNY") -> Terms:
    return Terms(currency, cash, coupon, points, bps)


class Books:
    """Entries of one order, chained one after the other; `post` also writes each to the journal."""

    def __init__(
        self,
        money: Terms = EXAMPLE,
        *,
        order_id: str = "",
        merchant_id: str = "",
        shop_id: str = "",
        at: Instant = NOW,
        zone: str = "Asia/Shanghai",
        ref: str = "",
        stored: bool = False,
    ) -> None:
        self.terms = money
        self.order_id = order_id or ids.random_id("ord")
        self.merchant_id = merchant_id or ids.random_id("mch")
        self.shop_id = shop_id or ids.random_id("shp")
        self.at = at
        self.zone = zone
        self.charge = ref or f"ch_{ids.random_id('x')[2:]}"
        self.stored = stored
        self.entries: list[Entry] = []

    def add(self, event: str, legs: Iterable[Leg], *, at: Instant | None = None, ref: str = "") -> Entry:
        made = model.entry(
            event,
            self.order_id,
            len(self.entries) + 1,
            at=at or self.at.plus(seconds=len(self.entries)),
            currency=self.terms.currency,
            legs=legs,
            merchant_id=self.merchant_id,
            shop_id=self.shop_id,
            ref=ref,
            meta={"bps": self.terms.commission_bps, "zone": self.zone},
            previous_hash=model.head_hash(self.entries),
        )
        self.entries.append(made)
        if self.stored:
            post(made)
        return made

    def captured(self, at: Instant | None = None) -> Entry:
        return self.add("captured", model.payment_confirmed(self.terms, "stripe"), at=at, ref=self.charge)

    def earned(self, net_minor: int | None = None, at: Instant | None = None) -> Entry:
        net = self.terms.gross_minor if net_minor is None else net_minor
        return self.add("earned", model.earned(self.terms, self.merchant_id, net), at=at)

    def earned_reversed(self, net_minor: int | None = None, at: Instant | None = None) -> Entry:
        net = self.terms.gross_minor if net_minor is None else net_minor
        return self.add("earned_reversed", model.earned_reversed(self.terms, self.merchant_id, net), at=at)

    def kept(self, kept_minor: int = 0, at: Instant | None = None) -> Entry:
        return self.add("kept", model.kept(self.terms, self.merchant_id, kept_minor), at=at)

    def refund_approved(self, net_before: int, net_after: int) -> Entry:
        return self.add("refund_approved", model.refund_approved(self.terms, net_before, net_after))

    def refund_succeeded(self, amount_minor: int, ref: str = "re_1", at: Instant | None = None) -> Entry:
        return self.add("refund_succeeded", model.refund_succeeded(amount_minor, "stripe"), ref=ref, at=at)


def post(made: Entry) -> None:
    """Writes one entry to the journal."""
    tx = Transaction()
    service.post(tx, made)
    tx.commit()
