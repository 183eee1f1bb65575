"""Public reads of the catalogue. A shop page is one Query; caches in front may keep it for a few seconds."""

from __future__ import annotations

from chalicelib.catalog import pages, service
from chalicelib.catalog.model import OfferNotFound, ShopNotFound
from chalicelib.catalog.schemas import (
    CategoryOut,
    CategoryPage,
    CitiesQuery,
    CityOut,
    CityPage,
    OfferOut,
    OfferPage,
    ShopOut,
)
from chalicelib.web import cursor
from chalicelib.web.auth import PUBLIC
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import PageQuery, wgs84_of

router = Router("catalog")

_PLACES = {"Cache-Control": "public, max-age=60"}
_DETAIL = {"Cache-Control": "public, max-age=3"}


@router.get(
    "/v1/cities",
    allow=PUBLIC,
    query=CitiesQuery,
    answers={200: CityPage},
    summary="The served cities, and which of them serves a position",
)
def list_cities(call: Call) -> Answer:
    asked: CitiesQuery = call.query
    position = wgs84_of(asked.lat, asked.lng, asked.datum)
    found, next_key = service.cities_after(call.ctx, asked.limit, cursor.open_cursor("list_cities", asked.cursor))
    here = None if position is None else service.city_at(call.ctx, position)
    body = CityPage(
        items=[CityOut.of(city, call.ctx.locale) for city in found],
        next_cursor=cursor.seal("list_cities", next_key),
        here=None if here is None else CityOut.of(here, call.ctx.locale),
    )
    # Where somebody stands is nobody else's.
    return Answer(body, headers=_PLACES if position is None else {"Cache-Control": "private, no-store"})


@router.get("/v1/categories", allow=PUBLIC, answers={200: CategoryPage}, summary="The categories of services")
def list_categories(call: Call) -> Answer:
    items = [CategoryOut.of(category, call.ctx.locale) for category in service.categories(call.ctx)]
    return Answer(CategoryPage(items=items, next_cursor=None), headers=_PLACES)


@router.get(
    "/v1/shops/{shop_id}",
    allow=PUBLIC,
    answers={200: ShopOut},
    errors=(ShopNotFound,),
    summary="A shop with its hours and staff",
)
def get_shop(call: Call) -> Answer:
    page = pages.shop_page(call.ctx, call.id("shop_id", "shp"))
    return Answer(ShopOut.of(page, call.ctx.now, call.ctx.locale), headers=_DETAIL)


@router.get(
    "/v1/shops/{shop_id}/offers",
    allow=PUBLIC,
    query=PageQuery,
    answers={200: OfferPage},
    errors=(ShopNotFound,),
    summary="What a shop offers, in the shop's own order",
)
def list_offers(call: Call) -> Answer:
    shop_id = call.id("shop_id", "shp")
    scope = f"list_offers#{shop_id}"
    after = cursor.open_cursor(scope, call.query.cursor)
    found = service.offers_of_shop(call.ctx, shop_id, call.query.limit, after)
    items = [OfferOut.of(offer, found.page, call.ctx.now, call.ctx.locale) for offer in found.offers]
    return Answer(OfferPage(items=items, next_cursor=cursor.seal(scope, found.next_key)), headers=_DETAIL)


@router.get("/v1/offers/{offer_id}", allow=PUBLIC, answers={200: OfferOut}, errors=(OfferNotFound,), summary="An offer")
def get_offer(call: Call) -> Answer:
    page, offer = pages.offer_on_sale(call.ctx, call.id("offer_id", "ofr"))
    return Answer(OfferOut.of(offer, page, call.ctx.now, call.ctx.locale), headers=_DETAIL)
