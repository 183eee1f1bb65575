"""Reviews under contention: one of a line, one answer, and a rating that has seen every change."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.kernel.errors import Stale
from chalicelib.reviews import counting, importing, moderation, service, tables
from chalicelib.reviews.model import Scores, Wanted, review_id
from chalicelib.runtime import dynamo
from tests import world
from tests.builders import identity, salons
from tests.builders import reviews as build
from tests.client import Reply
from tests.races.together import at_once

THREADS = 8


def test_two_reviews_of_one_line_at_once_are_one() -> None:
    """The same words: one review for everybody. Different words: one is taken, the others are told of it."""
    visit = build.served()
    same = at_once([lambda n=n: build.write(visit, key=str(n)) for n in range(THREADS)])
    assert {reply.status for reply in same} == {201}
    assert len({reply.json["id"] for reply in same}) == 1
    assert Counter("Idempotent-Replayed" in reply.headers for reply in same) == {False: 1, True: THREADS - 1}
    other = build.served(visit.salon)
    different = at_once([lambda n=n: build.write(other, text=f"Words {n}") for n in range(THREADS)])
    assert Counter(reply.status for reply in different) == {201: 1, 409: THREADS - 1}
    (winner,) = [reply.json["id"] for reply in different if reply.status == 201]
    assert {reply.json["review_id"] for reply in different if reply.status == 409} == {winner}
    world.run_queues()
    counted = build.rating(visit.salon.shop.id)
    assert counted is not None
    assert counted.count == 2


def test_two_answers_at_once_are_one() -> None:
    """The others are told that it is answered, or that it has moved since they read it."""
    visit = build.served()
    review = build.reviewed(visit)

    def answer(n: int) -> Reply:
        return visit.salon.owner.client.post(f"/v1/merchant/reviews/{review['id']}/reply", {"text": f"Thanks {n}"})

    found = at_once([lambda n=n: answer(n) for n in range(THREADS)])
    assert sum(reply.status == 201 for reply in found) == 1
    assert {reply.code for reply in found if reply.status != 201} <= {"reply_exists", "stale"}
    (winner,) = [reply.json["review"]["reply"]["text"] for reply in found if reply.status == 201]
    stored = tables.review(review["id"])
    assert stored is not None
    assert stored.reply is not None
    assert (stored.reply.text, stored.version) == (winner, 2)


@pytest.mark.parametrize("seed", range(3))
def test_after_everything_the_rating_is_a_recount_by_hand(seed: int) -> None:
    """Reviews come, are changed, hidden and shown again while as many consumers count, each change heard by one of
    them after it stands. What is stored at last has seen all of it."""
    chance = random.Random(seed)  # noqa: S311  # chosen by its seed
    shop = salons.salon(price_minor=0).shop
    ctx = identity.context()
    many = [
        importing.Imported(
            str(n), "Lin", Scores(*(chance.randint(1, 5) for _ in range(3))), "", {}, ctx.now.plus(days=-n - 1)
        )
        for n in range(THREADS)
    ]
    importing.bring(ctx, shop, many)
    known = [ids.owned("rev", shop.id, "import", each.key) for each in many]

    def one_persons_acts(own: str, brought: int) -> Callable[[], None]:
        plan = [chance.choice(("edit", "hide", "publish", "bring")) for _ in range(5)]
        scores = [Scores(*(chance.randint(1, 5) for _ in range(3))) for _ in plan]

        def act() -> None:
            for step, (what, wanted) in enumerate(zip(plan, scores, strict=True)):
                change(own, what, wanted, f"{brought}-{step}")
                counting.recount(ctx, shop.id)  # what the change's news leads to

        return act

    def change(own: str, what: str, scores: Scores, key: str) -> None:
        review = tables.review(own)
        assert review is not None
        if what == "edit":
            service.edit(ctx, review, Wanted(scores, review.text))
        elif what == "bring":
            importing.bring(ctx, shop, [replace(many[0], key=key, scores=scores)])
        elif (review.state == "published") == (what == "hide"):
            moderation.moderate(ctx, own, what, "race")

    at_once([one_persons_acts(own, n) for n, own in enumerate(known)])
    stored, counted = build.rating(shop.id), build.by_hand(shop.id)
    assert stored is not None
    assert replace(stored, revision=0) == counted
    published = [each for each in everything(shop.id) if each.state == "published"]
    assert counted.count == len(published)
    assert counted.service == sum(each.scores.service for each in published)


def everything(shop_id: str) -> list[service.Review]:
    """Every review of a shop in any state, by its own row."""
    rows = tables.ReviewRow.query(ids.tag(shop_id), consistent_read=True)
    return [tables._review(row) for row in rows]


def test_a_change_over_another_is_told_so() -> None:
    """An edit and a hiding that read the same review: one of them is stale, and what stands is one of the two."""
    visit = build.served()
    build.reviewed(visit)
    review = tables.review(review_id(visit.salon.shop.id, visit.order["lines"][0]["id"]))
    assert review is not None
    ctx = identity.context()

    def edit() -> str:
        try:
            service.edit(ctx, review, Wanted(Scores(1, 1, 1), review.text))
        except Stale:
            return "stale"
        return "edited"

    def hide() -> str:
        try:
            moderation.moderate(ctx, review.id, "hide", "race")
        except Stale:
            return "stale"
        return "hidden"

    found = at_once([edit, hide])
    world.run_queues()
    stored = tables.review(review.id)
    assert stored is not None
    assert stored.version == 1 + sum(each != "stale" for each in found)
    rating = build.rating(visit.salon.shop.id)
    assert rating is not None
    assert replace(rating, revision=0) == build.by_hand(visit.salon.shop.id)


@contextmanager
def after_call(number: int, act: Callable[[], object]) -> Iterator[list[str]]:
    """Once, behind this process's nth call of the engine from now, something else happens. The calls, in order."""
    client = dynamo.client()
    genuine = client.call
    calls: list[str] = []

    def watched(operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = genuine(operation, arguments)
        calls.append(operation)
        if len(calls) == number:
            vars(client).pop("call")
            act()
        return answer

    vars(client)["call"] = watched
    try:
        yield calls
    finally:
        vars(client).pop("call", None)


@pytest.mark.parametrize("others", [1, 2, 3])
def test_changes_between_any_two_steps_of_a_count_are_in_what_is_stored(others: int) -> None:
    """Reviews come and are counted, one after the other, behind each call that a count makes."""
    ctx, shop = identity.context(), salons.salon(price_minor=0).shop
    one = importing.Imported("first", "Lin", Scores(5, 5, 5), "", {}, ctx.now)
    importing.bring(ctx, shop, [one])
    with after_call(-1, lambda: None) as steps:
        counting.recount(ctx, shop.id)
    assert len(steps) >= 5
    for number in range(1, len(steps) + 1):
        more = [replace(one, key=f"{number}-{n}", scores=Scores(1, 1, 1)) for n in range(others)]

        def overtake(more: list[importing.Imported] = more) -> None:
            for each in more:
                importing.bring(ctx, shop, [each])

        with after_call(number, overtake):
            counting.recount(ctx, shop.id)
        stored = build.rating(shop.id)
        assert stored is not None
        assert (stored.count, stored.stars) == (1 + others * number, (others * number, 0, 0, 0, 1))
        assert replace(stored, revision=0) == build.by_hand(shop.id)


def test_a_count_that_is_overtaken_twice_leaves_it_at_that() -> None:
    """What the second of the others has stored was counted after this one began."""
    ctx, shop = identity.context(), salons.salon(price_minor=0).shop

    def twice() -> None:
        counting.recount(ctx, shop.id)
        counting.recount(ctx, shop.id)

    with after_call(1, twice):
        counting.recount(ctx, shop.id)
    stored = build.rating(shop.id)
    assert stored is not None
    assert stored.revision == 2
