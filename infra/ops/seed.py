"""Fills an empty deployment with the demo city and its accounts.

Every step is put-if-absent under a derived id, and a mark is set at the end: a crash leaves a part, which the next run
completes; a finished seeding is never repeated, so what people change in the demo stays changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chalicelib.catalog import service as catalog
from chalicelib.identity import service as identity
from chalicelib.kernel.errors import Stale
from chalicelib.reviews import importing
from chalicelib.runtime import jobs
from chalicelib.runtime.context import Context
from chalicelib.runtime.entry import system_context
from infra.ops import demo_city
from infra.ops.demo_city_reviews import reviews_of

CONSUMER_PHONE = "+8613800000001"
MERCHANT_PHONE = "+8613900000001"
OPERATOR_PHONE = "+8613700000001"
DEMO_MERCHANT = "mushu"

ASKED_DAYS = 28

_JOB = "seed"

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class SeedReport:
    """`seeded` is false when there was nothing to do: the demo was complete, or the catalogue is somebody's own."""

    seeded: bool
    merchants: int = 0
    shops: int = 0
    offers: int = 0
    staff: int = 0
    reviews: int = 0
    accounts: int = 0


def seed_if_empty(ctx: Context | None = None) -> SeedReport:
    """Seeds unless the demo is complete or the catalogue holds cities that no seeding put there."""
    ctx = ctx or system_context()
    if not jobs.cursor(_JOB) and catalog.cities(ctx):
        return SeedReport(seeded=False)
    return seed(ctx)


def seed(ctx: Context) -> SeedReport:
    """Puts the demo city beside whatever is there, unless it was completed before. What this run added."""
    if jobs.cursor(_JOB).get("done"):
        return SeedReport(seeded=False)
    jobs.save_cursor(_JOB, {"done": 0})
    for category in demo_city.CATEGORIES:
        catalog.put_category(ctx, category)
    catalog.put_city(ctx, demo_city.CITY)
    merchants = sum(_new(ctx, catalog.put_merchant, demo_city.merchant_of(owner)) for owner in demo_city.owners())
    pages = [demo_city.page_of(place, number) for number, place in enumerate(demo_city.places())]
    # What is struck through must have been asked: the shops stood there with those prices for a while.
    earlier = ctx.at(ctx.now.plus(days=-ASKED_DAYS))
    added = [page for page in pages if _new(earlier, catalog.put_shop_page, demo_city.before_reductions(page))]
    for page in pages:
        for offer in page.offers:
            if offer.list_price is not None:
                _new(ctx, catalog.put_offer, offer)
    reviews = sum(
        importing.bring(ctx, page.shop, reviews_of(place, page, ctx.now))
        for place, page in zip(demo_city.places(), pages, strict=True)
    )
    accounts = _accounts(ctx)
    jobs.save_cursor(_JOB, {"done": 1})
    return SeedReport(
        seeded=True,
        merchants=merchants,
        shops=len(added),
        offers=sum(len(page.offers) for page in added),
        staff=sum(len(page.staff) for page in added),
        reviews=reviews,
        accounts=accounts,
    )


def _new(ctx: Context, put: Callable[[Context, Thing], None], thing: Thing) -> bool:
    """Puts it; False when an earlier run did."""
    try:
        put(ctx, thing)
    except Stale:
        return False
    return True


def _accounts(ctx: Context) -> int:
    """The three people of the demo: one books, one runs the first salon at People's Square, one operates."""
    identity.ensure_account(CONSUMER_PHONE, "林小邻", ctx.now, ctx)
    owner = identity.ensure_account(MERCHANT_PHONE, "周木梳", ctx.now, ctx)
    identity.grant_membership(owner, demo_city.merchant_id(DEMO_MERCHANT), "owner")
    operator = identity.ensure_account(OPERATOR_PHONE, "邻里运营", ctx.now, ctx)
    identity.grant_operator(operator)
    return 3
