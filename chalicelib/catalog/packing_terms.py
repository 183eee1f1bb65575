"""An offer's bundle, usage rules and price history as plain lists and dicts, and back.

They stand in an attribute of their own beside the offer's content: the release before, which knows no such fields, must
still read the content.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from chalicelib.catalog.bundles import BundleGroup, BundleItem
from chalicelib.catalog.model import Offer
from chalicelib.catalog.prices import PriceHistory, PricePoint
from chalicelib.catalog.usage import Usage
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money

Plain = dict[str, Any]


def of_terms(offer: Offer) -> Plain | None:
    """Only what there is; None for nothing."""
    found: Plain = {
        "bu": of_bundle(offer.bundle),
        "us": of_usage(offer.usage),
        "lp": None if offer.list_price is None else offer.list_price.amount_minor,
        "hp": of_history(offer.history),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})} or None


def with_terms(offer: Offer, plain: Plain | None) -> Offer:
    if plain is None:
        return offer
    currency = offer.price.currency
    return replace(
        offer,
        bundle=to_bundle(plain.get("bu", []), currency),
        usage=to_usage(plain.get("us", {})),
        list_price=Money(plain["lp"], currency) if "lp" in plain else None,
        history=to_history(plain.get("hp", [])),
    )


def of_bundle(bundle: tuple[BundleGroup, ...]) -> list[Any]:
    return [
        [
            dict(group.name),
            group.choose,
            group.rule,
            [[dict(item.name), item.quantity, item.value.amount_minor] for item in group.items],
        ]
        for group in bundle
    ]


def to_bundle(plain: list[Any], currency: str) -> tuple[BundleGroup, ...]:
    return tuple(
        BundleGroup(
            name,
            tuple(BundleItem(words, quantity, Money(minor, currency)) for words, quantity, minor in items),
            choose,
            rule,
        )
        for name, choose, rule, items in plain
    )


def of_usage(usage: Usage) -> Plain:
    """Only what is said."""
    said: Plain = {
        "vd": usage.valid_days,
        "bo": [day.isoformat() for day in usage.blackout] or None,
        "wk": {str(weekday): [list(pair) for pair in pairs] for weekday, pairs in usage.weekly.items()} or None,
        "pv": usage.per_visit,
        "sk": usage.stackable,
        "rv": usage.reservation,
    }
    return {name: value for name, value in said.items() if value is not None}


def to_usage(plain: Plain) -> Usage:
    return Usage(
        valid_days=plain.get("vd"),
        blackout=tuple(date.fromisoformat(day) for day in plain.get("bo", ())),
        weekly={
            int(weekday): tuple((begin, end) for begin, end in pairs) for weekday, pairs in plain.get("wk", {}).items()
        },
        per_visit=plain.get("pv"),
        stackable=plain.get("sk"),
        reservation=plain.get("rv"),
    )


def of_history(history: PriceHistory) -> list[Any]:
    """[[since, price], …], and at the end the instant since which it is exact, where that is not always."""
    points: list[Any] = [[point.since.ms, point.amount_minor] for point in history.points]
    return points if history.exact_since is None else [*points, history.exact_since.ms]


def to_history(plain: list[Any]) -> PriceHistory:
    exact = Instant(plain[-1]) if plain and isinstance(plain[-1], int) else None
    points = plain if exact is None else plain[:-1]
    return PriceHistory(tuple(PricePoint(Instant(ms), amount) for ms, amount in points), exact)
