"""The rating of a shop: counted anew from all its published reviews whenever one of them changes.

Nothing is added to a sum that stood there before, so nothing can be lost or counted twice, and a rating that was wrong
for whatever reason is right after the next review. What has to be shown is that the last count that is stored has seen
every change, although counts of one shop run beside each other and read their rows one after the other.

A count C reads the rating's revision, then the scores, and stores itself only where the revision still is what it has
read, r(C), making it r(C) + 1. Let S be any change of a score that stands.

1.  Some stored count has read its scores after S. S's news was written in S's own transaction, and goes away only when
    a count that began after S has ended. It began with reading a revision f, and ended because it was stored, so it is
    that count itself; or because it found f + 2 or more. That was stored over f + 1, by a count that had read f + 1
    after f was read, so after S, and its scores after that.
2.  The last stored count L has seen S. Let C be the one of 1. If L is another one, it was stored later, over the
    revision that C's storing or a later one made. L read that revision before it read the scores, so it read them
    after C was stored, and so after S.

Scores are read strongly, row by row: a change that stands before the reading begins is in it, one that comes meanwhile
may be or not, and has a count of its own coming. The revision moves even when the figures are what they were. Were it
left, then of two changes that undo each other, the second one's count would find nothing to store, and the first one's,
which is late and has only seen the first, would still find the revision that it had read.

A count that is overtaken twice is done: so many changes at once cost few counts, and none of them waits for long.
"""

from __future__ import annotations

from chalicelib.catalog import service as catalog
from chalicelib.catalog.rating import RatingMoved
from chalicelib.reviews import tables
from chalicelib.reviews.model import rating_of
from chalicelib.runtime.context import Context


def recount(ctx: Context, shop_id: str) -> None:
    """What the shop's published reviews come to is stored when this ends, by this count or by a later one.

    Raises Unavailable when other writers of the shop do not let it through, and ShopNotFound.
    """
    first = seen = catalog.rating_revision(ctx, shop_id)  # before the scores: see above
    while seen < first + 2:
        counted = rating_of(tables.scores_of(shop_id))
        try:
            catalog.put_rating(ctx, shop_id, counted, seen)
            return
        except RatingMoved:
            seen = catalog.rating_revision(ctx, shop_id)
