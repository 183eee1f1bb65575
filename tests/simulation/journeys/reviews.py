"""People who were there say what they think of a shop and change it, the shop answers, operators hide and show, and all
of it is counted while it happens.

Races: two phones of one author, an author against an operator, an answer against either; counts of one shop beside each
other, late, twice, and dying between their reading and their writing; a hiding that came before the review's own count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.catalog import service as catalog
from chalicelib.kernel import ids
from chalicelib.orders.model import Order
from chalicelib.reviews import tables
from chalicelib.reviews.model import Review, review_id
from chalicelib.runtime.entry import system_context
from tests.builders import identity
from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App, Told
from tests.simulation.interleavings import scenes
from tests.simulation.simulation import BEGIN, Run

FOUND_WITHIN_SECONDS = 5
_VISIT_HOURS = 26
_ASKED_AFTER_SECONDS = 20
_TEXTS = (("剪得很细致。", 4), ("", 2), ("Call 138 0013 8000 for a better one", 1))

_faults: list[str] = []
_orders: list[Order] = []
_salons: list[Salon] = []


def begin(run: Run) -> None:
    _faults.clear()
    _salons[:] = [run.salon(staff=3, price_minor=0)]
    authors = [identity.person() for _ in range(2)]
    _orders[:] = _served(run, authors)
    operator, owner = run.app_of(identity.operator()), steps.staff_of(run, _salons[0])
    for number, (author, order) in enumerate(zip(authors, _orders, strict=True)):
        for phone in range(run.baton.choose.choice((1, 1, 2))):
            app = run.app_of(author)
            steps.acts(run, f"author {number} on {phone}", lambda app=app, order=order: _has_a_say(app, order))
    steps.acts(run, "operator", lambda: _keeps_order(operator))
    steps.acts(run, "owner", lambda: _answers(owner))
    run.ticks("relay_outbox")


def rest(run: Run) -> None:
    """Nothing goes wrong any more: the shop is found with what is said of it, and five seconds after a change too."""
    run.comes_to_rest()
    look, operator = steps.newcomer(run), run.app_of(identity.operator())
    run.baton.spawn("last look", lambda: _last_look(look, operator))
    run.baton.run()


def check(run: Run) -> list[str]:
    return promises.broken(run) + [fault for app in run.apps for told in app.told for fault in _kept(told)] + _faults


def _served(run: Run, authors: list[Any]) -> list[Order]:
    """A visit of each of them that has just ended. They were free, so that nobody had to pay."""
    salon, start = _salons[0], BEGIN.plus(hours=_VISIT_HOURS)
    placed = [
        scenes.places(who, scenes.quoted(salon, who, start, salon.staff[number].id))[0]
        for number, who in enumerate(authors)
    ]
    run.baton.now_ms = start.ms
    for order in placed:
        scenes.fulfilled(salon, order, "start", "finish")
    return [scenes.stored(order) for order in placed]


def _id_of(order: Order) -> str:
    return review_id(order.shop_id, order.lines[0].id)


# What they do


def _has_a_say(app: App, order: Order) -> None:
    """Everybody begins when they are asked, at the same moment."""
    app.run.waits(_ASKED_AFTER_SECONDS)
    app.post(f"/v1/orders/{order.id}/reviews", _words(app.run))
    for _ in range(app.run.baton.choose.randint(0, 2)):
        app.run.waits_about(20)
        read = app.get(f"/v1/reviews/{_id_of(order)}")
        if read.status == 200:
            app.patch(f"/v1/reviews/{_id_of(order)}", _words(app.run), read.headers["ETag"])


def _words(run: Run) -> dict[str, Any]:
    scores = {name: run.baton.choose.randint(1, 5) for name in ("service", "environment", "value")}
    return {"scores": scores, "text": steps.one_of(run, *_TEXTS)}


def _keeps_order(app: App) -> None:
    for _ in range(3):
        app.run.waits_about(25)
        order, act = app.run.baton.choose.choice(_orders), steps.one_of(app.run, ("hide", 2), ("publish", 2))
        app.post(f"/v1/operator/reviews/{_id_of(order)}/{act}", {"reason": "Looked at"})


def _answers(app: App) -> None:
    for order in _orders:
        app.run.waits_about(40)
        app.post(f"/v1/merchant/reviews/{_id_of(order)}/reply", {"text": "谢谢光临。"})


# At rest


def _last_look(look: App, operator: App) -> None:
    _compares(look, "at rest")
    for order in _orders:
        review = tables.review(_id_of(order))
        act = "hide" if review is not None and review.state == "published" else "publish"
        operator.post(f"/v1/operator/reviews/{_id_of(order)}/{act}", {"reason": "At last"})
    look.run.waits(FOUND_WITHIN_SECONDS + 2 * look.run.plan.skew_ms / 1000)
    _compares(look, "five seconds after a change")


def _compares(app: App, when: str) -> None:
    """Reviews are counted by their own rows, which nothing that counts them reads."""
    shown = [review for review in map(tables.review, map(_id_of, _orders)) if review and review.state == "published"]
    wanted = len(shown), sum(one.scores.service + one.scores.environment + one.scores.value for one in shown)
    items = app.get("/v1/search?city=sha&limit=100").json.get("items", ())
    found = next((item for item in items if item["shop_id"] == _salons[0].shop.id), None)
    rating = catalog.whole_page(system_context(), _salons[0].shop.id).rating
    sums = rating and (rating.count, rating.service + rating.environment + rating.value)
    if found is None or found["rating_count"] != wanted[0] or _differs(found["rating"], *wanted):
        _faults.append(f"search, {when}: {found and (found['rating_count'], found['rating'])} for {wanted}, {sums}")


def _differs(mean: float, count: int, total: int) -> bool:
    """A shop begins with ten visits of 4.2 stars. The mean is rounded twice, to hundredths."""
    return abs(mean - (total / 3 + 10 * 4.2) / (count + 10)) > 0.0101


def _kept(told: Told) -> Iterator[str]:
    """What somebody was told of a review is so, or was changed since."""
    *_, subject, act = told.target.split("/")
    own = told.method in ("POST", "PATCH") and told.done and isinstance(told.reply.json, dict)
    if not own or not (act == "reviews" or ids.is_id(subject, "rev") or ids.is_id(act, "rev")):
        return
    shown = told.reply.json.get("review", told.reply.json)
    stands: Review | None = tables.review(str(shown["id"]))
    if stands is None:
        yield f"{shown['id']} was told of, and is not there"
    elif act == "reply" and stands.reply is None:
        yield f"{stands.id} was answered, and has no answer"
    elif act == "reviews" and ids.is_id(subject, "ord") and stands.order_id != subject:
        yield f"{stands.id} was written of {subject}, and is of {stands.order_id}"
