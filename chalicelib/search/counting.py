"""How many a search finds, and its facets: over the whole circle, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from chalicelib.search.asking import Asking, Reached
from chalicelib.search.model import RATING_BANDS_CENTI, Facets, price_bands
from chalicelib.search.rows import Array, Rows

# Of each bit of `kinds`, the values that have it.
_BITS = (np.arange(256) >> np.arange(8)[:, None]) & 1


def total(asking: Asking) -> int:
    if asking.query.tokens is None:
        return 0
    reached, chosen = asking.passing(asking.reached(by_category=True))
    return len(reached.rows) if chosen is None else int(np.count_nonzero(chosen))


class Counted(NamedTuple):
    """The facets, how many pass every filter, and which rows they are."""

    facets: Facets
    total: int
    passing: Rows


def facets(asking: Asking) -> Counted:
    """Each facet counts what passes every filter but its own."""
    rows = _within(asking)
    failed = {name: (~test(rows)).view(np.uint8) for name, test in asking.filters().items()}
    failures: Array = sum(failed.values(), np.zeros(len(rows), np.uint8))
    whole = np.flatnonzero(failures == 0) if failed else None

    def left(name: str) -> Array | None:
        """The positions of what fails nothing, or this alone; None when nothing was asked."""
        return np.flatnonzero(failures == failed[name]) if name in failed else whole

    found = Facets(
        category=_categories(asking, rows, left("category")),
        kind=_kinds(asking, rows, left("kind")),
        price=_prices(asking, rows, left("price")),
        rating=_ratings(asking, rows, left("rating")),
        open_now=_open(asking, rows, left("open_now")),
    )
    passing = rows if whole is None else Rows(single=rows.at(whole))
    return Counted(found, len(passing), passing)


def _within(asking: Asking) -> Rows:
    """What passes everything that has no facet."""
    if asking.query.tokens is None:
        return Rows()
    reached: Reached = asking.reached(by_category=False)
    for test in asking.tests():
        fits = test(reached.rows)
        if not fits.all():
            reached = reached.only(fits)
    return asking.verified(reached).rows


def _some(column: Array, left: Array | None) -> Array:
    return column if left is None else column.take(left)


def _categories(asking: Asking, rows: Rows, left: Array | None) -> Mapping[str, int]:
    groups = asking.engine.groups
    counts = np.bincount(_some(rows.of(asking.columns.group), left), minlength=len(groups.all))
    codes, of_group, category = groups.memberships
    # Sums of floats, and exact: there are no 2⁵³ shops.
    found = np.bincount(category, counts[of_group], minlength=len(codes)).astype(np.int64).tolist()
    return {code: count for code, count in zip(codes, found, strict=True) if count}


def _kinds(asking: Asking, rows: Rows, left: Array | None) -> Mapping[str, int]:
    counts = np.bincount(_some(rows.of(asking.columns.kinds), left), minlength=256)
    found = zip(asking.engine.kinds, (_BITS @ counts).tolist(), strict=False)
    return {kind: count for kind, count in found if count}


def _prices(asking: Asking, rows: Rows, left: Array | None) -> Mapping[int, int]:
    """Bands are those of each shop's own currency."""
    prices = _some(rows.of(asking.columns.price), left)
    currencies = asking.engine.groups.currencies
    found: dict[int, int] = {}
    for currency in currencies:
        own = prices
        if len(currencies) > 1:
            of_currency = np.array([other == currency for _, other in asking.engine.groups.all])
            own = prices[of_currency.take(_some(rows.of(asking.columns.group), left))]
        above = 0
        for low in reversed(price_bands(currency)):
            from_here = len(own) if low == 0 else int(np.count_nonzero(own >= low))
            if from_here > above:
                found[low] = found.get(low, 0) + from_here - above
            above = from_here
    return found


def _ratings(asking: Asking, rows: Rows, left: Array | None) -> Mapping[int, int]:
    ratings = _some(rows.of(asking.columns.rating), left)
    return {low: int(np.count_nonzero(ratings >= low)) for low in RATING_BANDS_CENTI}


def _open(asking: Asking, rows: Rows, left: Array | None) -> Mapping[bool, int]:
    is_open = _some(asking.open_now(rows), left)
    count = int(np.count_nonzero(is_open))
    return {state: number for state, number in ((True, count), (False, len(is_open) - count)) if number}
