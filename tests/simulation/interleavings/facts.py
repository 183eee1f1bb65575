"""Facts of the provider for which there is no order, and orders of which a restore has lost a part."""

from __future__ import annotations

import secrets
from functools import partial

from chalicelib.booking import model as booking_model
from chalicelib.kernel import ids
from chalicelib.ledger import service as ledger
from chalicelib.orders import ending, handlers, orphans, paying, saving, soundness
from chalicelib.orders import service as orders
from chalicelib.orders import tables as order_tables
from chalicelib.orders.model import Order
from chalicelib.payments import service as payments
from chalicelib.providers.ports import ProviderEvent
from tests.builders import identity
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes
from tests.simulation.simulation import BEGIN


@case()
def fact_is_parked_once(round: Round) -> None:
    """A fact of an order that is not here is told twice, at two times: parked once, as old as its first telling."""
    order, attempt = scenes.opened(round)
    scenes.payer_does(round, attempt.intent_id)
    found = scenes.intent(attempt.intent_id)
    forgotten = round.erase("orders", *ids.split(order.id))
    event = ProviderEvent(f"evt_{secrets.token_hex(6)}", "payment_intent.succeeded", round.run.now, intent=found)
    apply = partial(lambda: paying.apply_event(identity.context(), event))
    round.same("answers", outcomes(round.race(apply, apply)), {"parked": 2})
    (fact,) = (one for one in payments.parked() if one.event_id == event.event_id)
    round.holds("its age", fact.received_at.since(BEGIN) < 200)
    round.raw("PutItem", "orders", Item=forgotten)
    retry = partial(lambda: handlers._retry_parked(identity.context()))
    round.race(retry, retry)
    round.same("state", scenes.stored(order).state, "confirmed")
    round.same("parked", [one for one in payments.parked() if one.event_id == event.event_id], [])


@case()
def parked_fact_that_grew_old(round: Round) -> None:
    """A parked fact whose row the store takes away by its age, while two sweeps look at it: neither sweep stops."""
    about = f"evt_{secrets.token_hex(6)}"
    intent = scenes.intent(scenes.opened(round)[1].intent_id)
    unknown = ProviderEvent(about, "payment_intent.succeeded", round.run.now, intent=intent)
    payments.park(round.ctx, unknown, "unknown_order")
    retry = partial(lambda: handlers._retry_parked(identity.context()))

    def ages() -> None:
        round.run.baton.sleep(round.seed % 40)
        round.erase("payments_inbox", f"stripe#{intent.intent_id}", about)

    round.race(retry, retry, ages)
    round.same("parked", [one for one in payments.parked() if one.event_id == about], [])


@case(weight=2)
def money_without_an_order(round: Round) -> None:
    """Money whose order a restore has forgotten is given back by two operators while its customer places the order
    again under the old key: it goes back, or pays the order, and never both."""
    shop = scenes.salon(round, f"own {round.seed}", staff=1)
    who, key = scenes.person(round), secrets.token_hex(8)
    quote = scenes.quoted(shop, who, scenes.starts(round))
    order, _ = scenes.places(who, quote, key)
    _, attempt = scenes.opened(round, order)
    scenes.payer_does(round, attempt.intent_id)
    (claim,) = booking_model.claims_of(saving.blocks_of(order))
    round.erase("orders", *ids.split(order.id))
    round.erase("booking_days", f"{claim.shop_id}#{claim.day:%Y%m%d}", claim.resource_id)
    round.later(seconds=5)
    money = scenes.intent(attempt.intent_id)
    give_back = partial(lambda: orphans.give_back(identity.context(), money))
    told = round.race(give_back, give_back, partial(scenes.places, who, quote, key))
    round.later(minutes=2)
    orphan = payments.orphan("stripe", money.intent_id)
    if orphan is None:
        round.same("answers", outcomes(told), {"order_is_here": 2, "done": 1})
    else:
        round.holds(f"answers: {outcomes(told)}", set(outcomes(told)) <= {"done", "order_is_here", "unavailable"})
        drive = partial(lambda one: orphans.drive(identity.context(), one), orphan)
        round.race(drive, drive)
        orphan = payments.orphan("stripe", money.intent_id)
        round.same("given back", orphan and orphan.refund and orphan.refund.state, "succeeded")
        round.same("refunds", len(round.run.provider._store.page("refund", limit=9).data), 1)
    here = order_tables.order(order.id)
    round.same("the order is here", here is not None, isinstance(told[2], tuple))
    if here is not None:
        after = scenes.told(money)
        round.same("state", after.state, "confirmed" if orphan is None else "pending_payment")


@case(weight=2)
def lost_entry_is_made_again(round: Round) -> None:
    """Two menders write an entry that a restore has lost while the customer cancels: an order that has moved is not
    mended on what it was."""
    order = scenes.paid(round)
    (entry,) = ledger.entries_of(order.id)
    lost = round.erase("ledger_journal", order.id, f"{entry.event}#{entry.n}")
    mend = partial(lambda: soundness._mend_order(identity.context(), order.id, soundness.ENTRY_MISSING))
    cancel = partial(ending.cancel, scenes.acts_as(order.account_id), order, "customer")
    first, second, cancelled = round.race(mend, mend, cancel)
    round.holds("the customer's cancel stands", isinstance(cancelled, Order))
    there = entry in ledger.entries_of(order.id)
    round.same("mended", there, first or second)
    if not there:
        round.raw("PutItem", "ledger_journal", Item=lost)
    round.same("faults", orders.faults(order.id), [])
