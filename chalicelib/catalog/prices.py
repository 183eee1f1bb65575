"""What an offer was asked for, and which struck-through price may therefore stand beside today's.

The rule is Article 6a of Directive 98/6/EC, put there by Directive (EU) 2019/2161: the price before a reduction is the
lowest one that was applied during at least thirty days before it. It is stricter than Article 16 of China's rules on
clearly marked prices and against price fraud (SAMR Order No. 56 of 2022), which asks for the lowest of seven days.
What is ours where both are silent: a price counts while the offer was on the shelf, and at least seven of the thirty
days it must have been there; a reduction may be announced for thirty days, after which nobody remembers the old price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from chalicelib.kernel.errors import Invalid
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.kernel.money import Money

WINDOW_DAYS = 30
MIN_ASKED_DAYS = 7
MAX_POINTS = 64


class ListPriceNotAsked(Invalid):
    """The struck-through price is above what was really asked before the present price began."""

    code = "list_price_not_asked"


@dataclass(frozen=True)
class PricePoint:
    """From `since` on the offer cost this much; None: it was not on the shelf."""

    since: Instant
    amount_minor: int | None


@dataclass(frozen=True)
class PriceHistory:
    """Points in order, each until the next one. Before the first one the offer was not on the shelf.

    `exact_since`: what lies before was too much to keep, and is known as its lowest price only; None: all is exact.
    """

    points: tuple[PricePoint, ...] = ()
    exact_since: Instant | None = None


def recorded(history: PriceHistory, amount_minor: int | None, now: Instant) -> PriceHistory:
    """The history with today's price, without what no question can reach any more. The same price adds no point."""
    points = list(history.points)
    if points and now < points[-1].since:
        now = points[-1].since  # another process's clock was ahead
    if points and points[-1].since == now:
        points.pop()  # nobody was ever asked for it
    if (points[-1].amount_minor if points else None) != amount_minor:
        points.append(PricePoint(now, amount_minor))
    return _bounded(_trimmed(replace(history, points=tuple(points)), now))


def lowest(history: PriceHistory, begin: Instant, end: Instant) -> int | None:
    """The lowest price that was asked at some moment of [begin, end); None when none was."""
    return min((amount for _, _, amount in _asked(history, begin, end)), default=None)


def lowest_30d(history: PriceHistory, now: Instant) -> int | None:
    """The lowest price of the last thirty days, today's included."""
    return lowest(history, now.plus(days=-WINDOW_DAYS), now.plus(ms=1))


def recent(history: PriceHistory, now: Instant) -> tuple[PricePoint, ...]:
    """The points of the last thirty days, and the one that held when they began."""
    begin = now.plus(days=-WINDOW_DAYS)
    earlier = [point for point in history.points if point.since <= begin]
    return (*earlier[-1:], *(point for point in history.points if begin < point.since <= now))


def highest_list_price(history: PriceHistory, now: Instant) -> int | None:
    """The most that may stand struck through beside the present price; None: nothing may.

    It is the lowest price that was asked in the thirty days before the present one began.
    """
    began = _present_began(history)
    if began is None or began <= now.plus(days=-WINDOW_DAYS):
        return None
    begin = began.plus(days=-WINDOW_DAYS)
    if history.exact_since is not None and history.exact_since > begin:
        return None
    asked = list(_asked(history, begin, began))
    if sum(until - since for since, until, _ in asked) < MIN_ASKED_DAYS * DAY_MS:
        return None
    return min(amount for _, _, amount in asked)


def require_asked(list_price: Money, history: PriceHistory, now: Instant) -> None:
    """Raises ListPriceNotAsked unless this may stand struck through beside the present price."""
    most = highest_list_price(history, now)
    if most is None or list_price.amount_minor > most:
        limit = "none can be shown now" if most is None else f"at most {most}"
        raise ListPriceNotAsked(errors=[{"field": "list_price", "message": limit}])


def shown(list_price: Money | None, price: Money, history: PriceHistory, now: Instant) -> Money | None:
    """The struck-through price, while it is above the price and was really asked."""
    most = highest_list_price(history, now)
    if list_price is None or most is None:
        return None
    return list_price if price.amount_minor < list_price.amount_minor <= most else None


def _present_began(history: PriceHistory) -> Instant | None:
    """Since when the offer has cost what it costs; a time off the shelf does not begin a price anew."""
    began, price = None, None
    for point in reversed(history.points):
        if price is None:
            price = point.amount_minor
        if point.amount_minor is not None and point.amount_minor != price:
            break
        if point.amount_minor is not None:
            began = point.since
    return began


def _asked(history: PriceHistory, begin: Instant, end: Instant) -> Iterator[tuple[int, int, int]]:
    """(from, until, price) of each stretch of [begin, end) in which a price was asked, in milliseconds."""
    for point, until in _stretches(history, end):
        since = max(point.since, begin).ms
        before = min(until, end).ms
        if point.amount_minor is not None and since < before:
            yield since, before, point.amount_minor


def _stretches(history: PriceHistory, end: Instant) -> Iterator[tuple[PricePoint, Instant]]:
    points = history.points
    yield from ((point, following.since) for point, following in pairwise(points))
    if points:
        yield points[-1], end


def _trimmed(history: PriceHistory, now: Instant) -> PriceHistory:
    """Without points that ended before everything that is ever asked: thirty days before the present price began, or
    thirty days before now."""
    began = _present_began(history)
    reach = min(now, began or now).plus(days=-WINDOW_DAYS)
    floor = now.plus(days=-2 * WINDOW_DAYS)  # a price that began earlier has no reduction to announce
    kept = [point for point, until in _stretches(history, now.plus(ms=1)) if until > max(reach, floor)]
    exact = history.exact_since
    return PriceHistory(tuple(kept), None if exact is None or not kept or exact <= kept[0].since else exact)


def _bounded(history: PriceHistory) -> PriceHistory:
    """At most MAX_POINTS: the oldest two become one of the lower price, which is exact no more."""
    points, exact = list(history.points), history.exact_since
    while len(points) > MAX_POINTS:
        first, second = points[0], points[1]
        amounts = [each.amount_minor for each in (first, second) if each.amount_minor is not None]
        points[:2] = [PricePoint(first.since, min(amounts, default=None))]
        exact = points[1].since
    return PriceHistory(tuple(points), exact)
