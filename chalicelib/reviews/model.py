"""A review: its states, its parts, and every decision about it.

A line of an order that was fulfilled can be reviewed once, by whoever ordered it. What others see is decided by the
state alone; only published reviews count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chalicelib.catalog.model import Text
from chalicelib.catalog.rating import Rating
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Conflict, Invalid, NotFound
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.states import StateMachine
from chalicelib.orders.model import Line, Order, reviewable_until

# `pass` and `hold` are what the check of a text says. What an operator took away comes back through an operator only.
REVIEW = StateMachine(
    "review",
    "in_review",
    {
        "in_review": {"pass": "published", "hold": "in_review", "publish": "published", "reject": "rejected"},
        "published": {"pass": "published", "hold": "in_review", "hide": "hidden"},
        "hidden": {"pass": "in_review", "hold": "in_review", "publish": "published"},
        "rejected": {"pass": "in_review", "hold": "in_review", "publish": "published"},
    },
)
PUBLISHED = "published"
MODERATED = tuple(state for state in REVIEW.states if state != PUBLISHED)

EDIT_DAYS = 30
MAX_TEXT = 1_000
MAX_REPLY = 500
MAX_REASON = 200
MAX_IMAGES = 9


class LineMissing(Invalid):
    """An order with several lines: which one is meant?"""

    code = "line_missing"


class ReviewTooEarly(Conflict):
    """The line has not been fulfilled."""

    code = "review_too_early"


class ReviewClosed(Conflict):
    """The 30 days in which it can be written, or changed, are over."""

    code = "review_closed"


class AlreadyReviewed(Conflict):
    """The line has a review with another content; `review_id` names it."""

    code = "already_reviewed"


class ReplyExists(Conflict):
    """The shop has answered, and the review has not been changed since."""

    code = "reply_exists"


class ReplyRefused(Invalid):
    """An answer must not carry telephone numbers, links or insults."""

    code = "reply_refused"


@dataclass(frozen=True)
class Scores:
    """From 1 to 5 in each dimension."""

    service: int
    environment: int
    value: int

    @property
    def total(self) -> int:
        return self.service + self.environment + self.value

    @property
    def stars(self) -> int:
        """The mean, rounded; thirds are never half way."""
        return (2 * self.total + 3) // 6


@dataclass(frozen=True)
class Reply:
    text: str
    at: Instant


@dataclass(frozen=True)
class Author:
    """Who wrote. `shown` is what the public may see, empty for nobody in particular."""

    account_id: str
    shown: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a review is to say. `images` are ids of uploads."""

    scores: Scores
    text: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """`faults` is what the check of the text found, `reason` what an operator said. `mark` remembers the request.

    An imported review stands for no order: it came with a shop's history from elsewhere, and says so.
    """

    id: str
    shop_id: str
    merchant_id: str
    order_id: str
    line_id: str
    offer_name: Text
    author: Author
    scores: Scores
    text: str
    images: tuple[str, ...]
    state: str
    created_at: Instant
    edited_at: Instant | None = None
    reply: Reply | None = None
    faults: tuple[str, ...] = ()
    reason: str = ""
    mark: str = ""
    imported: bool = False
    version: int = 1

    @property
    def editable_until(self) -> Instant:
        return self.created_at.plus(days=EDIT_DAYS)

    @property
    def counted(self) -> Scores | None:
        """What it adds to its shop's rating."""
        return self.scores if self.state == PUBLISHED else None


def review_id(shop_id: str, line_id: str) -> str:
    """The one that a line has: its first half is its shop's tag."""
    return ids.owned("rev", shop_id, line_id)


def line_of(order: Order, line_id: str | None) -> Line:
    """The line that is meant. Raises LineMissing when none is named of several, and NotFound."""
    if line_id is None:
        if len(order.lines) > 1:
            raise LineMissing
        return order.lines[0]
    for line in order.lines:
        if line.id == line_id:
            return line
    raise NotFound


def require_open(order: Order, line: Line, now: Instant) -> None:
    """Raises ReviewTooEarly before the line's fulfilment and ReviewClosed 30 days after it."""
    until = reviewable_until(order, line)
    if until is None:
        raise ReviewTooEarly
    if now >= until:
        raise ReviewClosed


def written(
    order: Order, line: Line, offer_name: Text, author: Author, wanted: Wanted, faults: tuple[str, ...], now: Instant
) -> Review:
    """A new review, published unless something in its text is for a person to read first."""
    return Review(
        id=review_id(order.shop_id, line.id),
        shop_id=order.shop_id,
        merchant_id=order.merchant_id,
        order_id=order.id,
        line_id=line.id,
        offer_name=offer_name,
        author=author,
        scores=wanted.scores,
        text=wanted.text,
        images=wanted.images,
        state=REVIEW.fire(REVIEW.initial, _said(faults)),
        created_at=now,
        faults=faults,
    )


def edited(review: Review, wanted: Wanted, faults: tuple[str, ...], now: Instant) -> Review:
    """The review after its author has changed it; itself when nothing is new. Raises ReviewClosed."""
    if wanted == Wanted(review.scores, review.text, review.images):
        return review
    if now >= review.editable_until:
        raise ReviewClosed
    return replace(
        review,
        scores=wanted.scores,
        text=wanted.text,
        images=wanted.images,
        state=REVIEW.fire(review.state, _said(faults)),
        faults=faults,
        edited_at=now,
        version=review.version + 1,
    )


def _said(faults: tuple[str, ...]) -> str:
    return "hold" if faults else "pass"


def replied(review: Review, text: str, now: Instant) -> Review:
    """The review with the shop's answer; itself when this answer stands. A shop answers once, and again only when the
    author has changed the review since. Raises NotFound unless it is published, and ReplyExists."""
    if review.state != PUBLISHED:
        raise NotFound
    standing = review.reply
    if standing is not None:
        if standing.text == text:
            return review
        if review.edited_at is None or review.edited_at <= standing.at:
            raise ReplyExists
    return replace(review, reply=Reply(text, now), version=review.version + 1)


_MAKES = {"publish": PUBLISHED, "hide": "hidden", "reject": "rejected"}


def moderated(review: Review, act: str, reason: str) -> Review:
    """The review after an operator's `publish`, `hide` or `reject`; itself when that stands.

    Raises InvalidTransition.
    """
    if review.state == _MAKES[act]:
        return review
    return replace(review, state=REVIEW.fire(review.state, act), reason=reason, version=review.version + 1)


def shown_name(display_name: str, *, anonymous: bool) -> str:
    """What of a name the public sees.

    >>> shown_name("林小邻", anonymous=False), shown_name("Li Lei", anonymous=False), shown_name("林", anonymous=True)
    ('林**', 'L**', '')
    """
    first = display_name.strip()[:1]
    return "" if anonymous or not first else f"{first}**"


def rating_of(scores: Iterable[Scores]) -> Rating:
    """What the scores of all published reviews of a shop come to."""
    count = service = environment = value = 0
    stars = [0, 0, 0, 0, 0]
    for each in scores:
        count += 1
        service += each.service
        environment += each.environment
        value += each.value
        stars[each.stars - 1] += 1
    return Rating(count, service, environment, value, tuple(stars))
