"""Visits are served on two days, nights pass, and what is due goes on one statement, once.

Races: two settlements at once beside their lease, as an operator starts one by hand; one that dies anywhere, and the
next that goes on with what it finds; earnings that come while it runs; a balance read in between.
"""

from __future__ import annotations

from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from chalicelib.kernel.errors import Problem
from chalicelib.runtime.entry import system_context
from chalicelib.settlement import service
from tests import invariants
from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import BEGIN, Run

ALSO = (*invariants.AFTER_A_NIGHT, *invariants.HONEST)


def begin(run: Run) -> None:
    steps.has_run_before()
    salon = run.salon(staff=3)
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"customer {number}", lambda app=app: _is_served(app, salon))
    run.ticks("sweep", "relay_outbox", every_seconds=28_800)
    steps.acts(run, "nights", lambda: _nights(run, salon))


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 60))
    steps.passes_nights(run, 2)


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _is_served(app: App, salon: Salon) -> None:
    """Or missed, or cancelled so late that the policy keeps a part: all of it is earned."""
    run = app.run
    hours = run.baton.choose.choice((1, 2, 25))
    order_id = steps.books_and_pays(app, salon, hours=hours, think=10)
    if order_id is None:
        return
    end = steps.one_of(run, ("served", 5), ("missed", 1), ("cancelled", 2))
    run.waits_until(BEGIN.plus(hours=hours, minutes={"served": 0, "missed": 20, "cancelled": -30}[end]))
    if end == "cancelled":
        steps.cancels(app, order_id)
        return
    staff = steps.staff_of(run, salon)
    for act in ("start", "finish") if end == "served" else ("no-show",):
        steps.staff_does(staff, order_id, act)
        run.waits_about(600)


def _nights(run: Run, salon: Salon) -> None:
    """The first visits are due in the third night, the last ones in the fourth."""
    owner = steps.staff_of(run, salon)
    for night, jobs in enumerate((("reconcile",), (), ("settle",), ("reconcile", "settle"))):
        run.waits_until(BEGIN.plus(hours=16 + 24 * night))
        for job in jobs:
            if job == "settle" and run.baton.choose.random() < 0.6:
                run.goes("operator", lambda: _by_hand(run), run.baton.choose.randint(0, 1))
            run.functions.schedule(job)
            run.waits(3_600)
    _reads(owner)


def _by_hand(run: Run) -> None:
    """`linli settle`, which takes no lease; when a table does not answer, its operator sees it."""
    with suppress(Problem, PynamoDBException, ClientError, BotoCoreError):
        run.functions.invoke(lambda: service.settle(system_context()))


def _reads(owner: App) -> None:
    owner.get("/v1/merchant/balance")
    listed = owner.get("/v1/merchant/statements")
    for item in listed.json["items"][:1]:
        owner.get(f"/v1/merchant/statements/{item['id']}")
