"""Quotes: what a visit would cost now, signed and stored nowhere. Asking again gives an equal price and a new expiry.

The id is the quote itself: a compact payload behind a MAC that binds it to the account, so that the price of an order
is the one that was shown, and a client's amount is never believed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.booking.service import Wish
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import (
    KINDS,
    Offer,
    Option,
    Policy,
    ShopNotFound,
    ShopPage,
    StaffCannotServe,
    can_serve,
    choose,
    duration_of,
    price_of,
    refund_bps,
)
from chalicelib.kernel.errors import Invalid
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import MAX_AMOUNT_MINOR
from chalicelib.orders.model import QuoteChanged, QuoteExpired, QuoteInvalid
from chalicelib.runtime.context import Context

MAX_LINES = 5
_MAC_BYTES = 16


class OneShopOnly(Invalid):
    """The lines of a quote are of one shop, each on its shelf."""

    code = "one_shop_only"


class KindNotOnSale(Invalid):
    code = "kind_not_on_sale"


class StartMissing(Invalid):
    """An appointment needs `starts_at`, and a quantity of 1."""

    code = "start_missing"


@dataclass(frozen=True)
class Wanted:
    """One line as the client asks for it."""

    offer_id: str
    option_ids: tuple[str, ...]
    quantity: int
    starts_at: Instant | None
    staff_id: str | None


@dataclass(frozen=True)
class QuotedLine:
    offer: Offer
    options: tuple[Option, ...]
    quantity: int
    unit_price_minor: int
    starts_at: Instant
    ends_at: Instant
    staff_id: str | None


@dataclass(frozen=True)
class Quote:
    """`policy` is the strictest of the lines' policies; it becomes the order's snapshot."""

    id: str
    expires_at: Instant
    page: ShopPage
    lines: tuple[QuotedLine, ...]
    total_minor: int
    currency: str
    policy: Policy

    def wishes(self) -> list[Wish]:
        return [Wish(line.offer, line.options, line.staff_id, line.starts_at) for line in self.lines]


def make(ctx: Context, wanted: list[Wanted], shop_id: str | None = None) -> Quote:
    """Prices the lines as the catalogue says now. Whether the slots are free is decided when the order is placed.

    Raises OfferNotFound, OneShopOnly, KindNotOnSale, StartMissing, OptionsInvalid, StaffCannotServe.
    """
    page, _ = catalog.offer_on_sale(ctx, wanted[0].offer_id)
    offers = {offer.id: offer for offer in page.offers}
    if (shop_id and shop_id != page.shop.id) or any(line.offer_id not in offers for line in wanted):
        raise OneShopOnly
    expires_at = ctx.now.plus(seconds=ctx.settings.quote_seconds)
    lines = tuple(_line(page, offers[line.offer_id], line) for line in wanted)
    return _quote(ctx, page, lines, expires_at)


def _line(page: ShopPage, offer: Offer, wanted: Wanted) -> QuotedLine:
    if not KINDS[offer.kind].timed:
        raise KindNotOnSale
    if wanted.starts_at is None or wanted.quantity != 1:
        raise StartMissing
    options = choose(offer, wanted.option_ids)
    staff = next((member for member in page.staff if member.id == wanted.staff_id), None)
    if wanted.staff_id is not None and (staff is None or not can_serve(staff, offer)):
        raise StaffCannotServe
    price = price_of(offer, options, staff).amount_minor
    minutes = duration_of(offer, options, staff)
    return QuotedLine(
        offer, options, 1, price, wanted.starts_at, wanted.starts_at.plus(minutes=minutes), wanted.staff_id
    )


def _quote(ctx: Context, page: ShopPage, lines: tuple[QuotedLine, ...], expires_at: Instant) -> Quote:
    total = sum(line.unit_price_minor * line.quantity for line in lines)
    if total > MAX_AMOUNT_MINOR:
        raise Invalid(errors=[{"field": "lines", "message": "the total is too large"}])
    policy = strictest([line.offer.policy for line in lines])
    payload = {
        "e": expires_at.ms,
        "s": page.shop.id,
        "t": total,
        "p": [list(step) for step in policy],
        "l": [
            [
                line.offer.id,
                line.offer.version,
                [o.id for o in line.options],
                line.starts_at.ms,
                line.staff_id or "",
                line.unit_price_minor,
            ]
            for line in lines
        ],
    }
    quote_id = _seal(ctx, payload)
    return Quote(quote_id, expires_at, page, lines, total, page.shop.currency, policy)


def strictest(policies: Sequence[Policy]) -> Policy:
    """At every notice the least that any of the policies gives back: two policies need not be comparable as wholes."""
    steps: list[tuple[int, int]] = []
    for notice in sorted({notice for policy in policies for notice, _ in policy}, reverse=True):
        bps = min(refund_bps(policy, notice) for policy in policies)
        if steps and steps[-1][1] == bps:
            steps.pop()
        steps.append((notice, bps))
    return tuple(steps)


def _key(ctx: Context) -> bytes:
    return ctx.ports.secrets.get("quote_key").encode()


def _mac(ctx: Context, data: bytes) -> bytes:
    return hmac.new(_key(ctx), ctx.actor.account_id.encode() + b"\0" + data, hashlib.sha256).digest()[:_MAC_BYTES]


def _seal(ctx: Context, payload: dict[str, Any]) -> str:
    data = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    return "quo_" + base64.urlsafe_b64encode(_mac(ctx, data) + data).decode().rstrip("=")


def _unseal(ctx: Context, quote_id: str) -> dict[str, Any]:
    try:
        text = quote_id.removeprefix("quo_")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if not quote_id.startswith("quo_") or not hmac.compare_digest(raw[:_MAC_BYTES], _mac(ctx, raw[_MAC_BYTES:])):
            raise QuoteInvalid
        payload: dict[str, Any] = json.loads(raw[_MAC_BYTES:])
        return payload
    except ValueError as error:
        raise QuoteInvalid from error


def reopen(ctx: Context, quote_id: str) -> Quote:
    """The quote behind an id, priced again. Raises QuoteInvalid, QuoteExpired, and QuoteChanged when the catalogue has
    moved on since."""
    payload = _unseal(ctx, quote_id)
    expires_at = Instant(payload["e"])
    if ctx.now >= expires_at:
        raise QuoteExpired
    try:
        page = catalog.shop_page(ctx, payload["s"])
    except ShopNotFound as error:
        raise QuoteChanged from error
    offers = {offer.id: offer for offer in page.offers}
    lines = []
    for offer_id, version, option_ids, start_ms, staff_id, price in payload["l"]:
        offer = offers.get(offer_id)
        if offer is None or offer.version != version:
            raise QuoteChanged
        line = _line(page, offer, Wanted(offer_id, tuple(option_ids), 1, Instant(start_ms), staff_id or None))
        if line.unit_price_minor != price:
            raise QuoteChanged
        lines.append(line)
    return Quote(
        quote_id,
        expires_at,
        page,
        tuple(lines),
        payload["t"],
        page.shop.currency,
        tuple((step[0], step[1]) for step in payload["p"]),
    )
