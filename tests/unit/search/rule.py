"""What search must answer, written from the words of the contract: nothing of `find` or of the engine is used.

Distances are haversine on a sphere of 6,371,008.8 m, whole; calendars are asked by `Calendar` itself, words by
`words.matches`. Everything else is counted and compared here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.search import words
from chalicelib.search.model import Entry, Note, SearchQuery
from chalicelib.search.ranking import Affinity
from chalicelib.search.readings import Readings

DAY = 86_400_000
READINGS = Readings()
Notes = Mapping[date, Mapping[str, Note]]
FACETS = ("category", "kind", "price", "rating", "open_now")


def metres(a: Point, b: Point) -> float:
    north, south = math.radians(a.lat), math.radians(b.lat)
    up, along = math.sin((south - north) / 2), math.sin(math.radians(b.lng - a.lng) / 2)
    return 2 * 6_371_008.8 * math.asin(math.sqrt(min(1.0, up**2 + math.cos(north) * math.cos(south) * along**2)))


def has_words(entry: Entry, q: str) -> bool:
    if not q.strip():
        return True
    asked = words.tokens(q)
    READINGS.add(entry.names)
    return asked is not None and all(words.matches(token, entry.names, READINGS) for token in asked)


def can_book(entry: Entry, day: date, now: Instant, note: Note | None) -> bool:
    ahead = (day - now.local_date(entry.calendar.zone)).days
    calls = [call for call, horizon in entry.calendar.last_calls(day) if 0 <= ahead <= min(horizon, 90)]
    until = max((call.ms for call in calls), default=-1)
    if note is not None:
        until = min(until, -1 if note.bookable_until is None else note.bookable_until.ms)
    return now.ms <= until


def fits(entry: Entry, query: SearchQuery, now: Instant, notes: Notes, without: str = "") -> bool:
    """Whether a shop passes every filter, but for the one named."""
    card = entry.card
    price = card.price_from.amount_minor
    day = query.bookable_on
    return all(
        (
            query.origin is None or metres(query.origin, card.position) <= query.radius_m,
            without == "q" or has_words(entry, query.q),
            without == "category" or query.category is None or query.category in entry.categories,
            without == "kind" or query.kind is None or query.kind in entry.kinds,
            without == "price" or query.price_min_minor is None or price >= query.price_min_minor,
            without == "price" or query.price_max_minor is None or price <= query.price_max_minor,
            without == "rating" or query.rating_min_centi is None or card.rating_centi >= query.rating_min_centi,
            without == "open_now" or not query.open_now or entry.calendar.is_open(now),
            without == "bookable_on" or day is None or can_book(entry, day, now, notes.get(day, {}).get(card.id)),
            without == "has_voucher" or not query.has_voucher or "voucher" in entry.kinds,
        )
    )


def parts(entry: Entry, away: float | None, today: int, affinity: Affinity | None) -> dict[str, int]:
    """Each part of a recommendation, 0 to 1,000, in the order in which a tie of reasons is decided."""
    card = entry.card
    liked = 0
    if affinity is not None:
        liked = max(affinity.categories.get(code, 0) for code in entry.categories) + affinity.shops.get(card.id, 0)
    return {
        "near": 0 if away is None else math.floor(1_000_000 / (1_000 + away)),
        "rating": max(0, min(1_000, 5 * card.rating_centi - 1_500)),
        "popular": min(1_000, math.floor(250 * math.log10(1 + card.sales))),
        "fresh": math.floor(1_000 * max(0, 30 - max(0, today - entry.born_day)) / 30),
        "affinity": min(1_000, liked),
    }


def points(of: Mapping[str, int]) -> int:
    return 45 * of["near"] + 30 * of["rating"] + 20 * of["popular"] + 5 * of["fresh"] + 15 * of["affinity"]


def reason(of: Mapping[str, int], placed: bool) -> str | None:
    lift = {
        "near": 45 * (of["near"] - 250) if placed else -1,
        "rating": 30 * (of["rating"] - 750),
        "popular": 20 * (of["popular"] - 600),
        "fresh": 5 * of["fresh"],
        "affinity": 15 * of["affinity"],
    }
    best = max(lift.values())
    return None if best <= 0 else next(name for name, value in lift.items() if value == best)


def key(entry: Entry, query: SearchQuery, today: int) -> tuple[float, str]:
    card = entry.card
    away = None if query.origin is None else metres(query.origin, card.position)
    order: float = -points(parts(entry, away, today, query.affinity))
    if query.sort == "rating":
        order = -card.rating_centi
    elif query.sort == "price":
        order = card.price_from.amount_minor
    elif query.sort == "sales":
        order = -card.sales
    elif query.sort == "distance" and away is not None:
        order = away
    return order, card.id


def ranked(
    entries: Iterable[Entry], query: SearchQuery, now: Instant, notes: Notes, today: int | None = None
) -> list[tuple[float, str]]:
    """Order and id of everything that passes, first to last."""
    as_of = now.ms // DAY if today is None else today
    return sorted(key(entry, query, as_of) for entry in entries if fits(entry, query, now, notes))


def shown(entry: Entry, query: SearchQuery, now: Instant) -> tuple[Any, ...]:
    """A hit: card, distance, open, reason."""
    away = None if query.origin is None else metres(query.origin, entry.card.position)
    of = parts(entry, away, now.ms // DAY, query.affinity)
    rounded = None if away is None else round(away)
    return entry.card, rounded, entry.calendar.is_open(now), reason(of, away is not None)


def facets(entries: Iterable[Entry], query: SearchQuery, now: Instant, notes: Notes) -> dict[str, dict[Any, int]]:
    counts: dict[str, dict[Any, int]] = {name: {} for name in FACETS}
    counts["rating"] = {400: 0, 450: 0, 480: 0}

    def count(name: str, value: Any) -> None:
        counts[name][value] = counts[name].get(value, 0) + 1

    for entry in entries:
        left = {name for name in FACETS if fits(entry, query, now, notes, without=name)}
        for category in entry.categories if "category" in left else ():
            count("category", category)
        for kind in entry.kinds if "kind" in left else ():
            count("kind", kind)
        if "price" in left:
            price = entry.card.price_from.amount_minor
            count("price", [low for low in (0, 5_000, 10_000, 20_000, 50_000) if price >= low][-1])
        for low in (400, 450, 480) if "rating" in left else ():
            counts["rating"][low] += entry.card.rating_centi >= low
        if "open_now" in left:
            count("open_now", entry.calendar.is_open(now))
    return counts


def relax(
    entries: Iterable[Entry], query: SearchQuery, now: Instant, notes: Notes
) -> list[tuple[str, int, int | None]]:
    """(filter, count, radius): each filter that was given left out alone, or the first wider circle with any."""
    given = {
        "q": bool(query.q.strip()),
        "category": query.category is not None,
        "kind": query.kind is not None,
        "price": query.price_min_minor is not None or query.price_max_minor is not None,
        "rating": query.rating_min_centi is not None,
        "open_now": query.open_now,
        "bookable_on": query.bookable_on is not None,
        "has_voucher": query.has_voucher,
    }
    every = list(entries)
    found: list[tuple[str, int, int | None]] = []
    for name, is_given in given.items():
        count = sum(fits(entry, query, now, notes, without=name) for entry in every) if is_given else 0
        if count:
            found.append((name, count, None))
    for radius_m in (5_000, 10_000, 20_000, 50_000) if query.origin is not None else ():
        wider = replace(query, radius_m=radius_m)
        count = sum(fits(entry, wider, now, notes) for entry in every)
        if radius_m > query.radius_m and count:
            found.append(("radius", count, radius_m))
            break
    return sorted(found, key=lambda each: -each[1])
