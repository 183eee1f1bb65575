"""The demo city: Shanghai, sixty invented shops on real streets. Ids are derived, so that each seeding gives the same.

Positions are written in GCJ-02, as a map in China shows them. Prices are in yuan.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TypeVar, get_type_hints

from chalicelib.catalog.bundles import BundleGroup, BundleItem
from chalicelib.catalog.hours import Hours, Minutes, every_day
from chalicelib.catalog.model import (
    INSTANT,
    REQUEST,
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
)
from chalicelib.kernel import geo, ids
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from infra.ops.demo_city_care import BEAUTY, MASSAGE, NAILS
from infra.ops.demo_city_life import FITNESS, PET, PHOTO
from infra.ops.demo_city_menus import BARBER, HAIR, OLD_BARBER, SPRING_FESTIVAL, Choice, Dish, Extra, Menu

CODE = "sha"
ZONE = "Asia/Shanghai"
CURRENCY = "CNY"
PEOPLES_SQUARE = (31.2304, 121.4737)

POLICY = ((7_200, 10_000), (0, 5_000))

CITY = City(
    code=CODE,
    name={"zh-CN": "上海", "en": "Shanghai"},
    centre=geo.to_wgs84(geo.Point(*PEOPLES_SQUARE), geo.GCJ02),
    radius_m=60_000,
    zone=ZONE,
    currency=CURRENCY,
)

CATEGORIES = tuple(
    Category(code, {"zh-CN": zh, "en": en}, rank)
    for rank, (code, zh, en) in enumerate(
        (
            ("hair", "美发", "Hair"),
            ("beauty", "美容", "Beauty"),
            ("nails", "美甲美睫", "Nails and lashes"),
            ("massage", "按摩足疗", "Massage"),
            ("fitness", "运动健身", "Fitness"),
            ("pet", "宠物", "Pets"),
            ("photo", "摄影", "Photography"),
        )
    )
)

# Spring Festival: the eve ends early, then three days of rest.
_HOLIDAYS: dict[date, Minutes] = {
    date(2027, 2, 5): ((600, 960),),
    **dict.fromkeys(SPRING_FESTIVAL, ()),
}


def _week(*intervals: tuple[int, int], closed: tuple[int, ...] = (), late: Minutes | None = None) -> Hours:
    """Every day alike but for days of rest, and for Friday and Saturday where they are longer."""
    plain = every_day(*intervals, closed=closed).weekly
    return Hours({**plain, **({4: late, 5: late} if late else {})}, _HOLIDAYS)


HOURS = {
    "salon": _week((600, 1320)),
    "early": _week((540, 1320)),
    "tuesdays off": _week((600, 1260), closed=(1,)),
    "noon rest": _week((510, 720), (810, 1170), closed=(1,)),
    "late weekends": _week((630, 1320), late=((630, 1380),)),
    "till two": _week((720, 1560)),
    "till one": _week((660, 1500)),
    "round the clock": Hours(every_day((0, 1440)).weekly),
    "gym": _week((420, 1350)),
    "pets": _week((600, 1230)),
    "studio": _week((600, 1200), closed=(0,)),
}


MENUS: Mapping[str, Menu] = {
    "hair": HAIR,
    "barber": BARBER,
    "old_barber": OLD_BARBER,
    "beauty": BEAUTY,
    "nails": NAILS,
    "massage": MASSAGE,
    "fitness": FITNESS,
    "pet": PET,
    "photo": PHOTO,
}

PEOPLE = (
    """
周凯 Kevin Zhou,陈思远 Siyuan Chen,沈佳宁 Jianing Shen,顾一鸣 Yiming Gu,陆晓雯 Wendy Lu,徐俊杰 Jason Xu,王嘉怡 Joy Wang
张明轩 Max Zhang,吴雨桐 Yutong Wu,朱子豪 Leo Zhu,李静 Jing Li,杨梓涵 Hana Yang,黄建国 Jianguo Huang,孙丽华 Lihua Sun
钱浩然 Howard Qian,唐欣怡 Cindy Tang,蒋志强 Johnny Jiang,俞婷婷 Tina Yu,曹阿明 Ming Cao,金若溪 Rosie Jin,戴天宇 Sky Dai
潘雅琴 Yaqin Pan,姚文博 Ben Yao,方芷若 Zoe Fang,施伟 Wei Shi,严露 Lucy Yan,何晨 Chen He,林诗涵 Shirley Lin
郑国平 Guoping Zheng,许梦洁 Mia Xu,韩启航 Sean Han,冯敏 Min Feng,邵博文 Bowen Shao,龚艾琳 Irene Gong,倪逸飞 Ethan Ni
叶秀兰 Xiulan Ye,丁子墨 Momo Ding,宋慧 Hui Song,马斌 Bin Ma,胡可欣 Coco Hu,袁磊 Ray Yuan
""".replace("\n", ",")
    .strip(",")
    .split(",")
)

_FILES = Path(__file__).parent


@dataclass(frozen=True)
class Place:
    """One shop as it is written down, a line of `demo_city_shops.csv`. `tier` 0 is the neighbourhood's, 2 the finest;
    `rating` and `ratings` are what `demo_city_reviews` makes its reviews from."""

    slug: str
    owner: str
    menu: str
    tier: int
    zh: str
    en: str
    street_zh: str
    street_en: str
    lat: float
    lng: float
    hours: str
    team: int
    chairs: int
    rating: int
    ratings: int
    sales: int
    since: str
    horizon_days: int
    words_zh: str
    words_en: str


@dataclass(frozen=True)
class Owner:
    """One merchant, a line of `demo_city_merchants.csv`."""

    slug: str
    zh: str
    en: str
    commission_bps: int


Line = TypeVar("Line", Place, Owner)


def _lines(name: str, kind: type[Line]) -> list[Line]:
    """The lines of a file, each field read as its declared type."""
    types = get_type_hints(kind)
    with (_FILES / name).open(encoding="utf-8", newline="") as file:
        return [kind(**{field: types[field](text) for field, text in row.items()}) for row in csv.DictReader(file)]


def places() -> list[Place]:
    return _lines("demo_city_shops.csv", Place)


def owners() -> list[Owner]:
    return _lines("demo_city_merchants.csv", Owner)


def _text(words: tuple[str, str]) -> dict[str, str]:
    return {"zh-CN": words[0], "en": words[1]}


def merchant_id(slug: str) -> str:
    return ids.derived("mch", "demo", slug)


def shop_id(slug: str) -> str:
    return ids.derived("shp", "demo", slug)


def merchant_of(owner: Owner) -> Merchant:
    return Merchant(merchant_id(owner.slug), _text((owner.zh, owner.en)), owner.commission_bps, "approved")


def page_of(place: Place, number: int) -> ShopPage:
    """The whole shop. `number` is its place in the list and varies names and days off."""
    menu = MENUS[place.menu]
    shop = _shop(place, number, menu)
    offers = tuple(_offer(shop, place, rank, dish) for rank, dish in enumerate(menu.dishes) if dish.fits(place.tier))
    return ShopPage(shop, offers, _team(shop, place, number, menu, offers))


def before_reductions(page: ShopPage) -> ShopPage:
    """The shop as it was when what is struck through today was the price."""
    offers = (
        offer if offer.list_price is None else replace(offer, price=offer.list_price, list_price=None, version=1)
        for offer in page.offers
    )
    return replace(page, offers=tuple(offers))


def _shop(place: Place, number: int, menu: Menu) -> Shop:
    identity = shop_id(place.slug)
    return Shop(
        id=identity,
        merchant_id=merchant_id(place.owner),
        city=CODE,
        name=_text((place.zh, place.en)),
        category=menu.category,
        address=_text((place.street_zh, place.street_en)),
        position=geo.to_wgs84(geo.Point(place.lat, place.lng), geo.GCJ02),
        zone=ZONE,
        hours=HOURS[place.hours],
        currency=CURRENCY,
        created_at=Instant.parse(f"{place.since}T02:00:00Z"),
        description=_text((place.words_zh, place.words_en)),
        # No line begins with a zero: nobody's telephone rings because of a demo.
        phone_public=f"021-0000 {number + 1:04d}",
        chairs=tuple(
            Chair(ids.owned("chr", identity, str(i)), {"zh-CN": f"{i} {menu.chair[0]}", "en": f"{menu.chair[1]} {i}"})
            for i in range(1, place.chairs + 1)
        ),
        sales=place.sales,
    )


def _yuan(amount: int) -> Money:
    return Money(amount * 100, CURRENCY)


def _offer(shop: Shop, place: Place, rank: int, dish: Dish) -> Offer:
    identity = ids.owned("ofr", shop.id, dish.slug)
    return Offer(
        id=identity,
        shop_id=shop.id,
        merchant_id=shop.merchant_id,
        name=_text(dish.name),
        price=_yuan(dish.yuan[place.tier]),
        duration_minutes=dish.minutes,
        category=dish.category or shop.category,
        description=_text(dish.words),
        buffer_after_minutes=dish.after_minutes,
        lead_minutes=dish.lead_minutes,
        horizon_days=place.horizon_days,
        slot_step_minutes=dish.step_minutes,
        options=tuple(_option(identity, extra, place.tier) for extra in dish.extras),
        chair_ids=tuple(chair.id for chair in shop.chairs) if dish.chair else (),
        confirmation=REQUEST if dish.on_request else INSTANT,
        policy=POLICY,
        usage_rules=tuple(_text(rule) for rule in dish.rules),
        usage=dish.usage,
        bundle=tuple(_group(choice, place.tier) for choice in dish.bundle),
        list_price=None if dish.was is None else _yuan(dish.was[place.tier]),
        rank=rank,
        version=1 if dish.was is None else 2,
    )


def _group(choice: Choice, tier: int) -> BundleGroup:
    items = (BundleItem(_text(part.name), part.quantity, _yuan(part.yuan[tier])) for part in choice.parts)
    return BundleGroup(_text(choice.name), tuple(items), choice.choose, choice.rule)


def _option(offer_id: str, extra: Extra, tier: int) -> Option:
    return Option(
        id=ids.derived("opt", offer_id, extra.slug),
        name=_text(extra.name),
        price_delta=_yuan(extra.yuan[tier]),
        duration_delta_minutes=extra.minutes,
        group=extra.group,
    )


def _team(shop: Shop, place: Place, number: int, menu: Menu, offers: tuple[Offer, ...]) -> tuple[Staff, ...]:
    """The first works whenever the shop is open; the others rest one day a week, not all on the same."""
    slug_of = {ids.owned("ofr", shop.id, dish.slug): dish.slug for dish in menu.dishes}
    made = []
    for i, role in enumerate(menu.teams[place.team]):
        zh, _, en = PEOPLE[(number * 7 + i * 13) % len(PEOPLE)].partition(" ")
        skills = tuple(offer.id for offer in offers if role.can(slug_of[offer.id]))
        rest = (number + 2 * i) % 7
        made.append(
            Staff(
                id=ids.owned("stf", shop.id, str(i)),
                shop_id=shop.id,
                name={"zh-CN": zh, "en": en},
                title=_text(role.title),
                offer_ids=skills,
                hours=None if i == 0 else _without(shop.hours, rest),
                breaks=_breaks(place, i),
                overrides={offer_id: Override(role.yuan[place.tier] * 100) for offer_id in skills if any(role.yuan)},
                rank=i,
            )
        )
    return tuple(made)


def _without(hours: Hours, weekday: int) -> Hours:
    """The shop's week less a day of rest; on holidays the shop's own hours decide."""
    return Hours({day: times for day, times in hours.weekly.items() if day != weekday})


def _breaks(place: Place, i: int) -> Hours:
    """Lunch one after the other; who closes for noon anyway needs none."""
    if place.hours == "noon rest":
        return Hours()
    lunch = 690 + 30 * (i % 4)
    return every_day((lunch, lunch + 30))
