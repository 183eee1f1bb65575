"""HTTP operations of fulfilment, all of the merchant's staff."""

from __future__ import annotations

from chalicelib.fulfilment import service
from chalicelib.fulfilment.model import TooEarly, TooLate
from chalicelib.kernel.errors import InvalidTransition
from chalicelib.orders.model import Changed
from chalicelib.orders.presenting import present
from chalicelib.orders.schemas import OrderOut
from chalicelib.web.auth import staff
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import Empty

router = Router("fulfilment")

ERRORS = (InvalidTransition, TooEarly, TooLate, Changed)


def _step(call: Call, event: str) -> Answer:
    after, stood = service.step(call.ctx, call.id("order_id", "ord"), event)
    return Answer(present(call.ctx, after), version=after.version, replayed=stood)


@router.post(
    "/v1/merchant/orders/{order_id}/check-in",
    allow=staff("orders.serve"),
    body=Empty,
    answers={200: OrderOut},
    errors=ERRORS,
    idempotency="accepted",
    summary="The customer is here",
)
def check_in(call: Call) -> Answer:
    return _step(call, "check_in")


@router.post(
    "/v1/merchant/orders/{order_id}/start",
    allow=staff("orders.serve"),
    body=Empty,
    answers={200: OrderOut},
    errors=ERRORS,
    idempotency="accepted",
    summary="The service begins",
)
def start_service(call: Call) -> Answer:
    return _step(call, "start")


@router.post(
    "/v1/merchant/orders/{order_id}/finish",
    allow=staff("orders.serve"),
    body=Empty,
    answers={200: OrderOut},
    errors=ERRORS,
    idempotency="accepted",
    summary="The service is done; the merchant has earned",
)
def finish_service(call: Call) -> Answer:
    return _step(call, "finish")


@router.post(
    "/v1/merchant/orders/{order_id}/no-show",
    allow=staff("orders.serve"),
    body=Empty,
    answers={200: OrderOut},
    errors=ERRORS,
    idempotency="accepted",
    summary="The customer did not come",
)
def report_no_show(call: Call) -> Answer:
    after, stood = service.no_show(call.ctx, call.id("order_id", "ord"))
    return Answer(present(call.ctx, after), version=after.version, replayed=stood)
