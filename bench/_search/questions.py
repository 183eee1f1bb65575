"""What is asked: kinds of questions that are timed, and random ones that are compared with the brute force."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from bench._search.city import KINDS, NOW, ZONE, City, Row
from bench._search.vocabulary import FIRST, SECOND, TRADES
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.search.model import Affinity, Note, SearchQuery

PAGE = 20
TODAY = NOW.local_date(ZONE)
NOTED_DAYS = tuple(TODAY + timedelta(days=ahead) for ahead in (0, 1, 5))
_NOTED_SHARE = 0.02
_JITTER = 0.003  # degrees
_ONE_CHARACTER = "发甲足鱼面茶美"
_TYPOS = ("hiar", "salom", "cofee", "nailz", "massge", "fitnes", "bakry", "stuido")


@dataclass(frozen=True)
class Question:
    """A query and which of its pages is wanted, 1 for the first."""

    kind: str
    query: SearchQuery
    page: int = 1


Filters = dict[str, Any]
_Kind = Callable[[random.Random, Row], Filters]


def _filtered(chance: random.Random, row: Row) -> Filters:
    price = TRADES[row.trade].price_yuan * 100
    return {
        "category": TRADES[row.trade].code,
        "price_min_minor": price // 2,
        "price_max_minor": price * 2,
        "rating_min_centi": chance.choice((420, 430, 440)),
    }


def _offer_of(chance: random.Random, row: Row) -> str:
    return chance.choice(TRADES[row.trade].offers)[0]


def _brand(row: Row) -> tuple[str, str]:
    (one, reading), (other, second_reading) = FIRST[row.words[0]], SECOND[row.words[1]]
    return one + other, reading + second_reading


def _pinyin(chance: random.Random, row: Row) -> str:
    """Mostly the whole reading, sometimes unfinished, sometimes initials."""
    _, spelled = _brand(row)
    return chance.choice((spelled, spelled, spelled[:-1] if len(spelled) > 4 else spelled, "mf", "meifa", "lif"))


KINDS_ASKED: dict[str, _Kind] = {
    "near_1km": lambda *_: {"radius_m": 1_000, "sort": "distance"},
    "near_3km": lambda *_: {"radius_m": 3_000, "sort": "distance"},
    "near_10km": lambda *_: {"radius_m": 10_000, "sort": "distance"},
    "recommended_3km": lambda *_: {"radius_m": 3_000},
    "recommended_pages_2_3": lambda *_: {"radius_m": 3_000},
    "filtered_near_3km": lambda chance, row: {"radius_m": 3_000, "sort": "distance", **_filtered(chance, row)},
    "filtered_recommended_3km": lambda chance, row: {"radius_m": 3_000, **_filtered(chance, row)},
    "price_10km": lambda *_: {"radius_m": 10_000, "sort": "price"},
    "open_now_3km": lambda *_: {"radius_m": 3_000, "open_now": True},
    "keyword_1": lambda chance, _: {"radius_m": 3_000, "q": chance.choice(_ONE_CHARACTER)},
    "keyword_2": lambda chance, row: {"radius_m": 3_000, "q": _offer_of(chance, row)[:2]},
    "keyword_3": lambda chance, row: {"radius_m": 3_000, "q": _offer_of(chance, row)[:3]},
    "keyword_pinyin": lambda chance, row: {"radius_m": 3_000, "q": _pinyin(chance, row)},
    "keyword_typo": lambda chance, _: {"radius_m": 3_000, "q": chance.choice(_TYPOS)},
}
"""Each is asked as often as every other, once plain and once with facets and total. Without `sort` it is
`recommended`, as everywhere in the interface."""

UNSPEAKABLE = ("keyword_pinyin", "keyword_typo")
"""Kinds to which PostgreSQL has no answer that means the same."""


def timed(city: City, each: int, seed: int, *, facets: bool) -> list[Question]:
    """`each` questions of every kind, the kinds in turn."""
    chance = random.Random(f"{seed} {facets}")
    found = []
    for _ in range(each):
        for kind, filters in KINDS_ASKED.items():
            row = _somewhere(city, chance)
            query = SearchQuery(origin=_near(row, chance), limit=PAGE, facets=facets, total=facets)
            page = chance.choice((2, 3)) if kind == "recommended_pages_2_3" else 1
            found.append(Question(kind, replace(query, **filters(chance, row)), page))
    return found


def random_questions(city: City, count: int, seed: int) -> list[Question]:
    """Every filter, order and page in all sorts of combinations."""
    chance = random.Random(f"{seed} random")
    return [_random_question(city, chance) for _ in range(count)]


def _random_question(city: City, chance: random.Random) -> Question:
    row = _somewhere(city, chance)
    filters: Filters = {
        "origin": None if chance.random() < 0.04 else _near(row, chance),
        "city": "sha",
        "radius_m": round(10 ** chance.uniform(2.5, 4.0)) if chance.random() < 0.92 else chance.randint(10_001, 50_000),
        "sort": chance.choice(("recommended", "recommended", "distance", "rating", "price", "sales")),
        "limit": chance.choice((1, 10, PAGE, PAGE, PAGE, 50)),
        "facets": chance.random() < 0.4,
        "total": chance.random() < 0.4,
    }
    narrow = _filtered(chance, row)
    if chance.random() < 0.35:
        filters["category"] = narrow["category"] if chance.random() < 0.97 else "unknown"
    if chance.random() < 0.2:
        filters["kind"] = chance.choice(KINDS)
    for name in ("price_min_minor", "price_max_minor", "rating_min_centi"):
        if chance.random() < 0.25:
            filters[name] = narrow[name]
    filters["open_now"] = chance.random() < 0.2
    filters["has_voucher"] = chance.random() < 0.1
    if chance.random() < 0.15:
        filters["bookable_on"] = chance.choice((*NOTED_DAYS, TODAY + timedelta(days=20), TODAY - timedelta(days=1)))
    if chance.random() < 0.1:
        codes = {chance.choice(TRADES).code: chance.randint(1, 1_000) for _ in range(3)}
        filters["affinity"] = Affinity(codes, {row.id: chance.randint(1, 1_000)})
    if chance.random() < 0.3 and filters["origin"] is not None:
        filters["q"] = _word(chance, row)
        filters["radius_m"] = min(filters["radius_m"], 10_000)
    return Question("random", SearchQuery(**filters), chance.choice((1, 1, 2, 3)))


def _word(chance: random.Random, row: Row) -> str:
    offer, (zh, spelled) = _offer_of(chance, row), _brand(row)
    begin = chance.randrange(len(offer))
    return chance.choice(
        (
            chance.choice(_ONE_CHARACTER),
            offer[begin : begin + 2],
            offer[:3],
            offer,
            zh,
            f"{zh} {offer[:2]}",
            zh + " " + TRADES[row.trade].en.split()[0],
            _pinyin(chance, row),
            spelled[:3],
            chance.choice(_TYPOS),
            chance.choice(("hair", "cut", "Set for", "SPA", "xyzzy", "…")),
        )
    )


def notes(city: City, seed: int) -> dict[date, dict[str, Note]]:
    """What booking has noted of some shops' days: nothing free any more, or free until some time."""
    chance = random.Random(f"{seed} notes")
    found: dict[date, dict[str, Note]] = {}
    for day in NOTED_DAYS:
        some = chance.sample(range(city.count), max(1, int(city.count * _NOTED_SHARE)))
        found[day] = {
            str(city.ids[index]): Note(
                None if chance.random() < 0.5 else Instant(NOW.ms + chance.randint(-3_600_000, 86_400_000)), 1
            )
            for index in some
        }
    return found


def _somewhere(city: City, chance: random.Random) -> Row:
    """People ask where shops are: a shop's neighbourhood is as likely as it has shops."""
    return city.row(chance.randrange(city.count))


def _near(row: Row, chance: random.Random) -> Point:
    return Point(row.lat + chance.gauss(0, _JITTER), row.lng + chance.gauss(0, _JITTER))
