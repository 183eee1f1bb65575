"""Reviews that come with a shop's history from elsewhere. They stand for no order and say so, and are counted like any
other. Bringing the same ones again changes nothing, so that an import which died is completed by the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.catalog.model import Shop, Text
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Invalid
from chalicelib.kernel.instant import Instant
from chalicelib.reviews import counting, tables
from chalicelib.reviews.model import REVIEW, Author, Review, Scores, shown_name
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction

MAX_AT_ONCE = 1_000
_CHUNK = 40  # of two rows each in a transaction


@dataclass(frozen=True)
class Imported:
    """`key` is its name where it comes from; `author` a name, of which the initial is kept."""

    key: str
    author: str
    scores: Scores
    text: str
    offer_name: Text
    created_at: Instant


def bring(ctx: Context, shop: Shop, reviews: Sequence[Imported]) -> int:
    """Adds those that are not there, checked like any other, and counts the shop anew. How many are new.

    Raises Invalid for more than a thousand at once. No news: whoever brings them counts, and brings them again where
    that did not come to its end.
    """
    if len(reviews) > MAX_AT_ONCE:
        raise Invalid(errors=[{"field": "reviews", "message": f"at most {MAX_AT_ONCE} at once"}])
    made = [_review(ctx, shop, each) for each in reviews]
    added = 0
    for start in range(0, len(made), _CHUNK):
        chunk = made[start : start + _CHUNK]
        # Where one of them is there, the others go one by one.
        added += len(chunk) if _put(chunk) else sum(_put([each]) for each in chunk)
    counting.recount(ctx, shop.id)
    return added


def _review(ctx: Context, shop: Shop, each: Imported) -> Review:
    faults = ctx.ports.texts.faults(each.text) if each.text else ()
    return Review(
        id=ids.owned("rev", shop.id, "import", each.key),
        shop_id=shop.id,
        merchant_id=shop.merchant_id,
        order_id="",
        line_id="",
        offer_name=each.offer_name,
        author=Author("", shown_name(each.author, anonymous=False)),
        scores=each.scores,
        text=each.text,
        images=(),
        state=REVIEW.fire(REVIEW.initial, "hold" if faults else "pass"),
        created_at=each.created_at,
        faults=faults,
        imported=True,
    )


def _put(reviews: Sequence[Review]) -> bool:
    tx = Transaction()
    for review in reviews:
        tables.put_new(tx, review, lambda _: None)
    try:
        tx.commit()
    except AlreadyDone:
        return False
    return True
