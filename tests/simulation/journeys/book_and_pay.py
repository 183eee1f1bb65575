"""Four people want the same few places: they book, and pay in every way that people pay.

Races: two claims of one slot or chair; a payment against its own webhook, against the poll, against a second attempt
that ends the first at the provider, against the end of the hold; facts twice, late, shuffled, never; a wrong amount.
"""

from __future__ import annotations

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run


def begin(run: Run) -> None:
    salon = run.salon(staff=2, chairs=run.baton.choose.choice((0, 0, 1, 2)))
    other = run.salon(staff=1)
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"buyer {number}", lambda app=app: _buys(app, salon))
    both = steps.newcomer(run)
    steps.acts(run, "buyer of both", lambda: _buys(both, other))
    steps.acts(run, "buyer of both, here", lambda: _buys(both, salon))
    run.ticks("sweep", "relay_outbox")


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _buys(app: App, salon: Salon) -> None:
    choose = app.run.baton.choose
    named = choose.randrange(len(salon.staff)) if choose.random() < 0.4 else None
    order = steps.books(app, salon, staff=named)
    if order is None:
        return
    app.run.waits_about(60)
    way = steps.one_of(
        app.run, ("pays", 8), ("fails first", 3), ("changes mind", 3), ("old attempt", 3), ("late", 2), ("odd", 2),
        ("leaves", 1),
    )  # fmt: skip
    _WAYS[way](app, str(order["id"]))
    app.run.waits_about(10)
    steps.looks(app, order["id"])


def _pays(app: App, order_id: str) -> None:
    how = steps.one_of(app.run, ("succeed", 6), ("duplicate", 2), ("shuffle", 2), ("lose", 2), ("late", 2))
    steps.pays_for(app, order_id, how, seconds=app.run.baton.choose.randint(1, 600))


def _fails_first(app: App, order_id: str) -> None:
    steps.pays_for(app, order_id, "decline")
    app.run.waits_about(10)
    steps.pays_for(app, order_id)


def _changes_mind(app: App, order_id: str) -> None:
    steps.opens_payment(app, order_id, "wechat_pay")
    app.run.waits_about(20)
    steps.pays_for(app, order_id)


def _old_attempt(app: App, order_id: str) -> None:
    """The wallet still shows the first attempt while the app has opened a second."""
    first = steps.opens_payment(app, order_id, "alipay")
    if first is None:
        return
    steps.acts(app.run, "wallet", lambda: app.pays(first), app.run.baton.choose.randint(0, 2))
    second = steps.opens_payment(app, order_id, "card")
    app.run.waits_about(5)
    if second is not None:
        app.pays(second)


def _late(app: App, order_id: str) -> None:
    attempt = steps.opens_payment(app, order_id)
    app.run.waits(app.run.baton.choose.randint(700, 1000))
    if attempt is not None:
        app.pays(attempt)


def _odd(app: App, order_id: str) -> None:
    how = app.run.baton.choose.choice(("wrong_amount", "delay"))
    steps.pays_for(app, order_id, how, seconds=app.run.baton.choose.randint(1, 2_400))


def _leaves(app: App, order_id: str) -> None:
    """Never comes back."""


_WAYS = {
    "pays": _pays,
    "fails first": _fails_first,
    "changes mind": _changes_mind,
    "old attempt": _old_attempt,
    "late": _late,
    "odd": _odd,
    "leaves": _leaves,
}
