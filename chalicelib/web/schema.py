"""Base classes and shared fields of request and response models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chalicelib.kernel import geo, money, phone
from chalicelib.kernel.errors import Invalid
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.page import DEFAULT_LIMIT, MAX_LIMIT

Datum = Literal["wgs84", "gcj02", "bd09"]
KindName = Literal["appointment", "class", "voucher", "pickup", "at_home"]


class Input(BaseModel):
    """A request body: unknown fields and other types are refused, text and numbers are bounded."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, str_max_length=2000, defer_build=True
    )


class Query(BaseModel):
    """A query string: text is read as the field's type; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_max_length=2000, defer_build=True)


class PageQuery(Query):
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, max_length=1000)


class Output(BaseModel):
    """An answer. Only declared fields leave the house."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Empty(Input):
    """A body without fields; an absent body reads as one."""


def _is_instant(text: str) -> str:
    Instant.parse(text)
    return text


def _is_phone(text: str) -> str:
    return phone.parse(text)


InstantText = Annotated[
    str,
    StringConstraints(max_length=40),
    AfterValidator(_is_instant),
    Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T09:57:16.123Z"]),
]
PhoneText = Annotated[
    str,
    StringConstraints(min_length=5, max_length=20),
    AfterValidator(_is_phone),
    Field(examples=["+8613800000001"], description="E.164"),
]
DateText = Annotated[str, StringConstraints(pattern=r"^20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]


def id_rules(prefix: str) -> tuple[Any, ...]:
    """What `Annotated[str, *id_rules("ofr")]` needs to be the type of ids with this prefix."""
    pattern = rf"^{prefix}_[0-9a-hjkmnp-tv-z]{{26}}$"
    return StringConstraints(pattern=pattern), Field(examples=[f"{prefix}_{'0123456789abcdefghjkmnpqrs'}"])


class MoneyOut(Output):
    """An amount in minor units of an ISO 4217 currency."""

    amount_minor: int = Field(examples=[12800])
    currency: str = Field(examples=["CNY"])

    @classmethod
    def of(cls, value: money.Money) -> MoneyOut:
        return cls(amount_minor=value.amount_minor, currency=value.currency)


class Position(Output):
    """A point and the datum it is in."""

    lat: float = Field(ge=-90, le=90, examples=[31.2304])
    lng: float = Field(ge=-180, le=180, examples=[121.4737])
    datum: Datum = "gcj02"

    @classmethod
    def gcj02(cls, wgs84: geo.Point) -> Position:
        lat, lng = geo.shown_gcj02(wgs84)
        return cls(lat=lat, lng=lng, datum="gcj02")


def wgs84_of(lat: float | None, lng: float | None, datum: str) -> geo.Point | None:
    """A position of a query string in WGS-84, or None when none is given. Raises Invalid for half a position, and for
    one that its datum does not have."""
    if lat is None and lng is None:
        return None
    if lat is None or lng is None:
        missing = "lat" if lat is None else "lng"
        raise Invalid(errors=[{"field": missing, "message": "lat and lng go together"}])
    try:
        return geo.to_wgs84(geo.Point(lat, lng), datum)
    except ValueError as error:
        raise Invalid(errors=[{"field": "lat", "message": f"no such position in {datum}"}]) from error


def page_of(item: type[Output]) -> Any:
    """The schema of a list answer: `{"items": […], "next_cursor": …}`."""
    from pydantic import create_model

    fields: Any = {"items": (list[item], ...), "next_cursor": (str | None, ...)}  # type: ignore[valid-type]  # a type made at import
    return create_model(f"{item.__name__}Page", __base__=Output, **fields)
