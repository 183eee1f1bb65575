"""Catalogue values as plain dicts of strings and whole numbers, and back. This is the shape of the stored rows.

Positions are micro-degrees in both datums: what is computed with is WGS-84, what China's maps show is GCJ-02.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from chalicelib.catalog.hours import Hours, Minutes
from chalicelib.catalog.model import (
    Category,
    Chair,
    City,
    Merchant,
    Offer,
    Option,
    Override,
    Shop,
    ShopPage,
    Staff,
    Text,
)
from chalicelib.catalog.rating import Rating
from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point, to_gcj02
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money

Plain = dict[str, Any]
_MICRO = 1_000_000


def _point(point: Point) -> list[int]:
    shown = to_gcj02(point)
    return [round(degrees * _MICRO) for degrees in (point.lat, point.lng, shown.lat, shown.lng)]


def _to_point(plain: list[int]) -> Point:
    return Point(plain[0] / _MICRO, plain[1] / _MICRO)


def quantised(point: Point) -> Point:
    """The point as it reads back after it was stored."""
    return _to_point(_point(point))


def _text(text: Text) -> Plain:
    return dict(text)


def _hours(hours: Hours) -> list[list[list[Any]]]:
    """Weekdays, and then dates, that share their intervals stand together: [[["0123456", [[600, 1320]]]], […]]."""
    return [
        _together({str(weekday): pairs for weekday, pairs in sorted(hours.weekly.items())}, ""),
        _together({day.isoformat(): pairs for day, pairs in sorted(hours.exceptions.items())}, ","),
    ]


def _together(days: dict[str, Minutes], between: str) -> list[list[Any]]:
    grouped: dict[Minutes, list[str]] = {}
    for name, intervals in days.items():
        grouped.setdefault(intervals, []).append(name)
    return [[between.join(names), [list(pair) for pair in intervals]] for intervals, names in grouped.items()]


def _to_minutes(pairs: list[list[int]]) -> Minutes:
    return tuple((begin, end) for begin, end in pairs)


def _to_hours(plain: list[list[list[Any]]]) -> Hours:
    weekly, exceptions = plain
    return Hours(
        {int(weekday): _to_minutes(pairs) for names, pairs in weekly for weekday in names},
        {date.fromisoformat(day): _to_minutes(pairs) for names, pairs in exceptions for day in names.split(",")},
    )


# What is blank is not written: a shop's page must fit one read unit. These are the fields that may be blank and what
# they then read as, fixed here, so that a default which changes in the code cannot change what was stored.
_BLANK_SHOP: Plain = {
    "description": {},
    "photos": [],
    "phone_public": "",
    "chairs": [],
    "rating_sum_centi": 0,
    "rating_count": 0,
    "sales": 0,
}
_BLANK_STAFF: Plain = {
    "title": {},
    "photo": None,
    "offer_ids": [],
    "hours": None,
    "breaks": [[], []],
    "time_off": [],
    "overrides": {},
    "rank": 0,
}
_BLANK_OFFER: Plain = {
    "category": "",
    "description": {},
    "photos": [],
    "buffer_before_minutes": 0,
    "buffer_after_minutes": 0,
    "lead_minutes": 0,
    "horizon_days": 0,
    "options": [],
    "chair_ids": [],
    "policy": [],
    "refund_badge": "",
    "usage_rules": [],
    "rank": 0,
}


# Short on the wire, long in code.
_SHORT = {
    "address": "a",
    "breaks": "br",
    "buffer_after_minutes": "ba",
    "buffer_before_minutes": "bb",
    "category": "ct",
    "chair_ids": "ch",
    "chairs": "cs",
    "confirmation": "cf",
    "created_at": "at",
    "currency": "cu",
    "description": "ds",
    "duration_minutes": "du",
    "horizon_days": "hd",
    "hours": "h",
    "kind": "k",
    "lead_minutes": "ld",
    "merchant_id": "m",
    "name": "n",
    "offer_ids": "of",
    "options": "op",
    "overrides": "ov",
    "phone_public": "ph",
    "photo": "p",
    "photos": "ps",
    "policy": "pl",
    "position": "pt",
    "price": "pr",
    "rank": "rk",
    "rating_count": "rc",
    "rating_sum_centi": "rs",
    "refund_badge": "rb",
    "sales": "sl",
    "shop_id": "s",
    "slot_step_minutes": "ss",
    "state": "st",
    "time_off": "to",
    "title": "t",
    "usage_rules": "ur",
    "version": "v",
    "zone": "z",
}
_LONG = {short: name for name, short in _SHORT.items()}


def _lean(plain: Plain, blank: Plain) -> Plain:
    return {_SHORT.get(name, name): value for name, value in plain.items() if name not in blank or value != blank[name]}


def _full(lean: Plain, blank: Plain) -> Plain:
    return {**blank, **{_LONG.get(short, short): value for short, value in lean.items()}}


def of_city(city: City) -> Plain:
    return {
        "code": city.code,
        "name": _text(city.name),
        "centre": _point(city.centre),
        "radius_m": city.radius_m,
        "zone": city.zone,
        "currency": city.currency,
        "rank": city.rank,
    }


def to_city(plain: Plain) -> City:
    return City(**{**plain, "centre": _to_point(plain["centre"])})


def of_category(category: Category) -> Plain:
    return {"code": category.code, "name": _text(category.name), "rank": category.rank}


def to_category(plain: Plain) -> Category:
    return Category(**plain)


def of_merchant(merchant: Merchant) -> Plain:
    return {
        "id": merchant.id,
        "name": _text(merchant.name),
        "commission_bps": merchant.commission_bps,
        "state": merchant.state,
        "version": merchant.version,
    }


def to_merchant(plain: Plain) -> Merchant:
    return Merchant(**plain)


def of_shop(shop: Shop) -> Plain:
    plain = {
        "id": shop.id,
        "merchant_id": shop.merchant_id,
        "city": shop.city,
        "name": _text(shop.name),
        "category": shop.category,
        "address": _text(shop.address),
        "position": _point(shop.position),
        "zone": shop.zone,
        "hours": _hours(shop.hours),
        "currency": shop.currency,
        "created_at": shop.created_at.ms,
        "description": _text(shop.description),
        "photos": list(shop.photos),
        "phone_public": shop.phone_public,
        "chairs": [[chair.id, _text(chair.name)] for chair in shop.chairs],
        "rating_sum_centi": shop.rating_sum_centi,
        "rating_count": shop.rating_count,
        "sales": shop.sales,
        "state": shop.state,
        "version": shop.version,
    }
    return _lean(plain, _BLANK_SHOP)


def to_shop(lean: Plain) -> Shop:
    plain = _full(lean, _BLANK_SHOP)
    return Shop(
        **{
            **plain,
            "position": _to_point(plain["position"]),
            "hours": _to_hours(plain["hours"]),
            "created_at": Instant(plain["created_at"]),
            "photos": tuple(plain["photos"]),
            "chairs": tuple(Chair(chair_id, name) for chair_id, name in plain["chairs"]),
        }
    )


def _half(offer_id: str) -> str:
    """A staff member's offers are of the same shop, so its tag need not be repeated."""
    return ids.split(offer_id)[1]


def _whole(half: str, staff_id: str) -> str:
    return f"ofr_{ids.split(staff_id)[0]}{half}"


def of_staff(staff: Staff) -> Plain:
    plain = {
        "id": staff.id,
        "shop_id": staff.shop_id,
        "name": _text(staff.name),
        "title": _text(staff.title),
        "photo": staff.photo,
        "offer_ids": [_half(offer_id) for offer_id in staff.offer_ids],
        "hours": None if staff.hours is None else _hours(staff.hours),
        "breaks": _hours(staff.breaks),
        "time_off": [[begin.ms, end.ms] for begin, end in staff.time_off],
        "overrides": {
            _half(offer_id): [override.price_delta_minor, override.duration_minutes]
            for offer_id, override in staff.overrides.items()
        },
        "state": staff.state,
        "rank": staff.rank,
        "version": staff.version,
    }
    return _lean(plain, _BLANK_STAFF)


def to_staff(lean: Plain) -> Staff:
    plain = _full(lean, _BLANK_STAFF)
    return Staff(
        **{
            **plain,
            "offer_ids": tuple(_whole(half, plain["id"]) for half in plain["offer_ids"]),
            "hours": None if plain["hours"] is None else _to_hours(plain["hours"]),
            "breaks": _to_hours(plain["breaks"]),
            "time_off": tuple((Instant(begin), Instant(end)) for begin, end in plain["time_off"]),
            "overrides": {_whole(half, plain["id"]): Override(*values) for half, values in plain["overrides"].items()},
        }
    )


def of_offer(offer: Offer) -> Plain:
    """Without its terms, which `packing_terms` packs."""
    plain = {
        "id": offer.id,
        "shop_id": offer.shop_id,
        "merchant_id": offer.merchant_id,
        "name": _text(offer.name),
        "price": [offer.price.amount_minor, offer.price.currency],
        "duration_minutes": offer.duration_minutes,
        "kind": offer.kind,
        "category": offer.category,
        "description": _text(offer.description),
        "photos": list(offer.photos),
        "buffer_before_minutes": offer.buffer_before_minutes,
        "buffer_after_minutes": offer.buffer_after_minutes,
        "lead_minutes": offer.lead_minutes,
        "horizon_days": offer.horizon_days,
        "slot_step_minutes": offer.slot_step_minutes,
        "options": [
            [o.id, _text(o.name), o.price_delta.amount_minor, o.duration_delta_minutes, o.group] for o in offer.options
        ],
        "chair_ids": list(offer.chair_ids),
        "confirmation": offer.confirmation,
        "policy": [list(step) for step in offer.policy],
        "refund_badge": offer.refund_badge,
        "usage_rules": [_text(rule) for rule in offer.usage_rules],
        "state": offer.state,
        "rank": offer.rank,
        "version": offer.version,
    }
    return _lean(plain, _BLANK_OFFER)


def to_offer(lean: Plain) -> Offer:
    plain = _full(lean, _BLANK_OFFER)
    amount_minor, currency = plain["price"]
    return Offer(
        **{
            **plain,
            "price": Money(amount_minor, currency),
            "photos": tuple(plain["photos"]),
            "options": tuple(
                Option(option_id, name, Money(delta_minor, currency), minutes, group)
                for option_id, name, delta_minor, minutes, group in plain["options"]
            ),
            "chair_ids": tuple(plain["chair_ids"]),
            "policy": tuple((notice, bps) for notice, bps in plain["policy"]),
            "usage_rules": tuple(plain["usage_rules"]),
        }
    )


def of_rating(rating: Rating) -> Plain:
    return {"n": rating.count, "s": [rating.service, rating.environment, rating.value], "st": list(rating.stars)}


def to_rating(plain: Plain, revision: int) -> Rating:
    service, environment, value = plain["s"]
    return Rating(plain["n"], service, environment, value, tuple(plain["st"]), revision)


def of_page(page: ShopPage) -> Plain:
    return {
        "shop": of_shop(page.shop),
        "offers": [of_offer(offer) for offer in page.offers],
        "staff": [of_staff(member) for member in page.staff],
    }


def to_page(plain: Plain) -> ShopPage:
    return ShopPage(
        to_shop(plain["shop"]),
        tuple(to_offer(offer) for offer in plain["offers"]),
        tuple(to_staff(member) for member in plain["staff"]),
    )
