"""The booking slice's public face: what is free, who takes it, and the same in a transaction of somebody above."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from chalicelib.booking import model, tables
from chalicelib.booking.model import (
    Block,
    Busy,
    Calendar,
    Claim,
    RangeTooLong,
    Slot,
    SlotNotHeld,
    SlotTaken,
    SlotUnavailable,
    Taken,
)
from chalicelib.catalog import schedule
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import (
    MAX_HORIZON_DAYS,
    Offer,
    Option,
    ShopNotFound,
    ShopPage,
    Staff,
    StaffCannotServe,
    can_serve,
    choose,
    duration_of,
    price_of,
)
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction
from chalicelib.search import service as search
from chalicelib.search.news import Doubt

_NOTE_TRIES = 4


def days_between(begin: Instant, end: Instant, zone: str) -> list[date]:
    """Local days that [begin, end) touches. Raises RangeTooLong beyond 31."""
    first = begin.local_date(zone)
    last = end.plus(ms=-1).local_date(zone)
    count = (last - first).days + 1
    # By the clock on the wall: 31 days are 31 days, also when one of them has 25 hours.
    if end.local(zone).replace(tzinfo=None) - begin.local(zone).replace(tzinfo=None) > timedelta(days=model.MAX_DAYS):
        raise RangeTooLong
    return [first + timedelta(days=i) for i in range(max(count, 0))]


Service = tuple[Offer, tuple[Option, ...]]
"""An offer with its chosen options: together they say how long it takes."""


def calendar(page: ShopPage, services: Iterable[Service], days: Iterable[date], *, consistent: bool = True) -> Calendar:
    """What is taken on these local days, and on those that a service starting on them can reach into."""
    wanted = _days_touched(page, services, days)
    return {day: tables.day(page.shop.id, day, consistent=consistent).busy for day in wanted}


def availability(
    ctx: Context,
    page: ShopPage,
    offer: Offer,
    begin: Instant,
    end: Instant,
    *,
    staff_id: str | None = None,
    option_ids: tuple[str, ...] = (),
) -> list[Slot]:
    """Every bookable start in [begin, end). Raises RangeTooLong, OptionsInvalid."""
    options = choose(offer, option_ids)
    zone = page.shop.zone
    # Nothing before now or past the horizon can be free: those days are not read.
    asked = days_between(begin, end, zone)
    today = ctx.now.local_date(zone)
    days = [day for day in asked if today <= day <= today + timedelta(days=min(offer.horizon_days, MAX_HORIZON_DAYS))]
    taken = calendar(page, [(offer, options)], days, consistent=False)
    found = model.slots(page, offer, options, days, taken, ctx.now, staff_id)
    return [slot for slot in found if begin <= slot.starts_at < end]


@dataclass(frozen=True)
class Wish:
    """One segment of a visit: which offer, when, and with whom if it matters."""

    offer: Offer
    options: tuple[Option, ...]
    staff_id: str | None
    start: Instant


def resolve(ctx: Context, page: ShopPage, wishes: Sequence[Wish]) -> tuple[list[Block], Calendar]:
    """Who and what serves each wish, and the calendar as it is stored now, on which that was decided; 'any staff' goes
    to the least busy of those who cost no more than the offer.

    Raises SlotTaken with the nearest alternatives when somebody else has it, SlotUnavailable when the calendar of shop
    and staff never offered it, StaffCannotServe.
    """
    zone = page.shop.zone
    days = {wish.start.local_date(zone) for wish in wishes}
    services = [(wish.offer, wish.options) for wish in wishes]
    stored = calendar(page, services, days)
    taken = {day: dict(busy) for day, busy in stored.items()}
    blocks = []
    for wish in wishes:
        block = _best(ctx, page, wish, taken)
        if block is None:
            raise _refusal(ctx, page, wish, taken)
        blocks.append(block)
        for claim in model.claims_of([block]):
            day = taken.setdefault(claim.day, {})
            day[claim.resource_id] = day.get(claim.resource_id, frozenset()) | claim.quanta
    return blocks, stored


def _best(ctx: Context, page: ShopPage, wish: Wish, taken: Calendar) -> Block | None:
    day = wish.start.local_date(page.shop.zone)
    able = [staff for staff in page.staff if can_serve(staff, wish.offer)]
    if wish.staff_id is not None:
        able = [staff for staff in able if staff.id == wish.staff_id]
        if not able:
            raise StaffCannotServe
    # 'Any staff' is sold at the offer's own price, so who costs more serves it only when nobody else can.
    own_price = price_of(wish.offer, wish.options)
    able.sort(
        key=lambda staff: (
            own_price < price_of(wish.offer, wish.options, staff),
            model.load_of(taken, staff.id, day),
            staff.rank,
            staff.id,
        )
    )
    for staff in able:
        block = model.can_take(wish.offer, page.shop, staff, wish.options, taken, wish.start, ctx.now)
        if block is not None:
            return block
    return None


def _refusal(ctx: Context, page: ShopPage, wish: Wish, taken: Calendar) -> SlotTaken | SlotUnavailable:
    ever_offered = any(
        model.can_take(wish.offer, page.shop, staff, wish.options, {}, wish.start, ctx.now) is not None
        for staff in _able(page, wish)
    )
    found = alternatives(ctx, page, wish, taken)
    return SlotTaken(alternatives=found) if ever_offered else SlotUnavailable(alternatives=found)


def _able(page: ShopPage, wish: Wish) -> list[Staff]:
    return [s for s in page.staff if can_serve(s, wish.offer) and wish.staff_id in (None, s.id)]


def alternatives(ctx: Context, page: ShopPage, wish: Wish, taken: Calendar | None = None) -> list[dict[str, object]]:
    """The three nearest free starts for a wish, on its day or, when that is full, on the days around it."""
    day = wish.start.local_date(page.shop.zone)
    service = [(wish.offer, wish.options)]
    known = taken or calendar(page, service, [day])
    found = model.slots(page, wish.offer, wish.options, [day], known, ctx.now, wish.staff_id)
    if len(found) < model.ALTERNATIVES:
        days = [day + timedelta(days=i) for i in range(-2, 4)]
        # What is known already also holds what the other lines of the same visit want.
        known = {**calendar(page, service, days, consistent=False), **known}
        found = model.slots(page, wish.offer, wish.options, days, known, ctx.now, wish.staff_id)
    return [
        {
            "starts_at": str(s.starts_at),
            "ends_at": str(s.ends_at),
            "staff_ids": list(s.staff_ids),
            "remaining": s.remaining,
        }
        for s in model.nearest(found, wish.start)
    ]


def claim(tx: Transaction, order_id: str, blocks: Sequence[Block]) -> None:
    """Adds the claims of all blocks: all or nothing, refused as SlotTaken where one quantum is taken."""
    for wanted in model.claims_of(blocks):
        tables.claim(tx, wanted, order_id)


def claim_part(tx: Transaction, order_id: str, wanted: Claim) -> None:
    """One claim of an order alone, where a restore has lost it. SlotTaken when somebody else has it by now."""
    tables.claim(tx, wanted, order_id)


def holds(claim: Claim, order_id: str) -> bool:
    """Is the claim written in the calendar, under the order where it carries references? Strong."""
    state = tables.day(claim.shop_id, claim.day)
    owned = all(state.orders.get((claim.resource_id, number)) == order_id for number in claim.refs)
    return owned and claim.quanta <= state.busy.get(claim.resource_id, frozenset())


def everything_taken() -> Iterator[Taken]:
    """Every row of the calendar, in no order."""
    return tables.everything_taken()


def free_unowned(row: Taken, quanta: frozenset[int]) -> bool:
    """Gives back quanta of a row that belong to no order. False when the row has moved since it was read."""
    tx = Transaction()
    tables.free(tx, row, quanta, frozenset(row.orders) & quanta)
    try:
        tx.commit()
    except SlotNotHeld:
        return False
    return True


def release(tx: Transaction, order_id: str, blocks: Sequence[Block]) -> None:
    """Gives everything back, on condition that the order still owns it."""
    for held in model.claims_of(blocks):
        tables.release(tx, held, order_id)


def doubt(
    ctx: Context,
    tx: Transaction,
    order_id: str,
    shop_id: str,
    blocks: Sequence[Block],
    page: ShopPage | None = None,
    known: Calendar | None = None,
) -> list[date]:
    """Whatever takes or gives back these blocks leaves in its own transaction the days of which search may have to be
    told afterwards (see `note_days`): should it die in between, `look_again` finds them. Most bookings leave a day's
    last free start alone, and write nothing here. `page` and `known` are what was read of the shop already."""
    try:
        page = page or catalog.shop_page(ctx, shop_id, consistent=False)
        days = _days_moved(page, blocks, dict(known or {}))
    except Exception as error:  # a shop that is closed just now, or one that cannot be read: to doubt is always right
        log.info("a day is doubted unseen", shop_id=shop_id, error=repr(error))
        days = _days_of(blocks)
    if days:
        search.doubt(ctx, tx, order_id, shop_id, days)
    return days


def _days_moved(page: ShopPage, blocks: Sequence[Block], known: dict[date, Busy]) -> list[date]:
    """The days whose last moment to book the blocks may move. What of the calendar is not known is read."""
    plain = [(offer, ()) for offer in page.offers]
    found = []
    for day in model.days_met(page, blocks):
        for one in _days_touched(page, plain, [day]):
            if one not in known:
                known[one] = tables.day(page.shop.id, one).busy
        if model.may_move_last_call(page, day, known, blocks):
            found.append(day)
    return found


def _days_of(blocks: Iterable[Block]) -> list[date]:
    return sorted({day for block in blocks for day in model.quanta_of(block.begin, block.end, block.zone)})


def note_days(ctx: Context, shop_id: str, blocks: Sequence[Block], doubted: Iterable[date] = ()) -> None:
    """Tells search until when the touched days, and those in doubt, can still be booked, as soon as the commit stands.
    Best effort: what is left out here stands in doubt, see `doubt`."""
    try:
        page = catalog.shop_page(ctx, shop_id, consistent=False)
        for day in sorted({*_days_of(blocks), *doubted}):
            note_day(ctx, page, day)
    except Exception as error:
        log.warning("search was not told of a changed day", shop_id=shop_id, error=str(error))


def look_again(ctx: Context) -> int:
    """Looks again at the days that have stood in doubt for a minute, and corrects their notes: that of a function which
    died before it told search, and that of one which met another's. Returns how many days of shops it looked at.

    The minute is longer than anything that had read the day before takes to write: who left no doubt, because the day's
    last free start was another when it read, has committed by now."""
    shops: dict[str, list[Doubt]] = {}
    for one in search.doubts(ctx):
        shops.setdefault(one.shop_id, []).append(one)
    count = 0
    for shop_id, doubts in shops.items():
        days = sorted({day for one in doubts for day in one.days})
        try:
            with suppress(ShopNotFound):
                page = catalog.whole_page(ctx, shop_id).public()
                for day in days:
                    note_day(ctx, page, day)
                count += len(days)
            for one in doubts:
                search.settle(one)
        except Exception as error:  # the others go on; it stays, and is tried again in a minute
            log.error("a day could not be looked at again", error, shop_id=shop_id)
    return count


def note_day(ctx: Context, page: ShopPage, day: date) -> None:
    """Writes the day's note when it says something new; most bookings leave a day's last free start where it was.

    A note is written only over an older revision of the day, and the day is looked at again afterwards, so that the
    last writer's note is that of the day as it is.
    """
    plain = [(offer, ()) for offer in page.offers]
    for _ in range(_NOTE_TRIES):
        states = {one: tables.day(page.shop.id, one) for one in _days_touched(page, plain, [day])}
        until = model.bookable_until(page, day, {one: state.busy for one, state in states.items()})
        revision = sum(state.revision for state in states.values())
        noted = search.noted(page.shop.city, day, page.shop.id)
        if (noted.bookable_until if noted else schedule.bookable_until(page, day)) == until:
            return
        search.note_day(
            ctx, shop_id=page.shop.id, city=page.shop.city, day=day, bookable_until=until, revision=revision
        )
        if revision == sum(tables.day(page.shop.id, one).revision for one in states):
            return


def repair_notes(ctx: Context, progress: Callable[[int, int], None] | None = None) -> int:
    """Looks again at every noted day from today on, and corrects notes that a crash left behind. Returns how many days
    of shops it looked at; a shop that is not open to the public is left alone. `progress` is told after each day how
    many are done, of how many."""
    count = done = 0
    cities = catalog.cities(ctx)
    for city in cities:
        today = ctx.now.local_date(city.zone)
        for ahead in range(MAX_HORIZON_DAYS + 1):
            day = today + timedelta(days=ahead)
            for shop_id in search.noted_shops(city.code, day):
                with suppress(ShopNotFound):
                    note_day(ctx, catalog.shop_page(ctx, shop_id), day)
                    count += 1
            done += 1
            if progress:
                progress(done, len(cities) * (MAX_HORIZON_DAYS + 1))
    return count


def _days_touched(page: ShopPage, services: Iterable[Service], days: Iterable[date]) -> list[date]:
    """The local days that services starting on `days` reach into, in order: more than those only around midnight."""
    found = set(days)
    asked = tuple(found)
    for offer, options in services:
        for staff in page.staff:
            minutes = duration_of(offer, options, staff)
            for day in asked:
                starts = schedule.possible_starts(offer, staff, page.shop, day, minutes)
                for start in (starts[0], starts[-1]) if starts else ():
                    block = model.block_of(offer, page.shop, staff.id, "", start, minutes)
                    found |= set(model.quanta_of(block.begin, block.end, page.shop.zone))
    return sorted(found)
