"""Three people want the same two chairs: they book, and most of them pay."""

from __future__ import annotations

from tests.simulation import steps
from tests.simulation.simulation import Run


def begin(run: Run) -> None:
    salon = run.salon(staff=2)
    for number in range(3):
        app = steps.newcomer(run)
        run.goes(f"buyer {number}", lambda app=app: steps.books_and_pays(app, salon))
    run.ticks("sweep", "relay_outbox")
