"""Reviews by those who were there: write, change, look; the shop's answer. Moderation stands in `moderation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.catalog import service as catalog
from chalicelib.catalog.rating import Rating
from chalicelib.identity import service as identity
from chalicelib.kernel import ids
from chalicelib.kernel.errors import IdempotencyKeyReused, NotFound, Problem, Stale
from chalicelib.kernel.page import Page
from chalicelib.orders import service as orders
from chalicelib.orders.model import Order
from chalicelib.reviews import model, tables
from chalicelib.reviews.model import PUBLISHED, AlreadyReviewed, Author, ReplyRefused, Review, Wanted
from chalicelib.runtime import outbox
from chalicelib.runtime.context import Context
from chalicelib.runtime.outbox import News
from chalicelib.runtime.transaction import AlreadyDone, OldItem, Transaction
from chalicelib.uploads import service as uploads
from chalicelib.uploads.model import ImageUnknown

_KEY_CHARS = 8


def write(
    ctx: Context,
    order_id: str,
    line_id: str | None,
    wanted: Wanted,
    *,
    anonymous: bool = False,
    key: str = "",
    body_hash: str = "",
) -> tuple[Review, bool]:
    """The caller's review of a line of an own order, and whether it stood already, in these very words.

    Raises NotFound, LineMissing, ReviewTooEarly, ReviewClosed, AlreadyReviewed, ImageUnknown, ImageRefused,
    IdempotencyKeyReused.
    """
    order = orders.own(ctx, order_id)
    line = model.line_of(order, line_id)
    mark = ids.digest(ctx.actor.account_id, key, length=_KEY_CHARS) + ids.digest(body_hash)
    standing = tables.review(model.review_id(order.shop_id, line.id))
    if standing is not None:
        # Told before the window is looked at: who repeats a request does not know that time has gone by.
        _refuse_other(standing.id, standing.mark, mark, key)
        return standing, True
    model.require_open(order, line, ctx.now)
    offer = catalog.offer(ctx, line.offer_id, line.offer_version)
    shown = model.shown_name(identity.account(order.account_id).display_name, anonymous=anonymous)
    author = Author(order.account_id, shown)
    made = model.written(order, line, offer.name, author, wanted, _faults(ctx, wanted.text), ctx.now)
    made = replace(made, mark=mark)

    def meets(old: OldItem) -> Problem | None:
        try:
            _refuse_other(made.id, tables.mark_of(old), mark, key)
        except Problem as refused:
            return refused
        return None

    _keep_images(ctx, made.images, made.id)
    tx = Transaction()
    # First in the transaction, so that a replay is told by it.
    tables.put_new(tx, made, meets)
    _use_images(tx, made.id, made.images)
    _publish(tx, ctx, None, made)
    try:
        tx.commit()
    except AlreadyDone:
        return _known(made.id), True
    return made, False


def _refuse_other(review_id: str, stored: str, mark: str, key: str) -> None:
    """Returns where the stored review is what this request asks for."""
    if stored[_KEY_CHARS:] == mark[_KEY_CHARS:]:
        return
    if key and stored[:_KEY_CHARS] == mark[:_KEY_CHARS]:
        raise IdempotencyKeyReused
    raise AlreadyReviewed(review_id=review_id)


def _keep_images(ctx: Context, images: Sequence[str], own_id: str = "") -> None:
    """Makes uploads photos of a review. One that the review `own_id` has already is left to the transaction, which
    knows whether that is this very review. Raises ImageUnknown and ImageRefused."""
    # Before anything is kept: one that was taken away from a review must not come back to where it was seen.
    used = tables.used_images(images) if images else {}
    others = [image for image in images if used.get(image, own_id) != own_id]
    if others:
        raise uploads.unknown(others)
    uploads.keep(ctx, [image for image in images if image not in used])


def _use_images(tx: Transaction, review_id: str, images: Sequence[str]) -> None:
    for image in images:
        tables.use_image(tx, image, review_id, uploads.unknown([image]))


def _faults(ctx: Context, text: str) -> tuple[str, ...]:
    return ctx.ports.texts.faults(text) if text else ()


def _known(review_id: str) -> Review:
    found = tables.review(review_id)
    if found is None:
        raise NotFound
    return found


def save(tx: Transaction, ctx: Context, before: Review, after: Review) -> None:
    """Adds a decided change to a transaction, with its news. Its commit raises Stale when the review has moved."""
    tables.save(tx, before, after)
    _publish(tx, ctx, before, after)


def _publish(tx: Transaction, ctx: Context, before: Review | None, after: Review) -> None:
    """Only what changes the shop's rating is news."""
    if (before.counted if before else None) != after.counted:
        news = News.of("review.changed", after.id, after.version, ctx.now, shop_id=after.shop_id, review_id=after.id)
        outbox.publish(tx, news)


def own(ctx: Context, review_id: str) -> Review:
    """The caller's own review in any state. Raises NotFound, also for somebody else's."""
    found = _known(review_id)
    if found.author.account_id != ctx.actor.account_id:
        raise NotFound
    return found


def seen(ctx: Context, review_id: str) -> Review:
    """A review that is published, or the caller's own. Raises NotFound."""
    found = _known(review_id)
    mine = bool(ctx.actor.account_id) and found.author.account_id == ctx.actor.account_id
    if found.state != PUBLISHED and not mine:
        raise NotFound
    return found


def edit(ctx: Context, review: Review, wanted: Wanted) -> Review:
    """The caller's own review, changed. Raises ReviewClosed, ImageUnknown, ImageRefused, and Stale when it has moved
    since it was read."""
    faults = review.faults if wanted.text == review.text else _faults(ctx, wanted.text)
    after = model.edited(review, wanted, faults, ctx.now)
    if after != review:
        added = [image for image in after.images if image not in review.images]
        gone = [image for image in review.images if image not in after.images]
        try:
            _keep_images(ctx, added)
        except ImageUnknown:
            if _known(review.id).version != review.version:
                raise Stale from None  # the same change, a moment earlier, has taken the image
            raise
        tx = Transaction()
        save(tx, ctx, review, after)
        _use_images(tx, review.id, added)
        tx.after_commit(lambda: uploads.drop(ctx, gone))
        tx.commit()
    return after


def of_order(ctx: Context, order_id: str) -> list[Review]:
    """The caller's reviews of an own order's lines. Raises NotFound."""
    order: Order = orders.own(ctx, order_id)
    wanted = [model.review_id(order.shop_id, line.id) for line in order.lines]
    return tables.many(wanted, consistent=True)


@dataclass(frozen=True)
class ShopReviews:
    reviews: Page[Review]
    rating: Rating


def of_shop(ctx: Context, shop_id: str, order: str, after: str | None, limit: int, *, with_images: bool) -> ShopReviews:
    """What the public reads of a shop. Raises ShopNotFound."""
    page = catalog.shop_page(ctx, shop_id, consistent=False)
    found = tables.places(shop_id, order, after, limit, with_images=with_images)
    reviews = tables.many(found.items, consistent=False)
    # One that was taken away between the two readings is not shown.
    shown = [review for review in reviews if review.state == PUBLISHED]
    return ShopReviews(Page(shown, found.next_key), page.rating or Rating())


# ---------------------------------------------------------------------------------------------- merchants


def of_merchant(ctx: Context, shop_id: str | None, after: str | None, limit: int) -> Page[Review]:
    """Published reviews of the staff member's shops, newest first. Raises NotFound for a shop that is none of them."""
    actor = ctx.actor
    shops = [one for one in catalog.shop_ids_of_merchant(ctx, actor.merchant_id) if actor.may_act_for(one)]
    if shop_id is not None:
        if shop_id not in shops:
            raise NotFound
        shops = [shop_id]
    found = newest_of(shops, after, limit)
    return Page(tables.many(found.items, consistent=True), found.next_key)


def newest_of(shops: Sequence[str], after: str | None, limit: int) -> Page[str]:
    """Ids of the newest reviews of some shops; a key is a moment, which two reviews do not share (`<ms>#<half>`)."""
    keys = [entry for shop_id in shops for entry in tables.moments(shop_id, after, limit + 1)]
    keys.sort(reverse=True)
    page = keys[:limit]
    return Page([review_id for _, review_id in page], page[-1][0] if len(keys) > limit else None)


def reply(ctx: Context, review_id: str, text: str) -> tuple[Review, bool]:
    """The shop's answer, and whether this one stood already.

    Raises NotFound, ReplyExists, ReplyRefused, and Stale when the review moved meanwhile.
    """
    review = _known(review_id)
    if review.merchant_id != ctx.actor.merchant_id or not ctx.actor.may_act_for(review.shop_id):
        raise NotFound
    after = model.replied(review, text, ctx.now)
    if after == review:
        return review, True
    faults = _faults(ctx, text)
    if faults:
        raise ReplyRefused(errors=[{"field": "text", "message": fault} for fault in faults])
    tx = Transaction()
    save(tx, ctx, review, after)
    tx.commit()
    return after, False
