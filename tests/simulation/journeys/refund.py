"""Money goes back: all of it or what the policy leaves, at once or slowly, refused, bounced, and asked for again.

Somebody pays twice, by an attempt that we have forgotten.

Races: the refund's queue message against the sweep and against the provider's webhook; a slow refund against a second
one of the same order; a bank that gives back what the provider had reported as done; tries up to the last.
"""

from __future__ import annotations

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run


def begin(run: Run) -> None:
    choose = run.baton.choose
    policy = choose.choice((((7200, 10_000), (0, 5_000)), ((0, 3_333),), ((86_400, 10_000), (3600, 7_777), (0, 1))))
    salon = run.salon(staff=3, policy=policy, price_minor=choose.choice((12_800, 10_001, 777)))
    steps.refunds_take(run, choose.choice((0, 20, 20, 300, 7_200)))
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"customer {number}", lambda app=app: _pays_and_cancels(app, salon))
    if choose.random() < 0.5:
        run.goes("bank", lambda: _bank_recovers(run), choose.randint(100, 900))
    run.ticks("sweep", "relay_outbox")


def rest(run: Run) -> None:
    # Five tries of two hours each, and the provider is asked about each once an hour.
    run.comes_to_rest((2, 3, 16, 40, 100, *(190,) * 8))


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _bank_recovers(run: Run) -> None:
    steps.bank_takes_refunds(run)


def _pays_and_cancels(app: App, salon: Salon) -> None:
    run = app.run
    order = steps.books(app, salon, run.baton.choose.choice((1, 1.5, 3, 30)))
    if order is None:
        return
    how = steps.one_of(run, ("succeed", 4), ("refund_fails", 4), ("wrong_amount", 1))
    if not steps.pays_for(app, order["id"], how, think=10):
        return
    if run.baton.choose.random() < 0.3:
        steps.acts(run, "second wallet", lambda: _pays_again(app, order["id"]), run.baton.choose.randint(0, 90))
    run.waits_about(40)
    if run.baton.choose.random() < 0.3:
        staff = steps.staff_of(run, salon)
        steps.acts(run, "merchant", lambda: steps.staff_does(staff, order["id"], "cancel"))
    steps.cancels(app, order["id"])
    run.waits_about(120)
    steps.looks(app, order["id"])


def _pays_again(app: App, order_id: str) -> None:
    attempt = steps.forgotten_attempt(app.run, order_id)
    if attempt is not None:
        app.run.waits_about(10)
        app.pays(attempt, steps.one_of(app.run, ("succeed", 2), ("refund_fails", 1)))
