"""One operation: search."""

from __future__ import annotations

from datetime import date

from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import CityNotServed
from chalicelib.search import service
from chalicelib.search.model import Affinity, SearchQuery
from chalicelib.search.schemas import FacetsOut, SearchIn, SearchOut
from chalicelib.web import cursor
from chalicelib.web.auth import PUBLIC
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import wgs84_of

router = Router("search")


@router.get(
    "/v1/search",
    allow=PUBLIC,
    query=SearchIn,
    answers={200: SearchOut},
    errors=(CityNotServed,),
    summary="Find shops near a position or in a city",
)
def search(call: Call) -> Answer:
    asked: SearchIn = call.query
    # A cursor goes with its filters and order; how much a page holds, and what else is counted, may change under way.
    filters = asked.model_dump_json(exclude={"cursor", "limit", "include"})
    scope = f"search#{filters}"
    query = _query(asked, cursor.open_cursor(scope, asked.cursor))
    page = service.search(call.ctx, query, _affinity(call) if asked.personalised and call.account_id else None)
    facets = None
    if page.facets is not None:
        currency = service.currency(call.ctx, query)
        facets = FacetsOut.of(page.facets, catalog.categories(call.ctx), currency, call.ctx.locale)
    text = SearchOut.text(page, cursor.seal(scope, page.next_key), facets, call.ctx.locale)
    return Answer(text=text, headers={"Cache-Control": "private, no-cache"})


def _affinity(call: Call) -> Affinity | None:
    # Most who search are strangers, whose first search need not load what knows members.
    from chalicelib.search import affinity

    return affinity.of_member(call.ctx)


def _query(asked: SearchIn, after: str | None) -> SearchQuery:
    return SearchQuery(
        origin=wgs84_of(asked.lat, asked.lng, asked.datum),
        city=asked.city,
        radius_m=asked.radius_m,
        q=asked.q,
        category=asked.category,
        kind=asked.kind,
        price_min_minor=asked.price_min_minor,
        price_max_minor=asked.price_max_minor,
        rating_min_centi=None if asked.rating_min is None else int(asked.rating_min * 100),
        open_now=asked.open_now,
        bookable_on=None if asked.bookable_on is None else date.fromisoformat(asked.bookable_on),
        has_voucher=asked.has_voucher,
        sort=asked.sort,
        limit=asked.limit,
        after=after,
        facets="facets" in asked.include,
        total="total" in asked.include,
    )
