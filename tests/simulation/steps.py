"""What people do in several journeys, and what must be true of what they were told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from chalicelib.kernel.errors import Problem
from chalicelib.kernel.instant import Instant
from chalicelib.orders import tables
from chalicelib.reconciliation.model import day_start, provider_day
from chalicelib.runtime import jobs
from tests.builders import identity
from tests.builders.orders import stray_intent
from tests.builders.salons import Salon
from tests.simulation.apps import App, GaveUp
from tests.simulation.simulation import BEGIN, Run

STARTS_AFTER_HOURS = 26  # of a visit, from the beginning of the run
METHODS = ("alipay", "wechat_pay", "card")


# ---------------------------------------------------------------------------------------------- people


def newcomer(run: Run) -> App:
    """Somebody with an account, and our app."""
    return run.app_of(identity.person())


def staff_of(run: Run, salon: Salon) -> App:
    """A device of the merchant's; each is an app of its own for the same person."""
    return run.app_of(salon.owner)


def acts(run: Run, name: str, story: Callable[[], object], after_seconds: int = 0) -> None:
    """Somebody does something in their own time, and goes away when the app gets no answer."""

    def lives() -> None:
        try:
            story()
        except GaveUp:
            return

    run.goes(name, lives, after_seconds)


def one_of(run: Run, *weighted: tuple[str, int]) -> str:
    """A word, as often as its weight says."""
    words, weights = zip(*weighted, strict=True)
    return str(run.baton.choose.choices(words, weights)[0])


# ---------------------------------------------------------------------------------------------- customers


def asks_price(app: App, salon: Salon, hours: float = STARTS_AFTER_HOURS, staff: int | None = None) -> str | None:
    """The id of a quote for a visit that starts so many hours after the run's beginning; `staff`: by whom."""
    starts = BEGIN.plus(minutes=int(hours * 60))
    wanted: dict[str, Any] = {"offer_id": salon.offer.id, "starts_at": str(starts)}
    if staff is not None:
        wanted["staff_id"] = salon.staff[staff].id
    quote = app.post("/v1/quotes", wanted)
    return str(quote.json["id"]) if quote.status == 201 else None


def books(
    app: App, salon: Salon, hours: float = STARTS_AFTER_HOURS, staff: int | None = None, note: str = ""
) -> dict[str, Any] | None:
    """An order that holds its place; None when the place is gone."""
    quote_id = asks_price(app, salon, hours, staff)
    if quote_id is None:
        return None
    placed = app.post("/v1/orders", {"quote_id": quote_id, "note": note})
    return placed.json if placed.status == 201 else None


def opens_payment(app: App, order_id: str, method: str = "alipay") -> str | None:
    """The id of a payment attempt; None when the order cannot be paid."""
    body = {"method": method, "client": "web"}
    opened = app.post(f"/v1/orders/{order_id}/payments", body)
    return str(opened.json["attempt_id"]) if opened.status in (200, 201) else None


def pays_for(app: App, order_id: str, outcome: str = "succeed", seconds: int | None = None, think: int = 30) -> bool:
    """One attempt with any method; whether there was one."""
    attempt = opens_payment(app, order_id, app.run.baton.choose.choice(METHODS))
    if attempt is None:
        return False
    app.run.waits_about(think)
    app.pays(attempt, outcome, seconds)
    return True


def books_and_pays(app: App, salon: Salon, hours: float = STARTS_AFTER_HOURS, think: int = 60) -> str | None:
    """The id of an order that was paid, as far as its customer knows."""
    order = books(app, salon, hours)
    if order is None:
        return None
    app.run.waits_about(think)
    return str(order["id"]) if pays_for(app, order["id"], think=think) else None


def forgotten_attempt(run: Run, order_id: str, ordinal: int = 7) -> str | None:
    """What a function leaves that dies between the provider's answer and its own write: an intent that no row of ours
    knows, and somebody who can pay it all the same. The id of its attempt."""

    def made() -> str | None:
        order = tables.order(order_id)
        return stray_intent(order, ordinal) if order is not None and order.charges else None

    with suppress(Problem, PynamoDBException, ClientError, BotoCoreError):
        return run.functions.invoke(made)
    return None


def looks(app: App, order_id: str) -> dict[str, Any]:
    """The order, as its customer's app shows it; empty when it cannot."""
    reply = app.get(f"/v1/orders/{order_id}")
    return reply.json if reply.status == 200 else {}


def cancels(app: App, order_id: str, reason: str = "") -> int:
    """The status that the customer's app got."""
    return app.post(f"/v1/orders/{order_id}/cancel", {"reason": reason}).status


# ---------------------------------------------------------------------------------------------- staff


def staff_does(app: App, order_id: str, act: str) -> int:
    """accept, decline, cancel, check-in, start, finish or no-show: the status that the merchant's app got."""
    return app.post(f"/v1/merchant/orders/{order_id}/{act}").status


def waits_for_state(app: App, order_id: str, *states: str, tries: int = 6, seconds: int = 40) -> bool:
    """Staff look at an order now and then until it stands so."""
    for _ in range(tries):
        reply = app.get(f"/v1/merchant/orders/{order_id}")
        if reply.status == 200 and reply.json["state"] in states:
            return True
        app.run.waits_about(seconds)
    return False


# ---------------------------------------------------------------------------------------------- the provider


def provider_is_away(run: Run, after_seconds: int, seconds: int) -> None:
    """For so long the provider's API answers nothing but 503. Payers go on paying, and webhooks go on coming."""

    def away() -> None:
        handle = run.provider.handle

        def refuses(method: str, target: str, headers: Any, body: bytes = b"") -> Any:
            answer = handle("GET", "/nowhere", headers)
            error = '{"error": {"type": "api_error", "message": "Away."}}'
            return replace(answer, status=503, text=error, headers=answer.headers | {"Stripe-Should-Retry": "false"})

        run.provider.handle = refuses  # type: ignore[method-assign]  # as tests.world does it
        run.waits(seconds)
        del run.provider.handle

    run.goes("outage", away, after_seconds)


def refunds_take(run: Run, seconds: int) -> None:
    """From now on wallets take so long to confirm a refund."""
    run.provider._settings = replace(run.provider._settings, refund_delay_seconds=seconds)


def bank_takes_refunds(run: Run) -> None:
    """Refunds that are asked for from now on do not bounce any more."""
    store = run.provider._store
    with store.transaction():
        for intent in store.page("payment_intent", limit=100).data:
            store.save_local(intent["id"], store.local(intent["id"]) | {"bounce": False})


# ---------------------------------------------------------------------------------------------- nights


NIGHT = ("reconcile", "settle")
DAY_MS = 86_400_000


def has_run_before() -> None:
    """The nights' schedules ran last night and found nothing: a system that begins looks two months back."""
    yesterday = provider_day(BEGIN.plus(days=-1))
    # A day back, as a night leaves it: clocks differ, and indexes trail.
    jobs.save_cursor("reconcile", {"day": yesterday.isoformat(), "until": day_start(yesterday).ms})
    jobs.save_cursor("settle", {"until": day_start(yesterday).ms})


def undisturbed(run: Run) -> None:
    """Nothing goes wrong any more."""
    run.wire.disturbed = run.functions.messages.disturbed = False


def next_night(run: Run) -> Instant:
    """When the reconciliation runs next; the settlement follows an hour later."""
    tonight = BEGIN.plus(hours=16)
    while tonight <= run.now:
        tonight = tonight.plus(days=1)
    return tonight


def passes_nights(run: Run, nights: int) -> None:
    """So many nights with their schedules and the minute's, undisturbed, after all else has come to rest."""
    undisturbed(run)
    for _ in range(nights):
        run.baton.now_ms = next_night(run).ms
        for name in NIGHT:
            run.baton.now_ms += 3_600_000
            run.baton.spawn(name, lambda one=name: run.functions.schedule(one))
            run.baton.run()
