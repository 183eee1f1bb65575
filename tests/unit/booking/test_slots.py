"""What is offered, against an independent look at every start, person and chair."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.booking import model, service
from chalicelib.booking.model import Block, RangeTooLong, Slot, bookable_until, can_take, nearest, slots
from chalicelib.catalog.hours import Hours, every_day
from chalicelib.catalog.model import Chair, Offer, Option, Override, Shop, ShopPage, Staff
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant, at_local, local_midnight
from chalicelib.kernel.money import Money

ZONE = "Europe/Berlin"
DAY = date(2026, 10, 25)  # 25 hours
FIVE = model.QUANTUM_MS


def page_of(offer: Offer, staff: tuple[Staff, ...], hours: Hours, zone: str = ZONE) -> ShopPage:
    shop = Shop(
        id="shp_1",
        merchant_id="mch_1",
        city="sha",
        name={"en": "Shop"},
        category="hair",
        address={"en": "1 Road"},
        position=Point(52.5, 13.4),
        zone=zone,
        hours=hours,
        currency="CNY",
        created_at=Instant(0),
        chairs=tuple(Chair(one, {"en": one}) for one in offer.chair_ids),
    )
    return ShopPage(shop, (offer,), staff)


def offer_of(**changed) -> Offer:
    return Offer(
        id="ofr_1",
        shop_id="shp_1",
        merchant_id="mch_1",
        name={"en": "Cut"},
        price=Money(100, "CNY"),
        **{"duration_minutes": 60, **changed},
    )


def person(number: int, **changed) -> Staff:
    return Staff(f"stf_{number}", "shp_1", {"en": f"S{number}"}, offer_ids=("ofr_1",), rank=number, **changed)


def minute_by_minute(page: ShopPage, offer: Offer, staff: Staff, busy, start: Instant, minutes: int) -> list[str]:
    """The chairs (or "" for none needed) with which this person could serve from `start`, looked at minute by minute
    against the wall clock, the breaks and the calendar."""
    begin = start.plus(minutes=-offer.buffer_before_minutes)
    end = start.plus(minutes=minutes + offer.buffer_after_minutes)

    def opens(hours: Hours, at: Instant) -> bool:
        wall = at.local(page.shop.zone)
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            minute = wall.hour * 60 + wall.minute + back * 1440
            if any(a <= minute < b for a, b in hours.of(day)):
                return True
        return False

    def taken(resource: str, at: Instant) -> bool:
        day = at.local_date(page.shop.zone)
        return at.since(local_midnight(day, page.shop.zone)) // FIVE in busy.get(day, {}).get(resource, frozenset())

    moments = [Instant(ms) for ms in range(begin.ms, end.ms, FIVE)]
    for at in moments:
        if not opens(page.shop.hours, at) or (staff.hours and not opens(staff.hours, at)):
            return []
        if opens(staff.breaks, at) or taken(staff.id, at):
            return []
        if any(a <= at < b for a, b in staff.time_off):
            return []
    chairs = offer.chair_ids or ("",)
    return [chair for chair in chairs if not any(taken(chair, at) for at in moments)]


def at_once(choices: list[list[str]]) -> int:
    """How many people can be served at the same moment, trying every order of giving out chairs."""
    best = 0
    for order in permutations(choices):
        used: set[str] = set()
        count = 0
        for chairs in order:
            free = next((chair for chair in chairs if chair == "" or chair not in used), None)
            if free is not None:
                used.add(free)
                count += 1
        best = max(best, count)
    return best


# Hours that do not begin or end within the hour that the clocks repeat: there a wall clock cannot say which.
hours = st.sampled_from(
    [
        every_day((0, 1440)),
        every_day((540, 1080)),
        every_day((480, 720), (780, 1200)),
        every_day((1200, 1620)),
        Hours({6: ((600, 900),)}, {DAY: ((300, 660),)}),
    ]
)
breaks = st.sampled_from([Hours(), every_day((720, 765)), every_day((0, 300))])
quanta = st.lists(st.tuples(st.integers(0, 299), st.integers(1, 40)), max_size=4).map(
    lambda runs: frozenset(number for begin, length in runs for number in range(begin, begin + length) if number < 300)
)


@st.composite
def shops(draw: st.DrawFn):
    chairs = tuple(f"chr_{i}" for i in range(draw(st.integers(0, 2))))
    longer = Option("opt_1", {"en": "long"}, Money(0, "CNY"), draw(st.sampled_from([-30, -15, 30, 45])))
    offer = offer_of(
        duration_minutes=draw(st.sampled_from([15, 60, 90, 240])),
        buffer_before_minutes=draw(st.sampled_from([0, 10])),
        buffer_after_minutes=draw(st.sampled_from([0, 15])),
        slot_step_minutes=draw(st.sampled_from([30, 60, 90])),
        lead_minutes=draw(st.sampled_from([0, 90])),
        horizon_days=draw(st.sampled_from([0, 1, 30])),
        chair_ids=chairs,
        options=(longer,),
    )
    staff = tuple(
        person(
            i,
            hours=draw(st.none() | hours),
            breaks=draw(breaks),
            time_off=draw(st.sampled_from([(), ((at_local(DAY, 600, ZONE), at_local(DAY, 660, ZONE)),)])),
            overrides=draw(st.sampled_from([{}, {"ofr_1": Override(duration_minutes=30)}])),
            state=draw(st.sampled_from(["active", "active", "left"])),
        )
        for i in range(draw(st.integers(1, 3)))
    )
    names = [one.id for one in staff] + list(chairs)
    busy = {day: {name: draw(quanta) for name in names} for day in (DAY + timedelta(days=i) for i in (-1, 0, 1))}
    now = at_local(DAY, draw(st.sampled_from([-1440, -60, 480, 1000])), ZONE)
    options = draw(st.sampled_from([(), (longer,)]))
    return page_of(offer, staff, draw(hours)), offer, options, busy, now


@settings(max_examples=80, deadline=None)
@given(shops())
def test_slots_are_what_looking_at_every_minute_finds(case) -> None:
    """Who can serve, when until, and how many at once; `can_take` agrees on each person and each start."""
    page, offer, options, busy, now = case
    found = {slot.starts_at: slot for slot in slots(page, offer, options, [DAY], busy, now)}
    begin, end = local_midnight(DAY, ZONE), local_midnight(DAY + timedelta(days=1), ZONE)
    for start in (Instant(ms) for ms in range(begin.ms, end.ms, offer.slot_step_minutes * 60_000)):
        soon = start < now.plus(minutes=offer.lead_minutes)
        far = (DAY - now.local_date(ZONE)).days > offer.horizon_days
        able: dict[str, tuple[int, list[str]]] = {}
        for staff in page.staff:
            base = staff.overrides["ofr_1"].duration_minutes if staff.overrides else offer.duration_minutes
            minutes = max(5, base + sum(o.duration_delta_minutes for o in options))
            chairs = minute_by_minute(page, offer, staff, busy, start, minutes)
            served = bool(chairs) and staff.state == "active" and not soon and not far
            if served:
                able[staff.id] = (minutes, chairs)
            block = can_take(offer, page.shop, staff, options, busy, start, now)
            assert (block is not None) == served, (start, staff.id)
            if block is not None:
                assert block.chair_id == chairs[0]
                assert block.begin == start.plus(minutes=-offer.buffer_before_minutes)
                assert block.end == start.plus(minutes=minutes + offer.buffer_after_minutes)
        if not able:
            assert start not in found
            continue
        slot = found.pop(start)
        assert set(slot.staff_ids) == set(able)
        assert slot.remaining == at_once([chairs for _, chairs in able.values()])
        assert slot.ends_at == start.plus(minutes=min(minutes for minutes, _ in able.values()))
    assert found == {}


@settings(max_examples=60, deadline=None)
@given(shops())
def test_the_last_moment_to_book_is_that_of_the_last_free_start(case) -> None:
    """Without options, less the lead time; nothing when the day is full."""
    page, offer, _, busy, _ = case
    free = [
        Instant(ms)
        for ms in range(
            local_midnight(DAY, ZONE).ms,
            local_midnight(DAY + timedelta(days=1), ZONE).ms,
            offer.slot_step_minutes * 60_000,
        )
        for staff in page.staff
        if staff.state == "active"
        and minute_by_minute(
            page,
            offer,
            staff,
            busy,
            Instant(ms),
            staff.overrides["ofr_1"].duration_minutes if staff.overrides else offer.duration_minutes,
        )
    ]
    wanted = max(free).plus(minutes=-offer.lead_minutes) if free else None
    assert bookable_until(page, DAY, busy) == wanted


@settings(max_examples=200, deadline=None)
@given(shops(), st.data())
def test_what_meets_no_late_start_moves_no_last_moment(case, data) -> None:
    """Taken or given back: whatever moves `bookable_until` of a day may move it by `may_move_last_call`, seen from
    either side, and by `days_met`."""
    page, offer, _, busy, _ = case
    begin = local_midnight(DAY, ZONE).plus(minutes=5 * data.draw(st.integers(-30, 330)))
    end = begin.plus(minutes=data.draw(st.sampled_from((5, 30, 60, 240))))
    staff_id = data.draw(st.sampled_from([staff.id for staff in page.staff]))
    block = Block("shp_1", ZONE, staff_id, data.draw(st.sampled_from(["", *offer.chair_ids])), begin, end)
    without = {day: dict(resources) for day, resources in busy.items()}
    taken = {day: dict(resources) for day, resources in busy.items()}
    for claim in model.claims_of([block]):
        known = busy.get(claim.day, {}).get(claim.resource_id, frozenset())
        without.setdefault(claim.day, {})[claim.resource_id] = known - claim.quanta
        taken.setdefault(claim.day, {})[claim.resource_id] = known | claim.quanta
    if bookable_until(page, DAY, without) != bookable_until(page, DAY, taken):
        assert model.may_move_last_call(page, DAY, without, [block])
        assert model.may_move_last_call(page, DAY, taken, [block])
        assert DAY in model.days_met(page, [block])


def test_a_booking_of_the_morning_leaves_the_evening_alone() -> None:
    """Nor does one of the evening beside the last start, or with somebody who does not serve."""
    offer = offer_of(chair_ids=("chr_1",))
    page = page_of(offer, (person(1),), every_day((600, 1200)), "Asia/Shanghai")

    def may_move(minute: int, who: str = "stf_1", chair: str = "", busy=None) -> bool:
        start = at_local(DAY, minute, "Asia/Shanghai")
        block = Block("shp_1", "Asia/Shanghai", who, chair, start, start.plus(minutes=60))
        return model.may_move_last_call(page, DAY, busy or {}, [block])

    assert not may_move(600)
    assert not may_move(1080)
    assert may_move(1085)
    assert not may_move(1140, "stf_2")
    assert may_move(1140, "stf_2", "chr_1")
    assert may_move(600, busy={DAY: {"stf_1": frozenset(range(132, 240))}})


def test_a_slow_hand_without_a_chair_for_so_long_is_not_offered() -> None:
    """The chair is free for 30 minutes: enough for the quick one, not for the one who takes an hour."""
    offer = offer_of(chair_ids=("chr_1",))
    quick = person(1, overrides={"ofr_1": Override(duration_minutes=30)})
    page = page_of(offer, (quick, person(2)), every_day((0, 1440)), "Asia/Shanghai")
    start = at_local(DAY, 600, "Asia/Shanghai")
    busy = {DAY: {"chr_1": frozenset(range(126, 288))}}
    found = {s.starts_at: s for s in slots(page, offer, (), [DAY], busy, start.plus(days=-1))}
    assert found[start].staff_ids == ("stf_1",)
    assert found[start].remaining == 1


@given(
    free=st.lists(st.integers(0, 400), unique=True, max_size=12),
    wanted=st.integers(0, 400),
)
def test_alternatives_are_the_three_nearest_in_order_of_time(free: list[int], wanted: int) -> None:
    """Of two equally near, the earlier."""
    offered = [Slot(Instant(n * FIVE), Instant(n * FIVE), (), 1) for n in sorted(free)]
    chosen = [slot.starts_at.ms // FIVE for slot in nearest(offered, Instant(wanted * FIVE))]
    ranked = sorted(free, key=lambda n: (abs(n - wanted), n))
    assert chosen == sorted(ranked[:3])


@pytest.mark.parametrize(
    ("begin", "end", "days"),
    [
        ("2026-10-10T00:00", "2026-11-10T00:00", 31),  # an hour more than 31 × 24
        ("2026-10-10T12:00", "2026-11-10T12:00", 32),
        ("2026-10-25T00:00", "2026-10-26T00:00", 1),
        ("2026-10-10T00:00", "2026-11-10T00:01", None),
        ("2026-10-10T00:00", "2027-10-10T00:00", None),
    ],
)
def test_a_range_is_counted_by_the_calendar_on_the_wall(begin: str, end: str, days: int | None) -> None:
    """31 days are 31 days, also when one of them has 25 hours."""

    def at(text: str) -> Instant:
        wall = datetime.fromisoformat(text)
        return at_local(wall.date(), wall.hour * 60 + wall.minute, ZONE)

    if days is None:
        with pytest.raises(RangeTooLong):
            service.days_between(at(begin), at(end), ZONE)
    else:
        assert len(service.days_between(at(begin), at(end), ZONE)) == days


def test_a_shorter_service_that_reaches_into_the_next_day_sees_what_is_taken_there() -> None:
    """With an option that makes it shorter it can start later, and then end after midnight when the plain one never
    does: that day has to be read as well."""
    shorter = Option("opt_1", {"en": "short"}, Money(0, "CNY"), -15)
    offer = offer_of(options=(shorter,))
    page = page_of(offer, (person(1),), every_day((600, 1455)), "Asia/Shanghai")
    day = date(2026, 11, 22)
    assert service._days_touched(page, [(offer, ())], [day]) == [day]
    assert service._days_touched(page, [(offer, (shorter,))], [day]) == [day, day + timedelta(days=1)]


def test_the_number_of_slots_is_bounded() -> None:
    """A month of five-minute starts is cut, from the end."""
    offer = offer_of(duration_minutes=5, slot_step_minutes=5)
    page = page_of(offer, (person(1),), every_day((0, 1440)), "Asia/Shanghai")
    days = [date(2026, 11, 22) + timedelta(days=i) for i in range(8)]
    found = slots(page, replace(offer, horizon_days=30), (), days, {}, local_midnight(days[0], "Asia/Shanghai"))
    assert len(found) == model.MAX_SLOTS
    assert found[0].starts_at == local_midnight(days[0], "Asia/Shanghai")
