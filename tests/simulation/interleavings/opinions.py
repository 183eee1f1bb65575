"""What people say of a shop: a review of a line, what author, shop and operators do with it, and the count of all."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from chalicelib.catalog import service as catalog
from chalicelib.catalog.rating import Rating
from chalicelib.kernel import ids
from chalicelib.orders.model import Order
from chalicelib.reviews import counting, importing, moderation, service, tables
from chalicelib.reviews.importing import Imported
from chalicelib.reviews.model import Review, Scores, Wanted, review_id
from chalicelib.runtime.transaction import Transaction
from chalicelib.uploads import service as uploads
from chalicelib.uploads.model import image_id
from tests.builders import identity, salons
from tests.builders.salons import Salon
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes

_GOOD, _BAD = Wanted(Scores(5, 5, 4), "剪得很细致。"), Wanted(Scores(1, 2, 1), "Waited for an hour.")


def _served(round: Round) -> tuple[Salon, Order]:
    """A visit that is over, at a shop of the round's own."""
    shop = round.kept(f"salon {round.seed}", lambda: salons.salon(staff=1))
    order = scenes.paid(round, shop)
    round.later(hours=scenes.hours_ahead(round))
    scenes.fulfilled(shop, order, "start", "finish")
    return shop, scenes.stored(order)


def _writes(order: Order, wanted: Wanted, key: str) -> str:
    """What the author is told: `written`, or `repeated` where these very words stand."""
    ctx = scenes.acts_as(order.account_id)
    _, stood = service.write(ctx, order.id, None, wanted, key=key, body_hash=wanted.text)
    return "repeated" if stood else "written"


def _stands(order: Order) -> Review:
    found = tables.review(review_id(order.shop_id, order.lines[0].id))
    assert found is not None
    return found


def _counts(shop_id: str) -> None:
    counting.recount(identity.context(), shop_id)


def _rating(shop_id: str) -> Rating:
    return catalog.whole_page(identity.context(), shop_id).rating or Rating()


def _figures(shop_id: str) -> tuple[int, int]:
    """How many published reviews the shop's rows have, and all that they give: by the reviews, not by their places."""
    rows = [tables._review(row) for row in tables.ReviewRow.query(ids.tag(shop_id), consistent_read=True)]
    shown = [one.scores for one in rows if one.state == "published"]
    return len(shown), sum(one.service + one.environment + one.value for one in shown)


def _is_counted(round: Round, shop_id: str) -> None:
    rating = _rating(shop_id)
    found = rating.count, rating.service + rating.environment + rating.value
    round.same("the rating", found, _figures(shop_id))
    listed = catalog.shop(identity.context(), shop_id)
    assert listed is not None
    page = next(one for one in catalog.shops_of_city(identity.context(), listed.city) if one.shop.id == shop_id)
    round.same("listed", page.shop.rating_count, rating.count)


@case(weight=0.5)
def one_review_of_a_line(round: Round) -> None:
    """A line is reviewed twice in the same words and once in others: one review stands, and whoever said something else
    is told of it."""
    _, order = _served(round)
    found = round.race(
        partial(_writes, order, _GOOD, "key one"),
        partial(_writes, order, _GOOD, "key two"),
        partial(_writes, order, _BAD, "key three"),
    )
    review = _stands(order)
    round.same("version", review.version, 1)
    told = outcomes(found)
    if review.text == _GOOD.text:
        round.same("answers", told, {"written": 1, "repeated": 1, "already_reviewed": 1})
    else:
        round.same("answers", told, {"written": 1, "already_reviewed": 2})
    _counts(order.shop_id)
    _is_counted(round, order.shop_id)


@case()
def image_is_used_once(round: Round) -> None:
    """Two reviews name one photo: it is given to one of them, and the other is told that there is none."""
    image = image_id("acc", str(round.seed))

    def uses(review: str) -> None:
        tx = Transaction()
        tables.use_image(tx, image, review, uploads.unknown([image]))
        tx.commit()

    found = round.race(partial(uses, "rev one"), partial(uses, "rev two"))
    round.same("answers", outcomes(found), {"done": 1, "image_unknown": 1})
    round.same("stored", len(list(tables.ImageRow.query(image, consistent_read=True))), 1)


@case(weight=0.5)
def review_is_changed_by_three(round: Round) -> None:
    """Its author changes a review, an operator hides it and the shop answers it: each is done or told that it moved,
    and the rows in which it is listed are those of what stands. Each counts afterwards."""
    shop, order = _served(round)
    _writes(order, _GOOD, "key")
    _counts(order.shop_id)
    seen = _stands(order)

    def edits() -> None:
        service.edit(scenes.acts_as(order.account_id), seen, _BAD)
        _counts(order.shop_id)

    def hides() -> None:
        moderation.moderate(scenes.acts_as("op"), seen.id, "hide", "Looked at")
        _counts(order.shop_id)

    def answers() -> None:
        service.reply(scenes.staff_of(shop), seen.id, "谢谢。")

    found = round.race(edits, hides, answers)
    told = [outcomes([one]) for one in found]
    after = _stands(order)
    round.holds(f"answers: {told}", {next(iter(one)) for one in told} <= {"done", "stale", "not_found"})
    done = [one == {"done": 1} for one in told]
    round.holds("somebody is done", any(done))
    round.same("version", after.version, 1 + sum(done))
    round.same("its words", after.text, (_BAD if done[0] else _GOOD).text)
    round.same("answered", after.reply is not None, done[2])
    round.same("state", after.state, "hidden" if done[1] else "published")
    _is_counted(round, order.shop_id)


@case(weight=0.5)
def first_count_of_a_shop(round: Round) -> None:
    """A shop's first two reviews are counted at once: what is stored has both."""
    shop = round.kept(f"salon {round.seed}", lambda: salons.salon(staff=1)).shop
    one = Imported("one", "Lin", Scores(5, 4, 3), "", {}, round.run.now.plus(days=-1))
    brings = [partial(importing.bring, round.ctx, shop, [replace(one, key=key)]) for key in ("one", "two")]
    round.same("answers", outcomes(round.race(*brings, brings[0])), {"done": 3})
    round.same("published", _figures(shop.id), (2, 24))
    _is_counted(round, shop.id)


@case()
def reviews_change_while_they_are_counted(round: Round) -> None:
    """Three change reviews of a shop, each of whom counts afterwards, while another count runs: what is stored at last
    has seen all of it."""
    shop = round.kept(f"salon {round.seed}", lambda: salons.salon(staff=1)).shop
    ctx, now = identity.context(), round.run.now
    first = [Imported(str(n), "Lin", Scores(5, 4, 3), "", {}, now.plus(days=-n - 1)) for n in range(3)]
    importing.bring(ctx, shop, first)
    known = [ids.owned("rev", shop.id, "import", one.key) for one in first]

    def hides() -> None:
        moderation.moderate(scenes.acts_as("op"), known[0], "hide", "Looked at")
        _counts(shop.id)

    def edits() -> None:
        review = tables.review(known[1])
        assert review is not None
        service.edit(ctx, review, Wanted(Scores(1, 1, 1)))
        _counts(shop.id)

    def brings() -> None:
        importing.bring(ctx, shop, [replace(first[0], key="another", scores=Scores(2, 2, 2))])

    round.same("answers", outcomes(round.race(hides, edits, brings, partial(_counts, shop.id))), {"done": 4})
    round.same("published", _figures(shop.id), (3, 12 + 3 + 6))
    _is_counted(round, shop.id)
