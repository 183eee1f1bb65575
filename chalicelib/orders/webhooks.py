"""What payment providers call. A fact is verified by payments and applied here, for an order is what it is about."""

from __future__ import annotations

from chalicelib.orders import paying
from chalicelib.payments import service as payments
from chalicelib.providers.ports import SignatureInvalid
from chalicelib.runtime import log
from chalicelib.web.auth import SIGNED
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import Output

router = Router("orders")


class Received(Output):
    received: bool
    outcome: str


@router.post(
    "/webhooks/stripe",
    allow=SIGNED,
    limited=False,
    answers={200: Received},
    errors=(SignatureInvalid,),
    summary="Stripe tells what happened",
)
def stripe_webhook(call: Call) -> Answer:
    event = payments.verify(call.ctx, call.raw, dict(call.headers))
    about = event.intent or event.refund
    log.bind(event_id=event.event_id, order_id=about.order_id if about else "")
    return Answer(Received(received=True, outcome=paying.apply_event(call.ctx, event)))
