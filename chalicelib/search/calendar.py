"""When a shop is open, and what could be booked of it if there were no bookings, as a value that many shops share.

Ids, names and prices are left out, and what cannot change an answer is left out too, so that shops with the same
hours and rules have equal calendars. A calendar is its canonical bytes; what they say is read when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from chalicelib.catalog import schedule
from chalicelib.catalog.hours import Hours, Minutes, is_open
from chalicelib.catalog.model import KINDS, Offer, Shop, ShopPage, Staff, can_serve, duration_of
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money

_REMEMBERED_DAYS = 32
_NOWHERE = Point(0.0, 0.0)

Plain = list[Any]
Call = tuple[Instant, int]
"""Until when a start of the day can be booked, and how many days ahead at most."""


@dataclass(frozen=True)
class Calendar:
    """`opening` says the zone and the hours, `work` who could serve what, and when. Equal bytes mean equal answers."""

    opening: bytes
    work: bytes

    @classmethod
    def of(cls, page: ShopPage) -> Calendar:
        return cls(
            opening=_packed([page.shop.zone, _of_hours(page.shop.hours)]),
            work=_packed(_sorted(_of_staff(member, page) for member in page.staff)),
        )

    @property
    def zone(self) -> str:
        return self._page.shop.zone

    @property
    def hours(self) -> Hours:
        return self._page.shop.hours

    def is_open(self, now: Instant) -> bool:
        return is_open(self.hours, now, self.zone)

    def last_calls(self, day: date) -> list[Call]:
        """`schedule.last_calls` of a shop with this calendar, remembered. Calls that say the same stand once."""
        found = self._last_calls.get(day)
        if found is None:
            if len(self._last_calls) >= _REMEMBERED_DAYS:
                self._last_calls.clear()
            found = self._last_calls[day] = sorted(set(schedule.last_calls(self._page, day)))
        return found

    @cached_property
    def _last_calls(self) -> dict[date, list[Call]]:
        return {}

    @cached_property
    def _page(self) -> ShopPage:
        """A nameless shop with this calendar: each service of each staff member is an offer of its own."""
        zone, hours = json.loads(self.opening)
        shop = Shop("", "", "", {}, "", {}, _NOWHERE, zone, _to_hours(hours), "CNY", Instant(0))
        offers: list[Offer] = []
        staff: list[Staff] = []
        for own, breaks, time_off, services in json.loads(self.work):
            served = [_offer(str(len(offers) + number), service) for number, service in enumerate(services)]
            offers += served
            staff.append(
                Staff(
                    id="",
                    shop_id="",
                    name={},
                    offer_ids=tuple(offer.id for offer in served),
                    hours=None if own is None else _to_hours(own),
                    breaks=_to_hours(breaks),
                    time_off=tuple((Instant(begin), Instant(end)) for begin, end in time_off),
                )
            )
        return ShopPage(shop, tuple(offers), tuple(staff))


def _packed(plain: Plain) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode()


def _sorted(plain: Iterable[Plain | None]) -> Plain:
    """Each once, in an order that depends on nothing else; None is left out."""
    return [json.loads(text) for text in sorted({_packed(each) for each in plain if each is not None})]


def _of_staff(member: Staff, page: ShopPage) -> Plain | None:
    """None when nobody can book this staff member."""
    services = _sorted(
        [
            duration_of(offer, (), member),
            offer.buffer_before_minutes,
            offer.buffer_after_minutes,
            offer.slot_step_minutes,
            offer.lead_minutes,
            offer.horizon_days,
        ]
        for offer in page.offers
        if KINDS[offer.kind].timed and can_serve(member, offer)
    )
    if not services:
        return None
    own = None if member.hours is None else _of_hours(member.hours)
    return [own, _of_hours(member.breaks), sorted([a.ms, b.ms] for a, b in member.time_off), services]


def _offer(offer_id: str, service: Plain) -> Offer:
    minutes, before, after, step, lead, horizon = service
    return Offer(
        id=offer_id,
        shop_id="",
        merchant_id="",
        name={},
        price=Money(0, "CNY"),
        duration_minutes=minutes,
        buffer_before_minutes=before,
        buffer_after_minutes=after,
        slot_step_minutes=step,
        lead_minutes=lead,
        horizon_days=horizon,
    )


def _of_hours(hours: Hours) -> Plain:
    """[[[weekday, intervals]…], [[date, intervals]…]]; a weekday without intervals is closed like a missing one."""
    weekly = [[weekday, pairs] for weekday, pairs in sorted(hours.weekly.items()) if pairs]
    return [weekly, [[day.isoformat(), pairs] for day, pairs in sorted(hours.exceptions.items())]]


def _to_hours(plain: Plain) -> Hours:
    weekly, exceptions = plain
    return Hours(
        {weekday: _to_minutes(pairs) for weekday, pairs in weekly},
        {date.fromisoformat(day): _to_minutes(pairs) for day, pairs in exceptions},
    )


def _to_minutes(pairs: list[list[int]]) -> Minutes:
    return tuple((begin, end) for begin, end in pairs)
