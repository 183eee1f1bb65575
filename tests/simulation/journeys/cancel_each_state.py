"""Orders end before their service, in every state, by everybody who may end them, while somebody else acts.

Races: cancel against payment, against its webhook and against the end of the hold; the customer's cancel on two phones,
against the merchant's, against check-in; accept against decline, against cancel, against the end of its time.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run

EARLY_HOURS, SHORTLY_HOURS = 4, 1  # before it the policy gives everything back, then half


def begin(run: Run) -> None:
    shop = run.salon(staff=3)
    asked = run.salon(staff=2, confirmation="request")
    stories: list[tuple[Callable[[App, App, Salon], None], Salon]] = [
        (_unpaid, shop), (_while_paying, shop), (_confirmed, shop), (_against_check_in, shop), (_asked, asked),
        (_asked, asked), (_unanswered, asked),
    ]  # fmt: skip
    for number, (story, salon) in enumerate(run.baton.choose.sample(stories, 3)):
        customer, staff = steps.newcomer(run), steps.staff_of(run, salon)
        steps.acts(run, f"customer {number}", lambda s=story, c=customer, m=staff, where=salon: s(c, m, where))
    run.ticks("sweep", "relay_outbox")


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 16, 17, 40, 200, 1_300, 2, 20))


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _again(app: App, order_id: str) -> None:
    """The same person on another phone."""
    other = app.run.app_of(app.person)
    steps.acts(app.run, "other phone", lambda: steps.cancels(other, order_id), app.run.baton.choose.randint(0, 3))


def _ends(app: App, staff: App, order_id: str) -> None:
    """Cancelled by the customer, the merchant, or both."""
    by = steps.one_of(app.run, ("customer", 3), ("both phones", 2), ("merchant", 2), ("both", 2))
    if by == "both phones":
        _again(app, order_id)
    if by in ("merchant", "both"):
        delay = app.run.baton.choose.randint(0, 2)
        steps.acts(app.run, "merchant", lambda: steps.staff_does(staff, order_id, "cancel"), delay)
    if by != "merchant":
        steps.cancels(app, order_id, "changed my mind")
    app.run.waits_about(30)
    steps.looks(app, order_id)


def _hours(app: App) -> int:
    return app.run.baton.choose.choice((EARLY_HOURS, SHORTLY_HOURS))


def _unpaid(app: App, staff: App, salon: Salon) -> None:
    order = steps.books(app, salon, _hours(app))
    if order is not None:
        app.run.waits(app.run.baton.choose.choice((5, 60, 880, 899, 930)))
        _ends(app, staff, order["id"])


def _while_paying(app: App, staff: App, salon: Salon) -> None:
    order = steps.books(app, salon, _hours(app))
    if order is None:
        return
    attempt = steps.opens_payment(app, order["id"], app.run.baton.choose.choice(steps.METHODS))
    if attempt is not None:
        how = steps.one_of(app.run, ("succeed", 4), ("delay", 2), ("late", 1), ("lose", 1))
        after = app.run.baton.choose.randint(0, 4)
        steps.acts(app.run, "wallet", lambda: app.pays(attempt, how, 120), after)
        app.run.waits_about(3)
    _ends(app, staff, order["id"])
    app.run.waits_about(200)
    steps.cancels(app, order["id"])


def _confirmed(app: App, staff: App, salon: Salon) -> None:
    order_id = steps.books_and_pays(app, salon, _hours(app), think=10)
    if order_id is not None:
        app.run.waits_about(60)
        _ends(app, staff, order_id)


def _against_check_in(app: App, staff: App, salon: Salon) -> None:
    order_id = steps.books_and_pays(app, salon, SHORTLY_HOURS, think=10)
    if order_id is None or not steps.waits_for_state(staff, order_id, "confirmed"):
        return
    other = steps.staff_of(app.run, salon)
    steps.acts(
        app.run, "desk", lambda: steps.staff_does(other, order_id, "check-in"), app.run.baton.choose.randint(0, 2)
    )
    app.run.waits_about(1)
    _ends(app, staff, order_id)
    steps.cancels(app, order_id)


def _asked(app: App, staff: App, salon: Salon) -> None:
    order_id = steps.books_and_pays(app, salon, EARLY_HOURS, think=10)
    if order_id is None or not steps.waits_for_state(staff, order_id, "paid"):
        return
    other = steps.staff_of(app.run, salon)
    first, second = app.run.baton.choose.sample(("accept", "decline", "cancel", "accept"), 2)
    steps.acts(app.run, "desk", lambda: steps.staff_does(other, order_id, second), app.run.baton.choose.randint(0, 1))
    if app.run.baton.choose.random() < 0.5:
        steps.acts(app.run, "customer", lambda: steps.cancels(app, order_id), app.run.baton.choose.randint(0, 1))
    steps.staff_does(staff, order_id, first)
    app.run.waits_about(20)


def _unanswered(app: App, staff: App, salon: Salon) -> None:
    """Nobody says anything for a day, and then perhaps too late."""
    steps.books_and_pays(app, salon, EARLY_HOURS, think=10)
