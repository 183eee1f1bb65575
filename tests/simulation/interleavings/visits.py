"""Orders: everybody who may move one, at the same moment."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from chalicelib.fulfilment import service as fulfilment
from chalicelib.orders import ending, paying
from chalicelib.orders import service as orders
from chalicelib.orders.model import Order
from chalicelib.providers.ports import Intent
from tests.builders import identity
from tests.builders import orders as build
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes


def _sound(round: Round, order: Order) -> Order:
    """The order as it stands; its row, its journal and the provider's facts have to agree."""
    round.same("faults", orders.faults(order.id), [])
    return scenes.stored(order)


def _sweeps(order: Order) -> Any:
    return partial(_sweep, order.id)


def _sweep(order_id: str) -> str:
    return ending.sweep_one(identity.context(), order_id)


def _times(order: Order, *events: str) -> int:
    return sum(event.event in events for event in order.timeline)


@case()
def one_key_one_order(round: Round) -> None:
    """One request to place sent twice, and another under its key: one order, and the other is refused."""
    who = scenes.person(round)
    quote = scenes.quoted(scenes.salon(round, staff=3), who, scenes.starts(round))
    key = secrets.token_hex(8)
    place = partial(scenes.places, who, quote, key)
    found = round.race(place, place, partial(place, "other words"))
    placed = [one for one in found if isinstance(one, tuple)]
    told = outcomes(found)
    round.holds(f"answers: {told}", told in ({"done": n, "idempotency_key_reused": 3 - n} for n in (1, 2)))
    round.same("orders", len({order.id for order, _ in placed}), 1)
    round.same("first answers", [replayed for _, replayed in placed].count(False), 1)


@case(weight=2)
def payment_at_the_end_of_its_hold(round: Round) -> None:
    """The payer pays while the sweep looks and the customer cancels: the order lives on its money, or the money goes
    back, or it could no longer be paid."""
    order, attempt = scenes.opened(round)
    round.later(minutes=15)

    def pays() -> Order:
        round.run.baton.pause()
        answer = round.run.provider.control(
            "POST", f"/local/payment_intents/{attempt.intent_id}", b'{"outcome":"succeed"}'
        )
        return scenes.told(scenes.intent(attempt.intent_id)) if answer.status == 200 else order

    cancel = partial(ending.cancel, scenes.acts_as(order.account_id), order, "customer")
    round.race(pays, _sweeps(order), cancel)
    after, intent = _sound(round, order), scenes.intent(attempt.intent_id)
    if intent.state == "succeeded":
        returned = sum(refund.amount_minor for refund in after.refunds)
        round.same("returned", returned, 0 if after.state == "confirmed" else order.total_minor)
    else:
        round.same("intent and order", (intent.state, after.state), ("canceled", "cancelled"))
    round.same("holds its place", scenes.holds_place(after), after.state == "confirmed")


@case()
def expiry_twice(round: Round) -> None:
    """Two sweeps and a merchant's cancel end one unpaid order: once."""
    order = scenes.placed(round)
    round.later(minutes=16)
    round.race(_sweeps(order), _sweeps(order), partial(ending.cancel, round.ctx, order, "merchant"))
    after = _sound(round, order)
    round.same("ends", _times(after, "expired", "cancelled"), 1)
    round.holds("the place is free", not scenes.holds_place(after))


@case(weight=2)
def hold_is_extended_once(round: Round) -> None:
    """Money is under way when the hold ends: two sweeps, and its arrival, give the order one extension at most."""
    order, attempt = scenes.opened(round)
    scenes.payer_does(round, attempt.intent_id, "delay")
    scenes.told(scenes.intent(attempt.intent_id))
    round.later(minutes=15)

    def arrives() -> Order:
        round.run.baton.pause()
        scenes.payer_does(round, attempt.intent_id)
        return scenes.told(scenes.intent(attempt.intent_id))

    act = arrives if round.seed % 2 else _sweeps(order)
    found = round.race(_sweeps(order), _sweeps(order), act)
    after = _sound(round, order)
    extensions = _times(after, "hold_extended")
    round.holds(f"{extensions} extensions", extensions <= 1)
    if round.seed % 2:
        paid_at = next(event.at for event in after.timeline if event.event == "paid")
        round.same("state", after.state, "confirmed")
        round.same("accept clock", after.deadline, paid_at.plus(seconds=round.ctx.settings.accept_seconds))
    else:
        round.holds(f"answers: {outcomes(found)}", set(outcomes(found)) <= {"extended", "postponed", "nothing"})
        round.same("deadline", after.deadline, order.deadline.plus(seconds=900 * extensions))


@case()
def facts_told_thrice(round: Round) -> None:
    """One payment told by three at once: one entry, one confirmation, whatever else they meet."""
    order, attempt = scenes.opened(round)
    scenes.payer_does(round, attempt.intent_id)
    tell = partial(scenes.told, scenes.intent(attempt.intent_id))
    round.same("answers", outcomes(round.race(tell, tell, tell)), {"done": 3})
    after = _sound(round, order)
    round.same("paid", (after.state, _times(after, "paid")), ("confirmed", 1))


@case()
def two_payments(round: Round) -> None:
    """Two intents of one charge are paid and told at once: one pays the order, the other goes back."""
    order = scenes.placed(round)
    found = [_stray(round, order, ordinal) for ordinal in (1, 2)]
    round.same("answers", outcomes(round.race(*(partial(scenes.told, one) for one in found))), {"done": 2})
    after = _sound(round, order)
    round.same("state", (after.state, [refund.reason for refund in after.refunds]), ("confirmed", ["duplicate"]))


def _stray(round: Round, order: Order, ordinal: int = 1) -> Intent:
    """A paid intent that the order's row does not know."""
    own_id = build.stray_intent(order, ordinal)
    target = f"/local/payment_intents?metadata_key=attempt_id&metadata_value={own_id}"
    (item,) = round.run.provider.control("GET", target).json()["items"]
    scenes.payer_does(round, item["id"])
    return scenes.intent(item["id"])


@case()
def one_living_attempt(round: Round) -> None:
    """One request to pay sent twice, and another one: one attempt can be paid in the end, and all intents are known or
    ended."""
    order = scenes.placed(round)
    same = partial(scenes.opens, order, "samesamesame1")
    found = round.race(same, same, partial(scenes.opens, order, "otherother123", "wechat_pay"))
    told = outcomes(found)
    round.holds(f"answers: {told}", set(told) <= {"done", "order_changed", "payment_processing"})
    after = _sound(round, order)
    living = {attempt.intent_id for attempt in after.living_attempts}
    round.holds(f"living: {living}", len(living) <= 1)
    book = round.run.provider._store.page("payment_intent", limit=100).data
    payable = {one["id"] for one in book if one["status"] in ("requires_action", "requires_payment_method")}
    round.same("payable", payable, living)


@case()
def cancelled_and_begun(round: Round) -> None:
    """The customer cancels while the staff begin: one of them is told that it is too late, and the money follows."""
    shop = scenes.salon(round)
    order = scenes.paid(round, shop)
    round.later(hours=scenes.hours_ahead(round) - 1)
    cancel = partial(ending.cancel, scenes.acts_as(order.account_id), order, "customer")
    check_in = partial(fulfilment.step, scenes.staff_of(shop), order.id, "check_in")
    found = round.race(cancel, check_in, check_in)
    after = _sound(round, order)
    if after.state == "cancelled":
        round.same("answers", outcomes(found), {"done": 1, "invalid_transition": 2})
    else:
        round.same("state", after.state, "in_fulfilment")
        round.holds("who was late", set(outcomes(found[:1])) <= {"invalid_transition", "cancel_too_late"})
    round.same("holds its place", scenes.holds_place(after), after.state != "cancelled")


@case()
def accepted_and_declined(round: Round) -> None:
    """A merchant's two apps accept and decline while the customer cancels: one of them decides, the others are told."""
    shop = scenes.salon(round, "asks first", confirmation="request")
    order = scenes.paid(round, shop)
    round.same("state", order.state, "paid")
    found = round.race(
        partial(ending.accept, round.ctx, order.id),
        partial(ending.decline, round.ctx, order.id, "merchant"),
        partial(ending.cancel, scenes.acts_as(order.account_id), order, "customer"),
    )
    after, told = _sound(round, order), [outcomes([one]) for one in found]
    ended = {"declined": 1, "cancelled": 2}[after.state] if after.state != "confirmed" else 0
    round.same("who decided last", told[ended], {"done": 1})
    round.same("ends", _times(after, "declined", "cancelled"), int(after.state != "confirmed"))
    round.same("returned", sum(r.amount_minor for r in after.refunds), 0 if not ended else order.total_minor)


@case()
def finished_twice(round: Round) -> None:
    """Two of the staff finish one visit while a third begins it again: it is earned once."""
    shop = scenes.salon(round)
    order = scenes.paid(round, shop)
    round.later(hours=scenes.hours_ahead(round))
    step = partial(fulfilment.step, scenes.staff_of(shop), order.id)
    step("start")
    found = round.race(partial(step, "finish"), partial(step, "finish"), partial(step, "start"))
    after = _sound(round, order)
    round.same("state", after.state, "fulfilled")
    round.same("finished", (outcomes(found[:2]), _times(after, "finished")), ({"done": 2}, 1))
    round.later(hours=49)
    round.race(_sweeps(order), _sweeps(order))
    after = _sound(round, order)
    round.same("completed", (after.state, _times(after, "completed")), ("completed", 1))


@case()
def no_show_and_check_in(round: Round) -> None:
    """One of the staff says that nobody came, another that they are here: one of them is told that it is not so."""
    shop = scenes.salon(round)
    order = scenes.paid(round, shop)
    round.later(hours=scenes.hours_ahead(round), minutes=20)
    ctx = scenes.staff_of(shop)
    found = round.race(partial(fulfilment.no_show, ctx, order.id), partial(fulfilment.step, ctx, order.id, "check_in"))
    after = _sound(round, order)
    round.same("answers", outcomes(found), {"done": 1, "invalid_transition": 1})
    round.same("state", after.state, "cancelled" if isinstance(found[0], tuple) else "in_fulfilment")


@case()
def refund_driven_twice(round: Round) -> None:
    """A refund is driven by queue and sweep at once: one at the provider, one entry."""
    order = scenes.paid(round)
    ending.cancel(round.ctx, order, "merchant")
    drive = partial(lambda: paying.drive_refunds(identity.context(), order.id))
    round.later(minutes=2)
    told = outcomes(round.race(drive, drive, _sweeps(order)))
    round.holds(f"answers: {told}", set(told) <= {"done", "refunds", "nothing"})
    round.later(minutes=2)
    round.race(drive, drive)
    after = _sound(round, order)
    round.same("refunds", [refund.state for refund in after.refunds], ["succeeded"])
    round.same("told", _times(after, "refunded"), 1)


@case(weight=2)
def late_money_and_a_new_buyer(round: Round) -> None:
    """Money comes after the hold has run out, told twice, while somebody else buys the place: it revives the order, or
    goes back."""
    shop = scenes.salon(round, staff=1)
    order = scenes.placed(round, shop)
    round.later(minutes=16)
    _sweep(order.id)
    late, other = _stray(round, order), scenes.person(round, "other")
    quote = scenes.quoted(shop, other, scenes.starts(round))
    tell = partial(scenes.told, late)
    *_, bought = round.race(tell, tell, partial(scenes.places, other, quote))
    after = _sound(round, order)
    if isinstance(bought, tuple):
        round.same("order", (after.state, [r.reason for r in after.refunds]), ("cancelled", ["late"]))
        round.holds("the buyer has the place", scenes.holds_place(bought[0]))
    else:
        round.same("the buyer", outcomes([bought]), {"slot_taken": 1})
        round.same("order", (after.state, after.refunds), ("confirmed", ()))
        round.holds("the order has its place", scenes.holds_place(after))
