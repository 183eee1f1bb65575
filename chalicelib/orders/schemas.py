"""Request and response models of orders."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from chalicelib.orders.model import Charge, Line, Order, reviewable_until, tab
from chalicelib.web.schema import Empty, Input, InstantText, MoneyOut, Output, Query, id_rules

OfferId = Annotated[str, *id_rules("ofr")]
StaffId = Annotated[str, *id_rules("stf")]
OptionId = Annotated[str, *id_rules("opt")]
ShopId = Annotated[str, *id_rules("shp")]
ChargeId = Annotated[str, *id_rules("chg")]
Note = Annotated[str, StringConstraints(max_length=200)]
Method = Literal["card", "alipay", "wechat_pay", "unionpay"]
ClientKind = Literal["web", "ios", "android", "mini_program"]


class QuoteLine(Input):
    offer_id: OfferId
    option_ids: list[OptionId] = Field(default_factory=list, max_length=20)
    quantity: int = Field(1, ge=1, le=20)
    starts_at: InstantText | None = None
    staff_id: StaffId | None = None


class MakeQuote(Input):
    """Either `lines`, or one line's fields at the top."""

    shop_id: ShopId | None = None
    lines: list[QuoteLine] = Field(default_factory=list, max_length=5)
    offer_id: OfferId | None = None
    option_ids: list[OptionId] = Field(default_factory=list, max_length=20)
    quantity: int = Field(1, ge=1, le=20)
    starts_at: InstantText | None = None
    staff_id: StaffId | None = None

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> MakeQuote:
        if bool(self.lines) == bool(self.offer_id):
            raise ValueError("give either lines, or offer_id at the top")
        return self

    def all_lines(self) -> list[QuoteLine]:
        if self.lines:
            return self.lines
        assert self.offer_id is not None  # noqa: S101  # the validator has seen to it
        return [
            QuoteLine(
                offer_id=self.offer_id,
                option_ids=self.option_ids,
                quantity=self.quantity,
                starts_at=self.starts_at,
                staff_id=self.staff_id,
            )
        ]


class PolicyStep(Output):
    """Cancelling at least this long before the start gives back this part."""

    seconds_before_start: int
    refund_bps: int


class PolicyOut(Output):
    steps: list[PolicyStep]

    @classmethod
    def of(cls, policy: tuple[tuple[int, int], ...]) -> PolicyOut:
        return cls(steps=[PolicyStep(seconds_before_start=s, refund_bps=bps) for s, bps in policy])


class OptionOut(Output):
    id: str
    name: str


class QuotedLineOut(Output):
    offer_id: str
    name: str
    options: list[OptionOut]
    quantity: int
    unit_price: MoneyOut
    net: MoneyOut
    starts_at: str
    ends_at: str
    staff_id: str | None


class DiscountOut(Output):
    funder: str
    id: str
    amount: MoneyOut


class QuoteOut(Output):
    id: str
    shop_id: str
    expires_at: str
    server_time: str
    lines: list[QuotedLineOut]
    discounts: list[DiscountOut]
    total: MoneyOut
    policy: PolicyOut


class PlaceOrder(Input):
    quote_id: Annotated[str, StringConstraints(min_length=8, max_length=4000)]
    note: Note = ""


class OfferRef(Output):
    id: str
    version: int
    name: str
    kind: str
    options: list[OptionOut]


class BookingOut(Output):
    starts_at: str
    ends_at: str
    staff_id: str
    staff_name: str
    time_zone: str


class LineOut(Output):
    id: str
    offer: OfferRef
    quantity: int
    unit_price: MoneyOut
    discounts: list[DiscountOut]
    net: MoneyOut
    fulfilment_state: str
    booking: BookingOut | None
    reviewable_until: str | None = Field(
        description="Until when it may be reviewed; null while it has not been fulfilled",
        examples=["2026-12-22T09:57:16.123Z"],
    )


class ChargeOut(Output):
    id: str
    purpose: str
    amount: MoneyOut
    state: str


class RefundOut(Output):
    id: str
    amount: MoneyOut
    state: str
    reason: str


class EventOut(Output):
    event: str
    at: str
    actor: str


class OrderOut(Output):
    id: str
    shop_id: str
    shop_name: str
    state: str
    payment_state: str
    refund_state: str
    dispute_state: str
    cancel_reason: str | None
    cancel_note: str | None
    tab: str
    hold_expires_at: str | None
    server_time: str
    total: MoneyOut
    lines: list[LineOut]
    offer: OfferRef
    booking: BookingOut | None
    charges: list[ChargeOut]
    refunds: list[RefundOut]
    vouchers: list[str]
    policy: PolicyOut
    note: str
    timeline: list[EventOut]
    version: int
    created_at: str


class OrderList(Output):
    items: list[OrderOut]
    next_cursor: str | None


class OrdersQuery(Query):
    tab: Literal["to_pay", "to_use", "in_service", "done", "refunds"] | None = None
    state: str | None = Field(None, max_length=30)
    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = Field(None, max_length=400)


class MerchantOrdersQuery(Query):
    since: InstantText | None = None
    shop_id: str | None = Field(None, max_length=40)
    limit: int = Field(50, ge=1, le=100)


class CountsOut(Output):
    to_pay: int
    to_use: int
    in_service: int
    done: int
    refunds: int


class MethodsQuery(Query):
    client: ClientKind = "web"


class MethodsOut(Output):
    items: list[Method]


class OpenPayment(Input):
    method: Method
    client: ClientKind = "web"
    charge_id: ChargeId | None = None
    return_url: (
        Annotated[str, StringConstraints(max_length=500, pattern=r"^(https?|[a-z][a-z0-9+.-]{1,30})://[!-~]+$")] | None
    ) = None


class NextAction(Output):
    """What the payer's app does next; which fields are set depends on `type`."""

    type: Literal["client_secret", "redirect", "qr_code", "wechat_request", "wechat_app", "alipay_app"]
    client_secret: str | None = None
    url: str | None = None
    data: str | None = None


class AttemptOut(Output):
    attempt_id: str
    charge_id: str
    order_id: str
    method: str
    state: str
    order_state: str
    amount: MoneyOut
    next_action: NextAction | None
    server_time: str


class CancelOrder(Empty):
    reason: Note = ""


class CancelQuoteOut(Output):
    refund: MoneyOut
    kept: MoneyOut
    policy: PolicyOut
    server_time: str


class LegOut(Output):
    account: str
    side: Literal["debit", "credit"]
    amount: MoneyOut


class EntryOut(Output):
    id: str
    event: str
    at: str
    legs: list[LegOut]


class ProofOut(Output):
    order_id: str
    holds: bool
    equation: dict[str, int]
    failures: list[str]
    entries: list[EntryOut]
    hash: str


Names = dict[str, Any]


def charge_out(order: Order, charge: Charge) -> ChargeOut:
    return ChargeOut(
        id=charge.id,
        purpose=charge.purpose,
        amount=MoneyOut(amount_minor=charge.amount_minor, currency=order.currency),
        state=charge.state,
    )


def money(order: Order, minor: int) -> MoneyOut:
    return MoneyOut(amount_minor=minor, currency=order.currency)


def order_out(order: Order, now: str, names: Names) -> OrderOut:
    """`names`: `shop`, `offers` by (id, version) → (name, {option id → name}), `staff` by id; in one language."""
    lines = [_line_out(order, line, names) for line in order.lines]
    return OrderOut(
        id=order.id,
        shop_id=order.shop_id,
        shop_name=names["shop"],
        state=order.state,
        payment_state=order.payment_state,
        refund_state=order.refund_state,
        dispute_state=order.dispute_state,
        cancel_reason=order.cancel_reason or None,
        cancel_note=order.cancel_note or None,
        tab=tab(order),
        hold_expires_at=str(order.deadline) if order.state == "pending_payment" else None,
        server_time=now,
        total=money(order, order.total_minor),
        lines=lines,
        offer=lines[0].offer,
        booking=lines[0].booking,
        charges=[charge_out(order, charge) for charge in order.charges],
        refunds=[
            RefundOut(id=r.id, amount=money(order, r.amount_minor), state=r.state, reason=r.reason)
            for r in order.refunds
        ],
        vouchers=[],
        policy=PolicyOut.of(order.policy),
        note=order.note,
        timeline=[EventOut(event=e.event, at=str(e.at), actor=e.actor) for e in order.timeline],
        version=order.version,
        created_at=str(order.created_at),
    )


def _line_out(order: Order, line: Line, names: Names) -> LineOut:
    name, options = names["offers"][line.offer_id, line.offer_version]
    booking = line.booking
    return LineOut(
        id=line.id,
        offer=OfferRef(
            id=line.offer_id,
            version=line.offer_version,
            name=name,
            kind=line.kind,
            options=[OptionOut(id=one, name=options.get(one, one)) for one in line.option_ids],
        ),
        quantity=line.quantity,
        unit_price=money(order, line.unit_price_minor),
        discounts=[DiscountOut(funder=d.funder, id=d.id, amount=money(order, d.amount_minor)) for d in line.discounts],
        net=money(order, line.net_minor),
        fulfilment_state=line.fulfilment_state,
        reviewable_until=str(until) if (until := reviewable_until(order, line)) else None,
        booking=BookingOut(
            starts_at=str(booking.starts_at),
            ends_at=str(booking.ends_at),
            staff_id=booking.staff_id,
            staff_name=names["staff"].get(booking.staff_id, ""),
            time_zone=order.zone,
        )
        if booking
        else None,
    )
