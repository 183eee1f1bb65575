"""Orders as answers: names come from the catalogue, at the version that was bought, in the caller's language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import text_in
from chalicelib.orders.model import Order
from chalicelib.orders.quotes import Quote
from chalicelib.orders.schemas import (
    AttemptOut,
    Names,
    NextAction,
    OptionOut,
    OrderOut,
    PolicyOut,
    QuotedLineOut,
    QuoteOut,
    money,
    order_out,
)
from chalicelib.runtime.context import Context
from chalicelib.web.schema import MoneyOut

if TYPE_CHECKING:
    from chalicelib.orders.paying import Opened


def names_for(ctx: Context, orders: Sequence[Order]) -> dict[str, Names]:
    """The names that each order shows, by order id. Offer versions never change, so the catalogue keeps them warm."""
    pages = {shop_id: catalog.whole_page(ctx, shop_id) for shop_id in dict.fromkeys(order.shop_id for order in orders)}
    found: dict[str, Names] = {}
    for order in orders:
        page = pages[order.shop_id]
        offers = {}
        for line in order.lines:
            offer = catalog.offer(ctx, line.offer_id, line.offer_version)
            options = {option.id: text_in(option.name, ctx.locale) for option in offer.options}
            offers[line.offer_id, line.offer_version] = (text_in(offer.name, ctx.locale), options)
        found[order.id] = {
            "shop": text_in(page.shop.name, ctx.locale),
            "offers": offers,
            "staff": {member.id: text_in(member.name, ctx.locale) for member in page.staff},
        }
    return found


def present(ctx: Context, order: Order) -> OrderOut:
    return order_out(order, str(ctx.now), names_for(ctx, [order])[order.id])


def present_all(ctx: Context, orders: Sequence[Order]) -> list[OrderOut]:
    names = names_for(ctx, orders)
    return [order_out(order, str(ctx.now), names[order.id]) for order in orders]


def present_quote(ctx: Context, quote: Quote) -> QuoteOut:
    def amount(minor: int) -> MoneyOut:
        return MoneyOut(amount_minor=minor, currency=quote.currency)

    return QuoteOut(
        id=quote.id,
        shop_id=quote.page.shop.id,
        expires_at=str(quote.expires_at),
        server_time=str(ctx.now),
        lines=[
            QuotedLineOut(
                offer_id=line.offer.id,
                name=text_in(line.offer.name, ctx.locale),
                options=[OptionOut(id=o.id, name=text_in(o.name, ctx.locale)) for o in line.options],
                quantity=line.quantity,
                unit_price=amount(line.unit_price_minor),
                net=amount(line.unit_price_minor * line.quantity),
                starts_at=str(line.starts_at),
                ends_at=str(line.ends_at),
                staff_id=line.staff_id,
            )
            for line in quote.lines
        ],
        discounts=[],
        total=amount(quote.total_minor),
        policy=PolicyOut.of(quote.policy),
    )


def present_attempt(ctx: Context, opened: Opened) -> AttemptOut:
    return AttemptOut(
        attempt_id=opened.attempt.id,
        charge_id=opened.charge.id,
        order_id=opened.order.id,
        method=opened.attempt.method,
        state=opened.attempt.state,
        order_state=opened.order.state,
        amount=money(opened.order, opened.charge.amount_minor),
        next_action=NextAction(**opened.next_action) if opened.next_action else None,
        server_time=str(ctx.now),
    )
