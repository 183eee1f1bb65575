"""What addresses and favourites take and answer over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from chalicelib.identity.model import Address, Favourite
from chalicelib.identity.schemas import VISIBLE, Name, between
from chalicelib.kernel import geo, phone
from chalicelib.kernel.page import DEFAULT_LIMIT, MAX_LIMIT
from chalicelib.web.schema import Datum, Input, Output, PhoneText, Position, Query, page_of

_E7 = 10_000_000

Label = Annotated[str, between(0, 20), VISIBLE]
District = Annotated[str, between(0, 40), VISIBLE]
Street = Annotated[str, between(1, 200), VISIBLE]
Unit = Annotated[str, between(0, 100), VISIBLE]


class PositionIn(Input):
    """A point and the datum it is in; the datum must be named."""

    lat: float = Field(ge=-90, le=90, examples=[31.2304])
    lng: float = Field(ge=-180, le=180, examples=[121.4737])
    datum: Datum

    @model_validator(mode="after")
    def _is_on_earth(self) -> PositionIn:
        # At the rim of what degrees allow, a datum's offset leads outside.
        self.stored()
        return self

    def stored(self) -> tuple[int, int]:
        """WGS-84 in ten-millionths of a degree, about a centimetre."""
        point = geo.to_wgs84(geo.Point(self.lat, self.lng), self.datum)
        return round(point.lat * _E7), round(point.lng * _E7)


class AddressIn(Input):
    label: Label = ""
    contact_name: Name
    phone: PhoneText
    city: Name
    district: District = ""
    street: Street
    unit: Unit = ""
    position: PositionIn | None = None

    def fields(self) -> dict[str, Any]:
        return _fields(self)


class AddressPatch(Input):
    """Only what is given changes; a position of null takes the old one away."""

    label: Label | None = None
    contact_name: Name | None = None
    phone: PhoneText | None = None
    city: Name | None = None
    district: District | None = None
    street: Street | None = None
    unit: Unit | None = None
    position: PositionIn | None = None

    def changes(self) -> dict[str, Any]:
        found = {name: value for name, value in _fields(self).items() if value is not None}
        if "position" in self.model_fields_set and self.position is None:
            found.update(lat_e7=None, lng_e7=None)
        return found


def _fields(body: AddressIn | AddressPatch) -> dict[str, Any]:
    texts = {
        name: getattr(body, name) for name in ("label", "contact_name", "phone", "city", "district", "street", "unit")
    }
    lat_e7, lng_e7 = body.position.stored() if body.position else (None, None)
    return {**texts, "lat_e7": lat_e7, "lng_e7": lng_e7}


class AddressOut(Output):
    id: str
    label: str
    contact_name: str
    phone_masked: str = Field(examples=["+86 *******0001"])
    city: str
    district: str
    street: str
    unit: str
    position: Position | None
    version: int
    created_at: str

    @classmethod
    def of(cls, address: Address) -> AddressOut:
        position = None
        if address.lat_e7 is not None and address.lng_e7 is not None:
            position = Position.gcj02(geo.Point(address.lat_e7 / _E7, address.lng_e7 / _E7))
        return cls(
            id=address.id,
            label=address.label,
            contact_name=address.contact_name,
            phone_masked=phone.mask(address.phone),
            city=address.city,
            district=address.district,
            street=address.street,
            unit=address.unit,
            position=position,
            version=address.version,
            created_at=str(address.created_at),
        )


class FavouriteOut(Output):
    shop_id: str
    created_at: str

    @classmethod
    def of(cls, favourite: Favourite) -> FavouriteOut:
        return cls(shop_id=favourite.shop_id, created_at=str(favourite.created_at))


class ListQuery(Query):
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: Annotated[str, StringConstraints(max_length=400)] | None = None


AddressPage = page_of(AddressOut)
FavouritePage = page_of(FavouriteOut)
