"""Wallets that are quicker than we are: the money is there as soon as the intent exists, before we have written down
that there is one. Some people's phones die while they wait for our answer, and nobody asks again.

Races: a success against the write that notes its attempt; a function that dies between the intent and that write, with
nobody to try again; two attempts at once, both of them paid; money for an order that was cancelled in the meantime.
"""

from __future__ import annotations

import json

from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import Run
from tests.simulation.wire import Answer


def begin(run: Run) -> None:
    salon = run.salon(staff=3)
    run.wire.observers.append(lambda target, body, answer: _pays(run, target, body, answer))
    for number in range(3):
        app = steps.newcomer(run)
        steps.acts(run, f"buyer {number}", lambda app=app: _buys(app, salon))
    run.ticks("sweep", "relay_outbox")


def check(run: Run) -> list[str]:
    return promises.broken(run)


def _pays(run: Run, target: str, body: bytes, answer: Answer) -> None:
    """Whatever intent is made is paid in the same moment, or a little later."""
    words = body.split(b" ", 2)
    if target == "Stripe" and words[0].lower() == b"post" and words[1].endswith(b"/v1/payment_intents"):
        made = json.loads(answer.content)
        if answer.status_code == 200 and made["status"] not in ("succeeded", "canceled"):
            after_ms = run.baton.choose.choice((0, 0, 5, 40, 2_000, 30_000))
            run.baton.spawn("wallet", lambda: _approves(run, made["id"]), after_ms)


def _approves(run: Run, intent_id: str) -> None:
    outcome = run.baton.choose.choice(("succeed", "succeed", "duplicate", "lose"))
    run.provider.control("POST", f"/local/payment_intents/{intent_id}", json.dumps({"outcome": outcome}).encode())


def _buys(app: App, salon: Salon) -> None:
    order = steps.books(app, salon)
    if order is None:
        return
    way = steps.one_of(app.run, ("waits", 3), ("phone dies", 3), ("changes mind", 3), ("two phones", 3))
    if way == "two phones":
        other = app.run.app_of(app.person)
        steps.acts(app.run, "other phone", lambda: _opens(other, order["id"]), app.run.baton.choose.randint(0, 1))
    if way in ("phone dies", "changes mind"):
        app.asks_once("POST", f"/v1/orders/{order['id']}/payments", {"method": "alipay", "client": "web"})
        if way == "changes mind":
            steps.cancels(app.run.app_of(app.person), order["id"])
    else:
        _opens(app, order["id"])
        app.run.waits_about(20)
        steps.looks(app, order["id"])


def _opens(app: App, order_id: str) -> None:
    steps.opens_payment(app, order_id, app.run.baton.choose.choice(steps.METHODS))
