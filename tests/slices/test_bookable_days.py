"""`bookable_on` and bookings: what search says of a day follows what is taken on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from chalicelib.booking import service as booking
from chalicelib.booking.model import Block
from chalicelib.booking.service import Wish
from chalicelib.catalog import service as catalog
from chalicelib.catalog.hours import every_day
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant, local_midnight
from chalicelib.orders import tables
from chalicelib.orders.saving import blocks_of
from chalicelib.runtime import entry
from chalicelib.runtime.transaction import Transaction
from chalicelib.search import service as search
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


def blocks_at(salon: salons.Salon, *starts: str) -> list[Block]:
    """What visits at these starts take, in the only stylist's calendar."""
    page = catalog.shop_page(entry.system_context(), salon.shop.id)
    wishes = [Wish(salon.offer, (), None, Instant.parse(start)) for start in starts]
    return booking.resolve(entry.system_context(), page, wishes)[0]


def about_to_commit(salon: salons.Salon, blocks: list[Block]) -> Transaction:
    """What whoever books these blocks has decided and not written yet."""
    tx, order_id = Transaction(), ids.random_id("ord")
    booking.claim(tx, order_id, blocks)
    booking.doubt(entry.system_context(), tx, order_id, salon.shop.id, blocks)
    return tx


def doubted(salon: salons.Salon) -> set[date]:
    """The shop's days that the next sweep but a minute looks at."""
    ctx = entry.system_context()
    found = search.doubts(ctx.at(ctx.now.plus(minutes=5)))
    return {day for one in found if one.shop_id == salon.shop.id for day in one.days}


def test_a_process_that_dies_before_the_first_note_of_a_day_leaves_it_in_doubt() -> None:
    """The minute's sweep looks at the day once nothing can be under way any more, and that is the end of it."""
    salon = short_day()
    day = in_two_days(salon)
    about_to_commit(salon, blocks_at(salon, build.free_slots(salon)[0]["starts_at"])).commit()
    assert found(salon, day)
    build.sweep()
    assert found(salon, day)
    build.sweep(minutes=2)
    assert not found(salon, day)
    assert doubted(salon) == set()


def test_only_who_meets_the_last_free_start_of_a_day_leaves_a_doubt() -> None:
    """The first hour of two leaves none, and is found again when it is given back after the last one; the last leaves
    one each time, in an order as in its end."""
    salon = salons.salon(staff=1, hours=every_day((600, 720)), duration_minutes=60)
    day = in_two_days(salon)
    first, *_, last = build.free_slots(salon)
    early = build.booked(salon, starts_at=first["starts_at"])
    assert doubted(salon) == set()
    late = build.booked(salon, starts_at=last["starts_at"])
    assert doubted(salon) == {day}
    build.sweep(minutes=2)
    assert doubted(salon) == set()
    early.cancel()
    assert doubted(salon) == {day}
    build.sweep(minutes=2)
    late.cancel()
    assert doubted(salon) == {day}


def test_who_read_the_day_before_another_filled_it_is_covered_by_the_others_doubt() -> None:
    """The last start was not theirs when they read, so they leave no doubt of their own; they die when it is."""
    salon = salons.salon(staff=1, hours=every_day((600, 720)), duration_minutes=60)
    day = in_two_days(salon)
    first, *_, last = build.free_slots(salon)
    tx = about_to_commit(salon, blocks_at(salon, first["starts_at"]))
    build.booked(salon, starts_at=last["starts_at"])
    build.sweep()
    world.advance(seconds=29)
    build.sweep()
    tx.commit()
    assert found(salon, day)
    build.sweep(minutes=2)
    assert not found(salon, day)


def test_a_day_that_is_given_back_while_the_shop_is_closed_is_found_when_it_opens() -> None:
    """Nobody can read the page then; the sweep looks at the shop whatever its state."""
    salon, ctx = short_day(), entry.system_context()
    visit = build.booked(salon)
    catalog.put_shop(ctx, replace(salon.shop, state="suspended", version=2))
    visit.cancel()
    build.sweep(minutes=2)
    catalog.put_shop(ctx, replace(salon.shop, version=3))
    world.advance(seconds=2)
    assert found(salon, in_two_days(salon))


def test_who_books_past_midnight_can_take_the_last_start_of_the_evening() -> None:
    """Open from ten to two; what begins at half past eleven reaches into what is booked at half past twelve."""
    salon = salons.salon(staff=1, hours=every_day((1320, 1560)), duration_minutes=90, slot_step_minutes=30)
    evening = in_two_days(salon)
    world.advance(seconds=2)
    midnight = local_midnight(evening + timedelta(days=1), salon.shop.zone)
    for minutes in (30 - 1440, -120):  # the night before, which is of the same date, and the first of the evening
        build.booked(salon, starts_at=str(midnight.plus(minutes=minutes)))
    assert found(salon, evening)
    build.booked(salon, starts_at=str(midnight.plus(minutes=30)))
    assert not found(salon, evening)
    assert evening in doubted(salon)


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
