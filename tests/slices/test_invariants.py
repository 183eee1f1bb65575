"""The invariants on a small real world in which everything holds, and on the same with one row that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chalicelib.catalog.hours import every_day
from tests import engine, invariants, world
from tests.builders import identity, reviews, salons, town
from tests.builders import orders as build
from tests.invariants import Seen
from tests.slices import plants, plants_of_orders, plants_of_search, plants_of_states
from tests.slices.plants import Planted

assert plants_of_orders
assert plants_of_search  # both are there for what they register


def a_small_world() -> None:
    """Orders in each of their ends, four nights later; and of one person one that waits and one that is paid. A visit
    is reviewed, a day was full for a while, and the city has a base."""
    policy = ((7200, 10_000), (0, 5_000))
    salon, small = salons.salon(policy=policy), salons.salon(policy=policy, staff=1, hours=every_day((600, 660)))
    for _ in range(2):
        visit = build.booked(salon, days_ahead=1)
        visit.pay(method="card")
        visit.until_start()
        for act in ("check-in", "start", "finish"):
            visit.staff_does(act)
    reviews.reviewed(visit)
    for place in (salon, small):
        build.paid(place).cancel()
    late = build.paid(salon, days_ahead=1)
    late.until_start(minutes=-30)
    late.cancel()
    missed = build.paid(salon, days_ahead=1)
    missed.until_start(minutes=20)
    missed.staff_does("no-show")
    build.paid(salons.salon(confirmation="request")).staff_does("decline")
    build.booked(salon).open_payment()
    given_up = build.booked(salon)
    stray = build.stray_intent(given_up.stored())
    given_up.cancel()
    world.payer_does(stray, "succeed")
    world.settle_down()
    build.sweep(minutes=16)
    for _ in range(4):
        town.night()
        build.sweep()
    person = identity.person()
    build.booked(salon, person)
    build.paid(salon, person)
    build.relay()
    world.settle_down()
    world.run_schedule("build_search")


@pytest.fixture(scope="module")
def sound(alone: None) -> Seen:
    a_small_world()
    return invariants.read()


def named(seen: Seen) -> set[str]:
    return {fault.partition(":")[0] for fault in invariants.faults(seen, invariants.EVERY)}


def test_everything_holds_and_there_is_something_to_look_at(sound: Seen) -> None:
    """A reading in which something is missing would let every invariant hold."""
    assert invariants.faults(sound, invariants.EVERY) == []
    ends = {(order.state, order.cancel_reason) for order in sound.orders.values()}
    assert ends == {
        ("pending_payment", ""),
        ("confirmed", ""),
        ("completed", ""),
        ("declined", "declined"),
        *(("cancelled", reason) for reason in ("customer", "no_show", "timeout")),
    }
    assert {order.payment_state for order in sound.orders.values()} >= {"none", "paid", "late"}
    assert len(sound.statements) >= 2
    assert len(sound.kept) >= 10
    for part in ("quanta", "refs", "balances", "marks", "runs", "receipts", "cursors", "last_ok", "intents", "files"):
        assert getattr(sound, part), part
    assert {table for table, items in sound.raw.items() if items} >= {"linli-orders", "linli-catalog", "linli-identity"}


@pytest.mark.parametrize("planted", plants.PLANTS, ids=lambda planted: planted.name)
def test_a_wrong_row_is_named_by_its_invariant(planted: Planted, sound: Seen) -> None:
    """And by no other than those that look at the same row."""
    assert named(planted.plant(sound)) == set(planted.broken)


def test_every_invariant_can_fail() -> None:
    """Each has a plant of its own."""
    assert {planted.broken[0] for planted in plants.PLANTS} == {check.__name__ for check in invariants.EVERY}
    assert len({check.__name__ for check in invariants.EVERY}) == len(invariants.EVERY)
    assert all((check.__doc__ or "").strip() for check in (*invariants.EVERY, *invariants.BETWEEN))


def test_all_reading_goes_through_what_is_handed_in(sound: Seen) -> None:
    """Each table once, and the same is seen: nothing is asked of the product's own client."""
    asked: list[str] = []

    def scan(table: str) -> list[invariants.Raw]:
        asked.append(table)
        return list(engine.scan(table))

    seen = invariants.read(scan, world.book, now=sound.now)
    assert len(asked) == len(set(asked)) == len(sound.raw)
    assert seen == sound
    empty = invariants.read(lambda _: [], lambda _: [], sent=lambda: (), files=lambda: ())
    assert not empty.orders
    assert invariants.faults(empty, invariants.EVERY) == []


def test_some_shops_are_looked_at_alone(sound: Seen) -> None:
    """What stands of others is left out, and everything holds of what is left."""
    shop_id = next(order.shop_id for order in sound.orders.values() if order.state == "completed")
    seen = invariants.read(shops={shop_id})
    assert {order.shop_id for order in seen.orders.values()} == {shop_id}
    assert 0 < len(seen.journal) < len(sound.journal)
    assert invariants.broken({shop_id}, at_rest=True, also=invariants.AFTER_A_SWEEP) == []
    assert invariants.broken(at_rest=True) == []


Between = Callable[[Seen], Seen]


def an_entry_is_lost(seen: Seen) -> Seen:
    return replace(seen, journal=seen.journal[1:])


def an_entry_is_changed(seen: Seen) -> Seen:
    return replace(seen, journal=(replace(seen.journal[0], ref="another"), *seen.journal[1:]))


def a_match_is_lost(seen: Seen) -> Seen:
    return replace(seen, kept=seen.kept[1:])


def a_statement_is_changed(seen: Seen) -> Seen:
    return plants_of_states.with_statement(seen, 0, line_count=9)


def an_order_is_lost(seen: Seen) -> Seen:
    gone = plants.order_in(seen, "pending_payment")
    return replace(seen, orders={name: order for name, order in seen.orders.items() if name != gone.id})


def an_order_is_changed_without_a_version(seen: Seen) -> Seen:
    return plants.with_order(seen, replace(plants.order_in(seen, "pending_payment"), note="changed"))


def an_ended_order_moves(seen: Seen) -> Seen:
    order = plants.order_in(seen, "completed")
    return plants.with_order(seen, replace(order, state="cancelled", version=order.version + 1))


def money_that_came_is_gone(seen: Seen) -> Seen:
    order = plants.order_in(seen, "confirmed")
    return plants.with_order(seen, replace(plants.with_attempt(order, state="failed"), version=order.version + 1))


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (an_entry_is_lost, "journal_only_grows"),
        (an_entry_is_changed, "journal_only_grows"),
        (a_match_is_lost, "matched_lines_stay"),
        (a_statement_is_changed, "closed_statements_stay"),
        (an_order_is_lost, "versions_only_rise"),
        (an_order_is_changed_without_a_version, "versions_only_rise"),
        (an_ended_order_moves, "states_only_go_forward"),
        (money_that_came_is_gone, "states_only_go_forward"),
    ],
)
def test_what_must_stay_is_seen_to_change(change: Between, broken: str, sound: Seen) -> None:
    """Two readings, the later with something that no history leads to."""
    assert invariants.changed(sound, sound) == []
    assert {fault.partition(":")[0] for fault in invariants.changed(sound, change(sound))} == {broken}


def test_what_happens_is_no_change_of_what_must_stay(sound: Seen) -> None:
    """A whole night and a new order between two readings."""
    town.night()
    build.paid()
    assert invariants.changed(sound, invariants.read()) == []
