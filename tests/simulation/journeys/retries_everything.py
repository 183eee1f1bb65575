"""An app that trusts nobody: every request two or three times at once and again later, under one key; and sometimes
another body under the same key, which must be refused and change nothing. The provider tells everything twice.

Races: each act against itself, in every order of its calls.
"""

from __future__ import annotations

import secrets
from typing import Any

from tests.client import Reply
from tests.simulation import promises, steps
from tests.simulation.apps import App, Told
from tests.simulation.simulation import Run


class Insistent(App):
    """Sends whatever it sends several times."""

    def post(self, target: str, body: Any = None, *, key: str = "") -> Reply:
        own_key = key or secrets.token_hex(8)
        choose = self.run.baton.choose
        for _ in range(choose.randint(1, 2)):
            self._sends_too(target, body, own_key, 0)
        self._sends_too(target, body, own_key, choose.choice((2, 30, 300)))
        reply = super().post(target, body, key=own_key)
        if reply.status in (200, 201) and (other := _other(target, body)) is not None:
            self.run.waits_about(2)
            self._must_refuse(target, other, own_key)
        return reply

    def _sends_too(self, target: str, body: Any, key: str, after_seconds: int) -> None:
        other = self.run.app_of(self.person)
        steps.acts(self.run, "again", lambda: other.post(target, body, key=key), after_seconds)

    def _must_refuse(self, target: str, body: Any, key: str) -> None:
        liar = App(self.run, self.person)
        reply = liar.post(target, body, key=key)
        if reply.status < 400 or reply.code != "idempotency_key_reused":
            # The check for one answer to one key finds it among what this app was told.
            self.told.append(Told("POST", target, body, key, reply))


def _other(target: str, body: Any) -> Any:
    """Another request that could be meant by the same act; None where there is none."""
    if target == "/v1/orders":
        return {**body, "note": "and a tea"}
    if target.endswith("/payments"):
        return {**body, "method": "card" if body["method"] != "card" else "alipay"}
    if target.endswith("/cancel"):
        return {**body, "reason": "another reason"}
    return None


def begin(run: Run) -> None:
    salon = run.salon(staff=2, confirmation=run.baton.choose.choice(("instant", "request")))
    for number in range(2):
        app = Insistent(run, steps.newcomer(run).person)
        run.apps.append(app)
        steps.acts(run, f"customer {number}", lambda app=app: _story(app, salon))
    run.ticks("sweep", "relay_outbox")


def rest(run: Run) -> None:
    run.comes_to_rest((2, 3, 16, 17, 40, 200, 1_300, 2, 20))


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _story(app: Insistent, salon: Any) -> None:
    run = app.run
    order = steps.books(app, salon, hours=1)
    if order is None:
        return
    run.waits_about(20)
    attempt = steps.opens_payment(app, order["id"], run.baton.choose.choice(steps.METHODS))
    if attempt is None:
        return
    app.pays(attempt, "duplicate")
    run.waits_about(30)
    staff = Insistent(run, salon.owner)
    run.apps.append(staff)
    if salon.offer.confirmation == "request":
        steps.staff_does(staff, order["id"], run.baton.choose.choice(("accept", "accept", "decline")))
    if run.baton.choose.random() < 0.5:
        steps.cancels(app, order["id"])
    else:
        steps.staff_does(staff, order["id"], "start")
        steps.staff_does(staff, order["id"], "finish")
    steps.looks(app, order["id"])
