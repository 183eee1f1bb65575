"""What a page shows of its rows. A page at a time: what is done for each hit alone is done twenty times a search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chalicelib.search import ranking
from chalicelib.search.asking import Asking
from chalicelib.search.cards import Hit
from chalicelib.search.leading import First
from chalicelib.search.ranking import ORDINARY, WEIGHTS, Parts
from chalicelib.search.rows import Array

_REASONS = (*Parts._fields, None)
_RATED = np.array([WEIGHTS.rating * ranking.rated(rating_centi) for rating_centi in range(501)], np.int32)


def of(asking: Asking, found: First) -> list[Hit]:
    columns, later = asking.columns, asking.engine.card_later
    rows = np.array([row for _, row in found], np.int64)
    metres = None if asking.circle is None else asking.exact(rows)
    distances: Sequence[int | None] = [None] * len(found)
    if metres is not None:
        distances = np.rint(metres).astype(np.int64).tolist()  # halves to even, as Python's own
    are_open = asking.engine.openings.are_open(columns.calendar.take(rows), asking.now).tolist()
    return [
        Hit(later(row), distance, is_open, reason, order)
        for (order, row), distance, is_open, reason in zip(
            found, distances, are_open, _reasons(asking, rows, metres), strict=True
        )
    ]


def _reasons(asking: Asking, rows: Array, metres: Array | None) -> list[str | None]:
    """`ranking.reason` of each row, in the same whole numbers."""
    columns, day = asking.columns, asking.place.as_of_day
    rated = _RATED.take(columns.rating.take(rows), mode="clip")
    faded = columns.fresh(rows, columns.day)
    lifts = np.zeros((len(Parts._fields), len(rows)), np.int32)
    near, rating, popular, fresh, affinity = lifts
    if metres is not None:
        np.divide(1_000_000, 1_000 + metres, out=near, casting="unsafe")
        near -= ORDINARY.near
        near *= WEIGHTS.near
    rating[:] = rated - WEIGHTS.rating * ORDINARY.rating
    # What is left of a shop's worth without the other parts.
    popular[:] = columns.worth.take(rows).astype(np.int32) - faded - rated - WEIGHTS.popular * ORDINARY.popular
    fresh[:] = faded if day == columns.day else columns.fresh(rows, day)
    if asking.place.affinity is not None:
        groups = asking.engine.groups
        for place, row in enumerate(rows.tolist()):
            categories, _ = groups.all[int(columns.group[row])]
            affinity[place] = WEIGHTS.affinity * asking.place.affinity.part(categories, asking.engine.id_of(row))
    best = lifts.argmax(axis=0)
    best[lifts.max(axis=0) <= 0] = -1
    return [_REASONS[place] for place in best.tolist()]
