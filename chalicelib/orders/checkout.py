"""HTTP operations of buying: quote and place. They stand apart so that a cold start loads nothing of what follows."""

from __future__ import annotations

from chalicelib.booking.model import ServiceTooLong, SlotTaken, SlotUnavailable
from chalicelib.catalog.model import OfferNotFound, OptionsInvalid, StaffCannotServe
from chalicelib.kernel.instant import Instant
from chalicelib.orders import placing, quotes
from chalicelib.orders.model import QuoteChanged, QuoteExpired, QuoteInvalid
from chalicelib.orders.presenting import present, present_quote
from chalicelib.orders.quotes import KindNotOnSale, OneShopOnly, StartMissing
from chalicelib.orders.schemas import MakeQuote, OrderOut, PlaceOrder, QuoteOut
from chalicelib.web.auth import MEMBER
from chalicelib.web.router import Answer, Call, Router

router = Router("orders")

QUOTE_ERRORS = (OfferNotFound, OptionsInvalid, StaffCannotServe, OneShopOnly, KindNotOnSale, StartMissing)


@router.post(
    "/v1/quotes",
    allow=MEMBER,
    body=MakeQuote,
    answers={201: QuoteOut},
    errors=QUOTE_ERRORS,
    example={
        "lines": [
            {
                "offer_id": "ofr_0123456789abcdefghjkmnpqrs",
                "starts_at": "2026-11-23T02:00:00.000Z",
                "staff_id": "stf_0123456789abcdefghjkmnpqrs",
            }
        ]
    },
    summary="What it would cost",
)
def make_quote(call: Call) -> Answer:
    wanted = [
        quotes.Wanted(
            line.offer_id,
            tuple(line.option_ids),
            line.quantity,
            Instant.parse(line.starts_at) if line.starts_at else None,
            line.staff_id,
        )
        for line in call.body.all_lines()
    ]
    return Answer(present_quote(call.ctx, quotes.make(call.ctx, wanted, call.body.shop_id)), 201)


@router.post(
    "/v1/orders",
    allow=MEMBER,
    body=PlaceOrder,
    answers={201: OrderOut},
    errors=(*QUOTE_ERRORS, QuoteInvalid, QuoteExpired, QuoteChanged, SlotTaken, SlotUnavailable, ServiceTooLong),
    idempotency="required",
    summary="Place an order and hold its slots",
)
def place_order(call: Call) -> Answer:
    order, replayed = placing.place(call.ctx, call.body.quote_id, call.body.note, call.key, call.body_hash)
    shown = present(call.ctx, order)
    return Answer(shown, 201, version=order.version, location=f"/v1/orders/{order.id}", replayed=replayed)
