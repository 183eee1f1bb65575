"""What the operator's staff do with reviews. Each act stands in the audit log, in one transaction with its effect."""

from __future__ import annotations

from chalicelib.kernel.errors import NotFound
from chalicelib.kernel.page import Page
from chalicelib.reviews import model, service, tables
from chalicelib.reviews.model import Review
from chalicelib.runtime import audit
from chalicelib.runtime.audit import Act
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction


def queue(state: str, after: str | None, limit: int) -> Page[Review]:
    """Reviews of any shop in a state that is not published, longest waiting first."""
    found = tables.in_state(state, after, limit)
    reviews = tables.many(found.items, consistent=True)
    # The index is a moment late.
    return Page([review for review in reviews if review.state == state], found.next_key)


def moderate(ctx: Context, review_id: str, act: str, reason: str) -> tuple[Review, bool]:
    """`publish`, `hide` or `reject`: the review, and whether that stood already.

    Raises NotFound, InvalidTransition, and Stale when the review moved meanwhile.
    """
    review = tables.review(review_id)
    if review is None:
        raise NotFound
    after = model.moderated(review, act, reason)
    if after == review:
        return review, True
    noted = Act(
        actor=ctx.actor.account_id,
        act=f"review.{act}",
        subject=review.id,
        address=ctx.address,
        reason=reason,
        before=_mark(review),
        after=_mark(after),
    )

    def beside(tx: Transaction) -> None:
        service.save(tx, ctx, review, after)

    audit.append(noted, ctx.now, beside)
    return after, False


def _mark(review: Review) -> str:
    """What was judged: its words, its scores and where it stood."""
    scores = review.scores
    return audit.digest(
        [review.state, review.text, list(review.images), scores.service, scores.environment, scores.value]
    )
