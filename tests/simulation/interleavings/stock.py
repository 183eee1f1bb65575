"""What there is only so much of: places in a calendar, calls in a window, room in a list."""

from __future__ import annotations

import secrets
from functools import partial

from chalicelib.booking import model as booking_model
from chalicelib.booking import service as booking
from chalicelib.booking import tables as calendar
from chalicelib.catalog import service as catalog
from chalicelib.catalog.hours import every_day
from chalicelib.kernel import ids
from chalicelib.kernel.instant import local_midnight
from chalicelib.orders import ending, saving
from chalicelib.search import service as search
from chalicelib.web import rate
from tests.builders import salons
from tests.simulation import plan as faults
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes
from tests.simulation.simulation import BEGIN


@case(weight=2)
def one_place(round: Round) -> None:
    """Three buyers want one stylist at one time: one order, and two are told that it is taken."""
    shop, start = scenes.salon(round, staff=1), scenes.starts(round)
    buyers = [scenes.person(round, name) for name in ("one", "two", "three")]
    acts = [partial(scenes.places, buyer, scenes.quoted(shop, buyer, start)) for buyer in buyers]
    round.same("answers", outcomes(round.race(*acts)), {"done": 1, "slot_taken": 2})


@case()
def one_chair(round: Round) -> None:
    """Two stylists share one chair: person and chair are taken together or not at all."""
    shop, start = scenes.salon(round, staff=2, chairs=1), scenes.starts(round)
    buyers = [scenes.person(round, name) for name in ("one", "two")]
    acts = [
        partial(scenes.places, buyer, scenes.quoted(shop, buyer, start, who.id))
        for buyer, who in zip(buyers, shop.staff, strict=True)
    ]
    round.same("answers", outcomes(round.race(*acts)), {"done": 1, "slot_taken": 1})


@case()
def freed_and_wanted(round: Round) -> None:
    """Two cancel one order while somebody else wants its place: it goes back once, and to one person at the most."""
    shop, other = scenes.salon(round, staff=1), scenes.person(round, "other")
    order = scenes.placed(round, shop)
    quote = scenes.quoted(shop, other, scenes.starts(round))
    cancel = partial(ending.cancel, round.ctx, order, "customer")
    decline = partial(ending.cancel, round.ctx, order, "operator")
    first, second, buyer = round.race(cancel, decline, partial(scenes.places, other, quote))
    round.same("order", scenes.stored(order).state, "cancelled")
    round.holds("one of the two ended it", {"done"} <= set(outcomes([first, second])))
    if isinstance(buyer, tuple):
        round.holds("the buyer has the place", scenes.holds_place(buyer[0]))
    else:
        round.same("the buyer", outcomes([buyer]), {"slot_taken": 1})
        round.holds("the place is free", not scenes.holds_place(order))


@case()
def unowned_place(round: Round) -> None:
    """A place for which a restore has left no order is given back by two menders while a buyer takes the next one in
    the same row: nobody frees what was taken since they looked."""
    shop, other = scenes.salon(round, f"days {round.seed // 10}", staff=1), scenes.person(round, "other")
    start = BEGIN.plus(days=2 + 2 * (round.seed % 10))
    ghost, _ = scenes.places(other, scenes.quoted(shop, other, start))
    (claim,) = booking_model.claims_of(saving.blocks_of(ghost))
    round.erase("orders", *ids.split(ghost.id))
    (row,) = (r for r in booking.everything_taken() if (r.shop_id, r.day) == (claim.shop_id, claim.day))
    quote = scenes.quoted(shop, other, start.plus(hours=3))
    mend = partial(booking.free_unowned, row, claim.quanta)
    first, second, bought = round.race(mend, mend, partial(scenes.places, other, quote))
    round.holds("at most one of them freed it", [first, second].count(True) <= 1)
    round.holds("the buyer has the place", scenes.holds_place(bought[0]))
    taken = calendar.day(claim.shop_id, claim.day).busy[claim.resource_id]
    freed = first or second or (round.struck(faults.LOST_AFTER) and not claim.quanta & taken)
    round.same("the ghost's quanta that are taken", claim.quanta & taken, frozenset() if freed else claim.quanta)
    if not freed:
        (row,) = (r for r in booking.everything_taken() if (r.shop_id, r.day) == (claim.shop_id, claim.day))
        round.holds("freed at last", booking.free_unowned(row, claim.quanta))


@case()
def note_of_a_day(round: Round) -> None:
    """Two bookings, one of them of a day's last hour, tell search about the day: what stands is as the day is."""
    shop = round.kept("salon", lambda: salons.salon(staff=1, hours=every_day((600, 720))))
    page = catalog.shop_page(round.ctx, shop.shop.id)
    day = (BEGIN.plus(days=1 + round.seed % 25)).local_date(shop.shop.zone)
    begin = local_midnight(day, shop.shop.zone).plus(hours=10)
    buyers = [scenes.person(round, name) for name in ("one", "two")]
    quotes = [scenes.quoted(shop, who, begin.plus(hours=hour)) for hour, who in enumerate(buyers)]
    found = round.race(*(partial(scenes.places, *each) for each in zip(buyers, quotes, strict=True)))
    round.same("answers", outcomes(found), {"done": 2})
    noted = search.noted(shop.shop.city, day, shop.shop.id)
    until = booking_model.bookable_until(page, day, {day: calendar.day(shop.shop.id, day).busy})
    round.same("the note", noted and noted.bookable_until, until)
    for order, _ in found:
        ending.cancel(round.ctx, order, "operator")


@case(windows=True)
def one_window(round: Round) -> None:
    """A window with room for one call more: one passes, and whoever comes next waits."""
    whom, now = secrets.token_hex(8), round.run.now
    for _ in range(4):
        rate.take("account", whom, 5, 1, now)
    take = partial(rate.take, "account", whom, 5, 1, now)
    found = outcomes(round.race(take, take, take))
    # An answer that is lost after the last call was taken costs that call: the sum of all never passes the limit.
    allowed = [{"done": 1, "rate_limited": 2}] + [{"rate_limited": 3}] * round.struck(faults.LOST_AFTER)
    round.holds(f"answers: {found}", found in allowed)
