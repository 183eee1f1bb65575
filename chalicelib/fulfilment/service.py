"""Steps of a service, by the merchant's staff."""

from __future__ import annotations

from chalicelib.fulfilment.model import MACHINES, check_time
from chalicelib.kernel.errors import InvalidTransition
from chalicelib.orders import changes, decisions
from chalicelib.orders import service as orders
from chalicelib.orders.changes import Change
from chalicelib.orders.model import Order
from chalicelib.runtime.context import Context

_TOLD = {"check_in": "checked_in", "start": "started", "finish": "finished"}


def step(ctx: Context, order_id: str, event: str) -> tuple[Order, bool]:
    """check_in, start or finish: the order, and whether the step stood already.

    Raises NotFound, InvalidTransition, TooEarly.
    """
    order = orders.of_merchant(ctx, order_id)
    line = order.lines[0]
    machine = MACHINES[line.kind]
    if order.state not in ("confirmed", "in_fulfilment", "fulfilled", "completed"):
        raise InvalidTransition(from_state=order.state, to=event, allowed=[])
    if line.fulfilment_state == _TOLD_STATE[event]:
        return order, True
    target = machine.fire(line.fulfilment_state, event)
    if line.booking is not None:
        check_time(event, ctx.now, line.booking.starts_at, line.booking.ends_at, ctx.settings.no_show_after_seconds)
    served = orders.serve(ctx, order.id, target, _TOLD[event], expected=line.fulfilment_state)
    if served.lines[0].fulfilment_state != target:
        # Somebody else took another step meanwhile: what this one means is decided on that.
        return step(ctx, order_id, event)
    return served, False


_TOLD_STATE = {"check_in": "checked_in", "start": "in_service", "finish": "finished"}


def no_show(ctx: Context, order_id: str) -> tuple[Order, bool]:
    """The customer did not come: the policy after the start decides what is kept. The order, and whether it was known.

    Raises NotFound, InvalidTransition, TooEarly, TooLate.
    """
    order = orders.of_merchant(ctx, order_id)
    booking = order.lines[0].booking
    if order.state == "cancelled" and order.cancel_reason == "no_show":
        return order, True
    if booking is not None:
        check_time("no_show", ctx.now, booking.starts_at, booking.ends_at, ctx.settings.no_show_after_seconds)

    def decide(found: Order) -> Change | None:
        if found.cancel_reason == "no_show":
            return None
        line = found.lines[0]
        missed = changes.with_lines(found, MACHINES[line.kind].fire(line.fulfilment_state, "no_show"))
        return decisions.cancelled(missed, "no_show", ctx.now, "no_show")

    return orders.change(ctx, order.id, decide), False
