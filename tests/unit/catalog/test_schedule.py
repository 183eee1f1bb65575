"""Starts that the calendar allows: hours, breaks, time off, buffers, grid, on days of every length."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.catalog.hours import Hours, every_day, is_open
from chalicelib.catalog.model import Offer, Override, Shop, ShopPage, Staff
from chalicelib.catalog.schedule import (
    bookable_until,
    day_bounds,
    last_calls,
    latest_start,
    possible_starts,
    within_rules,
)
from chalicelib.kernel.instant import MINUTE_MS, Instant
from tests.builders import catalog as build
from tests.unit.catalog.test_hours import intervals, zones

DAY = date(2026, 11, 23)

fives = st.integers(0, 12).map(lambda n: 5 * n)
# Days on which the clocks of some zone change, and ordinary ones.
days = st.sampled_from(
    [date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1), date(2027, 4, 4), DAY]
)


@st.composite
def calendars(draw: st.DrawFn) -> tuple[Offer, Staff, Shop, date]:
    week = st.dictionaries(st.integers(0, 6), intervals(), min_size=4, max_size=7)
    shop = build.shop(zone=draw(zones), hours=Hours(draw(week)))
    offer = build.offer(
        shop,
        duration_minutes=5 + draw(fives) * 3,
        buffer_before_minutes=draw(fives),
        buffer_after_minutes=draw(fives),
        slot_step_minutes=5 + draw(fives),
        lead_minutes=draw(st.integers(0, 3000)),
    )
    day = draw(days)
    off = day_bounds(day, shop.zone)[0].plus(minutes=draw(st.integers(0, 1200)))
    staff = build.staff(
        shop,
        offer,
        hours=draw(st.none() | st.builds(Hours, week)),
        breaks=draw(st.builds(Hours, st.dictionaries(st.integers(0, 6), intervals(), max_size=3))),
        time_off=((off, off.plus(minutes=draw(st.integers(1, 300)))),) if draw(st.booleans()) else (),
    )
    return offer, staff, shop, day


def worked_minutes(staff: Staff, shop: Shop, begin: Instant, end: Instant) -> set[int]:
    """Every minute of a span, in milliseconds, in which the shop is open and the staff member works."""
    return {
        ms
        for ms in range(begin.ms, end.ms, MINUTE_MS)
        if is_open(shop.hours, Instant(ms), shop.zone)
        and (staff.hours is None or is_open(staff.hours, Instant(ms), shop.zone))
        and not is_open(staff.breaks, Instant(ms), shop.zone)
        and not any(off.ms <= ms < on.ms for off, on in staff.time_off)
    }


@settings(max_examples=30, deadline=None)
@given(calendars())
def test_starts_are_exactly_those_whose_every_minute_is_worked(calendar: tuple[Offer, Staff, Shop, date]) -> None:
    """Against a scan of the day's whole grid, minute by minute."""
    offer, staff, shop, day = calendar
    begin, end = day_bounds(day, shop.zone)
    worked = worked_minutes(staff, shop, begin.plus(hours=-1), end.plus(hours=5))
    block = range(-offer.buffer_before_minutes, offer.duration_minutes + offer.buffer_after_minutes)
    expected = [
        Instant(ms)
        for ms in range(begin.ms, end.ms, offer.slot_step_minutes * MINUTE_MS)
        if all(ms + minute * MINUTE_MS in worked for minute in block)
    ]
    assert possible_starts(offer, staff, shop, day) == expected
    assert latest_start(offer, staff, shop, day) == (expected[-1] if expected else None)


@settings(max_examples=30, deadline=None)
@given(calendars(), calendars())
def test_the_last_call_is_the_latest_start_less_the_lead_time(one: tuple, other: tuple) -> None:
    """Over all offers and staff of a page; None when there is no start at all."""
    offer, staff, shop, day = one
    second = replace(other[0], id=build.offer(shop).id, shop_id=shop.id)
    member = replace(other[1], shop_id=shop.id, offer_ids=(offer.id, second.id))
    page = ShopPage(shop, (offer, second), (staff, member))
    calls = [
        start.plus(minutes=-each.lead_minutes)
        for each in page.offers
        for who in page.staff
        for start in possible_starts(each, who, shop, day)
    ]
    assert bookable_until(page, day) == max(calls, default=None)
    assert max((call for call, _ in last_calls(page, day)), default=None) == max(calls, default=None)


def test_a_whole_block_must_fit_before_the_doors_close() -> None:
    """60 minutes and 15 to clean, open till 22:00: the last start on a half-hour grid is 20:30."""
    shop = build.shop()
    offer = build.offer(shop, buffer_after_minutes=15)
    starts = possible_starts(offer, build.staff(shop, offer), shop, DAY)
    assert [start.local(shop.zone).strftime("%H:%M") for start in (starts[0], starts[-1])] == ["10:00", "20:30"]


def test_one_who_takes_longer_starts_earlier_and_options_count() -> None:
    shop = build.shop()
    offer = build.offer(shop)
    slow = build.staff(shop, offer, overrides={offer.id: Override(duration_minutes=120)})
    assert latest_start(offer, slow, shop, DAY).local(shop.zone).hour == 20
    assert possible_starts(offer, slow, shop, DAY, 240)[-1].local(shop.zone).hour == 18


def test_who_cannot_serve_an_offer_has_no_start() -> None:
    shop = build.shop()
    offer = build.offer(shop)
    stranger = build.staff(build.shop(), offer)
    for staff in (build.staff(shop), build.staff(shop, offer, state="left"), stranger):
        assert possible_starts(offer, staff, shop, DAY) == []
        assert latest_start(offer, staff, shop, DAY) is None


def test_a_massage_after_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    """Open noon to two at night: Tuesday has starts from 00:00 to 01:00, which Monday's hours gave."""
    shop = build.shop(hours=every_day((720, 1560)))
    offer = build.offer(shop)
    starts = possible_starts(offer, build.staff(shop, offer), shop, DAY + timedelta(days=1))
    shown = [start.local(shop.zone).strftime("%H:%M") for start in starts]
    assert shown[:4] == ["00:00", "00:30", "01:00", "12:00"]
    assert shown[-1] == "23:30"


def test_lead_time_and_horizon_bound_a_start() -> None:
    """Neither sooner than the lead time to the minute, nor on a later local day than the horizon."""
    shop = build.shop()
    offer = build.offer(shop, lead_minutes=60, horizon_days=7)
    now = Instant.parse("2026-11-22T04:00:00Z")
    assert within_rules(offer, shop, now.plus(minutes=60), now)
    assert not within_rules(offer, shop, now.plus(minutes=60, ms=-1), now)
    last = day_bounds(date(2026, 11, 29), shop.zone)[1]
    assert within_rules(offer, shop, last.plus(ms=-1), now)
    assert not within_rules(offer, shop, last, now)
