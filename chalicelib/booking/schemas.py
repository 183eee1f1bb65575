"""Request and response models of booking."""

from __future__ import annotations

from pydantic import Field

from chalicelib.booking.model import Slot
from chalicelib.web.schema import MoneyOut, Output, Query


class AvailabilityQuery(Query):
    from_: str = Field(alias="from", max_length=40, description="An instant, or a date in the shop's zone; inclusive")
    to: str = Field(
        max_length=40, description="An instant, or a date in the shop's zone; exclusive, at most 31 days on"
    )
    staff_id: str | None = Field(None, max_length=40)
    option_ids: tuple[str, ...] = Field((), max_length=20)


class SlotOut(Output):
    starts_at: str = Field(examples=["2026-11-23T02:00:00.000Z"])
    ends_at: str
    staff_ids: list[str]
    remaining: int

    @classmethod
    def of(cls, slot: Slot) -> SlotOut:
        return cls(
            starts_at=str(slot.starts_at),
            ends_at=str(slot.ends_at),
            staff_ids=list(slot.staff_ids),
            remaining=slot.remaining,
        )


class StaffPriceOut(Output):
    staff_id: str
    price: MoneyOut


class AvailabilityOut(Output):
    """`prices` says what each staff member takes for the offer with these options; not to choose one costs `price`."""

    items: list[SlotOut]
    price: MoneyOut
    prices: list[StaffPriceOut]
    time_zone: str
    server_time: str
