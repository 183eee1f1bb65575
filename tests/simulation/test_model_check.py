"""No state of the small worlds breaks a property; and a rule that is broken is found, by name and with its path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as ledger
from chalicelib.orders import changes, decisions, ending, paying, saving, tables
from chalicelib.orders.changes import Change
from chalicelib.orders.model import Charge, Order
from chalicelib.runtime.context import Context
from tests.builders import plain
from tests.simulation import model_check
from tests.simulation.model.moves import MOVES, USE_CASES, Rules
from tests.simulation.model.search import Found, Search
from tests.simulation.model.world import World

# One buyer, to whom one thing may happen that goes wrong; and two beside each other.
SMALL = replace(model_check.ONE, budget=1, shut=model_check.RARE)
PAIR = replace(SMALL, buyers=2, units=1, budget=0)
FINE = next(world for world in model_check.WORLDS if world.name == "an end beside a payment")
SHORT = 20  # moves: a shortest path is one that a person reads


def searched(world: World, **changed: Any) -> Found:
    return Search(world, Rules(**changed)).run()


def broken(found: Found, name: str) -> list[str]:
    """The path to a violation, which must be that of the named property."""
    assert found.violation is not None, "the broken rule was not noticed"
    assert found.violation[0] == name, found.violation
    path = found.violation[2]
    assert 0 < len(path) <= SHORT
    return path


def using(**instead: Callable[[Context, str, Any], object]) -> dict[str, Any]:
    """The use cases, some of them replaced: `the_sweep_looks` is "the sweep looks"."""
    return {**USE_CASES, **{name.replace("_", " "): use_case for name, use_case in instead.items()}}


def changing(decide: Callable[[Order, Instant], Change | None]) -> Callable[[Context, str, Any], object]:
    """A use case that reads, decides and writes."""
    return lambda ctx, order_id, _: saving.change(ctx, order_id, lambda order: decide(order, ctx.now))


# ---------------------------------------------------------------------------------------------- all of it


def test_no_state_of_the_small_worlds_breaks_a_property(record_property: Callable[[str, object], None]) -> None:
    """Every order of moves, with the product's own use cases; and every row of the state tables is exercised."""
    found = [Search(world).run() for world in model_check.WORLDS]
    for one in found:
        record_property("told", model_check.told(one))
    counts = model_check.summary(found)
    record_property("told", f"model check: {counts['states']:,} states, {counts['transitions']:,} transitions")
    assert [one.violation for one in found if one.violation] == []
    assert model_check.uncovered(set().union(*(one.exercised for one in found))) == []
    assert counts["states"] > 100_000


# ---------------------------------------------------------------------------------------------- coverage


def test_a_row_that_nothing_exercises_is_named() -> None:
    """Without no-shows, the rows of no-shows stay untouched; an excuse that does not hold is named too."""
    rest = set().union(*map(model_check.rows_of, model_check.MACHINES)) - model_check.NOT_YET.keys()
    assert model_check.uncovered(rest) == []
    found = searched(SMALL, moves={name: move for name, move in MOVES.items() if name != "no-show"})
    assert found.violation is None
    missing = model_check.uncovered(found.exercised | {("slot", "claimed", "move")})
    assert "order: confirmed --no_show--> was never exercised" in missing
    assert "slot: claimed --move--> is exercised, and excused" in missing
    assert not any("--expire-->" in line for line in missing)


def test_the_command_says_what_is_wrong_with_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert model_check.main(["--huge"]) == 2
    assert "usage:" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- the calendar


def test_a_claim_without_its_condition_oversells() -> None:
    path = broken(searched(PAIR, claimable=lambda seen: True), "no_oversell")
    assert [move.split(" · ")[1] for move in path] == ["places an order (instant) of unit 0"] * 2
    assert len({move.split(" · ")[0] for move in path}) == 2


def test_a_place_that_is_given_back_before_the_intent_is_ended_can_still_be_paid() -> None:
    def frees(order: Order, now: Instant) -> Change | None:
        waits = order.state == "pending_payment" and order.deadline <= now
        return decisions.expired(order, now) if waits else None

    path = broken(searched(PAIR, use_cases=using(the_sweep_looks=changing(frees))), "freed_places_cannot_be_paid")
    assert path[-1].endswith("the sweep looks → cancelled")


def test_an_order_that_ends_and_keeps_its_place_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decisions.expired
    monkeypatch.setattr(decisions, "expired", lambda order, now: replace(real(order, now), releases=False))
    broken(searched(PAIR), "no_oversell")


# ---------------------------------------------------------------------------------------------- money


def test_a_second_success_that_is_taken_as_paid_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decisions._money_came

    def takes(order: Order, charge: Charge, *rest: Any) -> Change:
        if charge.state == "paid":
            charge = replace(charge, state="open")
            order = replace(order, state="pending_payment", charges=(charge,))
        return real(order, charge, *rest)

    monkeypatch.setattr(decisions, "_money_came", takes)
    closed = (model_check.RARE | model_check.ENDS | model_check.SERVICE | {"cancels"}) - {"opens another"}
    world = replace(SMALL, intents=2, budget=2, shut=closed)
    path = broken(searched(world), "paid_once")
    assert sum("the payer pays" in move for move in path) == 2


def test_a_refund_under_a_new_key_each_time_is_two_effects() -> None:
    """The guard against a second effect is the key, which a retry repeats."""
    world = replace(SMALL, budget=2)
    path = broken(searched(world, same_refund=lambda known, asked: False), "one_effect_of_a_refund")
    assert any("crash" in move for move in path)


def test_an_order_that_is_cancelled_twice_is_found() -> None:
    def again(ctx: Context, order_id: str, by: str) -> object:
        order = tables.order(order_id)
        if order is None or order.state != "cancelled" or order.payment_state != "paid":
            return USE_CASES["cancels"](ctx, order_id, by)
        change = decisions.cancelled(replace(order, state="confirmed"), by, ctx.now)
        return saving.write(ctx, order, replace(change, releases=False))

    world = replace(SMALL, budget=2)
    broken(searched(world, use_cases=using(cancels=again)), "served_once_or_refunded")


def test_a_refund_without_its_guard_gives_back_more_than_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decisions._given_back

    def too_much(order: Order, refund_minor: int, *rest: Any) -> Change:
        return real(order, refund_minor + 1 if refund_minor else 0, *rest)

    monkeypatch.setattr(decisions, "_given_back", too_much)
    broken(searched(SMALL), "refunds_within_captured")


def test_money_on_an_intent_that_nobody_noted_may_not_be_dropped() -> None:
    def forgets(ctx: Context, order_id: str, about: tuple[str, int, Any, str]) -> object:
        order = tables.order(order_id)
        known = order and any(a.intent_id == f"pi_{about[1]}" for c in order.charges for a in c.attempts)
        return USE_CASES["told"](ctx, order_id, about) if known or about[0] == "refund" else None

    path = broken(searched(SMALL, use_cases=using(told=forgets)), "nothing_is_owed")
    assert any("crash" in move for move in path)


def test_a_refund_that_nobody_drives_stays_owed() -> None:
    def only_holds(ctx: Context, order_id: str, _: Any) -> object:
        order = tables.order(order_id)
        return ending.sweep_one(ctx, order_id) if order and not order.refunds else None

    moves = {name: move for name, move in MOVES.items() if name != "refunds"}
    broken(searched(SMALL, moves=moves, use_cases=using(the_sweep_looks=only_holds)), "nothing_is_owed")


def test_a_posting_that_forgets_the_commission_does_not_prove(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "earned", lambda terms, who, net: ledger.tip_earned(net, who))
    broken(searched(SMALL), "books_prove")


# ---------------------------------------------------------------------------------------------- states


def test_a_service_after_its_money_went_back_is_found() -> None:
    def serves(order: Order, now: Instant) -> Change | None:
        if order.state == "cancelled" and order.payment_state == "paid":
            order = replace(order, state="in_fulfilment")
        return decisions.served(order, "finished", "finished", now, plain.CLOCKS)

    broken(searched(SMALL, use_cases=using(serves=changing(serves))), "served_once_or_refunded")


def test_a_completed_order_that_is_cancelled_after_all_is_found() -> None:
    def cancels(order: Order, now: Instant) -> Change | None:
        if order.state == "completed":
            return Change(replace(order, state="cancelled", cancel_reason="customer"))
        return None

    path = broken(searched(SMALL, use_cases=using(cancels=changing(cancels))), "moves_by_the_tables")
    assert any("finish" in move for move in path)


def test_a_sweep_that_never_leaves_an_order_alone_never_comes_to_rest() -> None:
    def stirs(order: Order, now: Instant) -> Change | None:
        return Change(replace(order, extended=not order.extended))

    broken(searched(SMALL, use_cases=using(the_sweep_looks=changing(stirs))), "rest_is_reachable")


def test_code_that_fails_is_found() -> None:
    def fails(order: Order, now: Instant) -> Change | None:
        raise RuntimeError("never thought of")

    broken(searched(SMALL, use_cases=using(accepts=changing(fails))), "the_code_does_not_fail")


# ---------------------------------------------------------------------------------------------- two at once


def test_a_write_without_its_condition_loses_what_another_wrote() -> None:
    found = searched(FINE, unmoved=lambda read, stands: True)
    assert found.violation is not None
    assert len(found.violation[2]) <= SHORT


def test_a_hold_that_ends_while_a_payment_is_opened_leaves_nothing_to_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by this search: the sweep ended the intents that it had read of, and let the hold go although another one
    had been noted since."""
    real = ending._expiry

    def unaware(ctx: Context, order: Order, asked: set[str]) -> Change | None:
        return real(ctx, order, {attempt.intent_id for attempt in order.living_attempts})

    monkeypatch.setattr(ending, "_expiry", unaware)
    path = broken(searched(FINE), "freed_places_cannot_be_paid")
    assert any("opens a payment: write" in move for move in path)


def test_a_payment_is_not_shown_for_an_order_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by this search: a fact had written the intent into the ended order, and the payer was shown it all the
    same."""
    monkeypatch.setattr(paying, "_may_note", lambda order, charge_id, early: early is not None)
    broken(searched(FINE), "freed_places_cannot_be_paid")


def test_what_is_replaced_at_the_edges_is_put_back() -> None:
    """A search leaves the product as it was, also when it ends with a violation."""
    before = (tables.order, saving.write, changes.with_due)
    broken(searched(PAIR, claimable=lambda seen: True), "no_oversell")
    assert (tables.order, saving.write, changes.with_due) == before
