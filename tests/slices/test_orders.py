"""Orders through the whole app: quote, hold, pay, serve, cancel."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.orders import saving
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


def test_a_webhook_that_is_faster_than_the_attempt_it_tells_of_is_merged_into_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The provider tells of an intent while we have not yet written down that we opened it."""
    visit = build.booked()
    write = saving.write

    def late_write(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(saving, "write", write)
        assert world.deliver_webhooks() > 0
        return write(*args, **kwargs)

    monkeypatch.setattr(saving, "write", late_write)
    attempt = visit.open_payment(key="same")
    assert attempt["state"] == "requires_action"
    assert attempt["next_action"]["url"]
    again = visit.open_payment(key="same")
    assert again["attempt_id"] == attempt["attempt_id"]
    world.payer_does(attempt["attempt_id"], "succeed")
    world.settle_down()
    order = visit.read()
    assert (order["state"], order["payment_state"]) == ("confirmed", "paid")
    assert [one["event"] for one in order["timeline"]].count("payment_started") == 1
    assert visit.proof()["holds"]
