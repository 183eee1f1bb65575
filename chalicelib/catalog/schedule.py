"""When an offer could start, before any booking is looked at. Booking takes what is left of these.

The rule: the block of a booking (buffer before, service, buffer after) lies within one stretch in which the shop is
open and the staff member works. Starts stand on a grid of `slot_step_minutes`, counted in elapsed minutes from the
local midnight of the day they are on, so a day of 23 or 25 hours has the same even grid.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from chalicelib.catalog.hours import Stretch, between, common, without
from chalicelib.catalog.model import KINDS, Offer, Shop, ShopPage, Staff, can_serve, duration_of
from chalicelib.kernel.instant import MINUTE_MS, Instant, local_midnight


def day_bounds(day: date, zone_name: str) -> Stretch:
    """A local day as instants: 23, 24 or 25 hours, or another length where the zone decided so."""
    return local_midnight(day, zone_name), local_midnight(day + timedelta(days=1), zone_name)


def work_stretches(shop: Shop, staff: Staff, begin: Instant, end: Instant) -> list[Stretch]:
    """When the shop is open and the staff member works, within [begin, end): breaks and time off are cut out."""
    found = between(shop.hours, begin, end, shop.zone)
    if staff.hours is not None:
        found = common(found, between(staff.hours, begin, end, shop.zone))
    return without(found, [*between(staff.breaks, begin, end, shop.zone), *staff.time_off])


def _ranges(offer: Offer, staff: Staff, shop: Shop, day: date, minutes: int) -> list[tuple[int, int, int]]:
    """(day's first millisecond, first step, last step) for each stretch that holds at least one start."""
    begin, end = day_bounds(day, shop.zone)
    before_ms = offer.buffer_before_minutes * MINUTE_MS
    whole_ms = (minutes + offer.buffer_after_minutes) * MINUTE_MS
    step_ms = offer.slot_step_minutes * MINUTE_MS
    found = []
    for a, b in work_stretches(shop, staff, begin.plus(ms=-before_ms), end.plus(ms=whole_ms)):
        first = -(-(max(a.ms + before_ms, begin.ms) - begin.ms) // step_ms)
        last = min((b.ms - whole_ms - begin.ms) // step_ms, (end.ms - 1 - begin.ms) // step_ms)
        if first <= last:
            found.append((begin.ms, first, last))
    return found


def possible_starts(
    offer: Offer, staff: Staff, shop: Shop, day: date, duration_minutes: int | None = None
) -> list[Instant]:
    """Every start on a local day that the calendar of shop and staff member allows, in order; lead time, horizon and
    bookings are not looked at. `duration_minutes` is the length with options, else the staff member's plain length."""
    if not can_serve(staff, offer):
        return []
    minutes = duration_of(offer, (), staff) if duration_minutes is None else duration_minutes
    step_ms = offer.slot_step_minutes * MINUTE_MS
    return [
        Instant(origin + step * step_ms)
        for origin, first, last in _ranges(offer, staff, shop, day, minutes)
        for step in range(first, last + 1)
    ]


def latest_start(offer: Offer, staff: Staff, shop: Shop, day: date) -> Instant | None:
    """The last of `possible_starts`, without making the list."""
    if not can_serve(staff, offer):
        return None
    ranges = _ranges(offer, staff, shop, day, duration_of(offer, (), staff))
    if not ranges:
        return None
    origin, _, last = ranges[-1]
    return Instant(origin + last * offer.slot_step_minutes * MINUTE_MS)


def within_rules(offer: Offer, shop: Shop, start: Instant, now: Instant) -> bool:
    """Lead time and horizon: not too soon, and on a local day at most `horizon_days` after today."""
    if start < now.plus(minutes=offer.lead_minutes):
        return False
    days = (start.local_date(shop.zone) - now.local_date(shop.zone)).days
    return days <= offer.horizon_days


def last_call(starts: Iterable[tuple[Offer, Instant | None]]) -> Instant | None:
    """The last moment at which one of these latest starts could still be booked, each less its offer's lead time."""
    calls = [start.plus(minutes=-offer.lead_minutes) for offer, start in starts if start is not None]
    return max(calls, default=None)


def bookable_until(page: ShopPage, day: date) -> Instant | None:
    """The last moment at which something of the shop can be booked for a day that has no bookings yet."""
    return last_call(
        (offer, latest_start(offer, member, page.shop, day))
        for offer in page.offers
        if KINDS[offer.kind].timed
        for member in page.staff
    )


def within_horizon(page: ShopPage, day: date, now: Instant) -> bool:
    """Whether a day is neither past nor beyond the longest horizon of the shop's offers."""
    days = (day - now.local_date(page.shop.zone)).days
    return 0 <= days <= max((offer.horizon_days for offer in page.offers), default=-1)
