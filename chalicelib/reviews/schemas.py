"""What reviews take and answer over HTTP. Texts are plain: apps show them as they are and read no markup in them."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from chalicelib.catalog.model import text_in
from chalicelib.catalog.schemas import ReviewsOut
from chalicelib.kernel.instant import Instant
from chalicelib.reviews.model import MAX_IMAGES, MAX_REASON, MAX_REPLY, MAX_TEXT, Review, Scores, Wanted
from chalicelib.runtime import messages
from chalicelib.uploads.schemas import ImageId, ImageOut
from chalicelib.web.schema import Input, Output, PageQuery, id_rules

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_ALLOWED = {"\n", "\u200d"}  # a new line, and what holds emoji together
_MARKUP = re.compile(r"<\s*[a-zA-Z!/?]|&#?\w{1,8};")


def _plain(text: str) -> str:
    if any(unicodedata.category(each) in _INVISIBLE and each not in _ALLOWED for each in text):
        raise ValueError("control characters are not allowed")
    if _MARKUP.search(text):
        raise ValueError("plain text only: no markup")
    return text


def plain_text(shortest: int, longest: int) -> tuple[StringConstraints, AfterValidator]:
    """What `Annotated[str, *plain_text(1, 500)]` needs; the length is counted without the blanks at the ends."""
    length = StringConstraints(strip_whitespace=True, min_length=shortest, max_length=longest)
    return length, AfterValidator(_plain)


ReviewText = Annotated[str, *plain_text(0, MAX_TEXT), Field(examples=["剪得很细致，环境也安静。"])]
Score = Annotated[int, Field(ge=1, le=5, examples=[5])]


def _each_once(images: list[str]) -> list[str]:
    if len(set(images)) < len(images):
        raise ValueError("each image once")
    return images


Images = Annotated[list[ImageId], Field(max_length=MAX_IMAGES), AfterValidator(_each_once)]
ReviewState = Literal["in_review", "published", "hidden", "rejected"]


class ScoresIn(Input):
    service: Score
    environment: Score
    value: Score

    def scores(self) -> Scores:
        return Scores(self.service, self.environment, self.value)


class WriteReview(Input):
    """`line_id` may be left out where the order has one line. `anonymous` hides the initial as well."""

    line_id: Annotated[str, *id_rules("lin")] | None = None
    scores: ScoresIn
    text: ReviewText = ""
    images: Images = Field(default_factory=list)
    anonymous: bool = False

    def wanted(self) -> Wanted:
        return Wanted(self.scores.scores(), self.text, tuple(self.images))


class ChangeReview(Input):
    """What is left out stays."""

    scores: ScoresIn | None = None
    text: ReviewText | None = None
    images: Images | None = None

    def wanted(self, review: Review) -> Wanted:
        return Wanted(
            review.scores if self.scores is None else self.scores.scores(),
            review.text if self.text is None else self.text,
            review.images if self.images is None else tuple(self.images),
        )


class WriteReply(Input):
    text: Annotated[str, *plain_text(1, MAX_REPLY), Field(examples=["谢谢光临，欢迎再来。"])]


class Judgement(Input):
    reason: Annotated[str, *plain_text(1, MAX_REASON), Field(examples=["Insults the staff"])]


class ShopReviewsQuery(PageQuery):
    sort: Literal["newest", "highest", "lowest"] = "newest"
    with_images: bool = False


class MerchantReviewsQuery(PageQuery):
    shop_id: Annotated[str, *id_rules("shp")] | None = None


class ModerationQuery(PageQuery):
    state: Literal["in_review", "hidden", "rejected"] = "in_review"


class ScoresOut(Output):
    service: int
    environment: int
    value: int

    @classmethod
    def of(cls, scores: Scores) -> ScoresOut:
        return cls(service=scores.service, environment=scores.environment, value=scores.value)


class ReplyOut(Output):
    text: str
    at: str


class OwnPart(Output):
    """What only the author is told. `faults` is what the check of the text found, `reason` what an operator said."""

    order_id: str
    line_id: str
    state: ReviewState
    faults: list[str] = Field(examples=[["contact"]])
    reason: str | None
    editable_until: str
    server_time: str


class ReviewOut(Output):
    """`stars` is the rounded mean of the scores; `author` an initial or a word for nobody in particular; `imported`
    marks what came with a shop's history from elsewhere and stands for no order here."""

    id: str = Field(examples=["rev_0123456789abcdefghjkmnpqrs"])
    shop_id: str
    offer_name: str
    author: str = Field(examples=["林**"])
    stars: int = Field(ge=1, le=5)
    scores: ScoresOut
    text: str
    images: list[ImageOut]
    reply: ReplyOut | None
    imported: bool
    created_at: str
    edited_at: str | None
    own: OwnPart | None

    @classmethod
    def of(cls, review: Review, locale: str, viewer: str = "", now: Instant | None = None) -> ReviewOut:
        """`viewer` is the account that asks, and `now` what its clock is told."""
        mine = bool(viewer) and viewer == review.author.account_id
        return cls(
            id=review.id,
            shop_id=review.shop_id,
            offer_name=text_in(review.offer_name, locale),
            author=review.author.shown or messages.text(locale, "reviews", "anonymous"),
            stars=review.scores.stars,
            scores=ScoresOut.of(review.scores),
            text=review.text,
            images=[ImageOut.of(image) for image in review.images],
            reply=ReplyOut(text=review.reply.text, at=str(review.reply.at)) if review.reply else None,
            imported=review.imported,
            created_at=str(review.created_at),
            edited_at=str(review.edited_at) if review.edited_at else None,
            own=_own(review, now) if mine and now else None,
        )


def _own(review: Review, now: Instant) -> OwnPart:
    return OwnPart(
        order_id=review.order_id,
        line_id=review.line_id,
        state=review.state,
        faults=list(review.faults),
        reason=review.reason or None,
        editable_until=str(review.editable_until),
        server_time=str(now),
    )


class ShopReviewList(Output):
    """`summary` counts all published reviews of the shop, whatever the list is filtered by."""

    items: list[ReviewOut]
    next_cursor: str | None
    summary: ReviewsOut


class MerchantReviewOut(Output):
    """`order_id` is null for an imported review."""

    order_id: str | None
    review: ReviewOut
    version: int

    @classmethod
    def of(cls, review: Review, locale: str) -> MerchantReviewOut:
        return cls(order_id=review.order_id or None, review=ReviewOut.of(review, locale), version=review.version)


class ModeratedOut(Output):
    """What an operator judges, and why it waits."""

    review: ReviewOut
    state: ReviewState
    faults: list[str]
    reason: str | None
    version: int

    @classmethod
    def of(cls, review: Review, locale: str) -> ModeratedOut:
        return cls(
            review=ReviewOut.of(review, locale),
            state=review.state,
            faults=list(review.faults),
            reason=review.reason or None,
            version=review.version,
        )
