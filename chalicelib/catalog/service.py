"""The catalogue's use cases.

Every write of a shop, an offer or a staff member goes through the shop's whole page: it is read strongly, changed,
checked, and written together with the shop's listing, which is what search reads, under the page's lock. A write whose
reading is out of date by then is decided again. So a listing always equals what its page shows, and the city's log, to
which the same transaction appends, tells a warm search what is new.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from chalicelib.catalog import citylog, packing, pages, prices, tables
from chalicelib.catalog.changes import Change
from chalicelib.catalog.model import (
    APPROVED,
    OFFER,
    ON_SHELF,
    Category,
    City,
    Merchant,
    Offer,
    OfferNotFound,
    Shop,
    ShopNotFound,
    ShopPage,
    Staff,
)
from chalicelib.catalog.rating import Rating, RatingMoved
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Conflict, Invalid, InvalidTransition, NotFound, Stale, Unavailable
from chalicelib.kernel.geo import Point, distance_m
from chalicelib.kernel.instant import Instant
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import MAX_OPERATIONS, Transaction

_TRIES = 12
_PAGE_OPERATIONS = 10  # of one transaction, beside offers and staff
_REMEMBERED = 2_000
_PLACES_SECONDS = 60

_lock = threading.Lock()
_versions: dict[tuple[str, int], Offer] = {}
_places: dict[str, tuple[int, list[Any]]] = {}

Place = TypeVar("Place", City, Category)


class _PageChanged(Conflict):
    """Somebody else wrote the shop between our reading and our writing: decide again."""


# Reading


def shop(ctx: Context, shop_id: str, *, consistent: bool = True) -> Shop:
    """A shop in any state. Raises ShopNotFound."""
    found = tables.get_shop(shop_id, consistent=consistent)
    if found is None:
        raise ShopNotFound
    return found


def shop_page(ctx: Context, shop_id: str, *, consistent: bool = True) -> ShopPage:
    """What the public sees of a shop: one Query. Raises ShopNotFound, also while the shop is not approved."""
    page = tables.get_page(ids.tag(shop_id), consistent=consistent)
    if page is None or page.shop.id != shop_id or page.shop.state != APPROVED:
        raise ShopNotFound
    return page.public()


def whole_page(ctx: Context, shop_id: str) -> ShopPage:
    """A shop with everything, whatever its state, read strongly. Raises ShopNotFound."""
    page = tables.get_page(ids.tag(shop_id), consistent=True)
    if page is None or page.shop.id != shop_id:
        raise ShopNotFound
    return page


def offer(ctx: Context, offer_id: str, version: int | None = None) -> Offer:
    """An offer as it is now, read strongly, or an immutable version of it, from memory when known.

    In any state; `offer_on_sale` is for what can be bought. Raises OfferNotFound.
    """
    if version is None:
        current = tables.get_offer(offer_id, consistent=True)
        if current is None or current.id != offer_id:
            raise OfferNotFound
        return current
    known = _versions.get((offer_id, version))
    if known is not None:
        return known
    found = tables.get_offer_version(offer_id, version)
    if found is None or found.id != offer_id:
        raise OfferNotFound
    with _lock:
        if len(_versions) >= _REMEMBERED:
            _versions.clear()
        _versions[offer_id, version] = found
    return found


def offer_on_sale(ctx: Context, offer_id: str, *, consistent: bool = True) -> tuple[ShopPage, Offer]:
    """An offer that can be bought now, with its shop, the shop's other offers and staff: one Query.

    Raises OfferNotFound when it is unknown or off the shelf, or its shop is not open to the public.
    """
    page = tables.get_page(ids.split(offer_id)[0], consistent=consistent)
    if page is not None and page.shop.state == APPROVED:
        public = page.public()
        for candidate in public.offers:
            if candidate.id == offer_id:
                return public, candidate
    raise OfferNotFound


@dataclass(frozen=True)
class Offers:
    """Some of a shop's offers in the shop's order; `next_key` says where to go on."""

    page: ShopPage
    offers: tuple[Offer, ...]
    next_key: str | None


def offers_of_shop(ctx: Context, shop_id: str, limit: int, after: str | None = None) -> Offers:
    """What is on the shelf of a shop, after a key, at most two seconds old. Raises ShopNotFound."""
    page = pages.shop_page(ctx, shop_id)
    rest = [offer for offer in page.offers if after is None or _place_on_shelf(offer) > after]
    more = len(rest) > limit
    return Offers(page, tuple(rest[:limit]), _place_on_shelf(rest[limit - 1]) if more else None)


def _place_on_shelf(offer: Offer) -> str:
    return f"{offer.rank:06d}#{offer.id}"


def merchant(ctx: Context, merchant_id: str) -> Merchant:
    """Read strongly: its commission decides money. Raises NotFound."""
    found = tables.get_merchant(merchant_id, consistent=True)
    if found is None:
        raise NotFound
    return found


def shop_ids_of_merchant(ctx: Context, merchant_id: str) -> list[str]:
    return tables.shop_ids_of_merchant(merchant_id)


def cities(ctx: Context) -> list[City]:
    """The served cities in their order; known for a minute."""
    return list(_place(ctx, "cities", tables.all_cities))


def cities_after(ctx: Context, limit: int, after: str | None) -> tuple[list[City], str | None]:
    """Some of the served cities in their order, after a key, and the key to go on with."""
    rest = [city for city in cities(ctx) if after is None or _place_of_city(city) > after]
    return rest[:limit], _place_of_city(rest[limit - 1]) if len(rest) > limit else None


def _place_of_city(city: City) -> str:
    return f"{city.rank:06d}#{city.code}"


def city_at(ctx: Context, position: Point) -> City | None:
    """The city that serves a WGS-84 point: the nearest one whose radius holds it, else None."""
    away = [(distance_m(position, city.centre), city.rank, city.code, city) for city in cities(ctx)]
    return min((one for one in away if one[0] <= one[3].radius_m), default=(None,) * 4)[3]


def categories(ctx: Context) -> list[Category]:
    """The categories in their order; known for a minute."""
    return list(_place(ctx, "categories", tables.all_categories))


def _place(ctx: Context, name: str, read: Callable[[], list[Place]]) -> list[Place]:
    known = _places.get(name)
    # An empty answer is not remembered: it is what a process sees that started before the first city was put.
    if known is None or abs(ctx.now.seconds - known[0]) >= _PLACES_SECONDS or not known[1]:
        known = _places[name] = (ctx.now.seconds, read())
    found: list[Place] = known[1]
    return found


def shops_of_city(ctx: Context, city: str) -> Iterator[ShopPage]:
    """What the public sees of every listed shop, by id, without descriptions, options and rules. Read strongly and as
    it is asked for, a megabyte at a time, so that a city of any size passes through."""
    return tables.listings(city)


# Writing. Whatever carries a version is stored as version n over n - 1; version 1 is new.


def put_city(ctx: Context, city: City) -> None:
    """New, or over what stands there."""
    _put_place("cities", lambda tx: tables.put_city(tx, city))


def put_category(ctx: Context, category: Category) -> None:
    """New, or over what stands there."""
    _put_place("categories", lambda tx: tables.put_category(tx, category))


def _put_place(name: str, put: Callable[[Transaction], None]) -> None:
    tx = Transaction()
    put(tx)
    tx.commit()
    _places.pop(name, None)


def put_merchant(ctx: Context, merchant: Merchant) -> None:
    """Raises Stale when another version stands there, and Invalid."""
    from chalicelib.catalog import checks  # only who writes needs it

    _refuse(checks.merchant_faults(merchant))
    tx = Transaction()
    tables.put_merchant(tx, merchant, Stale())
    tx.commit()


def put_shop(ctx: Context, shop: Shop) -> None:
    """Raises Stale when another version stands there, and Invalid. A shop keeps its merchant."""

    def change(page: ShopPage | None) -> ShopPage:
        if page is None:
            return ShopPage(shop, (), ())
        if page.shop.merchant_id != shop.merchant_id:
            raise Invalid(errors=[{"field": "merchant_id", "message": "a shop keeps its merchant"}])
        return replace(page, shop=shop)

    _write(ctx, shop.id, change)


def put_offer(ctx: Context, offer: Offer) -> None:
    """Stores it, and its immutable version beside it. A first version may be in any state; later ones move by the
    state table. Raises Stale, Invalid, InvalidTransition, and ShopNotFound without its shop."""

    def change(page: ShopPage | None) -> ShopPage:
        if page is None:
            raise ShopNotFound
        old = next((other for other in page.offers if other.id == offer.id), None)
        if old is not None:
            _refuse_jump(old.state, offer.state)
        return page.with_offer(offer)

    _write(ctx, offer.shop_id, change)


def put_staff(ctx: Context, staff: Staff) -> None:
    """Raises Stale when another version stands there, Invalid, and ShopNotFound without its shop."""

    def change(page: ShopPage | None) -> ShopPage:
        if page is None:
            raise ShopNotFound
        return page.with_staff(staff)

    _write(ctx, staff.shop_id, change)


def rating_revision(ctx: Context, shop_id: str) -> int:
    """How often the shop's rating was written: to be read before what it is counted from. 0 before the first time."""
    return tables.rating_revision(shop_id)


def put_rating(ctx: Context, shop_id: str, rating: Rating, seen: int) -> None:
    """What the shop's reviews come to, over the revision that was read before they were. It is a write of the page, so
    that search hears of it, and none of the shop, whose version stays.

    The revision moves although the figures may be as before: whoever counts at the same time must notice.
    Raises RatingMoved when another revision stands there, and ShopNotFound.
    """

    def change(page: ShopPage | None) -> ShopPage:
        if page is None:
            raise ShopNotFound
        if (page.rating.revision if page.rating else 0) != seen:
            raise RatingMoved
        return replace(page, rating=replace(rating, revision=seen + 1))

    _write(ctx, shop_id, change)


def put_shop_page(ctx: Context, page: ShopPage) -> None:
    """A new shop with all its offers and staff, in one transaction. Raises Stale when the shop exists, and Invalid."""

    def change(before: ShopPage | None) -> ShopPage:
        if before is not None:
            raise Stale
        if 2 * len(page.offers) + len(page.staff) > MAX_OPERATIONS - _PAGE_OPERATIONS:
            raise Invalid(errors=[{"field": "offers", "message": "too many at once: put some of them one by one"}])
        return page

    _write(ctx, page.shop.id, change)


def _write(ctx: Context, shop_id: str, change: Callable[[ShopPage | None], ShopPage]) -> None:
    """Reads the page, changes it and writes what differs, again until nobody came between."""
    from chalicelib.catalog import checks

    for attempt in range(_TRIES):
        # The lock is read first: whatever changes the page after this line also moves the lock.
        lock = tables.page_lock(shop_id)
        before = tables.get_page(ids.tag(shop_id), consistent=True)
        after = change(before).rated()
        after = replace(after, shop=replace(after.shop, position=packing.quantised(after.shop.position)))
        home = next((city for city in cities(ctx) if city.code == after.shop.city), None)
        _refuse(checks.page_faults(after, home))
        if after == before:
            return
        after = replace(after, offers=tuple(_priced(before, offer, ctx.now) for offer in after.offers))
        try:
            _commit(ctx, before, after, lock)
            return
        except _PageChanged:
            time.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 4)))  # noqa: S311  # not a secret
        finally:
            pages.forget(shop_id)
    raise Unavailable(retry_after_seconds=1)


def _priced(before: ShopPage | None, offer: Offer, now: Instant) -> Offer:
    """The offer with the history of its price. Raises ListPriceNotAsked for a struck-through price that never was."""
    old = next((other for other in before.offers if other.id == offer.id), None) if before is not None else None
    if old is not None and old.price.currency != offer.price.currency:
        history = prices.PriceHistory()
    else:
        history = old.history if old is not None else prices.PriceHistory()
    if old is not None and old == offer:
        return replace(offer, history=history)
    history = prices.recorded(history, offer.price.amount_minor if offer.state == ON_SHELF else None, now)
    announced = old is None or (old.list_price, old.price) != (offer.list_price, offer.price)
    if offer.list_price is not None and announced:
        prices.require_asked(offer.list_price, history, now)
    return replace(offer, history=history)


def _commit(ctx: Context, before: ShopPage | None, after: ShopPage, lock: int) -> None:
    def write(tx: Transaction) -> None:
        if before is None or _shop_differs(before, after):
            tables.put_shop(tx, after.shop, Stale())
        if after.rating is not None and (before is None or after.rating != before.rating):
            tables.put_rating(tx, after.shop.id, after.rating, _PageChanged())
        for offer in after.offers:
            if before is None or offer not in before.offers:
                tables.put_offer(tx, offer, Stale())
        for member in after.staff:
            if before is None or member not in before.staff:
                tables.put_staff(tx, member, Stale())
        _list(tx, old, new)
        # The lock stands last, so that a write of an old version is told so rather than tried again.
        tables.move_page_lock(tx, after.shop.id, lock, _PageChanged())

    old, new = before.listing() if before is not None else None, after.listing()
    citylog.commit(ctx, _news(old, new), write)


def _shop_differs(before: ShopPage, after: ShopPage) -> bool:
    """Whether the shop's own row has changed; figures that a rating gives are none of its."""
    if after.rating is None:
        return after.shop != before.shop
    return after.shop != replace(before, rating=after.rating).rated().shop


def _moved_away(old: ShopPage, new: ShopPage | None) -> bool:
    return new is None or old.shop.city != new.shop.city


def _list(tx: Transaction, old: ShopPage | None, new: ShopPage | None) -> None:
    """Writes the shop's listing when the public sees a change."""
    if old is not None and old != new and _moved_away(old, new):
        tables.remove_listing(tx, old)
    if new is not None and old != new:
        tables.put_listing(tx, new)


def _news(old: ShopPage | None, new: ShopPage | None) -> dict[str, Change]:
    """What each city's log will say of it; numbers come later."""
    found = {}
    if old is not None and old != new and _moved_away(old, new):
        found[old.shop.city] = Change(0, gone=old.shop.id)
    if new is not None and old != new:
        found[new.shop.city] = Change(0, page=new)
    return found


def _refuse(faults: list[dict[str, str]]) -> None:
    if faults:
        raise Invalid(errors=faults[:20])


def _refuse_jump(old: str, new: str) -> None:
    if new != old and new not in OFFER.table[old].values():
        raise InvalidTransition(from_state=old, to=new, allowed=sorted(OFFER.table[old].values()))
