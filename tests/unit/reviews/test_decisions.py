"""What may be done with a review, and what it comes to. No store, no clock."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalog.rating import Rating
from chalicelib.kernel.errors import InvalidTransition, NotFound
from chalicelib.kernel.instant import Instant
from chalicelib.orders.model import Order
from chalicelib.reviews import model
from chalicelib.reviews.model import (
    REVIEW,
    Author,
    LineMissing,
    ReplyExists,
    Review,
    ReviewClosed,
    ReviewTooEarly,
    Scores,
    Wanted,
)
from tests.builders import plain

NOW = Instant.parse("2026-11-22T04:00:00Z")
SHOP = "shp_0123456789abcdefghjkmnpqrs"
SCORES = st.builds(Scores, *(st.integers(1, 5),) * 3)


def review(**given: Any) -> Review:
    defaults: dict[str, Any] = {
        "id": model.review_id(SHOP, "lin_1"),
        "shop_id": SHOP,
        "merchant_id": "mch_1",
        "order_id": "ord_1",
        "line_id": "lin_1",
        "offer_name": {"en": "Haircut"},
        "author": Author("acc_1", "L**"),
        "scores": Scores(5, 4, 3),
        "text": "Fine",
        "images": (),
        "state": "published",
        "created_at": NOW,
    }
    return Review(**{**defaults, **given})


def order_at(state: str, fulfilment: str) -> Order:
    made = plain.order(state=state, earned_at=NOW)
    return replace(made, lines=tuple(replace(line, fulfilment_state=fulfilment) for line in made.lines))


def wanted(of: Review, **changed: Any) -> Wanted:
    return replace(Wanted(of.scores, of.text, of.images), **changed)


# The table a second time, written apart from the code's.
CLEAN = {"in_review": "published", "published": "published", "hidden": "in_review", "rejected": "in_review"}
JUDGED = {
    ("in_review", "publish"): "published",
    ("in_review", "reject"): "rejected",
    ("published", "hide"): "hidden",
    ("hidden", "publish"): "published",
    ("rejected", "publish"): "published",
}
STANDS = {"publish": "published", "hide": "hidden", "reject": "rejected"}


@pytest.mark.parametrize("state", REVIEW.states)
def test_a_clean_edit_never_undoes_what_an_operator_did(state: str) -> None:
    before = review(state=state)
    assert model.edited(before, wanted(before, text="Better"), (), NOW).state == CLEAN[state]
    assert model.edited(before, wanted(before, text="1"), ("contact",), NOW).state == "in_review"


@pytest.mark.parametrize(("state", "act"), [*itertools.product(REVIEW.states, STANDS)])
def test_an_operators_act_is_of_the_table_or_stands_or_is_refused(state: str, act: str) -> None:
    before = review(state=state)
    if STANDS[act] == state:
        assert model.moderated(before, act, "why") is before
    elif (state, act) in JUDGED:
        after = model.moderated(before, act, "why")
        assert (after.state, after.reason, after.version) == (JUDGED[state, act], "why", 2)
    else:
        with pytest.raises(InvalidTransition):
            model.moderated(before, act, "why")


@pytest.mark.parametrize("state", REVIEW.states)
def test_only_what_is_published_counts(state: str) -> None:
    assert (review(state=state).counted is not None) == (state == "published")


def test_the_window_opens_at_the_fulfilment_and_closes_thirty_days_later() -> None:
    """To the millisecond: open at 30 days less one, closed at 30 days."""
    order = order_at("fulfilled", "finished")
    line = order.lines[0]
    model.require_open(order, line, NOW)
    model.require_open(order, line, NOW.plus(days=30, ms=-1))
    with pytest.raises(ReviewClosed):
        model.require_open(order, line, NOW.plus(days=30))
    model.require_open(replace(order, state="completed"), line, NOW)


@pytest.mark.parametrize(
    ("state", "fulfilment"),
    [("confirmed", "expected"), ("in_fulfilment", "in_service"), ("cancelled", "no_show"), ("cancelled", "expected")],
)
def test_what_was_not_had_cannot_be_reviewed(state: str, fulfilment: str) -> None:
    """Also not where something was earned, because it was kept from who did not come."""
    order = order_at(state, fulfilment)
    with pytest.raises(ReviewTooEarly):
        model.require_open(order, order.lines[0], NOW)


def test_a_line_is_named_where_there_are_several() -> None:
    order = plain.order()
    (line,) = order.lines
    assert model.line_of(order, None) is line
    assert model.line_of(order, line.id) is line
    two = replace(order, lines=(line, replace(line, id="lin_2")))
    assert model.line_of(two, "lin_2").id == "lin_2"
    with pytest.raises(LineMissing):
        model.line_of(two, None)
    with pytest.raises(NotFound):
        model.line_of(order, "lin_2")


def test_it_can_be_changed_for_thirty_days_and_repeated_for_ever() -> None:
    before = review()
    assert model.edited(before, wanted(before, text="x"), (), NOW.plus(days=30, ms=-1)).version == 2
    with pytest.raises(ReviewClosed):
        model.edited(before, wanted(before, text="x"), (), NOW.plus(days=30))
    assert model.edited(before, wanted(before), (), NOW.plus(days=31)) is before


def test_a_shop_answers_once_and_again_after_a_change() -> None:
    answered = model.replied(review(), "Thanks", NOW.plus(days=1))
    assert answered.reply == model.Reply("Thanks", NOW.plus(days=1))
    assert model.replied(answered, "Thanks", NOW.plus(days=2)) is answered
    with pytest.raises(ReplyExists):
        model.replied(answered, "No thanks", NOW.plus(days=2))
    changed = model.edited(answered, wanted(answered, text="Bad"), (), NOW.plus(days=3))
    assert model.replied(changed, "Sorry", NOW.plus(days=4)).reply == model.Reply("Sorry", NOW.plus(days=4))


@pytest.mark.parametrize("state", model.MODERATED)
def test_what_is_not_shown_is_not_answered(state: str) -> None:
    with pytest.raises(NotFound):
        model.replied(review(state=state), "Thanks", NOW)


@given(SCORES)
def test_stars_are_the_nearest_to_the_mean(scores: Scores) -> None:
    mean = Fraction(scores.service + scores.environment + scores.value, 3)
    assert abs(scores.stars - mean) < Fraction(1, 2)


@given(st.lists(SCORES, max_size=60), st.randoms())
def test_a_rating_is_exact_and_does_not_depend_on_the_order(scores: list[Scores], random: Any) -> None:
    """The sum of means lies within half a hundredth of the exact one, the stars add up, the parts do too."""
    counted = model.rating_of(scores)
    exact = 100 * sum((Fraction(s.service + s.environment + s.value, 3) for s in scores), Fraction(0))
    assert abs(counted.sum_centi - exact) <= Fraction(1, 2)
    assert (counted.count, sum(counted.stars)) == (len(scores), len(scores))
    again = list(scores)
    random.shuffle(again)
    assert model.rating_of(again) == counted
    half = len(scores) // 2
    left, right = model.rating_of(scores[:half]), model.rating_of(scores[half:])
    parts = Rating(
        left.count + right.count,
        left.service + right.service,
        left.environment + right.environment,
        left.value + right.value,
        tuple(a + b for a, b in zip(left.stars, right.stars, strict=True)),
    )
    assert parts == counted
