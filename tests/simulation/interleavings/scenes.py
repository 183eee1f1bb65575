"""What cases begin with: orders at each stage, made through the services and with little ado."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace

from chalicelib.booking.model import Block
from chalicelib.fulfilment import service as fulfilment
from chalicelib.kernel.instant import Instant
from chalicelib.orders import paying, placing, quotes, saving, tables
from chalicelib.orders.model import Order
from chalicelib.orders.quotes import Wanted
from chalicelib.payments.model import Attempt
from chalicelib.providers.ports import Intent
from chalicelib.runtime.context import Actor, Context
from tests.builders import identity, salons
from tests.builders.identity import Person
from tests.builders.salons import Salon
from tests.simulation.interleavings.case import Round
from tests.simulation.simulation import BEGIN

_HOURS = 20  # rounds that share a shop, each at an hour of its own
_FIRST_HOURS = 26


def salon(round: Round, name: str = "", **changed: object) -> Salon:
    """A shop that some rounds share."""
    return round.kept(f"salon {name} {round.seed // _HOURS}", lambda: salons.salon(**changed))  # type: ignore[arg-type]


def starts(round: Round) -> Instant:
    """The hour at a shared shop that is this round's alone, at least a day ahead."""
    return BEGIN.plus(hours=hours_ahead(round))


def hours_ahead(round: Round) -> int:
    """From the beginning of the round to `starts`."""
    return _FIRST_HOURS + round.seed % _HOURS


def person(round: Round, name: str = "customer") -> Person:
    """Somebody with an account, the same in all rounds."""
    return round.kept(name, identity.person)


def acts_as(who: Person | str) -> Context:
    """The context of somebody's request, now."""
    account_id = who if isinstance(who, str) else who.account_id
    return replace(identity.context(), actor=Actor("member", account_id))


def staff_of(shop: Salon) -> Context:
    """The context of the owner's request, now."""
    actor = Actor("staff", shop.owner.account_id, merchant_id=shop.merchant.id, role="owner")
    return replace(identity.context(), actor=actor)


def quoted(shop: Salon, who: Person, start: Instant, staff_id: str | None = None) -> str:
    """A quote's id."""
    return quotes.make(acts_as(who), [Wanted(shop.offer.id, (), 1, start, staff_id)]).id


def places(who: Person, quote_id: str, key: str = "", body: str = "") -> tuple[Order, bool]:
    """One request to place, as `placing.place` answers it."""
    return placing.place(acts_as(who), quote_id, body, key or secrets.token_hex(8), f"hash of {body}")


def placed(round: Round, shop: Salon | None = None, who: Person | None = None) -> Order:
    """An order that holds its place and waits for its payment."""
    who = who or person(round)
    return places(who, quoted(shop or salon(round), who, starts(round)))[0]


def opens(order: Order, mark: str = "", method: str = "alipay") -> paying.Opened:
    """One request to pay."""
    return paying.open_attempt(
        acts_as(order.account_id),
        order,
        method=method,
        client="web",
        charge_id=None,
        return_url=None,
        mark=mark or secrets.token_hex(7)[:13],
    )


def opened(round: Round, order: Order | None = None) -> tuple[Order, Attempt]:
    """An order with an attempt to pay."""
    found = opens(order or placed(round))
    return found.order, found.attempt


def payer_does(round: Round, intent_id: str, outcome: str = "succeed") -> None:
    """What the payer does with wallet or bank, seen by nobody of ours yet."""
    body = json.dumps({"outcome": outcome, **({"seconds": 86_400} if outcome == "delay" else {})}).encode()
    answer = round.run.provider.control("POST", f"/local/payment_intents/{intent_id}", body)
    assert answer.status == 200, answer


def intent(intent_id: str) -> Intent:
    """As the provider has it now."""
    return identity.context().ports.payments.fetch_intent(intent_id)


def told(found: Intent) -> Order:
    """The provider's word on an intent reaches us."""
    return paying.apply_intent(identity.context(), found)


def paid(round: Round, shop: Salon | None = None, who: Person | None = None) -> Order:
    """An order that is paid, and confirmed where its shop confirms at once."""
    _, attempt = opened(round, placed(round, shop, who))
    payer_does(round, attempt.intent_id)
    return told(intent(attempt.intent_id))


def fulfilled(shop: Salon, order: Order, *steps: str) -> None:
    """The staff take these steps with a visit whose time has come."""
    for step in steps:
        fulfilment.step(staff_of(shop), order.id, step)


def stored(order: Order) -> Order:
    """As it stands in its table now."""
    found = tables.order(order.id)
    assert found is not None
    return found


def holds_place(order: Order) -> bool:
    """Whether the calendar has the whole place of an order, under its name."""
    from chalicelib.booking import model, service

    blocks: list[Block] = saving.blocks_of(order)
    return all(service.holds(claim, order.id) for claim in model.claims_of(blocks))
