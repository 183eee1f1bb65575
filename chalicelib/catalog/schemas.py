"""What the catalogue answers. Words are in the caller's language, positions in GCJ-02, hours on the shop's clock."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chalicelib.catalog.hours import Hours
from chalicelib.catalog.model import (
    LOCALES,
    Category,
    City,
    Offer,
    Option,
    Policy,
    ShopPage,
    Staff,
    can_serve,
    category_of,
    open_now,
    text_in,
)
from chalicelib.catalog.offer_schemas import (
    WEEKDAYS,
    BundleOut,
    IntervalOut,
    PriceHistoryOut,
    UsageOut,
    WeekdayOut,
    intervals_out,
    list_price_out,
    usage_sentences,
)
from chalicelib.catalog.rating import STARS, Rating
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import BPS
from chalicelib.runtime import messages
from chalicelib.web.schema import Datum, KindName, MoneyOut, Output, PageQuery, Position, page_of

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


class CitiesQuery(PageQuery):
    """With a position the answer also says which city serves it."""

    lat: float | None = Field(None, ge=-90, le=90, examples=[31.2304])
    lng: float | None = Field(None, ge=-180, le=180, examples=[121.4737])
    datum: Datum = "gcj02"


class CityOut(Output):
    """`radius_m` around the centre is served."""

    code: str = Field(examples=["sha"])
    name: str = Field(examples=["上海"])
    names: dict[str, str] = Field(examples=[{"zh-CN": "上海", "en": "Shanghai"}])
    centre: Position
    radius_m: int = Field(examples=[60000])
    zone: str = Field(examples=["Asia/Shanghai"])
    currency: str = Field(examples=["CNY"])

    @classmethod
    def of(cls, city: City, locale: str) -> CityOut:
        return cls(
            code=city.code,
            name=text_in(city.name, locale),
            names={language: text_in(city.name, language) for language in LOCALES},
            centre=Position.gcj02(city.centre),
            radius_m=city.radius_m,
            zone=city.zone,
            currency=city.currency,
        )


class CategoryOut(Output):
    code: str = Field(examples=["hair"])
    name: str = Field(examples=["美发"])

    @classmethod
    def of(cls, category: Category, locale: str) -> CategoryOut:
        return cls(code=category.code, name=text_in(category.name, locale))


class CityPage(Output):
    """`here` is the city that serves the position that was given: the nearest one whose radius holds it."""

    items: list[CityOut]
    next_cursor: str | None
    here: CityOut | None


CategoryPage = page_of(CategoryOut)


class ExceptionOut(Output):
    """Replaces the weekday's hours on this date."""

    date: str = Field(examples=["2026-12-31"])
    intervals: list[IntervalOut]


class HoursOut(Output):
    weekly: list[WeekdayOut]
    exceptions: list[ExceptionOut]

    @classmethod
    def of(cls, hours: Hours) -> HoursOut:
        return cls(
            weekly=[
                WeekdayOut(weekday=name, intervals=intervals_out(hours.weekly.get(number, ())))
                for number, name in enumerate(WEEKDAYS)
            ],
            exceptions=[
                ExceptionOut(date=day.isoformat(), intervals=intervals_out(intervals))
                for day, intervals in sorted(hours.exceptions.items())
            ],
        )


class StaffOut(Output):
    """`offer_ids` are what this person can be booked for."""

    id: str = Field(examples=["stf_0123456789abcdefghjkmnpqrs"])
    name: str = Field(examples=["Kevin 周凯"])
    title: str = Field(examples=["技术总监"])
    photo: str | None
    offer_ids: list[str]

    @classmethod
    def of(cls, staff: Staff, page: ShopPage, locale: str) -> StaffOut:
        return cls(
            id=staff.id,
            name=text_in(staff.name, locale),
            title=text_in(staff.title, locale),
            photo=staff.photo,
            offer_ids=[offer.id for offer in page.offers if can_serve(staff, offer)],
        )


class ContactOut(Output):
    phone: str | None = Field(examples=["021-6333 0001"])


class ReviewsOut(Output):
    """What the shop's published reviews come to: how many, the plain mean of each score, and how many of each star."""

    count: int = Field(examples=[128])
    service: float | None = Field(examples=[4.81])
    environment: float | None = Field(examples=[4.62])
    value: float | None = Field(examples=[4.7])
    stars: dict[str, int] = Field(examples=[{"5": 96, "4": 24, "3": 5, "2": 2, "1": 1}])

    @classmethod
    def of(cls, rating: Rating | None) -> ReviewsOut:
        counted = rating or Rating()
        means = {name: counted.mean_centi(name) for name in ("service", "environment", "value")}
        return cls(
            count=counted.count,
            **{name: None if mean is None else mean / 100 for name, mean in means.items()},
            stars={str(star): counted.stars[star - 1] for star in reversed(STARS)},
        )


class ShopOut(Output):
    """`rating` is drawn towards the average of all shops while ratings are few; `rating_count` are the real ones. The
    first photo is the cover."""

    id: str = Field(examples=["shp_0123456789abcdefghjkmnpqrs"])
    merchant_id: str
    name: str
    category: str
    city: str
    description: str
    address: str
    position: Position
    zone: str = Field(examples=["Asia/Shanghai"])
    hours: HoursOut
    open_now: bool
    rating: float = Field(examples=[4.63])
    rating_count: int
    reviews: ReviewsOut
    sales: int
    cover_url: str | None
    photos: list[str]
    contact: ContactOut
    currency: str = Field(examples=["CNY"])
    staff: list[StaffOut]
    version: int

    @classmethod
    def of(cls, page: ShopPage, now: Instant, locale: str) -> ShopOut:
        shop = page.shop
        return cls(
            id=shop.id,
            merchant_id=shop.merchant_id,
            name=text_in(shop.name, locale),
            category=shop.category,
            city=shop.city,
            description=text_in(shop.description, locale),
            address=text_in(shop.address, locale),
            position=Position.gcj02(shop.position),
            zone=shop.zone,
            hours=HoursOut.of(shop.hours),
            open_now=open_now(shop, now),
            rating=shop.rating_centi / 100,
            rating_count=shop.rating_count,
            reviews=ReviewsOut.of(page.rating),
            sales=shop.sales,
            cover_url=next(iter(shop.photos), None),
            photos=list(shop.photos),
            contact=ContactOut(phone=shop.phone_public or None),
            currency=shop.currency,
            staff=[StaffOut.of(member, page, locale) for member in page.staff],
            version=shop.version,
        )


class PolicyStepOut(Output):
    """Cancelled at least this long before the start, this part goes back."""

    seconds_before_start: int = Field(examples=[7200])
    refund_bps: int = Field(examples=[10000])
    text: str = Field(examples=["开始前 2 小时以上取消：全额退款"])


class PolicyOut(Output):
    """Longest notice first. Below the last step nothing goes back; a cancellation by the shop always gives all back."""

    steps: list[PolicyStepOut]

    @classmethod
    def of(cls, policy: Policy, locale: str) -> PolicyOut:
        return cls(
            steps=[
                PolicyStepOut(seconds_before_start=notice, refund_bps=bps, text=_step_text(notice, bps, locale))
                for notice, bps in policy
            ]
        )


def _step_text(notice_seconds: int, bps: int, locale: str) -> str:
    kind = {BPS: "refund_all", 0: "refund_none"}.get(bps, "refund_part")
    refund = messages.text(locale, "catalog", kind, percent=f"{bps / 100:g}")
    if notice_seconds == 0:
        return messages.text(locale, "catalog", "cancel_later", refund=refund)
    unit, seconds = next(each for each in _UNITS if notice_seconds % each[1] == 0)
    count = notice_seconds // seconds
    notice = messages.text(locale, "catalog", unit if count != 1 else unit[:-1], count=str(count))
    return messages.text(locale, "catalog", "cancel_before", notice=notice, refund=refund)


class OptionOut(Output):
    """At most one option of a group can be chosen."""

    id: str = Field(examples=["opt_0123456789abcdefghjkmnpqrs"])
    name: str
    price_delta: MoneyOut
    duration_delta_minutes: int
    group: str | None

    @classmethod
    def of(cls, option: Option, locale: str) -> OptionOut:
        return cls(
            id=option.id,
            name=text_in(option.name, locale),
            price_delta=MoneyOut.of(option.price_delta),
            duration_delta_minutes=option.duration_delta_minutes,
            group=option.group or None,
        )


class OfferOut(Output):
    """`staff_ids` are those who can be asked for; `version` is what an order freezes.

    `usage_rules` are the shop's own texts, then sentences for what `usage` says. `list_price` may be shown struck
    through: it was really asked, see `price_history`.
    """

    id: str = Field(examples=["ofr_0123456789abcdefghjkmnpqrs"])
    shop_id: str
    kind: KindName
    name: str
    category: str
    description: str
    photos: list[str]
    price: MoneyOut
    list_price: MoneyOut | None
    price_history: PriceHistoryOut
    duration_minutes: int | None
    options: list[OptionOut]
    bundle: BundleOut | None
    usage: UsageOut
    usage_rules: list[str]
    refund_badge: str = Field(examples=["before_deadline"])
    refund_badge_text: str = Field(examples=["提前退"])
    confirmation: Literal["instant", "request"]
    policy: PolicyOut
    lead_minutes: int
    horizon_days: int
    slot_step_minutes: int
    staff_ids: list[str]
    version: int

    @classmethod
    def of(cls, offer: Offer, page: ShopPage, now: Instant, locale: str) -> OfferOut:
        return cls(
            id=offer.id,
            shop_id=offer.shop_id,
            kind=offer.kind,
            name=text_in(offer.name, locale),
            category=category_of(offer, page.shop),
            description=text_in(offer.description, locale),
            photos=list(offer.photos),
            price=MoneyOut.of(offer.price),
            list_price=list_price_out(offer, now),
            price_history=PriceHistoryOut.of(offer, now),
            duration_minutes=offer.duration_minutes,
            options=[OptionOut.of(option, locale) for option in offer.options],
            bundle=BundleOut.of(offer, locale),
            usage=UsageOut.of(offer.usage),
            usage_rules=[text_in(rule, locale) for rule in offer.usage_rules] + usage_sentences(offer.usage, locale),
            refund_badge=offer.refund_badge,
            refund_badge_text=messages.text(locale, "catalog", f"badge_{offer.refund_badge}"),
            confirmation=offer.confirmation,
            policy=PolicyOut.of(offer.policy, locale),
            lead_minutes=offer.lead_minutes,
            horizon_days=offer.horizon_days,
            slot_step_minutes=offer.slot_step_minutes,
            staff_ids=[member.id for member in page.staff if can_serve(member, offer)],
            version=offer.version,
        )


OfferPage = page_of(OfferOut)
