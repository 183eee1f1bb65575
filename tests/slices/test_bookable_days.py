"""`bookable_on` and bookings: what search says of a day follows what is taken on it."""

from __future__ import annotations

from datetime import date, timedelta

from chalicelib.booking import service as booking
from chalicelib.catalog.hours import every_day
from chalicelib.orders import tables
from chalicelib.orders.saving import blocks_of
from chalicelib.runtime import entry
from chalicelib.runtime.transaction import Transaction
from tests import world
from tests.builders import orders as build
from tests.builders import salons
from tests.client import Client


def found(salon: salons.Salon, day: date) -> bool:
    """Whether search shows the salon for a day; the name is its own, so that other tests' shops do not matter."""
    reply = Client().get(f"/v1/search?city=sha&limit=100&bookable_on={day}&q={salon.shop.id[-8:]}")
    assert reply.status == 200, reply.text
    return salon.shop.id in [item["shop_id"] for item in reply.json["items"]]


def short_day() -> salons.Salon:
    """One stylist, and one hour a day in which exactly one haircut fits. Known to search: two seconds have passed."""
    salon = salons.salon(staff=1, hours=every_day((600, 660)), duration_minutes=60)
    world.advance(seconds=2)
    return salon


def in_two_days(salon: salons.Salon) -> date:
    return world.now().local_date(salon.shop.zone) + timedelta(days=2)


def test_a_day_leaves_the_search_with_its_last_free_start_and_comes_back_when_it_is_given_back() -> None:
    """The note is written when the booking stands, and again when it is cancelled."""
    salon = short_day()
    day = in_two_days(salon)
    assert found(salon, day)
    visit = build.booked(salon)
    assert not found(salon, day)
    assert found(salon, day + timedelta(days=1))
    visit.cancel()
    assert found(salon, day)


def test_the_night_repairs_a_note_that_a_crash_left_behind() -> None:
    """A process died after it gave a slot back and before it told search."""
    salon = short_day()
    day = in_two_days(salon)
    visit = build.booked(salon)
    order = tables.order(visit.id)
    assert order is not None
    blocks = blocks_of(order)
    visit.cancel()
    taken, given_back = Transaction(), Transaction()
    booking.claim(taken, order.id, blocks)
    taken.commit()
    booking.note_days(entry.system_context(), salon.shop.id, blocks)
    booking.release(given_back, order.id, blocks)
    given_back.commit()
    assert not found(salon, day)
    assert world.run_schedule("repair_notes")["days_of_shops"] >= 1
    assert found(salon, day)
