"""Visits for tests: a shop, a customer, a slot, an order, through the app's own HTTP operations."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib import wiring
from chalicelib.kernel.instant import Instant, local_midnight
from chalicelib.kernel.money import Money
from chalicelib.orders import tables
from chalicelib.orders.model import Order
from chalicelib.payments.model import attempt_id
from chalicelib.providers.ports import IntentRequest
from tests import world
from tests.builders import identity, salons
from tests.builders.identity import Person


@dataclass
class Visit:
    """An order as its customer sees it, and everything needed to go on with it."""

    salon: salons.Salon
    customer: Person
    order: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.order["id"])

    def read(self) -> dict[str, Any]:
        self.order = expect(self.customer.client.get(f"/v1/orders/{self.id}"), 200)
        return self.order

    def open_payment(self, method: str = "alipay", key: str = "", **body: Any) -> dict[str, Any]:
        reply = self.customer.client.post(
            f"/v1/orders/{self.id}/payments", {"method": method, **body}, key=key or secrets.token_hex(8)
        )
        return expect(reply, 201)

    def pay(self, outcome: str = "succeed", method: str = "alipay") -> dict[str, Any]:
        """Opens an attempt, lets the payer act, and everything that follows run its course."""
        attempt = self.open_payment(method)
        world.payer_does(attempt["attempt_id"], outcome)
        world.settle_down()
        return self.read()

    def proof(self) -> dict[str, Any]:
        return expect(self.customer.client.get(f"/v1/orders/{self.id}/proof"), 200)

    def staff_does(self, act: str, status: int = 200) -> dict[str, Any]:
        key = secrets.token_hex(8)
        return expect(self.salon.owner.client.post(f"/v1/merchant/orders/{self.id}/{act}", {}, key=key), status)

    def cancel(self, status: int = 200) -> dict[str, Any]:
        reply = self.customer.client.post(f"/v1/orders/{self.id}/cancel", {}, key=secrets.token_hex(8))
        return expect(reply, status)

    @property
    def starts_at(self) -> Instant:
        return Instant.parse(self.order["booking"]["starts_at"])

    def until_start(self, **later: int) -> None:
        """Moves the clock to the start of the visit, or some time after (or, negative, before) it."""
        wanted = self.starts_at.plus(**later)
        world.advance(seconds=-(-wanted.since(world.now()) // 1000))

    def events(self) -> list[str]:
        """What the timeline tells, in order."""
        return [event["event"] for event in self.read()["timeline"]]

    def refunds(self) -> list[tuple[str, int, str]]:
        """(reason, minor units, state) of each refund as it stands now."""
        return [(one["reason"], one["amount"]["amount_minor"], one["state"]) for one in self.read()["refunds"]]

    def stored(self) -> Order:
        found = tables.order(self.id)
        assert found is not None
        return found


def expect(reply: Any, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.text
    body: dict[str, Any] = reply.json
    return body


def free_slots(salon: salons.Salon, days_ahead: int = 2, **query: str) -> list[dict[str, Any]]:
    """Bookable starts of the salon's offer on one local day."""
    day = world.now().local_date(salon.shop.zone) + timedelta(days=days_ahead)
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    target = f"/v1/offers/{salon.offer.id}/availability?from={day}&to={day + timedelta(days=1)}&{asked}"
    return list(expect(identity.person().client.get(target), 200)["items"])


def quote(
    salon: salons.Salon, customer: Person, starts_at: str, staff_id: str | None = None, **body: Any
) -> dict[str, Any]:
    asked = {"offer_id": salon.offer.id, "starts_at": starts_at, **body}
    if staff_id:
        asked["staff_id"] = staff_id
    return expect(customer.client.post("/v1/quotes", asked), 201)


def booked(
    salon: salons.Salon | None = None,
    customer: Person | None = None,
    *,
    starts_at: str = "",
    days_ahead: int = 2,
    staff_id: str | None = None,
    **changed: Any,
) -> Visit:
    """An order that holds its slot; further keywords change the offer of a new salon."""
    place = salon or salons.salon(**changed)
    who = customer or identity.person()
    start = starts_at or free_slots(place, days_ahead)[0]["starts_at"]
    made = quote(place, who, start, staff_id)
    order = expect(who.client.post("/v1/orders", {"quote_id": made["id"]}, key=secrets.token_hex(8)), 201)
    return Visit(place, who, order)


def paid(salon: salons.Salon | None = None, customer: Person | None = None, **changed: Any) -> Visit:
    """A visit that is paid, and everything that follows from it done."""
    visit = booked(salon, customer, **changed)
    visit.pay()
    return visit


def sweep(*, minutes: int = 0) -> dict[str, Any]:
    """The minute's sweep after so many minutes, and what follows from it."""
    world.advance(minutes=minutes)
    done: dict[str, Any] = world.run_schedule("sweep")
    world.settle_down()
    return done


def stray_intent(order: Order, ordinal: int = 1, *, method: str = "alipay", amount: int = 0) -> str:
    """An intent at the provider that no row of ours knows: what a crash after the provider's answer leaves. Returns its
    attempt id."""
    charge = order.charges[0]
    own_id = attempt_id(order.id, charge.id, ordinal, method)
    wiring.ports().payments.create_intent(
        IntentRequest(
            key=secrets.token_hex(8),
            order_id=order.id,
            charge_id=charge.id,
            attempt_id=own_id,
            amount=Money(amount or charge.amount_minor, order.currency),
            method=method,
            client="web",
            description="",
            return_url=None,
        )
    )
    return own_id


def relay() -> int:
    """What the sweeper of news sends again when they have stood for a minute."""
    world.advance(seconds=61)
    return int(world.run_schedule("relay_outbox")["relayed"])


def place(customer: Person, quote_id: str, key: str = "", **body: Any) -> Any:
    """The reply to an attempt to place a quoted order."""
    return customer.client.post("/v1/orders", {"quote_id": quote_id, **body}, key=key or secrets.token_hex(8))


def taken(salon: salons.Salon) -> int:
    """How many starts of the day are gone for one person at least."""
    whole = len(salon.staff)
    return sum(whole - slot["remaining"] for slot in free_slots(salon))


def midnight(salon: salons.Salon, days_ahead: int) -> str:
    day = world.now().local_date(salon.shop.zone) + timedelta(days=days_ahead)
    return str(local_midnight(day, salon.shop.zone))
