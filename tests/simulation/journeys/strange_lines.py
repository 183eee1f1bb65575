"""The provider's book says what ours does not: lines of a category that we know nothing of, lines that are gone, other
amounts. Each stands as a difference until it is explained, and every cent between the two books is.

Races: payments while the match runs; a run that dies between one difference and the next; lines that are too young to
judge on the very night that is compared, because nobody has told us of them.
"""

from __future__ import annotations

import json

from infra.local.stripe_server import shapes
from tests import invariants
from tests.builders.salons import Salon
from tests.invariants import provider
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run

ALSO = invariants.AFTER_A_NIGHT
# The two books differ, which is what this is about.
EXCEPT = (provider.provider_lines_are_booked, provider.our_account_is_the_providers_balance)

_HOURS = 48  # until the visits
_FEW_MINUTES_MS = 600_000


def begin(run: Run) -> None:
    steps.has_run_before()
    salon = run.salon(staff=4)
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"customer {number}", lambda app=app, ends=number == 2: _pays(app, salon, cancels=ends))
    run.goes("provider", lambda: _tampers(run), 4_000)
    run.ticks("sweep", "relay_outbox", every_seconds=7_200)
    run.goes("night", lambda: _night(run))


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 16, 17, 60))
    steps.passes_nights(run, 1)
    if run.baton.choose.random() < 0.5:
        _corrects(run)
    run.baton.now_ms = steps.next_night(run).ms - _FEW_MINUTES_MS
    late = steps.newcomer(run)
    salon = run.salon(staff=1)
    steps.acts(run, "late customer", lambda: _pays(late, salon, cancels=False, hours=96, how="lose"))
    run.baton.run()
    steps.passes_nights(run, 1)
    run.comes_to_rest((60,))


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _pays(app: App, salon: Salon, *, cancels: bool, hours: int = _HOURS, how: str = "succeed") -> None:
    order = steps.books(app, salon, hours=hours)
    if order is not None and steps.pays_for(app, order["id"], how, think=20) and cancels:
        app.run.waits_about(60)
        steps.cancels(app, order["id"])


def _night(run: Run) -> None:
    run.waits_until(steps.next_night(run))
    run.functions.schedule("reconcile")


def _corrects(run: Run) -> None:
    """The provider's book says again what it said first, but for the strange line."""
    store = run.provider._store
    for kind in ("charge", "refund"):
        for thing in store.page(kind, limit=100).data:
            run.provider.control("POST", f"/local/balance_transactions/{thing['balance_transaction']}/restore")


def _tampers(run: Run) -> None:
    """A line that no entry has, of a category that none could have; and one that is another than it was, or gone."""
    store = run.provider._store
    with store.transaction():
        strange = shapes.balance_transaction(
            "txn_strange", now=run.now.seconds, kind="adjustment", category="other_adjustment", source="",
            amount=-run.baton.choose.randint(1, 5_000), fee=0, currency="cny",
        )  # fmt: skip
        store.add(strange | {"source": None})
    lines = [line["id"] for line in store.page("balance_transaction", limit=100).data if line["id"] != "txn_strange"]
    if lines:
        target = f"/local/balance_transactions/{run.baton.choose.choice(lines)}"
        if run.baton.choose.random() < 0.5:
            run.provider.control("DELETE", target)
        else:
            run.provider.control(
                "POST", target, json.dumps({"amount_delta": run.baton.choose.choice((-1, 100))}).encode()
            )
