"""Steps of a service, by the merchant's staff."""

from __future__ import annotations

from chalicelib.fulfilment.model import MACHINES, check_time
from chalicelib.kernel.errors import InvalidTransition
from chalicelib.orders import changes, decisions, saving
from chalicelib.orders import service as orders
from chalicelib.orders.changes import Change
from chalicelib.orders.model import Changed, Order
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction
from chalicelib.search import affinity

# What an act makes of a line, which is also what the timeline calls it but for the service itself.
_MAKES = {"check_in": "checked_in", "start": "in_service", "finish": "finished"}
_TOLD = {**_MAKES, "start": "started"}


def step(ctx: Context, order_id: str, event: str) -> tuple[Order, bool]:
    """check_in, start or finish: the order, and whether the step stood already.

    Raises NotFound, InvalidTransition, TooEarly.
    """
    order = orders.of_merchant(ctx, order_id)
    booking = order.lines[0].booking
    clocks = saving.clocks(ctx)

    def decide(found: Order) -> Change | None:
        if found.state not in ("confirmed", "in_fulfilment", "fulfilled", "completed"):
            raise InvalidTransition(from_state=found.state, to=event, allowed=[])
        line = found.lines[0]
        if line.fulfilment_state == _MAKES[event]:
            return None
        target = MACHINES[line.kind].fire(line.fulfilment_state, event)
        if booking is not None:
            check_time(event, ctx.now, booking.starts_at, booking.ends_at, ctx.settings.no_show_after_seconds)
        return decisions.served(found, target, _TOLD[event], ctx.now, clocks)

    def learn(tx: Transaction, after: Order) -> None:
        if after.state == "fulfilled":
            served = [(line.offer_id, line.offer_version) for line in after.lines]
            affinity.note_visit(tx, ctx, after.account_id, after.shop_id, served, Changed())

    # Decided anew on whatever somebody else has made of the order by the time of the write.
    if decide(order) is None:
        return order, True
    return orders.change(ctx, order.id, decide, learn), False


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
