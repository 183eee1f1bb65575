"""Small cities for the index: thousands of entries in a second, everything from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

from chalicelib.catalog.hours import Hours, every_day
from chalicelib.catalog.model import City, ShopPage
from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.search.calendar import Calendar
from chalicelib.search.cards import Card, micro, of_micro
from chalicelib.search.model import Entry, Note
from tests.builders import catalog

NOW = catalog.NOON
TODAY = NOW.local_date("Asia/Shanghai")
CATEGORIES = ("hair", "nails", "massage", "pet", "gym")
KINDS = ("appointment", "voucher", "class")
NAMES = (
    "青丝里造型", "丝路理发店", "ＡＢＣ 造型", "Straße Hair", "南京西路店", "洗剪吹", "cut & dry", "ÇA VA",
    "银行旁的美发", "Massage Palace", "mesage", "瑜伽 Yoga", "重庆小面馆", "宠物乐园 Pets", "美甲", "絲",
)  # fmt: skip
CENTRES = (
    Point(31.2304, 121.4737),
    Point(31.2304, 121.4737),
    Point(0.0, 180.0),
    Point(65.0, -179.9995),
    Point(-80.0, 20.0),
    Point(89.9, 10.0),
    Point(-90.0, 0.0),
)


@lru_cache(maxsize=1)
def calendars() -> tuple[Calendar, ...]:
    """Of shops of every sort: open now or not, over midnight, with exceptions, staff with hours of their own, offers
    that are booked days ahead or for vouchers only, and in another zone."""
    tomorrow = TODAY + timedelta(days=1)
    all_hours = (
        every_day((600, 1320)),
        every_day((0, 1440)),
        every_day((540, 700), (720, 1000)),
        every_day((1200, 1800), closed=(6, 0)),
        Hours(every_day((600, 1320)).weekly, {TODAY: (), tomorrow: ((0, 300),)}),
        Hours(),
    )
    found = []
    for number, hours in enumerate(all_hours):
        shop = catalog.shop(hours=hours, zone=("Asia/Shanghai", "Europe/Berlin")[number == 2])
        offers = (
            catalog.offer(shop, horizon_days=number, lead_minutes=30 * number),
            catalog.offer(shop, horizon_days=30, duration_minutes=240, lead_minutes=1_500),
            catalog.offer(shop, kind="voucher"),
        )
        found += [
            ShopPage(shop, offers, (catalog.staff(shop, *offers),)),
            ShopPage(shop, offers[:1], (catalog.staff(shop, *offers, hours=every_day((660, 900))),)),
            ShopPage(shop, offers[1:], ()),
        ]
    return tuple(Calendar.of(page) for page in found)


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


def city(centre: Point = CENTRES[0], radius_m: int = 60_000) -> City:
    return catalog.city(centre=centre, radius_m=radius_m)


def shifted(point: Point, north: int, east: int) -> Point:
    """A point moved by millionths of a degree; never beyond a pole, around the world in the other direction."""
    lat, lng = micro(point)
    turned = (lng + east + 180_000_000) % 360_000_000 - 180_000_000
    return of_micro(max(min(lat + north, 90_000_000), -90_000_000), turned)


def place(draw: random.Random, centre: Point) -> Point:
    """Mostly near, often where others are, at times on the border of a cell or far away."""
    wide = 1 if abs(centre.lat) < 85 else 300
    match draw.randrange(8):
        case 0 | 1:
            return centre
        case 2:
            return shifted(centre, draw.randrange(-3, 4), draw.randrange(-3, 4))
        case 3:
            return shifted(centre, 2_249 * draw.randrange(-3, 4), 2_630 * draw.randrange(-3, 4))
        case 4 | 5:
            return shifted(centre, draw.randrange(-30_000, 30_000), wide * draw.randrange(-30_000, 30_000))
        case 6:
            return shifted(centre, draw.randrange(-500_000, 500_000), wide * draw.randrange(-600_000, 600_000))
        case _:
            return Point(draw.uniform(-90, 90), draw.uniform(-180, 180)) if draw.random() < 0.1 else centre


def entry(draw: random.Random, centre: Point = CENTRES[0], **given: object) -> Entry:
    name = {"zh-CN": draw.choice(NAMES), "en": draw.choice(NAMES)}
    categories = draw.sample(CATEGORIES, draw.choice((1, 1, 2)))
    kinds = draw.sample(KINDS, draw.choice((1, 1, 2)))
    lat, lng = micro(place(draw, centre))
    card = Card(
        id=given.pop("id", None) or ids.derived("shp", str(draw.getrandbits(64))),  # type: ignore[arg-type]
        name=name,
        category=categories[0],
        rating_centi=draw.choice((300, 420, 420, 449, 450, 480, 500)),
        rating_count=draw.randrange(100),
        price_minor=draw.choice((0, 4_999, 5_000, 9_800, 9_800, 12_800, 60_000)),
        currency="CNY",
        sales=draw.choice((0, 7, 7, 99, 900, 50_000)),
        address={"zh-CN": f"南京西路 {draw.randrange(999)} 号"},
        lat=lat,
        lng=lng,
        cover_url=draw.choice((None, "https://example.com/1.jpg")),
    )
    fields = {
        "card": card,
        "names": tuple(dict.fromkeys((*name.values(), draw.choice(NAMES)))),
        "categories": frozenset(categories),
        "kinds": frozenset(kinds),
        "born_day": NOW.ms // DAY_MS - draw.choice((-2, 0, 1, 3, 29, 30, 400)),
        "calendar": draw.choice(calendars()),
    }
    return Entry(**{**fields, **given})  # type: ignore[arg-type]


def entries(count: int, seed: int = 0, centre: Point = CENTRES[0]) -> list[Entry]:
    draw = chance(seed)
    return [entry(draw, centre) for _ in range(count)]


def note(draw: random.Random, revision: int = 1) -> Note:
    return Note(draw.choice((None, NOW.plus(minutes=draw.randrange(-300, 3_000)))), revision)


def notes(draw: random.Random, shops: Sequence[str], days: Iterable[date]) -> list[tuple[date, str, Note]]:
    return [(day, shop_id, note(draw)) for day in days for shop_id in shops if draw.random() < 0.4]


def base(
    path: Path, of: Sequence[Entry], noted: Sequence[tuple[date, str, Note]] = (), centre: Point = CENTRES[0]
) -> Path:
    """The base file of a city of these entries."""
    from chalicelib.search import building

    building.build(path, city(centre), 7, of, noted, Instant(NOW.ms))
    return path
