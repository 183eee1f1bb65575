"""What an offer's page answers of its bundle, its usage rules and its prices."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import ConfigDict, Field

from chalicelib.catalog import prices
from chalicelib.catalog.bundles import BundleGroup, worth
from chalicelib.catalog.hours import DAY_MINUTES
from chalicelib.catalog.model import Minutes, Offer, text_in
from chalicelib.catalog.usage import Usage, alike, stretches
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.runtime import messages
from chalicelib.web.schema import MoneyOut, Output

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class IntervalOut(Output):
    """Wall-clock times of the shop; `closes_next_day` when the end is past midnight, or is midnight."""

    opens: str = Field(examples=["10:00"])
    closes: str = Field(examples=["22:00"])
    closes_next_day: bool = False


class WeekdayOut(Output):
    """No intervals: closed."""

    weekday: str = Field(examples=["monday"])
    intervals: list[IntervalOut]


def clock(minute: int) -> str:
    return f"{minute % DAY_MINUTES // 60:02d}:{minute % 60:02d}"


def intervals_out(intervals: Minutes) -> list[IntervalOut]:
    return [
        IntervalOut(opens=clock(begin), closes=clock(end), closes_next_day=end >= DAY_MINUTES)
        for begin, end in intervals
    ]


class UsageOut(Output):
    """What is null or empty is not restricted. `weekly` names all seven days when there are hours of use."""

    valid_days: int | None = Field(examples=[90])
    blackout_dates: list[str] = Field(examples=[["2026-12-31"]])
    weekly: list[WeekdayOut]
    per_visit_limit: int | None = Field(examples=[2])
    stackable: bool | None
    reservation_needed: bool | None

    @classmethod
    def of(cls, usage: Usage) -> UsageOut:
        return cls(
            valid_days=usage.valid_days,
            blackout_dates=[day.isoformat() for day in usage.blackout],
            weekly=[
                WeekdayOut(weekday=name, intervals=intervals_out(usage.weekly.get(number, ())))
                for number, name in enumerate(WEEKDAYS if usage.weekly else ())
            ],
            per_visit_limit=usage.per_visit,
            stackable=usage.stackable,
            reservation_needed=usage.reservation,
        )


def usage_sentences(usage: Usage, locale: str) -> list[str]:
    """The structured rules as a person reads them."""

    def say(key: str, **values: str) -> str:
        return messages.text(locale, "usage", key, **values)

    found = []
    if usage.valid_days is not None:
        found.append(say("valid_days" if usage.valid_days != 1 else "valid_day", count=str(usage.valid_days)))
    if usage.weekly:
        found.append(say("hours", hours=_weekly_text(usage, locale)))
    if usage.blackout:
        runs = [_dates_text(first, last, locale) for first, last in stretches(usage.blackout)]
        found.append(say("blackout", dates=say("comma").join(runs)))
    if usage.per_visit is not None:
        found.append(say("per_visit", count=str(usage.per_visit)))
    for key, value in (("stackable", usage.stackable), ("reservation", usage.reservation)):
        if value is not None:
            found.append(say(key if value else f"{key}_not"))
    return found


def _weekly_text(usage: Usage, locale: str) -> str:
    names = messages.catalogue(locale)["dates"]["weekdays"]
    weekly = {weekday: intervals for weekday, intervals in usage.weekly.items() if intervals}
    runs = []
    for first, last, intervals in alike(weekly):
        days = names[first] if first == last else _span(names[first], names[last], locale)
        hours = [f"{clock(begin)}–{_closing(end, locale)}" for begin, end in intervals]
        runs.append(" ".join([days, messages.text(locale, "usage", "comma").join(hours)]))
    return messages.text(locale, "usage", "semicolon").join(runs)


def _closing(minute: int, locale: str) -> str:
    if minute == DAY_MINUTES:
        return "24:00"
    return clock(minute) if minute < DAY_MINUTES else messages.text(locale, "usage", "next_day", time=clock(minute))


def _dates_text(first: date, last: date, locale: str) -> str:
    named = [
        messages.text(
            locale,
            "usage",
            "date",
            day=str(day.day),
            month=messages.catalogue(locale)["dates"]["months"][day.month - 1],
            year=str(day.year),
        )
        for day in (first, last)
    ]
    return named[0] if first == last else _span(named[0], named[1], locale)


def _span(first: str, last: str, locale: str) -> str:
    return messages.text(locale, "usage", "span", first=first, last=last)


class BundleItemOut(Output):
    """`value` is what the whole quantity costs when bought alone."""

    name: str = Field(examples=["蒸汽护理"])
    quantity: int = Field(examples=[2])
    value: MoneyOut


class BundleGroupOut(Output):
    """The customer has `choose` of the items, or up to so many; `text` says it."""

    name: str
    choose: int = Field(examples=[1])
    rule: Literal["exactly", "at_most"]
    text: str = Field(examples=["3 选 1"])
    items: list[BundleItemOut]

    @classmethod
    def of(cls, group: BundleGroup, locale: str) -> BundleGroupOut:
        whole = group.choose == len(group.items) and group.rule == "exactly"
        key = "choose_all" if whole else f"choose_{group.rule}"
        return cls(
            name=text_in(group.name, locale),
            choose=group.choose,
            rule=group.rule,
            text=messages.text(locale, "usage", key, count=str(group.choose), of=str(len(group.items))),
            items=[
                BundleItemOut(name=text_in(item.name, locale), quantity=item.quantity, value=MoneyOut.of(item.value))
                for item in group.items
            ],
        )


class BundleOut(Output):
    """`total_value` is what the items cost alone by the cheapest choice, `total_value_most` by the dearest."""

    groups: list[BundleGroupOut]
    total_value: MoneyOut
    total_value_most: MoneyOut

    @classmethod
    def of(cls, offer: Offer, locale: str) -> BundleOut | None:
        if not offer.bundle:
            return None
        total = worth(offer.bundle, offer.price.currency)
        return cls(
            groups=[BundleGroupOut.of(group, locale) for group in offer.bundle],
            total_value=MoneyOut.of(total.least),
            total_value_most=MoneyOut.of(total.most),
        )


class PricePointOut(Output):
    """What the offer cost from then until the next point; null: it was not on sale."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    since: str = Field(validation_alias="from", serialization_alias="from", examples=["2026-11-01T08:00:00.000Z"])
    price: MoneyOut | None


class PriceHistoryOut(Output):
    """The last thirty days. The first point may be older: it is what the offer cost when they began."""

    lowest_30d: MoneyOut | None
    points: list[PricePointOut]

    @classmethod
    def of(cls, offer: Offer, now: Instant) -> PriceHistoryOut:
        def money(amount_minor: int | None) -> MoneyOut | None:
            return None if amount_minor is None else MoneyOut.of(Money(amount_minor, offer.price.currency))

        return cls(
            lowest_30d=money(prices.lowest_30d(offer.history, now)),
            points=[
                PricePointOut(since=str(point.since), price=money(point.amount_minor))
                for point in prices.recent(offer.history, now)
            ],
        )


def list_price_out(offer: Offer, now: Instant) -> MoneyOut | None:
    shown = prices.shown(offer.list_price, offer.price, offer.history, now)
    return None if shown is None else MoneyOut.of(shown)
