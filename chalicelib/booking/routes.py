"""HTTP operations of booking."""

from __future__ import annotations

from datetime import date

from chalicelib.booking import service
from chalicelib.booking.model import RangeTooLong
from chalicelib.booking.schemas import AvailabilityOut, AvailabilityQuery, SlotOut, StaffPriceOut
from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import OfferNotFound, OptionsInvalid, can_serve, choose, price_of
from chalicelib.kernel.errors import Invalid
from chalicelib.kernel.instant import Instant, local_midnight
from chalicelib.web.auth import PUBLIC
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import MoneyOut

router = Router("booking")


def _instant(text: str, zone: str, field: str) -> Instant:
    try:
        if len(text) == 10:
            return local_midnight(date.fromisoformat(text), zone)
        return Instant.parse(text)
    except ValueError as error:
        raise Invalid(errors=[{"field": field, "message": "an instant or a date"}]) from error


@router.get(
    "/v1/offers/{offer_id}/availability",
    allow=PUBLIC,
    query=AvailabilityQuery,
    answers={200: AvailabilityOut},
    errors=(RangeTooLong, OptionsInvalid, OfferNotFound),
    summary="Starts that can be booked",
)
def offer_availability(call: Call) -> Answer:
    page, offer = catalog.offer_on_sale(call.ctx, call.id("offer_id", "ofr"), consistent=False)
    zone = page.shop.zone
    begin = _instant(call.query.from_, zone, "from")
    end = _instant(call.query.to, zone, "to")
    if end <= begin:
        raise Invalid(errors=[{"field": "to", "message": "must come after from"}])
    found = service.availability(
        call.ctx, page, offer, begin, end, staff_id=call.query.staff_id, option_ids=call.query.option_ids
    )
    options = choose(offer, call.query.option_ids)
    return Answer(
        AvailabilityOut(
            items=[SlotOut.of(slot) for slot in found],
            price=MoneyOut.of(price_of(offer, options)),
            prices=[
                StaffPriceOut(staff_id=member.id, price=MoneyOut.of(price_of(offer, options, member)))
                for member in page.staff
                if can_serve(member, offer)
            ],
            time_zone=zone,
            server_time=str(call.ctx.now),
        )
    )
