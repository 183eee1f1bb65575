"""Opening hours and menus of the invented city: several hundred hours, two dozen menus, thousands of calendars."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date

from chalicelib.catalog.hours import Hours, Minutes
from chalicelib.catalog.model import Offer, Override, Shop, Staff, Text
from chalicelib.kernel import ids
from chalicelib.kernel.money import Money

HOURS = 400
MENUS = 24
MIN_OFFERS, MAX_OFFERS = 3, 6
_HOLIDAYS: dict[date, Minutes] = {date(2027, 2, 5): ((600, 960),), **{date(2027, 2, day): () for day in (6, 7, 8)}}


@dataclass(frozen=True)
class Menu:
    """What the offers of a shop have in common but for their names and prices, and how its people work."""

    kinds: tuple[str, ...]
    minutes: tuple[int, ...]
    lead_minutes: int
    horizon_days: int
    step_minutes: int
    after_minutes: int
    staff: int
    rests: bool

    def offers(self, shop: Shop, names: list[Text], prices: list[int], categories: list[str]) -> tuple[Offer, ...]:
        return tuple(
            Offer(
                id=ids.owned("ofr", shop.id, str(rank)),
                shop_id=shop.id,
                merchant_id=shop.merchant_id,
                name=names[rank],
                price=Money(prices[rank], shop.currency),
                duration_minutes=minutes,
                kind=kind,
                category=categories[rank],
                buffer_after_minutes=self.after_minutes,
                lead_minutes=self.lead_minutes,
                horizon_days=self.horizon_days,
                slot_step_minutes=self.step_minutes,
                rank=rank,
            )
            for rank, (kind, minutes) in enumerate(zip(self.kinds, self.minutes, strict=True))
        )

    def people(self, shop: Shop, offers: tuple[Offer, ...]) -> tuple[Staff, ...]:
        """The first can do everything, the others leave one offer out; one works short days."""
        return tuple(
            Staff(
                id=ids.owned("stf", shop.id, str(rank)),
                shop_id=shop.id,
                name={"zh-CN": f"师傅{rank + 1}"},
                offer_ids=tuple(offer.id for number, offer in enumerate(offers) if not rank or number % 3 != rank - 1),
                hours=Hours(dict.fromkeys(range(1, 7), ((660, 1140),))) if rank == 2 else None,
                breaks=Hours(dict.fromkeys(range(7), ((720, 780),))) if self.rests else Hours(),
                overrides={offers[0].id: Override(duration_minutes=self.minutes[0] + 15)} if rank == 1 else {},
                rank=rank,
            )
            for rank in range(self.staff)
        )


def hours(chance: random.Random) -> list[Hours]:
    """Different ones: most open at ten, some at night, some closed at noon or on a weekday."""
    found: dict[str, Hours] = {}
    while len(found) < HOURS:
        opens = chance.choice((390, 420, 480, 540, 570, 600, 600, 600, 630, 660, 690))
        closes = chance.choice((1080, 1140, 1200, 1230, 1260, 1290, 1320, 1320, 1380, 1440, 1500, 1560))
        if chance.random() < 0.08:
            opens, closes = chance.choice(((1020, 1560), (1080, 1620), (1200, 1740), (0, 1440)))
        whole: Minutes = ((opens, closes),)
        noon = chance.choice((750, 780, 810))
        if chance.random() < 0.2 and opens < noon - 60 and noon + 120 < closes:
            whole = ((opens, noon), (noon + 60, closes))
        rest = chance.choice((None, None, None, 0, 0, 1, 2, 6))
        weekend: Minutes = ((opens, min(closes + 60, opens + 1440)),) if chance.random() < 0.3 else whole
        weekly = {day: weekend if day in (4, 5) else whole for day in range(7) if day != rest}
        one = Hours(weekly, _HOLIDAYS if chance.random() < 0.5 else {})
        found.setdefault(repr(one), one)
    return list(found.values())


def menus(chance: random.Random) -> list[Menu]:
    """As many of three offers as of six."""
    others = ("appointment",) * 12 + ("voucher",) * 5 + ("class", "pickup", "at_home")
    found = []
    for number in range(MENUS):
        count = MIN_OFFERS + number % (MAX_OFFERS - MIN_OFFERS + 1)
        found.append(
            Menu(
                kinds=("appointment", *(chance.choice(others) for _ in range(count - 1))),
                minutes=tuple(chance.choice((30, 45, 60, 60, 90, 120)) for _ in range(count)),
                lead_minutes=chance.choice((0, 30, 60, 120)),
                horizon_days=chance.choice((7, 14, 14, 30, 60)),
                step_minutes=chance.choice((15, 30, 30, 60)),
                after_minutes=chance.choice((0, 0, 5, 10)),
                staff=1 + number % 3,
                rests=chance.random() < 0.3,
            )
        )
    return found
