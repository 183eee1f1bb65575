"""Shops as tests need them: ordinary unless told otherwise, each with ids of its own."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from chalicelib.catalog import service
from chalicelib.catalog.hours import every_day
from chalicelib.catalog.model import City, Merchant, Offer, Option, Shop, ShopPage, Staff
from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.runtime.context import Context
from chalicelib.wiring import ports

NOON = Instant.parse("2026-11-22T04:00:00Z")  # a Sunday, 12:00 in Shanghai
PEOPLES_SQUARE = Point(31.2323, 121.4692)  # WGS-84


def context(now: Instant = NOON, locale: str = "en") -> Context:
    return Context(now=now, ports=ports(), locale=locale)


def city(**given: Any) -> City:
    """A city of its own, so that tests keep apart."""
    defaults: dict[str, Any] = {
        "code": "t" + secrets.token_hex(6),
        "name": {"zh-CN": "上海", "en": "Shanghai"},
        "centre": PEOPLES_SQUARE,
        "radius_m": 60_000,
        "zone": "Asia/Shanghai",
        "currency": "CNY",
    }
    return City(**{**defaults, **given})


def merchant(**given: Any) -> Merchant:
    defaults: dict[str, Any] = {
        "id": ids.random_id("mch"),
        "name": {"zh-CN": "云尚美业", "en": "Yunshang"},
        "commission_bps": 1_000,
        "state": "approved",
    }
    return Merchant(**{**defaults, **given})


def shop(**given: Any) -> Shop:
    """Open 10:00 to 22:00 every day, at People's Square."""
    defaults: dict[str, Any] = {
        "id": ids.random_id("shp"),
        "merchant_id": ids.random_id("mch"),
        "city": "sha",
        "name": {"zh-CN": "云尚造型", "en": "Yunshang Hair"},
        "category": "hair",
        "address": {"zh-CN": "南京西路 100 号", "en": "100 West Nanjing Road"},
        "position": PEOPLES_SQUARE,
        "zone": "Asia/Shanghai",
        "hours": every_day((600, 1320)),
        "currency": "CNY",
        "created_at": Instant.parse("2025-01-01T00:00:00Z"),
        "rating_sum_centi": 470 * 100,
        "rating_count": 100,
        "sales": 300,
    }
    return Shop(**{**defaults, **given})


def offer(of: Shop, **given: Any) -> Offer:
    """A cut: 60 minutes for 128.00."""
    defaults: dict[str, Any] = {
        "id": ids.owned("ofr", of.id, secrets.token_hex(8)),
        "shop_id": of.id,
        "merchant_id": of.merchant_id,
        "name": {"zh-CN": "洗剪吹", "en": "Wash, cut and blow-dry"},
        "price": Money(12_800, of.currency),
        "duration_minutes": 60,
    }
    return Offer(**{**defaults, **given})


def option(**given: Any) -> Option:
    defaults: dict[str, Any] = {
        "id": ids.random_id("opt"),
        "name": {"zh-CN": "长发", "en": "Long hair"},
        "price_delta": Money(3_000, "CNY"),
        "duration_delta_minutes": 15,
    }
    return Option(**{**defaults, **given})


def staff(of: Shop, *offers: Offer, **given: Any) -> Staff:
    """Can serve these offers whenever the shop is open."""
    defaults: dict[str, Any] = {
        "id": ids.owned("stf", of.id, secrets.token_hex(8)),
        "shop_id": of.id,
        "name": {"zh-CN": "周凯", "en": "Kevin Zhou"},
        "title": {"zh-CN": "总监", "en": "Director"},
        "offer_ids": tuple(each.id for each in offers),
    }
    return Staff(**{**defaults, **given})


def page(of: Shop | None = None, *, offers: int = 1, members: int = 1, **of_shop: Any) -> ShopPage:
    """A shop with some ordinary offers, and staff who can serve them all."""
    of = of or shop(**of_shop)
    made = tuple(sorted((offer(of, rank=rank) for rank in range(offers)), key=lambda o: (o.rank, o.id)))
    return ShopPage(of, made, tuple(staff(of, *made, rank=rank) for rank in range(members)))


def stored_city(**given: Any) -> City:
    made = city(**given)
    service.put_city(context(), made)
    return made


def stored_page(of: ShopPage | None = None, **given: Any) -> ShopPage:
    """Put into its city, which is made when none is named; as it reads back."""
    if of is None:
        if "city" not in given:
            given["city"] = stored_city().code
        of = page(**given)
    service.put_shop_page(context(), of)
    return service.whole_page(context(), of.shop.id)


def next_version(thing: Any, **changes: Any) -> Any:
    return replace(thing, version=thing.version + 1, **changes)
