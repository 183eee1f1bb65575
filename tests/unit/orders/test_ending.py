"""When a hold ends, and for whom an intent may still be noted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.orders import changes, decisions, ending, paying
from chalicelib.orders.model import Order
from chalicelib.runtime.context import Context
from tests.builders import plain
from tests.builders.plain import CLOCKS, NOW, PROVIDER

LATER = NOW.plus(minutes=15)


def context() -> Context:
    nothing: Any = None  # no adapter is asked
    return Context(now=LATER, ports=nothing)


def opened() -> Order:
    order = plain.order()
    return decisions.attempt_opened(order, order.charges[0].id, plain.attempt(order), NOW).after


def test_a_hold_ends_only_when_every_noted_intent_was_asked_to_end() -> None:
    """One that was noted after the sweep had looked is ended first, a minute later."""
    order = opened()
    waits = ending._expiry(context(), order, set())
    assert waits is not None
    assert (waits.after.state, waits.releases) == ("pending_payment", False)
    assert waits.after.due_at == LATER.plus(seconds=changes.RETRY_SECONDS)
    ends = ending._expiry(context(), order, {"pi_1"})
    assert ends is not None
    assert (ends.after.state, ends.releases) == ("cancelled", True)
    assert ending._expiry(context(), replace(order, deadline=LATER.plus(ms=1)), {"pi_1"}) is None


def test_an_intent_is_noted_only_where_it_can_be_paid_or_has_been() -> None:
    """A fact was faster and took the intent down: on a living order it becomes the attempt, on a dead one nobody is
    shown it, and money that came is told of."""
    order = plain.order()
    charge = order.charges[0].id
    attempt = plain.attempt(order)
    expired = decisions.expired(order, LATER).after
    for begun, state, may in (
        (order, "processing", True),
        (order, "succeeded", True),
        (expired, "processing", False),
        (expired, "succeeded", True),
    ):
        told = decisions.intent_fact(begun, plain.intent(begun, state=state), LATER, CLOCKS, PROVIDER)
        assert told is not None
        assert paying._may_note(told.after, charge, decisions.adopted(told.after, attempt)) is may
    assert not paying._may_note(order, charge, decisions.adopted(order, attempt))
