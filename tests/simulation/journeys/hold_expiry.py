"""Places are held for a quarter of an hour, and money comes at its very end, while it moves, or long after.

Races: payment against the sweep that ends the hold; money on its way past the extension; a provider whose API is away
while its payers pay, so that the place goes back unasked; late money against the next buyer of the same place.
"""

from __future__ import annotations

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run

HOLD_SECONDS = 900


def begin(run: Run) -> None:
    salon = run.salon(staff=1)
    choose = run.baton.choose
    payer, next_buyer = steps.newcomer(run), steps.newcomer(run)
    away = choose.random() < 0.6
    steps.acts(run, "payer", lambda: _pays_at_the_end(payer, salon, away=away))
    if choose.random() < 0.6:
        steps.acts(run, "next buyer", lambda: _wants_the_place(next_buyer, salon), choose.randint(600, 1500))
    if away:
        # Longer than we wait for a provider that says nothing, or not quite.
        steps.provider_is_away(run, choose.randint(500, 900), choose.randint(300, 1500))
    run.ticks("sweep", "relay_outbox")


def check(run: Run) -> list[str]:
    return promises.broken(run, provider_was_away=True)


def _pays_at_the_end(app: App, salon: Salon, *, away: bool) -> None:
    run = app.run
    order = steps.books(app, salon)
    if order is None:
        return
    ends = run.now.plus(seconds=HOLD_SECONDS)
    run.waits_about(60)
    attempt = steps.opens_payment(app, order["id"], run.baton.choose.choice(steps.METHODS))
    if attempt is None:
        return
    moments = (-120, 60, 290, 310, 400) if away else (-120, -20, -3, -1, 0, 1, 5, 45, 70)
    run.waits_until(ends.plus(seconds=run.baton.choose.choice(moments)))
    how = steps.one_of(run, ("succeed", 3), ("lose", 3), ("late", 3), ("delay", 2 if away else 4))
    app.pays(attempt, how, run.baton.choose.choice((1, 30, 300, 1_000, 2_500)))
    run.waits_about(60)
    steps.looks(app, order["id"])
    if run.baton.choose.random() < 0.3:
        steps.pays_for(app, order["id"])


def _wants_the_place(app: App, salon: Salon) -> None:
    for _ in range(5):
        if steps.books_and_pays(app, salon, think=20) is not None:
            return
        app.run.waits_about(300)
