"""HTTP operations of reviews: of who was there, of everybody, of the shop's staff, of the operator's."""

from __future__ import annotations

from chalicelib.catalog.model import ShopNotFound
from chalicelib.catalog.schemas import ReviewsOut
from chalicelib.kernel.errors import InvalidTransition, NotFound
from chalicelib.reviews import moderation, service
from chalicelib.reviews.model import (
    AlreadyReviewed,
    LineMissing,
    ReplyExists,
    ReplyRefused,
    Review,
    ReviewClosed,
    ReviewTooEarly,
)
from chalicelib.reviews.schemas import (
    ChangeReview,
    Judgement,
    MerchantReviewOut,
    MerchantReviewsQuery,
    ModeratedOut,
    ModerationQuery,
    ReviewOut,
    ShopReviewList,
    ShopReviewsQuery,
    WriteReply,
    WriteReview,
)
from chalicelib.uploads.model import ImageRefused, ImageUnknown
from chalicelib.web.auth import MEMBER, OPERATORS, PUBLIC, staff
from chalicelib.web.cursor import open_cursor, seal
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import page_of

router = Router("reviews")
ReviewPage = page_of(ReviewOut)
MerchantReviewPage = page_of(MerchantReviewOut)
ModeratedPage = page_of(ModeratedOut)

_BRIEF = {"Cache-Control": "public, max-age=3"}


def _out(call: Call, review: Review) -> ReviewOut:
    return ReviewOut.of(review, call.ctx.locale, call.account_id, call.ctx.now)


@router.post(
    "/v1/orders/{order_id}/reviews",
    allow=MEMBER,
    body=WriteReview,
    answers={201: ReviewOut},
    errors=(LineMissing, ImageUnknown, ImageRefused, ReviewTooEarly, ReviewClosed, AlreadyReviewed, NotFound),
    idempotency="accepted",
    summary="Review a line of my order",
    description="Open for 30 days from the fulfilment (`reviewable_until` of the line). One review a line.",
)
def write_review(call: Call) -> Answer:
    review, stood = service.write(
        call.ctx,
        call.id("order_id", "ord"),
        call.body.line_id,
        call.body.wanted(),
        anonymous=call.body.anonymous,
        key=call.key,
        body_hash=call.body_hash,
    )
    where = f"/v1/reviews/{review.id}"
    return Answer(_out(call, review), 201, location=where, version=review.version, replayed=stood)


@router.get(
    "/v1/orders/{order_id}/reviews", allow=MEMBER, answers={200: ReviewPage}, summary="My reviews of an order's lines"
)
def list_order_reviews(call: Call) -> Answer:
    items = [_out(call, review) for review in service.of_order(call.ctx, call.id("order_id", "ord"))]
    return Answer(ReviewPage(items=items, next_cursor=None))


@router.get(
    "/v1/reviews/{review_id}",
    allow=PUBLIC,
    answers={200: ReviewOut},
    errors=(NotFound,),
    summary="A published review, or one of my own",
)
def get_review(call: Call) -> Answer:
    review = service.seen(call.ctx, call.id("review_id", "rev"))
    return Answer(_out(call, review), version=review.version)


@router.patch(
    "/v1/reviews/{review_id}",
    allow=MEMBER,
    body=ChangeReview,
    answers={200: ReviewOut},
    errors=(ReviewClosed, ImageUnknown, ImageRefused),
    if_match=True,
    summary="Change my review, within 30 days",
)
def change_review(call: Call) -> Answer:
    review = service.own(call.ctx, call.id("review_id", "rev"))
    call.require_version(review.version)
    after = service.edit(call.ctx, review, call.body.wanted(review))
    return Answer(_out(call, after), version=after.version)


@router.get(
    "/v1/shops/{shop_id}/reviews",
    allow=PUBLIC,
    query=ShopReviewsQuery,
    answers={200: ShopReviewList},
    errors=(ShopNotFound,),
    summary="What people say of a shop",
)
def list_shop_reviews(call: Call) -> Answer:
    q = call.query
    shop_id = call.id("shop_id", "shp")
    scope = f"shop_reviews#{shop_id}#{q.sort}#{q.with_images}"
    after = open_cursor(scope, q.cursor)
    found = service.of_shop(call.ctx, shop_id, q.sort, after, q.limit, with_images=q.with_images)
    answer = ShopReviewList(
        items=[ReviewOut.of(review, call.ctx.locale) for review in found.reviews.items],
        next_cursor=seal(scope, found.reviews.next_key),
        summary=ReviewsOut.of(found.rating),
    )
    return Answer(answer, headers=_BRIEF)


# ---------------------------------------------------------------------------------------------- merchants


@router.get(
    "/v1/merchant/reviews",
    allow=staff("reviews.read"),
    query=MerchantReviewsQuery,
    answers={200: MerchantReviewPage},
    errors=(NotFound,),
    summary="Reviews of my shops, newest first",
)
def list_merchant_reviews(call: Call) -> Answer:
    q = call.query
    scope = f"merchant_reviews#{call.account_id}#{call.ctx.actor.merchant_id}#{q.shop_id}"
    found = service.of_merchant(call.ctx, q.shop_id, open_cursor(scope, q.cursor), q.limit)
    items = [MerchantReviewOut.of(review, call.ctx.locale) for review in found.items]
    return Answer(MerchantReviewPage(items=items, next_cursor=seal(scope, found.next_key)))


@router.post(
    "/v1/merchant/reviews/{review_id}/reply",
    allow=staff("reviews.reply"),
    body=WriteReply,
    answers={201: MerchantReviewOut},
    errors=(ReplyExists, ReplyRefused, NotFound),
    idempotency="accepted",
    summary="Answer a review, once",
    description="Once, and once more for each time that the author changes the review after the answer.",
)
def reply_to_review(call: Call) -> Answer:
    review, stood = service.reply(call.ctx, call.id("review_id", "rev"), call.body.text)
    out = MerchantReviewOut.of(review, call.ctx.locale)
    return Answer(out, 201, location=f"/v1/reviews/{review.id}", version=review.version, replayed=stood)


# ---------------------------------------------------------------------------------------------- operators


@router.get(
    "/v1/operator/reviews",
    allow=OPERATORS,
    query=ModerationQuery,
    answers={200: ModeratedPage},
    summary="Reviews that are not published, longest waiting first",
)
def list_moderated_reviews(call: Call) -> Answer:
    q = call.query
    scope = f"moderated_reviews#{call.account_id}#{q.state}"
    found = moderation.queue(q.state, open_cursor(scope, q.cursor), q.limit)
    items = [ModeratedOut.of(review, call.ctx.locale) for review in found.items]
    return Answer(ModeratedPage(items=items, next_cursor=seal(scope, found.next_key)))


def _moderate(call: Call, act: str) -> Answer:
    review, stood = moderation.moderate(call.ctx, call.id("review_id", "rev"), act, call.body.reason)
    return Answer(ModeratedOut.of(review, call.ctx.locale), version=review.version, replayed=stood)


@router.post(
    "/v1/operator/reviews/{review_id}/publish",
    allow=OPERATORS,
    body=Judgement,
    answers={200: ModeratedOut},
    errors=(InvalidTransition, NotFound),
    idempotency="accepted",
    summary="Show a review, also one that was hidden or rejected",
)
def publish_review(call: Call) -> Answer:
    return _moderate(call, "publish")


@router.post(
    "/v1/operator/reviews/{review_id}/hide",
    allow=OPERATORS,
    body=Judgement,
    answers={200: ModeratedOut},
    errors=(InvalidTransition, NotFound),
    idempotency="accepted",
    summary="Take a published review away",
)
def hide_review(call: Call) -> Answer:
    return _moderate(call, "hide")


@router.post(
    "/v1/operator/reviews/{review_id}/reject",
    allow=OPERATORS,
    body=Judgement,
    answers={200: ModeratedOut},
    errors=(InvalidTransition, NotFound),
    idempotency="accepted",
    summary="Refuse a review that waits",
)
def reject_review(call: Call) -> Answer:
    return _moderate(call, "reject")
