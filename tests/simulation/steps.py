"""What people do in several journeys."""

from __future__ import annotations

from typing import Any

from tests.builders import identity
from tests.builders.salons import Salon
from tests.simulation.apps import App, GaveUp
from tests.simulation.simulation import Run

STARTS_AFTER_HOURS = 26  # of a visit, from the beginning of the run


def newcomer(run: Run) -> App:
    """Somebody with an account, and our app."""
    return run.app_of(identity.person())


def books(app: App, salon: Salon, hours: int = STARTS_AFTER_HOURS) -> dict[str, Any] | None:
    """An order that holds its place; None when the place is gone."""
    from tests.simulation.simulation import BEGIN

    wanted = {"offer_id": salon.offer.id, "starts_at": str(BEGIN.plus(hours=hours))}
    quote = app.post("/v1/quotes", wanted)
    if quote.status != 201:
        return None
    placed = app.post("/v1/orders", {"quote_id": quote.json["id"]})
    return placed.json if placed.status == 201 else None


def opens_payment(app: App, order_id: str, method: str = "alipay") -> str | None:
    """The id of a payment attempt; None when the order cannot be paid."""
    body = {"method": method, "client": "web"}
    opened = app.post(f"/v1/orders/{order_id}/payments", body)
    return opened.json["attempt_id"] if opened.status in (200, 201) else None


def books_and_pays(app: App, salon: Salon) -> None:
    try:
        order = books(app, salon)
        if order is None:
            return
        app.run.waits_about(60)
        attempt = opens_payment(app, order["id"])
        if attempt is not None:
            app.run.waits_about(60)
            app.pays(attempt)
            app.run.waits_about(10)
            app.get(f"/v1/orders/{order['id']}")
    except GaveUp:
        return
