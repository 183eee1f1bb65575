"""Visits are served, missed and told at the desk by several devices at once; two days later they are closed.

Races: no-show against check-in, finish against a second finish, cancel against start, the merchant's acts twice, the
end of the dispute window against whatever is still told.
"""

from __future__ import annotations

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import BEGIN, Run

_SERVICE = ("check-in", "start", "finish")


def begin(run: Run) -> None:
    salon = run.salon(staff=3, policy=run.baton.choose.choice((((7200, 10_000), (0, 5_000)), ((0, 0),))))
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"customer {number}", lambda app=app: _visits(app, salon))
    run.ticks("sweep", "relay_outbox", every_seconds=300)


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 16, 17, 40, 200, 2_880, 2, 20))


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _visits(app: App, salon: Salon) -> None:
    run = app.run
    order_id = steps.books_and_pays(app, salon, hours=1, think=10)
    if order_id is None:
        return
    run.waits_until(BEGIN.plus(minutes=60, seconds=run.baton.choose.choice((-300, 0, 60, 890, 900, 905))))
    staff, desk = steps.staff_of(run, salon), steps.staff_of(run, salon)
    story = steps.one_of(run, ("served", 4), ("missed", 3), ("both", 4), ("cancels", 2))
    if story == "cancels":
        steps.acts(run, "desk", lambda: _serves(desk, order_id))
        steps.cancels(app, order_id)
    if story in ("missed", "both"):
        steps.acts(run, "desk", lambda: _misses(desk, order_id))
    if story in ("served", "both"):
        if story == "both":
            run.waits_until(BEGIN.plus(minutes=75))
        steps.acts(run, "second device", lambda: _serves(desk, order_id), run.baton.choose.randint(0, 60))
        _serves(staff, order_id)
    run.waits_about(60)
    steps.looks(app, order_id)


def _serves(staff: App, order_id: str) -> None:
    for act in _SERVICE:
        steps.staff_does(staff, order_id, act)
        staff.run.waits_about(2)


def _misses(staff: App, order_id: str) -> None:
    staff.run.waits_until(BEGIN.plus(minutes=75))
    for _ in range(2):
        steps.staff_does(staff, order_id, "no-show")
        staff.run.waits_about(2)
