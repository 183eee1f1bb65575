"""The rating of a shop: counted anew from all its published reviews whenever one of them changes.

Nothing is added to a sum that stood there before, so nothing can be lost or counted twice, and a rating that was wrong
for whatever reason is right after the next review. What has to be shown is that the last count that is stored has seen
every change, although counts of one shop run beside each other and read their rows one after the other.

A count C reads the rating's revision r(C), then the scores, and stores itself only where the revision still is r(C),
making it r(C) + 1. Let S be any change of a score that stands.

1.  S's news was written in S's own transaction, and goes away only when a count that began after it was stored. So
    there is a stored count C that read its scores after S: it has seen S.
2.  Let L be the last count that is stored. If L is C, it has seen S. If it is another one, it was stored later, over
    the revision r(L), which C's storing or a later one made. L had read that revision before it read the scores; so it
    read them after C was stored, and so after S: it has seen S.

Scores are read strongly, row by row: a change that stands before the reading begins is in it, one that comes meanwhile
may be or not, and has a count of its own coming. The revision moves even when the figures are what they were. Were it
left, then of two changes that undo each other, the second one's count would find nothing to store, and the first one's,
which is late and has only seen the first, would still find the revision that it had read.
"""

from __future__ import annotations

import random
import time

from chalicelib.catalog import service as catalog
from chalicelib.catalog.rating import RatingMoved
from chalicelib.kernel.errors import Unavailable
from chalicelib.reviews import tables
from chalicelib.reviews.model import rating_of
from chalicelib.runtime.context import Context

_TRIES = 12


def recount(ctx: Context, shop_id: str) -> None:
    """Stores what the shop's published reviews come to. Raises Unavailable when other counts do not let it through, and
    ShopNotFound."""
    for attempt in range(_TRIES):
        seen = catalog.rating_revision(ctx, shop_id)  # before the scores: see above
        counted = rating_of(tables.scores_of(shop_id))
        try:
            catalog.put_rating(ctx, shop_id, counted, seen)
            return
        except RatingMoved:
            time.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 4)))  # noqa: S311  # not a secret
    raise Unavailable(retry_after_seconds=1)
