"""Shops for tests: small, open all day, with staff who can do everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.catalog import service
from chalicelib.catalog.hours import Hours, every_day
from chalicelib.catalog.model import Category, Chair, City, Merchant, Offer, Shop, ShopPage, Staff
from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point
from chalicelib.kernel.money import Money
from tests.builders import identity
from tests.builders.identity import Person


@dataclass(frozen=True)
class Salon:
    """A merchant with one shop, one offer and its staff."""

    merchant: Merchant
    shop: Shop
    offer: Offer
    staff: tuple[Staff, ...]
    owner: Person


MADE: list[str] = []
"""Ids of all shops that were made, in order: a test's own are those behind where it began."""


def salon(
    *,
    staff: int = 2,
    chairs: int = 0,
    commission_bps: int = 1200,
    zone: str = "Asia/Shanghai",
    hours: Hours = every_day((0, 1440)),  # noqa: B008  # a frozen value
    **offer: Any,
) -> Salon:
    """Stored and on the shelf; further keywords change the offer (price_minor, duration_minutes, policy, …).

    The shop's name ends with its own id, so that a search can ask for it alone.
    """
    ctx = identity.context()
    service.put_city(
        ctx, City("sha", {"zh-CN": "上海", "en": "Shanghai"}, Point(31.2304, 121.4737), 60_000, zone, "CNY")
    )
    service.put_category(ctx, Category("hair", {"zh-CN": "美发", "en": "Hair"}))
    price = Money(offer.pop("price_minor", 12_800), "CNY")
    merchant = Merchant(
        ids.random_id("mch"), {"zh-CN": "剪刀手", "en": "Scissor Hands"}, commission_bps, state="approved"
    )
    service.put_merchant(ctx, merchant)
    shop_id = ids.random_id("shp")
    offer_id = ids.owned("ofr", shop_id, "cut")
    seats = tuple(Chair(ids.owned("chr", shop_id, str(i)), {"en": f"Chair {i + 1}"}) for i in range(chairs))
    shop = Shop(
        id=shop_id,
        merchant_id=merchant.id,
        city="sha",
        name={"zh-CN": "剪刀手", "en": f"Scissor Hands {shop_id[-8:]}"},
        category="hair",
        address={"zh-CN": "南京西路 1 号", "en": "1 West Nanjing Road"},
        position=Point(31.2304, 121.4737),
        zone=zone,
        hours=hours,
        currency="CNY",
        created_at=ctx.now,
        chairs=seats,
    )
    cut = Offer(
        id=offer_id,
        shop_id=shop_id,
        merchant_id=merchant.id,
        name={"zh-CN": "剪发", "en": "Haircut"},
        price=price,
        **{"duration_minutes": 60, "chair_ids": tuple(seat.id for seat in seats), **offer},
    )
    people = tuple(
        Staff(ids.owned("stf", shop_id, str(i)), shop_id, {"en": f"Stylist {i + 1}"}, offer_ids=(offer_id,), rank=i)
        for i in range(staff)
    )
    service.put_shop_page(ctx, ShopPage(shop, (cut,), people))
    MADE.append(shop_id)
    return Salon(merchant, shop, cut, people, identity.staff(merchant.id))
