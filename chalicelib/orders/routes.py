"""HTTP operations of orders that stand: pay, look, cancel; the merchant's answer."""

from __future__ import annotations

from chalicelib.catalog import service as catalog
from chalicelib.kernel.errors import InvalidTransition, NotFound
from chalicelib.kernel.instant import Instant
from chalicelib.orders import ending, paying, service
from chalicelib.orders.model import CancelTooLate, Changed, request_mark
from chalicelib.orders.paying import HoldExpired
from chalicelib.orders.presenting import present, present_all, present_attempt
from chalicelib.orders.schemas import (
    AttemptOut,
    CancelOrder,
    CancelQuoteOut,
    CountsOut,
    EntryOut,
    LegOut,
    MerchantOrdersQuery,
    MethodsOut,
    MethodsQuery,
    OpenPayment,
    OrderList,
    OrderOut,
    OrdersQuery,
    PolicyOut,
    ProofOut,
    money,
)
from chalicelib.payments import service as payments
from chalicelib.payments.model import AlreadyPaid, MethodUnavailable, PaymentProcessing, TooManyAttempts
from chalicelib.providers.ports import MethodRefused, ProviderUnavailable
from chalicelib.web.auth import MEMBER, staff
from chalicelib.web.cursor import open_cursor, seal
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import Empty, MoneyOut

router = Router("orders")

CHANGE_ERRORS = (Changed, InvalidTransition)


def _mark(call: Call) -> str:
    return request_mark(call.account_id, call.key, call.body_hash) if call.key else ""


@router.get("/v1/orders", allow=MEMBER, query=OrdersQuery, answers={200: OrderList}, summary="My orders")
def list_orders(call: Call) -> Answer:
    q = call.query
    scope = f"orders:{call.account_id}:{q.tab}:{q.state}"
    found, more = service.mine(call.ctx, q.tab, q.state, open_cursor(scope, q.cursor), q.limit)
    return Answer(OrderList(items=present_all(call.ctx, found), next_cursor=seal(scope, more)))


@router.get("/v1/orders/counts", allow=MEMBER, answers={200: CountsOut}, summary="How many orders in each tab")
def count_orders(call: Call) -> Answer:
    return Answer(CountsOut(**service.counts(call.ctx)))


@router.get("/v1/orders/{order_id}", allow=MEMBER, answers={200: OrderOut}, summary="One order")
def get_order(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    return Answer(present(call.ctx, order), version=order.version)


@router.get("/v1/orders/{order_id}/proof", allow=MEMBER, answers={200: ProofOut}, summary="The books of an order")
def prove_order(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    proof = service.prove(order)
    entries = [
        EntryOut(
            id=entry.id,
            event=entry.event,
            at=str(entry.at),
            legs=[
                LegOut(
                    account=leg.account,
                    side="debit" if leg.amount_minor > 0 else "credit",
                    amount=MoneyOut(amount_minor=abs(leg.amount_minor), currency=entry.currency),
                )
                for leg in entry.legs
            ],
        )
        for entry in proof.entries
    ]
    return Answer(
        ProofOut(
            order_id=order.id,
            holds=proof.holds,
            equation=proof.equation,
            failures=proof.failures,
            entries=entries,
            hash=proof.hash,
        )
    )


@router.get(
    "/v1/orders/{order_id}/payment-methods",
    allow=MEMBER,
    query=MethodsQuery,
    answers={200: MethodsOut},
    summary="How the order can be paid",
)
def list_payment_methods(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    return Answer(MethodsOut(items=payments.methods(call.ctx, order.currency, call.query.client)))


@router.post(
    "/v1/orders/{order_id}/payments",
    allow=MEMBER,
    body=OpenPayment,
    answers={201: AttemptOut},
    errors=(
        AlreadyPaid,
        HoldExpired,
        PaymentProcessing,
        TooManyAttempts,
        MethodUnavailable,
        MethodRefused,
        ProviderUnavailable,
        Changed,
    ),
    idempotency="required",
    summary="Open a payment attempt",
)
def open_payment(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    opened = paying.open_attempt(
        call.ctx,
        order,
        method=call.body.method,
        client=call.body.client,
        charge_id=call.body.charge_id,
        return_url=call.body.return_url,
        mark=_mark(call),
    )
    where = f"/v1/orders/{order.id}/payments/{opened.attempt.id}"
    return Answer(present_attempt(call.ctx, opened), 201, location=where, replayed=opened.replayed)


@router.get(
    "/v1/orders/{order_id}/payments/{attempt_id}",
    allow=MEMBER,
    answers={200: AttemptOut},
    summary="How a payment attempt stands",
)
def get_payment(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    return Answer(present_attempt(call.ctx, paying.refresh(call.ctx, order, call.id("attempt_id", "att"))))


@router.get(
    "/v1/orders/{order_id}/cancel-quote",
    allow=MEMBER,
    answers={200: CancelQuoteOut},
    errors=(InvalidTransition, CancelTooLate),
    summary="What cancelling now gives back",
)
def quote_cancel(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    quote = service.quote_cancel(call.ctx, order, "customer")
    return Answer(
        CancelQuoteOut(
            refund=money(order, quote.refund_minor),
            kept=money(order, quote.kept_minor),
            policy=PolicyOut.of(order.policy),
            server_time=str(call.ctx.now),
        )
    )


@router.post(
    "/v1/orders/{order_id}/cancel",
    allow=MEMBER,
    body=CancelOrder,
    answers={200: OrderOut},
    errors=(InvalidTransition, CancelTooLate, PaymentProcessing, ProviderUnavailable, Changed),
    idempotency="required",
    summary="Cancel an order",
)
def cancel_order(call: Call) -> Answer:
    order = service.own(call.ctx, call.id("order_id", "ord"))
    ended = ending.cancel(call.ctx, order, "customer", _mark(call), call.body.reason)
    return Answer(present(call.ctx, ended), version=ended.version, replayed=ended.version == order.version)


# ---------------------------------------------------------------------------------------------- merchants


@router.get(
    "/v1/merchant/orders",
    allow=staff("orders.read"),
    query=MerchantOrdersQuery,
    answers={200: OrderList},
    errors=(NotFound,),
    summary="The merchant's orders, oldest first",
)
def list_merchant_orders(call: Call) -> Answer:
    q = call.query
    actor = call.ctx.actor
    shops = [one for one in catalog.shop_ids_of_merchant(call.ctx, actor.merchant_id) if actor.may_act_for(one)]
    if q.shop_id is not None:
        if q.shop_id not in shops:
            raise NotFound
        shops = [q.shop_id]
    since = Instant.parse(q.since) if q.since else Instant(0)
    found = service.of_shops(call.ctx, shops, since, q.limit)
    return Answer(OrderList(items=present_all(call.ctx, found), next_cursor=None))


@router.get(
    "/v1/merchant/orders/{order_id}", allow=staff("orders.read"), answers={200: OrderOut}, summary="One of the orders"
)
def get_merchant_order(call: Call) -> Answer:
    order = service.of_merchant(call.ctx, call.id("order_id", "ord"))
    return Answer(present(call.ctx, order), version=order.version)


@router.post(
    "/v1/merchant/orders/{order_id}/accept",
    allow=staff("orders.accept"),
    body=Empty,
    answers={200: OrderOut},
    errors=CHANGE_ERRORS,
    idempotency="accepted",
    summary="Accept an order that waits for the merchant",
)
def accept_order(call: Call) -> Answer:
    order = service.of_merchant(call.ctx, call.id("order_id", "ord"))
    after = ending.accept(call.ctx, order.id)
    return Answer(present(call.ctx, after), version=after.version, replayed=after.version == order.version)


@router.post(
    "/v1/merchant/orders/{order_id}/decline",
    allow=staff("orders.accept"),
    body=CancelOrder,
    answers={200: OrderOut},
    errors=CHANGE_ERRORS,
    idempotency="accepted",
    summary="Decline an order; everything is refunded",
)
def decline_order(call: Call) -> Answer:
    order = service.of_merchant(call.ctx, call.id("order_id", "ord"))
    after = ending.decline(call.ctx, order.id, "merchant", _mark(call), call.body.reason)
    return Answer(present(call.ctx, after), version=after.version, replayed=after.version == order.version)


@router.post(
    "/v1/merchant/orders/{order_id}/cancel",
    allow=staff("orders.cancel"),
    body=CancelOrder,
    answers={200: OrderOut},
    errors=(*CHANGE_ERRORS, CancelTooLate, PaymentProcessing, ProviderUnavailable),
    idempotency="required",
    summary="Cancel an order; everything is refunded",
)
def cancel_merchant_order(call: Call) -> Answer:
    order = service.of_merchant(call.ctx, call.id("order_id", "ord"))
    after = ending.cancel(call.ctx, order, "merchant", _mark(call), call.body.reason)
    return Answer(present(call.ctx, after), version=after.version, replayed=after.version == order.version)
