"""Quanta, availability and claims. Pure: the calendar as it was read goes in, what may be booked comes out.

A quantum is an elapsed five-minute step since local midnight, 0…287, or …299 on the day on which clocks go back, so
two bookings overlap exactly when their sets of quanta meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from chalicelib.catalog import schedule
from chalicelib.catalog.hours import between
from chalicelib.catalog.model import Offer, Option, Shop, ShopPage, Staff, can_serve, duration_of
from chalicelib.kernel.errors import Conflict, Invalid
from chalicelib.kernel.instant import MINUTE_MS, Instant, local_midnight
from chalicelib.kernel.states import StateMachine

QUANTUM_MS = 5 * MINUTE_MS
# A condition of `contains OR …` spends two operators a quantum, and AWS takes 300: 149 would be the end of it.
MAX_QUANTA = 144  # twelve hours, buffers included, on one resource and day
MAX_DAYS = 31
MAX_SLOTS = 2_000
ALTERNATIVES = 3

SLOT = StateMachine(
    "slot", "claimed", {"claimed": {"release": "released", "move": "moved"}, "released": {}, "moved": {}}
)


class SlotTaken(Conflict):
    """Somebody else has it. `alternatives` are the nearest starts that are free."""

    code = "slot_taken"


class SlotNotHeld(Conflict):
    """The order no longer owns the slot that it wants to give back."""

    code = "slot_not_held"


class SlotUnavailable(Conflict):
    """The calendar does not offer this start: closed, too soon, too far ahead, or nobody works. `alternatives` too."""

    code = "slot_unavailable"


class RangeTooLong(Invalid):
    code = "range_too_long"


class ServiceTooLong(Invalid):
    """Longer than one booking can be: twelve hours with its buffers."""

    code = "service_too_long"


Busy = Mapping[str, frozenset[int]]
"""Taken quanta by resource, of one shop-local day."""

Calendar = Mapping[date, Busy]


@dataclass(frozen=True)
class Slot:
    """A start that can be booked: with whom, and in which chair if the offer needs one."""

    starts_at: Instant
    ends_at: Instant
    staff_ids: tuple[str, ...]
    remaining: int


@dataclass(frozen=True)
class Claim:
    """Quanta of one resource on one local day. `refs` are the first quanta of its bookings, where the order's id is
    written; only the first resource of a booking carries them."""

    shop_id: str
    day: date
    resource_id: str
    quanta: frozenset[int]
    refs: frozenset[int]


@dataclass(frozen=True)
class Taken:
    """One row of the calendar: what is taken of a resource on a day, and the orders that begin at which quantum.
    `writes` is how often the row was written."""

    shop_id: str
    day: date
    resource_id: str
    quanta: frozenset[int]
    orders: dict[int, str]
    writes: int


@dataclass(frozen=True)
class Block:
    """What one booking takes: its staff member, perhaps a chair, and the time with buffers."""

    shop_id: str
    zone: str
    staff_id: str
    chair_id: str
    begin: Instant
    end: Instant


def quanta_of(begin: Instant, end: Instant, zone: str) -> dict[date, frozenset[int]]:
    """The quanta that [begin, end) touches, by local day; a part of a quantum takes all of it."""
    found: dict[date, frozenset[int]] = {}
    day = begin.local_date(zone)
    while True:
        first, following = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
        low = max(begin.ms, first.ms)
        high = min(end.ms, following.ms)
        if low < high:
            found[day] = frozenset(range((low - first.ms) // QUANTUM_MS, -((first.ms - high) // QUANTUM_MS)))
        if following >= end:
            return found
        day += timedelta(days=1)


def claims_of(blocks: Iterable[Block]) -> list[Claim]:
    """One claim for each resource and day: DynamoDB takes an item once in a transaction.

    Raises ServiceTooLong, and SlotTaken when two of the blocks want the same resource at the same time.
    """
    quanta: dict[tuple[str, date, str], frozenset[int]] = {}
    refs: dict[tuple[str, date, str], frozenset[int]] = {}
    for block in blocks:
        for day, taken in quanta_of(block.begin, block.end, block.zone).items():
            for resource in filter(None, (block.staff_id, block.chair_id)):
                key = (block.shop_id, day, resource)
                if quanta.get(key, frozenset()) & taken:
                    raise SlotTaken(alternatives=[])
                quanta[key] = quanta.get(key, frozenset()) | taken
                if resource == block.staff_id:
                    refs[key] = refs.get(key, frozenset()) | {min(taken)}
    if any(len(taken) > MAX_QUANTA for taken in quanta.values()):
        raise ServiceTooLong
    return [Claim(*key, quanta[key], refs.get(key, frozenset())) for key in sorted(quanta)]


def block_of(offer: Offer, shop: Shop, staff_id: str, chair_id: str, start: Instant, minutes: int) -> Block:
    return Block(
        shop_id=shop.id,
        zone=shop.zone,
        staff_id=staff_id,
        chair_id=chair_id,
        begin=start.plus(minutes=-offer.buffer_before_minutes),
        end=start.plus(minutes=minutes + offer.buffer_after_minutes),
    )


def _free(calendar: Calendar, resource_id: str, begin: Instant, end: Instant, zone: str) -> bool:
    return not any(
        quanta & calendar.get(day, {}).get(resource_id, frozenset())
        for day, quanta in quanta_of(begin, end, zone).items()
    )


def free_chair(offer: Offer, calendar: Calendar, block: Block) -> str | None:
    """A chair for the block: empty text when none is needed, None when none is free. The first free one in the offer's
    order, so that the answer is the same for the same calendar."""
    if not offer.chair_ids:
        return ""
    return next(
        (c for c in offer.chair_ids if _free(calendar, c, block.begin, block.end, block.zone)),
        None,
    )


def can_take(
    offer: Offer,
    shop: Shop,
    staff: Staff,
    options: tuple[Option, ...],
    calendar: Calendar,
    start: Instant,
    now: Instant,
) -> Block | None:
    """The block that a booking would take with this staff member, or None when the calendar does not allow it."""
    minutes = duration_of(offer, options, staff)
    if not schedule.within_rules(offer, shop, start, now):
        return None
    if start not in schedule.possible_starts(offer, staff, shop, start.local_date(shop.zone), minutes):
        return None
    block = block_of(offer, shop, staff.id, "", start, minutes)
    if not _free(calendar, staff.id, block.begin, block.end, shop.zone):
        return None
    chair = free_chair(offer, calendar, block)
    return None if chair is None else block_of(offer, shop, staff.id, chair, start, minutes)


def slots(
    page: ShopPage,
    offer: Offer,
    options: tuple[Option, ...],
    days: Sequence[date],
    calendar: Calendar,
    now: Instant,
    staff_id: str | None = None,
) -> list[Slot]:
    """Every bookable start on the given local days, in order. `remaining` is how many could book it at once."""
    found: dict[Instant, list[tuple[str, int]]] = {}
    for staff in page.staff:
        if not can_serve(staff, offer) or (staff_id and staff.id != staff_id):
            continue
        minutes = duration_of(offer, options, staff)
        for day in days:
            for start in schedule.possible_starts(offer, staff, page.shop, day, minutes):
                block = block_of(offer, page.shop, staff.id, "", start, minutes)
                if schedule.within_rules(offer, page.shop, start, now) and _free(
                    calendar, staff.id, block.begin, block.end, page.shop.zone
                ):
                    found.setdefault(start, []).append((staff.id, minutes))
    return [slot for start in sorted(found) if (slot := _slot(page, offer, calendar, start, found[start]))][:MAX_SLOTS]


def _slot(page: ShopPage, offer: Offer, calendar: Calendar, start: Instant, able: list[tuple[str, int]]) -> Slot | None:
    remaining = len(able)
    if offer.chair_ids:
        chairs = {minutes: _free_chairs(page, offer, calendar, start, minutes) for _, minutes in able}
        # Who takes longer needs a chair for longer, and may find none where a quicker one does.
        able = [(staff_id, minutes) for staff_id, minutes in able if chairs[minutes]]
        remaining = 0
        # A chair that is free for longer is free for less: the pickiest first, and everybody who can gets one.
        for _, minutes in sorted(able, key=lambda one: -one[1]):
            remaining += remaining < chairs[minutes]
    if not able:
        return None
    minutes = min(length for _, length in able)
    return Slot(start, start.plus(minutes=minutes), tuple(staff_id for staff_id, _ in able), remaining)


def _free_chairs(page: ShopPage, offer: Offer, calendar: Calendar, start: Instant, minutes: int) -> int:
    block = block_of(offer, page.shop, "", "", start, minutes)
    return sum(_free(calendar, chair, block.begin, block.end, page.shop.zone) for chair in offer.chair_ids)


def nearest(found: Sequence[Slot], wanted: Instant) -> list[Slot]:
    """The three free slots that are closest to the wanted start, in order of time."""
    close = sorted(found, key=lambda slot: (abs(slot.starts_at.ms - wanted.ms), slot.starts_at))[:ALTERNATIVES]
    return sorted(close, key=lambda slot: slot.starts_at)


def load_of(calendar: Calendar, staff_id: str, day: date) -> int:
    """How many quanta a staff member already serves on a day: 'any staff' goes to the one with the fewest."""
    return len(calendar.get(day, {}).get(staff_id, frozenset()))


def days_met(page: ShopPage, blocks: Sequence[Block]) -> list[date]:
    """The local days, in order, that have a start which cannot be booked while the blocks are taken. Where a shop stays
    open over midnight, the days before and after those that the blocks touch can be among them."""
    touched = {day for block in blocks for day in quanta_of(block.begin, block.end, block.zone)}
    before = {day - timedelta(days=1) for day in touched if _open_over(page.shop, day)}
    after = {day for day in (one + timedelta(days=1) for one in touched) if _open_over(page.shop, day)}
    return [day for day in sorted(touched | before | after) if any(True for _ in _calls_met(page, day, blocks))]


def _open_over(shop: Shop, day: date) -> bool:
    """Is the shop open over the midnight with which the day begins?"""
    midnight = local_midnight(day, shop.zone)
    around = midnight.plus(ms=-1), midnight.plus(ms=1)
    return between(shop.hours, *around, shop.zone) == [around]


def may_move_last_call(page: ShopPage, day: date, busy: Calendar, blocks: Sequence[Block]) -> bool:
    """Do the blocks meet a start of the day that is as late as the last free one? Only such can move `bookable_until`,
    whether they are taken or given back, as long as nobody else moves it meanwhile."""
    last = bookable_until(page, day, busy)
    return any(last is None or call >= last for call in _calls_met(page, day, blocks))


def _calls_met(page: ShopPage, day: date, blocks: Sequence[Block]) -> Iterator[Instant]:
    """Until when each start of the day can be booked that wants time which the blocks take."""
    for offer in page.offers:
        for staff in page.staff:
            minutes = duration_of(offer, (), staff)
            held = [one for one in blocks if one.staff_id == staff.id or one.chair_id in offer.chair_ids]
            for start in schedule.possible_starts(offer, staff, page.shop, day) if held else ():
                wanted = block_of(offer, page.shop, staff.id, "", start, minutes)
                if any(_share_a_quantum(wanted, one) for one in held):
                    yield start.plus(minutes=-offer.lead_minutes)


def _share_a_quantum(one: Block, other: Block) -> bool:
    if one.begin.ms - QUANTUM_MS >= other.end.ms or other.begin.ms - QUANTUM_MS >= one.end.ms:
        return False
    own, others = (quanta_of(each.begin, each.end, each.zone) for each in (one, other))
    return any(quanta & others.get(day, frozenset()) for day, quanta in own.items())


def bookable_until(page: ShopPage, day: date, busy: Calendar) -> Instant | None:
    """The last moment at which something of the shop can still be booked for a day, bookings considered."""
    calls = []
    for offer in page.offers:
        for staff in page.staff:
            starts = schedule.possible_starts(offer, staff, page.shop, day)
            minutes = duration_of(offer, (), staff)
            for start in reversed(starts):
                block = block_of(offer, page.shop, staff.id, "", start, minutes)
                if _free(busy, staff.id, block.begin, block.end, page.shop.zone) and (
                    free_chair(offer, busy, block) is not None
                ):
                    calls.append((offer, start))
                    break
    return schedule.last_call(calls)
