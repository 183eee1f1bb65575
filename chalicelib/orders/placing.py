"""From a quote to an order that holds its place."""

from __future__ import annotations

from chalicelib.booking import service as booking
from chalicelib.booking.model import Block, Calendar, SlotTaken
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import ShopPage
from chalicelib.kernel import ids
from chalicelib.kernel.errors import IdempotencyKeyReused, Problem
from chalicelib.kernel.instant import Instant
from chalicelib.ledger.model import Terms
from chalicelib.orders import quotes, tables
from chalicelib.orders.model import Booking, Charge, Event, Line, Order
from chalicelib.orders.news import news_of
from chalicelib.orders.quotes import Quote, QuotedLine
from chalicelib.runtime import metrics, outbox
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, OldItem, Transaction

_TRIES = 5


def place(ctx: Context, quote_id: str, note: str, key: str, request_hash: str) -> tuple[Order, bool]:
    """The order, and whether it stood already (a replay of the same key).

    Raises QuoteInvalid, QuoteExpired, QuoteChanged, SlotTaken and SlotUnavailable with `alternatives`,
    IdempotencyKeyReused when the key came with another body.
    """
    order_id = ids.owned("ord", ctx.actor.account_id, "place", key)
    try:
        return _place(ctx, order_id, quote_id, note, request_hash), False
    except AlreadyDone:
        pass
    except IdempotencyKeyReused:
        raise
    except Problem:
        # A replay must find its order even when the quote is old by now and the slot is, of course, taken.
        if (found := tables.order(order_id)) is None:
            raise
        if found.request_hash != request_hash:
            raise IdempotencyKeyReused from None
        return found, True
    stored = tables.order(order_id)
    if stored is None:
        raise RuntimeError("an order that refused its own put is not there")
    return stored, True


def _place(ctx: Context, order_id: str, quote_id: str, note: str, request_hash: str) -> Order:
    quote = quotes.reopen(ctx, quote_id)
    merchant = catalog.merchant(ctx, quote.page.shop.merchant_id)
    for _ in range(_TRIES):
        blocks, taken = booking.resolve(ctx, quote.page, quote.wishes())
        order = _order(
            ctx, order_id, quote, blocks, note=note, request_hash=request_hash, commission_bps=merchant.commission_bps
        )
        try:
            _write(ctx, order, blocks, quote.page, taken)
            return order
        except SlotTaken:
            # Somebody was faster. Read again: with 'any staff' another one may be free, else the refusal says what is.
            continue
    wish = quote.wishes()[0]
    raise SlotTaken(alternatives=booking.alternatives(ctx, quote.page, wish))


def _write(ctx: Context, order: Order, blocks: list[Block], page: ShopPage, taken: Calendar) -> None:
    def stands_already(old: OldItem) -> Problem | None:
        return None if tables.request_hash(old or {}) == order.request_hash else IdempotencyKeyReused()

    tx = Transaction()
    # First in the transaction, so that a replay is told by it and not by its own claim.
    tables.put_new(tx, order, stands_already)
    booking.claim(tx, order.id, blocks)
    doubted = booking.doubt(ctx, tx, order.id, order.shop_id, blocks, page, taken)
    if order.state != "pending_payment":
        outbox.publish(tx, *news_of(order, (f"order.{order.state}",), ctx.now))
    tx.commit()
    metrics.count(metrics.ORDERS_PLACED)
    if order.state == "confirmed":
        metrics.count(metrics.ORDERS_CONFIRMED)
    booking.note_days(ctx, order.shop_id, blocks, doubted)


def _order(
    ctx: Context, order_id: str, quote: Quote, blocks: list[Block], *, note: str, request_hash: str, commission_bps: int
) -> Order:
    """A pending order with one charge, or one that needs no payment because it costs nothing."""
    shop = quote.page.shop
    free = quote.total_minor == 0
    instant = all(line.offer.confirmation == "instant" for line in quote.lines)
    state = ("confirmed" if instant else "paid") if free else "pending_payment"
    wait = ctx.settings.accept_seconds if free else ctx.settings.hold_seconds
    deadline = ctx.now.plus(seconds=wait)
    charge = Charge(tables.charge_id(order_id, 0), "booking", quote.total_minor, "open")
    return Order(
        id=order_id,
        account_id=ctx.actor.account_id,
        merchant_id=shop.merchant_id,
        shop_id=shop.id,
        zone=shop.zone,
        state=state,
        lines=tuple(
            _line(order_id, i, line, block) for i, (line, block) in enumerate(zip(quote.lines, blocks, strict=True))
        ),
        charges=() if free else (charge,),
        terms=Terms(
            currency=quote.currency,
            cash_minor=quote.total_minor,
            coupon_minor=0,
            points_minor=0,
            commission_bps=commission_bps,
        ),
        policy=quote.policy,
        confirmation="instant" if instant else "request",
        deadline=deadline,
        due_at=deadline,
        created_at=ctx.now,
        request_hash=request_hash,
        payment_state="paid" if free else "none",
        timeline=_first_events(ctx.now, state),
        note=note,
    )


def _first_events(now: Instant, state: str) -> tuple[Event, ...]:
    events = [Event("placed", now, "customer")]
    if state == "confirmed":
        events.append(Event("confirmed", now, "system"))
    return tuple(events)


def _line(order_id: str, index: int, line: QuotedLine, block: Block) -> Line:
    before = line.offer.buffer_before_minutes
    after = line.offer.buffer_after_minutes
    booked = Booking(
        staff_id=block.staff_id,
        chair_id=block.chair_id,
        starts_at=block.begin.plus(minutes=before),
        ends_at=block.end.plus(minutes=-after),
        occupied_from=block.begin,
        occupied_until=block.end,
    )
    return Line(
        id=tables.line_id(order_id, index),
        offer_id=line.offer.id,
        offer_version=line.offer.version,
        kind=line.offer.kind,
        option_ids=tuple(option.id for option in line.options),
        quantity=line.quantity,
        unit_price_minor=line.unit_price_minor,
        discounts=(),
        fulfilment_state="expected",
        booking=booked,
    )
