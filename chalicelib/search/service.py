"""Search's public face. A warm process answers from memory and asks every two seconds whether its city has changed.

A change is found within two seconds and the store's own lag. What answers is loaded by the first search: booking comes
here too, and a first order need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from chalicelib.catalog import citylog
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import City, CityNotServed
from chalicelib.kernel.geo import distance_m
from chalicelib.kernel.instant import MINUTE_MS, Instant
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction
from chalicelib.search import news, tables
from chalicelib.search.news import Doubt, Note

if TYPE_CHECKING:
    from chalicelib.search.model import Relax, SearchPage, SearchQuery
    from chalicelib.search.ranking import Affinity

SETTLED_MS = MINUTE_MS
"""After which a request that had begun has ended, with its writes: API Gateway waits for 29 seconds, twice that is left
for one that had read before another's commit."""


def search(ctx: Context, query: SearchQuery, affinity: Affinity | None = None) -> SearchPage:
    """One page of shops, the first one shaped by the affinity; later ones bring theirs in their key.

    Raises CityNotServed, CursorInvalid for a key that is none, and Unavailable while a large city is not loaded."""
    from chalicelib.search import cities

    if affinity is not None:
        query = replace(query, affinity=affinity)
    areas = _areas(ctx, query)
    pages = [cities.find(ctx, area.code, query) for area in areas]
    if pages[0].hits and len(pages) == 1:
        return pages[0]
    from chalicelib.search import merging

    page = pages[0] if len(pages) == 1 else merging.merged(query, pages, ctx.now)
    if not page.hits and query.after is None:
        page = replace(page, relax=_relaxed(ctx, query, areas, pages))
    return page


def currency(ctx: Context, query: SearchQuery) -> str:
    """In which price bands are named: that of the first city looked through. Raises CityNotServed."""
    return _areas(ctx, query)[0].currency


def noted(city: str, day: date, shop_id: str) -> Note | None:
    """What booking noted last of a shop's day; None when it never did."""
    return tables.note(city, day, shop_id)


def noted_shops(city: str, day: date) -> list[str]:
    """The shops of a city whose day booking has noted."""
    return sorted(tables.notes_of_day(city, day))


def note_day(
    ctx: Context, *, shop_id: str, city: str, day: date, bookable_until: Instant | None, revision: int
) -> bool:
    """Booking tells until when something of a shop is free on a local day; None when nothing is. An older or equal
    revision changes nothing. Whether the note was stored. It joins the city's log in the same transaction."""
    note = Note(bookable_until, revision)

    def write(tx: Transaction) -> None:
        tables.put_note(tx, city, day, shop_id, note)

    try:
        citylog.tell(ctx, city, news.pack(day, shop_id, note), write)
    except AlreadyDone:
        return False
    finally:
        news.just_told.add(city)
    return True


def doubt(ctx: Context, tx: Transaction, order_id: str, shop_id: str, days: Iterable[date]) -> None:
    """Booking may change in this transaction until when days can be booked, and may not come to tell it afterwards:
    the days stand in `doubts` until they were looked at again. Two units, and a third to remove it."""
    tables.put_doubt(tx, Doubt(order_id, ctx.now, shop_id, tuple(sorted(days))))


def doubts(ctx: Context) -> list[Doubt]:
    """What is to be looked at again, oldest first: what stands since before whatever was under way then has ended."""
    return sorted(tables.doubts_before(ctx.now.plus(ms=-SETTLED_MS)), key=lambda one: one.at)


def settle(doubt: Doubt) -> None:
    """Its days were looked at."""
    tables.remove_doubt(doubt)


def _areas(ctx: Context, query: SearchQuery, radius_m: int | None = None) -> list[City]:
    """The cities to look through. A point belongs to a city within whose radius it lies; a neighbour that the search
    radius reaches is looked through as well."""
    served = catalog.cities(ctx)
    if query.city is None and query.origin is not None:
        reach = query.radius_m if radius_m is None else radius_m
        away = [(distance_m(query.origin, city.centre), city) for city in served]
        if any(metres <= city.radius_m for metres, city in away):
            return [city for metres, city in away if metres <= city.radius_m + reach]
        raise CityNotServed
    wanted = query.city or ctx.settings.home_city
    found = [city for city in served if city.code == wanted]
    if not found:
        raise CityNotServed
    return found


def _relaxed(ctx: Context, query: SearchQuery, areas: list[City], pages: list[SearchPage]) -> tuple[Relax, ...]:
    """What to change. A wider radius may reach cities that the search did not: they are asked as well."""
    from chalicelib.search import cities, merging
    from chalicelib.search.model import MAX_RADIUS_M

    said = [page.relax for page in pages]
    for area in _areas(ctx, query, MAX_RADIUS_M):
        if area not in areas:
            said.append(cities.find(ctx, area.code, query).relax)
    return merging.relaxed(said)
