"""When an offer could start, before any booking is looked at. Booking takes what is left of these.

The rule: the block of a booking (buffer before, service, buffer after) lies within one stretch in which the shop is
open and the staff member works. Starts stand on a grid of `slot_step_minutes`, counted in elapsed minutes from the
local midnight of the day they are on, so a day of 23 or 25 hours has the same even grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from chalicelib.catalog.hours import Stretch, between, common, without
from chalicelib.catalog.model import KINDS, Offer, Shop, ShopPage, Staff, can_serve, duration_of
from chalicelib.kernel.instant import DAY_MS, MINUTE_MS, Instant, local_midnight


def day_bounds(day: date, zone_name: str) -> Stretch:
    """A local day as instants: 23, 24 or 25 hours, or another length where the zone decided so."""
    return local_midnight(day, zone_name), local_midnight(day + timedelta(days=1), zone_name)


def work_stretches(shop: Shop, staff: Staff, begin: Instant, end: Instant) -> list[Stretch]:
    """When the shop is open and the staff member works, within [begin, end): breaks and time off are cut out."""
    found = between(shop.hours, begin, end, shop.zone)
    if staff.hours is not None:
        found = common(found, between(staff.hours, begin, end, shop.zone))
    if staff.breaks.weekly or staff.breaks.exceptions:
        found = without(found, between(staff.breaks, begin, end, shop.zone))
    return without(found, staff.time_off)


def _steps(offer: Offer, minutes: int, stretches: Iterable[Stretch], day: Stretch) -> list[tuple[int, int]]:
    """(first step, last step) of the day's grid for each stretch that holds at least one start."""
    begin, end = day
    before_ms = offer.buffer_before_minutes * MINUTE_MS
    whole_ms = (minutes + offer.buffer_after_minutes) * MINUTE_MS
    step_ms = offer.slot_step_minutes * MINUTE_MS
    found = []
    for a, b in stretches:
        first = -(-(max(a.ms + before_ms, begin.ms) - begin.ms) // step_ms)
        last = min((b.ms - whole_ms - begin.ms) // step_ms, (end.ms - 1 - begin.ms) // step_ms)
        if first <= last:
            found.append((first, last))
    return found


def _reach(offer: Offer, minutes: int, day: Stretch) -> Stretch:
    """From the earliest to the latest moment that a block starting on the day can touch."""
    return day[0].plus(minutes=-offer.buffer_before_minutes), day[1].plus(minutes=minutes + offer.buffer_after_minutes)


def possible_starts(
    offer: Offer, staff: Staff, shop: Shop, day: date, duration_minutes: int | None = None
) -> list[Instant]:
    """Every start on a local day that the calendar of shop and staff member allows, in order; lead time, horizon and
    bookings are not looked at. `duration_minutes` is the length with options, else the staff member's plain length."""
    if not can_serve(staff, offer):
        return []
    minutes = duration_of(offer, (), staff) if duration_minutes is None else duration_minutes
    bounds = day_bounds(day, shop.zone)
    stretches = work_stretches(shop, staff, *_reach(offer, minutes, bounds))
    step_ms = offer.slot_step_minutes * MINUTE_MS
    return [
        Instant(bounds[0].ms + step * step_ms)
        for first, last in _steps(offer, minutes, stretches, bounds)
        for step in range(first, last + 1)
    ]


def latest_start(offer: Offer, staff: Staff, shop: Shop, day: date) -> Instant | None:
    """The last of `possible_starts`, without making the list."""
    bounds = day_bounds(day, shop.zone)
    reach = _reach(offer, duration_of(offer, (), staff), bounds)
    return _latest(offer, staff, bounds, work_stretches(shop, staff, *reach))


def _latest(offer: Offer, staff: Staff, day: Stretch, stretches: Sequence[Stretch]) -> Instant | None:
    if not can_serve(staff, offer):
        return None
    steps = _steps(offer, duration_of(offer, (), staff), stretches, day)
    return day[0].plus(minutes=steps[-1][1] * offer.slot_step_minutes) if steps else None


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


def last_calls(page: ShopPage, day: date) -> list[tuple[Instant, int]]:
    """For each offer that has a start on the day: until when it can be booked, and its horizon in days. For a day
    without bookings; the plain length of each staff member counts, without options."""
    bounds = day_bounds(day, page.shop.zone)
    # A service with its buffers is shorter than a day, so this reach holds every block of the day.
    reach = bounds[0].plus(ms=-DAY_MS), bounds[1].plus(ms=DAY_MS)
    work = [(member, work_stretches(page.shop, member, *reach)) for member in page.staff]
    found = []
    for offer in page.offers:
        if KINDS[offer.kind].timed:
            call = last_call((offer, _latest(offer, member, bounds, stretches)) for member, stretches in work)
            if call is not None:
                found.append((call, offer.horizon_days))
    return found


def bookable_until(page: ShopPage, day: date) -> Instant | None:
    """The last moment at which something of the shop can be booked for a day that has no bookings yet."""
    return max((call for call, _ in last_calls(page, day)), default=None)
