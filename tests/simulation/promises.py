"""What somebody was told by our answers must be so: the side of the truth that no scan of the tables can see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chalicelib.orders import tables
from chalicelib.orders.model import Order
from tests.simulation.apps import App, Told
from tests.simulation.simulation import Run

# What an act that was answered with success makes true for ever.
_AFTER: dict[str, Callable[[Order], bool]] = {
    "decline": lambda order: order.state == "declined",
    "check-in": lambda order: order.state in _SERVED,
    "start": lambda order: order.state in _SERVED,
    "finish": lambda order: order.state in ("fulfilled", "completed") and order.earned_at is not None,
    "no-show": lambda order: (order.state, order.cancel_reason) == ("cancelled", "no_show"),
    "accept": lambda order: order.state not in ("pending_payment", "paid", "declined"),
}
_SERVED = ("in_fulfilment", "fulfilled", "completed")
_ENDED = ("cancelled", "declined")
# A message is given up after so many failures.
_FAILURES = 5


def broken(run: Run, *, provider_was_away: bool = False) -> list[str]:
    """Each broken promise in words that name the order. While the provider is away messages fail as often as they come,
    and the sweep does their work."""
    found: list[str] = []
    for app in run.apps:
        found += _placed(app)
        found += _acts(app)
        found += _same_answers(app)
        found += _never_back(app)
        found += _paid(app)
    struck = sum(run.wire.met.values())
    if run.functions.dead_letters and struck < _FAILURES and not provider_was_away:
        found.append(f"{len(run.functions.dead_letters)} dead letters, and only {struck} faults")
    return found


def _tried(app: App, path: str) -> Iterator[Told]:
    return (told for told in app.told if told.method == "POST" and told.target.endswith(path))


def _placed(app: App) -> Iterator[str]:
    """Who was given an order finds it, and whoever was refused one holds no place."""
    for told in _tried(app, "/v1/orders"):
        if told.done:
            order = tables.order(told.reply.json["id"])
            if order is None or order.account_id != app.person.account_id:
                yield f"{told.reply.json['id']} was placed, and its customer does not find it"
        elif not any(other.done and other.key == told.key for other in app.told):
            held = [order.id for order in _with_key(app, told.key) if order.state not in _ENDED]
            if held:
                yield f"{held[0]} holds a place, and its customer was told {told.reply.status}"


def _with_key(app: App, key: str) -> list[Order]:
    from chalicelib.kernel import ids

    order = tables.order(ids.owned("ord", app.person.account_id, "place", key))
    return [order] if order else []


def _acts(app: App) -> Iterator[str]:
    for told in app.told:
        *_, order_id, act = ["", *told.target.split("/")]
        if told.method != "POST" or not told.done:
            continue
        order = tables.order(order_id) if order_id.startswith("ord_") else None
        if act in _AFTER and (order is None or not _AFTER[act](order)):
            yield f"{order_id}: {act} was answered {told.reply.status}, and it is {order and order.state}"
        if act == "cancel":
            by = "merchant" if "/merchant/" in told.target else "customer"
            if order is None or (order.state, order.cancel_reason) != ("cancelled", by):
                yield f"{order_id}: the {by} was told that it is cancelled, and it is {order and order.state}"


def _identity(told: Told) -> Any:
    shown = told.reply.json
    return shown.get("attempt_id") or shown.get("id")


def _same_answers(app: App) -> Iterator[str]:
    """One key, one body: one order, one attempt."""
    first: dict[tuple[str, str], Told] = {}
    for told in app.told:
        if not told.key or not told.done or told.target == "/v1/quotes":
            continue
        before = first.setdefault((told.target, told.key), told)
        if before.body != told.body:
            yield f"{told.target}: the key {told.key} was taken with two bodies"
        elif _identity(before) != _identity(told):
            yield f"{told.target}: the same request was answered {_identity(before)} and {_identity(told)}"


def _never_back(app: App) -> Iterator[str]:
    """Nobody is shown an order that is older than what they have seen of it."""
    seen: dict[str, int] = {}
    for told in app.told:
        shown = told.reply.json if told.done and told.reply.text else {}
        if isinstance(shown, dict) and str(shown.get("id", "")).startswith("ord_") and "version" in shown:
            if shown["version"] < seen.get(shown["id"], 0):
                yield f"{shown['id']}: version {shown['version']} was shown after {seen[shown['id']]}"
            seen[shown["id"]] = max(shown["version"], seen.get(shown["id"], 0))


def _paid(app: App) -> Iterator[str]:
    """Who was shown that the money is there has a visit, had one, or gets the money back as the policy says."""
    for told in app.told:
        shown = told.reply.json if told.done and told.reply.text else {}
        if not isinstance(shown, dict) or shown.get("payment_state") != "paid":
            continue
        order = tables.order(shown["id"])
        if order is None:
            yield f"{shown['id']} was shown as paid, and is not there"
        elif order.state == "pending_payment":
            yield f"{order.id} was shown as paid, and waits for payment"
        elif order.state in _ENDED and sum(r.amount_minor for r in order.refunds) < (
            order.captured_minor - order.kept_minor
        ):
            yield f"{order.id} was shown as paid, has ended, and gives back too little"
