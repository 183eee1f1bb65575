"""What search takes and answers. Numbers are bounded; one that is not finite or not a number is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import to_json

from chalicelib.catalog.model import KINDS, Category, text_in
from chalicelib.kernel import geo
from chalicelib.kernel.money import EXPONENTS, MAX_AMOUNT_MINOR
from chalicelib.runtime import messages
from chalicelib.search.cards import Hit
from chalicelib.search.model import (
    DEFAULT_RADIUS_M,
    MAX_RADIUS_M,
    RATING_BANDS_CENTI,
    Facets,
    Relax,
    SearchPage,
    price_bands,
)
from chalicelib.search.ranking import Parts
from chalicelib.web.schema import DateText, Datum, KindName, MoneyOut, Output, PageQuery, Position

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


def _is_date(text: str) -> str:
    date.fromisoformat(text)
    return text


def _few_words(text: str) -> str:
    """A search of a single letter is cheap, one of thirty is not."""
    from chalicelib.search import words  # loaded with the first search that has some

    if text and words.too_many(text):
        raise ValueError(f"at most {words.MAX_TOKENS} words")
    return text


def _parts(given: object) -> object:
    """`include=a,b` and `include=a&include=b` mean the same."""
    if not isinstance(given, tuple):
        return given
    return tuple(dict.fromkeys(name for text in given for name in str(text).split(",") if name))


Include = Annotated[tuple[Literal["facets", "total"], ...], BeforeValidator(_parts)]


class SearchIn(PageQuery):
    """Without a position the city is searched, by default the home city, and hits have no distance."""

    lat: float | None = Field(None, ge=-90, le=90, examples=[31.2304])
    lng: float | None = Field(None, ge=-180, le=180, examples=[121.4737])
    datum: Datum = "gcj02"
    city: Code | None = Field(None, examples=["sha"], description="With a position only its shops within the radius")
    radius_m: int = Field(DEFAULT_RADIUS_M, ge=1, le=MAX_RADIUS_M, description="Means nothing without a position")
    q: Annotated[str, AfterValidator(_few_words)] = Field(
        "", max_length=100, description="Every word must occur in a name of the shop or of its offers; eight at most"
    )
    category: Code | None = Field(None, examples=["hair"])
    kind: KindName | None = None
    price_min_minor: int | None = Field(None, ge=0, le=MAX_AMOUNT_MINOR, description="Of the shop's cheapest offer")
    price_max_minor: int | None = Field(None, ge=0, le=MAX_AMOUNT_MINOR, description="Of the shop's cheapest offer")
    rating_min: Decimal | None = Field(
        None,
        ge=0,
        le=5,
        max_digits=4,
        decimal_places=2,
        description="Of the rating as shown, which few reviews temper",
    )
    open_now: bool = Field(False, description="false: not asked for")
    bookable_on: Annotated[DateText, AfterValidator(_is_date)] | None = Field(None, examples=["2026-11-22"])
    has_voucher: bool = Field(False, description="false: not asked for")
    sort: Literal["recommended", "distance", "rating", "price", "sales"] = Field(
        "recommended", description="`distance` without a position is `recommended`"
    )
    personalised: bool = Field(True, description="false: as anybody sees it, whatever the member's own switch says")
    include: Include = Field((), description="facets, total")
    # It brings along what the first page knew of the member, so that pages follow each other.
    cursor: str | None = Field(None, max_length=6000)


class HitOut(Output):
    """`distance_m` is null without a position; `reason` is null for an ordinary shop."""

    shop_id: str = Field(examples=["shp_0123456789abcdefghjkmnpqrs"])
    name: str
    category: str = Field(examples=["hair"])
    distance_m: int | None
    rating: float = Field(examples=[4.63])
    rating_count: int
    price_from: MoneyOut
    sales: int
    address: str
    position: Position
    open_now: bool
    cover_url: str | None
    reason: str | None = Field(examples=["离您近"])

    @staticmethod
    def plain(hit: Hit, locale: str, reasons: Mapping[str | None, str | None]) -> dict[str, object]:
        """One as plain values. `reasons` are `_reasons` in the locale."""
        card = hit.card
        lat, lng = geo.shown_gcj02(card.position)
        return {
            "shop_id": card.id,
            "name": text_in(card.name, locale),
            "category": card.category,
            "distance_m": hit.distance_m,
            "rating": card.rating_centi / 100,
            "rating_count": card.rating_count,
            "price_from": {"amount_minor": card.price_minor, "currency": card.currency},
            "sales": card.sales,
            "address": text_in(card.address, locale),
            "position": {"lat": lat, "lng": lng, "datum": geo.GCJ02},
            "open_now": hit.open_now,
            "cover_url": card.cover_url,
            "reason": reasons[hit.reason],
        }


@lru_cache(maxsize=len(messages.LANGUAGES))
def _reasons(locale: str) -> dict[str | None, str | None]:
    """What each reason of a hit is called."""
    return {None: None, **{name: messages.text(locale, "search", f"reason_{name}") for name in Parts._fields}}


class FacetOut(Output):
    """How many shops have this value when every other filter stays as it is."""

    value: str
    name: str
    count: int


class PriceFacetOut(FacetOut):
    """Both ends belong to the band; without an upper one it is open."""

    price_min_minor: int
    price_max_minor: int | None


class FacetsOut(Output):
    category: list[FacetOut]
    kind: list[FacetOut]
    price: list[PriceFacetOut]
    rating: list[FacetOut]
    open_now: list[FacetOut]

    @classmethod
    def of(cls, facets: Facets, categories: list[Category], currency: str, locale: str) -> FacetsOut:
        names = {category.code: text_in(category.name, locale) for category in categories}
        ranked = sorted(facets.category.items(), key=lambda item: (-item[1], item[0]))
        return cls(
            category=[FacetOut(value=code, name=names.get(code, code), count=count) for code, count in ranked],
            kind=[
                FacetOut(value=kind, name=messages.text(locale, "search", f"kind_{kind}"), count=count)
                for kind in KINDS
                if (count := facets.kind.get(kind, 0))
            ],
            price=_prices(facets, currency),
            rating=[
                FacetOut(value=f"{low / 100:g}", name=f"≥ {low / 100:g}", count=facets.rating[low])
                for low in RATING_BANDS_CENTI
            ],
            open_now=[
                FacetOut(
                    value=str(is_open).lower(),
                    name=messages.text(locale, "search", "open" if is_open else "closed"),
                    count=facets.open_now.get(is_open, 0),
                )
                for is_open in (True, False)
            ],
        )


def _prices(facets: Facets, currency: str) -> list[PriceFacetOut]:
    lows = price_bands(currency)
    scale = 10 ** EXPONENTS[currency]
    found = []
    for low, following in zip(lows, [*lows[1:], None], strict=True):
        name = f"{low // scale}+" if following is None else f"{low // scale}–{following // scale}"
        found.append(
            PriceFacetOut(
                value=str(low),
                name=name,
                count=facets.price.get(low, 0),
                price_min_minor=low,
                price_max_minor=None if following is None else following - 1,
            )
        )
    return found


RelaxName = Literal["q", "category", "kind", "price", "rating", "open_now", "bookable_on", "has_voucher", "radius"]


class RelaxOut(Output):
    """Without this filter (`radius`: with `radius_m`) `count` shops would be found; `text` says so to a person."""

    filter: RelaxName = Field(examples=["radius"])
    count: int = Field(examples=[12])
    radius_m: int | None = Field(examples=[5000])
    text: str = Field(examples=["扩大到 5 公里：12 家"])

    @staticmethod
    def plain(relax: Relax, locale: str) -> dict[str, object]:
        radius_km = "" if relax.radius_m is None else f"{relax.radius_m / 1000:g}"
        words = messages.text(locale, "search", f"relax_{relax.filter}", count=str(relax.count), radius_km=radius_km)
        return {"filter": relax.filter, "count": relax.count, "radius_m": relax.radius_m, "text": words}


class SearchOut(Output):
    """`facets` and `total` only when asked for with `include`; `relax` only where nothing was found, best first."""

    items: list[HitOut]
    next_cursor: str | None
    facets: FacetsOut | None
    total: int | None
    relax: list[RelaxOut]

    @staticmethod
    def text(page: SearchPage, next_cursor: str | None, facets: FacetsOut | None, locale: str) -> str:
        """One as JSON, written from plain values: to make twenty hits first, only to read them off again, takes longer
        than to find them. The tests read every answer back as this model."""
        reasons = _reasons(locale)
        said = {
            "items": [HitOut.plain(hit, locale, reasons) for hit in page.hits],
            "next_cursor": next_cursor,
            "facets": facets,
            "total": page.total,
            "relax": [RelaxOut.plain(relax, locale) for relax in page.relax],
        }
        return to_json(said).decode()
