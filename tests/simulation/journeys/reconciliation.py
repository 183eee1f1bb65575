"""Nights with traffic: in an honest world the provider's lines and our entries agree, whatever died on the way.

Races: payments and refunds while the match runs; a run that dies between the fee's entry and the line that is kept; a
second run at once; lines younger than the provider's lag; a refund that bounces between two nights.
"""

from __future__ import annotations

from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from chalicelib.providers.ports import ProviderUnavailable
from chalicelib.reconciliation import service, tables
from chalicelib.reconciliation.model import DIFFERENCE
from chalicelib.runtime.entry import system_context
from tests import invariants
from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run

ALSO = (*invariants.AFTER_A_NIGHT, *invariants.HONEST)


def begin(run: Run) -> None:
    steps.has_run_before()
    salon = run.salon(staff=4)
    tonight = steps.next_night(run).since(run.now) // 1000
    for number in range(4):
        app = steps.newcomer(run)
        after = run.baton.choose.choice((0, tonight - 60, tonight - 20, tonight - 8_000))
        steps.acts(run, f"customer {number}", lambda app=app: _pays(app, salon), after)
    run.ticks("sweep", "relay_outbox", every_seconds=21_600)
    steps.acts(run, "nights", lambda: _nights(run))


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 16, 17, 60))
    steps.passes_nights(run, 1)


def check(run: Run) -> list[str]:
    found = promises.broken(run)
    for one in tables.listed((DIFFERENCE.initial,), None, None, 100).items:
        found.append(f"open difference {one.difference.kind} of {one.difference.ref}")
    return found


def _pays(app: App, salon: Salon) -> None:
    run = app.run
    order = steps.books(app, salon, hours=48)
    if order is None:
        return
    how = steps.one_of(run, ("succeed", 6), ("refund_fails", 2), ("wrong_amount", 2), ("late", 1))
    steps.pays_for(app, order["id"], how, think=20)
    run.waits_about(60)
    if run.baton.choose.random() < 0.5:
        steps.cancels(app, order["id"])


def _nights(run: Run) -> None:
    for _ in range(2):
        run.waits_until(steps.next_night(run))
        if run.baton.choose.random() < 0.4:
            run.goes("operator", lambda: _by_hand(run), run.baton.choose.randint(0, 1))
        run.functions.schedule("reconcile")


def _by_hand(run: Run) -> None:
    """`linli reconcile`, which takes no lease; when the provider or a table does not answer, its operator sees it."""
    with suppress(ProviderUnavailable, PynamoDBException, ClientError, BotoCoreError):
        run.functions.invoke(lambda: service.reconcile(system_context()))
