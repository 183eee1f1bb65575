"""The visit itself: checked in, begun, finished, missed; by whom and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.runtime import dynamo
from tests import world
from tests.builders import identity, salons
from tests.builders import orders as build

pytestmark = pytest.mark.usefixtures("sound")


@pytest.mark.parametrize(
    "steps", [("check-in", "start", "finish"), ("start", "finish"), ("check-in", "finish")], ids=" ".join
)
def test_a_visit_is_served_and_earned_once(steps: tuple[str, ...]) -> None:
    """However many steps the staff take; each may be told twice."""
    visit = build.paid()
    visit.until_start()
    for step in steps:
        once = visit.staff_does(step)
        again = visit.staff_does(step)
        assert once["version"] == again["version"]
    assert (once["state"], once["lines"][0]["fulfilment_state"]) == ("fulfilled", "finished")
    earned = [entry for entry in visit.proof()["entries"] if entry["event"] == "earned"]
    assert len(earned) == 1


def test_every_line_of_a_visit_is_served_together() -> None:
    """And the whole of its price is earned."""
    shop, customer = salons.salon(staff=2, price_minor=10_001), identity.person()
    slots = build.free_slots(shop)
    lines = [{"offer_id": shop.offer.id, "starts_at": slots[i]["starts_at"]} for i in (0, 2)]
    made = build.expect(customer.client.post("/v1/quotes", {"lines": lines}), 201)
    order = build.expect(customer.client.post("/v1/orders", {"quote_id": made["id"]}, key="k"), 201)
    visit = build.Visit(shop, customer, order)
    visit.pay()
    visit.until_start()
    visit.staff_does("start")
    done = visit.staff_does("finish")
    assert [line["fulfilment_state"] for line in done["lines"]] == ["finished", "finished"]
    equation = visit.proof()["equation"]
    assert (equation["merchant"], equation["platform"], equation["escrow"]) == (17_602, 2_400, 0)


def test_a_visit_begins_on_its_day_and_not_before() -> None:
    """Twelve hours before the start at the earliest."""
    visit = build.paid()
    visit.until_start(hours=-13)
    assert visit.staff_does("check-in", 409)["code"] == "too_early"
    assert visit.staff_does("start", 409)["code"] == "too_early"
    world.advance(hours=1)
    assert visit.staff_does("check-in")["state"] == "in_fulfilment"


@pytest.mark.parametrize("step", ["check-in", "start", "finish", "no-show"])
def test_nothing_is_served_that_is_not_paid(step: str) -> None:
    """409 with the state it is in, and nothing is written."""
    visit = build.booked(days_ahead=1)
    version = visit.order["version"]
    reply = visit.staff_does(step, 409)
    assert reply["code"] in ("invalid_transition", "too_early")
    assert visit.read()["version"] == version


def test_a_finished_visit_is_not_finished_backwards() -> None:
    """Steps go forward only."""
    visit = build.paid()
    visit.until_start()
    visit.staff_does("start")
    visit.staff_does("finish")
    for step in ("check-in", "start"):
        assert visit.staff_does(step, 409)["code"] == "invalid_transition"
    assert visit.staff_does("no-show", 409)["code"] in ("invalid_transition", "too_early")


def test_a_customer_who_does_not_come_pays_by_the_policy() -> None:
    """From a quarter of an hour after the start; the merchant keeps what the policy says, less commission."""
    visit = build.paid()
    visit.until_start(minutes=14)
    assert visit.staff_does("no-show", 409)["code"] == "too_early"
    world.advance(minutes=1)
    order = visit.staff_does("no-show")
    assert (order["state"], order["cancel_reason"]) == ("cancelled", "no_show")
    assert order["lines"][0]["fulfilment_state"] == "no_show"
    assert [event["actor"] for event in order["timeline"] if event["event"] == "no_show"] == ["merchant"]
    assert visit.staff_does("no-show")["version"] == order["version"]
    equation = visit.proof()["equation"]
    assert (equation["merchant"], equation["platform"], equation["owed_back"]) == (11_264, 1_536, 0)


def test_a_no_show_that_gives_back_a_part_refunds_it() -> None:
    """A policy may say so; but after the start none of its steps applies."""
    visit = build.paid(policy=((0, 10_000),))
    visit.until_start(minutes=20)
    visit.staff_does("no-show")
    world.settle_down()
    assert visit.read()["refund_state"] == "none"


def test_a_no_show_is_reported_within_a_day() -> None:
    """Afterwards it is too late, and whoever was checked in cannot have been absent."""
    visit = build.paid()
    visit.until_start(hours=25, seconds=1)
    assert visit.staff_does("no-show", 409)["code"] == "too_late"
    other = build.paid()
    other.until_start()
    other.staff_does("check-in")
    world.advance(minutes=20)
    assert other.staff_does("no-show", 409)["code"] == "invalid_transition"


def test_a_served_order_is_closed_after_two_days() -> None:
    """By the sweep; its money was earned when the service was finished."""
    visit = build.paid()
    visit.until_start()
    visit.staff_does("start")
    visit.staff_does("finish")
    build.sweep(minutes=48 * 60 - 5)
    assert visit.read()["state"] == "fulfilled"
    build.sweep(minutes=6)
    assert visit.read()["state"] == "completed"
    build.sweep(minutes=6)
    assert visit.events().count("completed") == 1


def test_staff_of_another_shop_of_the_merchant_cannot_serve_it() -> None:
    """A stylist acts for the shops that they were given."""
    visit = build.paid()
    visit.until_start()
    elsewhere = identity.staff(visit.salon.merchant.id, role="manager", shop_ids=("shp_" + "0" * 26,))
    assert elsewhere.client.post(f"/v1/merchant/orders/{visit.id}/check-in", {}, key="k").status == 404


@contextmanager
def as_soon_as_read(visit: build.Visit, act: Callable[[], object]) -> Iterator[None]:
    """Somebody else acts between the first reading of the order and what is made of it."""
    waiting = [act]

    def heard(operation: str, answer: dict[str, Any]) -> None:
        if waiting and answer.get("Item", {}).get("sk", {}).get("S") == ids.split(visit.id)[1]:
            waiting.pop()()

    dynamo.client().listeners.append(heard)
    try:
        yield
    finally:
        dynamo.client().listeners.remove(heard)
    assert not waiting


@pytest.mark.parametrize("step", ["check-in", "start"])
@pytest.mark.parametrize("end", ["cancel", "no-show"])
def test_a_step_that_an_end_overtakes_is_refused(step: str, end: str) -> None:
    """Decided on a confirmed order, and it has ended by the time of the write: nobody is told that it is served."""
    visit = build.paid()
    visit.until_start(minutes=16)
    ends: Callable[[], object] = visit.cancel if end == "cancel" else partial(visit.staff_does, end)
    with as_soon_as_read(visit, ends):
        assert visit.staff_does(step, 409)["code"] == "invalid_transition"
    order = visit.read()
    assert order["state"] == "cancelled"
    assert order["lines"][0]["fulfilment_state"] == ("expected" if end == "cancel" else "no_show")


def test_a_step_that_the_same_step_overtakes_stands() -> None:
    """Two devices at the desk tell it at once: it is told once, and both are content."""
    visit = build.paid()
    visit.until_start()
    with as_soon_as_read(visit, partial(visit.staff_does, "check-in")):
        assert visit.staff_does("check-in")["lines"][0]["fulfilment_state"] == "checked_in"
    assert visit.events().count("checked_in") == 1
