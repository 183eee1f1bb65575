"""The catalogue: a shop's page under its lock, and versions that are written over the one before."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from chalicelib.catalog import citylog
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import ShopPage
from tests.builders import catalog as build
from tests.simulation.interleavings.case import Round, case, outcomes


def _city(round: Round) -> str:
    return round.kept("city", build.stored_city).code


def _stored(round: Round) -> ShopPage:
    return build.stored_page(city=_city(round), offers=2, members=2)


def _listed(round: Round, page: ShopPage) -> Any:
    """What search sees of the shop."""
    return next(one for one in catalog.shops_of_city(round.ctx, page.shop.city) if one.shop.id == page.shop.id)


def _named(en: str) -> dict[str, str]:
    return {"zh-CN": "剪刀手", "en": en}


@case()
def new_shop_twice(round: Round) -> None:
    """One new shop put twice: it stands as one of the two, and is listed as it stands."""
    made = build.page(city=_city(round), offers=2, members=2)
    pages = [replace(made, shop=replace(made.shop, name=_named(name))) for name in ("One", "Two")]
    found = round.race(*(partial(catalog.put_shop_page, round.ctx, page) for page in pages))
    told = outcomes(found)
    round.same("answers", told, {"done": 1, "stale": 1})
    page = catalog.whole_page(round.ctx, made.shop.id)
    round.same("name", page.shop.name["en"], ("One", "Two")[found.index(None)])
    round.same("listed", _listed(round, page), page.listing())


@case()
def versions_of_one_reading(round: Round) -> None:
    """Two next versions of one shop, one offer, one member of staff and one merchant: of each, one stands."""
    page = _stored(round)
    merchant = build.merchant()
    put = partial(catalog.put_merchant, round.ctx)
    round.same("new merchant", outcomes(round.race(partial(put, merchant), partial(put, _other(merchant)))), _ONE)
    _two_versions(round, catalog.put_merchant, catalog.merchant(round.ctx, merchant.id))
    _two_versions(round, catalog.put_shop, page.shop)
    _two_versions(round, catalog.put_offer, page.offers[0])
    _two_versions(round, catalog.put_staff, page.staff[0])
    after = catalog.whole_page(round.ctx, page.shop.id)
    round.same("versions", [after.shop.version, after.offers[0].version, after.staff[0].version], [2, 2, 2])
    round.same("listed", _listed(round, after), after.listing())


_ONE = {"done": 1, "stale": 1}


def _other(thing: Any) -> Any:
    return replace(thing, name=_named("Other"))


def _two_versions(round: Round, put: Any, thing: Any) -> None:
    """Both are written over the version that was read."""
    acts = [partial(put, round.ctx, build.next_version(thing, name=_named(name))) for name in ("One", "Two")]
    round.same(type(thing).__name__, outcomes(round.race(*acts)), _ONE)


@case()
def new_things_twice(round: Round) -> None:
    """One new offer and one new member of staff, each put twice: of each, one stands."""
    page = _stored(round)
    new: list[tuple[Any, Any]] = [
        (catalog.put_offer, build.offer(page.shop, rank=7)),
        (catalog.put_staff, build.staff(page.shop, rank=7)),
    ]
    for put, thing in new:
        acts = [partial(put, round.ctx, one) for one in (thing, _other(thing))]
        round.same(type(thing).__name__, outcomes(round.race(*acts)), _ONE)
    after = catalog.whole_page(round.ctx, page.shop.id)
    round.same("stand", (len(after.offers), len(after.staff)), (3, 3))


@case()
def parts_of_one_page(round: Round) -> None:
    """A shop, its offer and its staff are changed at once: all three stand, and the listing shows them."""
    page = _stored(round)
    before = citylog.sequence(page.shop.city, consistent=True)
    shop, offer, member = (
        build.next_version(one, name=_named("New")) for one in (page.shop, page.offers[0], page.staff[0])
    )
    found = round.race(
        partial(catalog.put_shop, round.ctx, shop),
        partial(catalog.put_offer, round.ctx, offer),
        partial(catalog.put_staff, round.ctx, member),
    )
    round.same("answers", outcomes(found), {"done": 3})
    after = catalog.whole_page(round.ctx, page.shop.id)
    round.same("names", {one.name["en"] for one in (after.shop, after.offers[0], after.staff[0])}, {"New"})
    round.same("listed", _listed(round, after), after.listing())
    round.same("changes", citylog.sequence(page.shop.city, consistent=True) - before, 3)
