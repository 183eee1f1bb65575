"""People who open a payment and never pay, or not enough: their places come back, and nothing that they were shown can
be paid any more.

Races: the sweep that ends a hold against its own crash, on either side of the call that ends the intent; against the
customer's cancel; against a second attempt in the last moment; against the slow refund of too small an amount, which
wants to be looked after while the hold still goes on.
"""

from __future__ import annotations

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run

HOLD_SECONDS = 900


def begin(run: Run) -> None:
    salon = run.salon(staff=3)
    steps.refunds_take(run, run.baton.choose.choice((20, 300)))
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"customer {number}", lambda app=app: _abandons(app, salon))
    run.ticks("sweep", "relay_outbox")


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _abandons(app: App, salon: Salon) -> None:
    run = app.run
    order = steps.books(app, salon)
    if order is None:
        return
    ends = run.now.plus(seconds=HOLD_SECONDS)
    attempt = steps.opens_payment(app, order["id"], run.baton.choose.choice(steps.METHODS))
    way = steps.one_of(run, ("leaves", 3), ("cancels", 3), ("tries again", 3), ("pays too little", 3))
    if way == "pays too little" and attempt is not None:
        app.pays(attempt, "wrong_amount")
    if way == "cancels":
        run.waits_about(100)
        steps.cancels(app, order["id"])
    if way == "tries again":
        run.waits_until(ends.plus(ms=run.baton.choose.randint(-3_000, 500)))
        steps.opens_payment(app, order["id"], run.baton.choose.choice(steps.METHODS))
    # The clock goes on as long as somebody is about.
    run.waits_until(ends.plus(seconds=run.baton.choose.choice((30, 90, 400))))
