"""Orders through the whole app: quote, hold, pay, serve, cancel."""

from __future__ import annotations

from tests import world
from tests.builders import orders as build


def test_an_appointment_is_booked_paid_served_and_proven() -> None:
    visit = build.booked()
    assert visit.order["state"] == "pending_payment"
    attempt = visit.open_payment()
    world.payer_does(attempt["attempt_id"], "succeed")
    world.settle_down()
    order = visit.read()
    assert (order["state"], order["payment_state"]) == ("confirmed", "paid")
    assert visit.proof()["holds"]
