"""Visits for tests: a shop, a customer, a slot, an order, through the app's own HTTP operations."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.kernel.instant import local_midnight
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

    def cancel(self) -> dict[str, Any]:
        reply = self.customer.client.post(f"/v1/orders/{self.id}/cancel", {}, key=secrets.token_hex(8))
        return expect(reply, 200)


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


def midnight(salon: salons.Salon, days_ahead: int) -> str:
    day = world.now().local_date(salon.shop.zone) + timedelta(days=days_ahead)
    return str(local_midnight(day, salon.shop.zone))
