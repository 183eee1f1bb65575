"""The provider keeps some of the money for longer than others, as it does with young accounts: what was earned with it
waits, from statement to statement, until it can be used. Prices do not divide evenly.

Races: an earning that waits against the statement that is made in the meantime; a night that dies between both.
"""

from __future__ import annotations

from tests import invariants
from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import BEGIN, Run

ALSO = (*invariants.AFTER_A_NIGHT, *invariants.HONEST)

_NIGHTS = 8
_KEPT_SECONDS = 6 * 86_400


def begin(run: Run) -> None:
    steps.has_run_before()
    salon = run.salon(staff=3, price_minor=run.baton.choose.choice((10_021, 12_837)))
    for number, hours in enumerate((1, 1, 25)):
        app = steps.newcomer(run)
        steps.acts(run, f"customer {number}", lambda app=app, hours=hours: _is_served(app, salon, hours))
    run.goes("provider", lambda: _keeps_back(run), 1_800)
    run.ticks("sweep", "relay_outbox", every_seconds=7_200)
    run.goes("night", lambda: _first_night(run))


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 60))
    steps.passes_nights(run, _NIGHTS)
    run.comes_to_rest((60,))


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _is_served(app: App, salon: Salon, hours: int) -> None:
    run = app.run
    order_id = steps.books_and_pays(app, salon, hours=hours, think=10)
    if order_id is None:
        return
    run.waits_until(BEGIN.plus(hours=hours))
    staff = steps.staff_of(run, salon)
    for act in ("start", "finish"):
        steps.staff_does(staff, order_id, act)


def _keeps_back(run: Run) -> None:
    """Each charge is by itself: of the same day, some can be used and some cannot."""
    store = run.provider._store
    with store.transaction():
        for line in store.page("balance_transaction", limit=100).data:
            if run.baton.choose.random() < 0.4:
                store.save(line | {"available_on": line["available_on"] + _KEPT_SECONDS})


def _first_night(run: Run) -> None:
    run.waits_until(steps.next_night(run).plus(days=2))
    run.functions.schedule("reconcile")
    run.functions.schedule("settle")
