"""The model check: `python -m tests.simulation.model_check` walks through every state of a few small worlds.

Each world is small in its own way, because all of it at once is too large: three buyers who want two places; one buyer
to whom everything happens; two use cases under way at the same time; a refund that fails until nobody tries again.
What buyers have in common is the calendar alone, whose rows are written under a condition, so what can happen to one
of three is what can happen to one beside a rival who takes and gives back; and a use case that meets a conditional
write has either read what stands there, or reads again. That is why the small worlds speak for larger ones.

`--larger` allows each path one more thing that goes wrong: minutes instead of seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

# Read by the product's modules when they are imported.
os.environ.setdefault("LINLI_STAGE", "test")

from chalicelib.booking import model as booking
from chalicelib.fulfilment.model import APPOINTMENT
from chalicelib.kernel.states import StateMachine
from chalicelib.orders.model import CHARGE, ORDER
from chalicelib.payments.model import ATTEMPT, REFUND
from tests.simulation.model.replay import Fired
from tests.simulation.model.search import Found, Progress, Search
from tests.simulation.model.world import World

RARE = frozenset({"pays at once", "silence", "opens another", "pays a wrong amount", "refused"})
ENDS = frozenset({"merchant cancels", "operator cancels", "declines", "no-show"})
SERVICE = frozenset({"serves", "accepts"})
BACK = frozenset({"refund fails", "refund returns"})
MOVING = frozenset({"fails", "waits", "lands", "bounces"})

ONE = World("one", 1, 1, 0, None, intents=1, fine=False, kinds=("instant",), holds_until=0)
WORLDS = (
    replace(
        ONE, name="three buyers, two places", buyers=3, units=2, budget=1, holds_until=1, shut=RARE | BACK | MOVING
    ),
    World("everything to one buyer", 1, 1, 0, 1, fine=False, rival=True, kinds=("request", "free")),
    replace(ONE, name="a payer who cannot decide", rival=True, shut=RARE | ENDS | SERVICE | BACK | {"cancels"}),
    replace(
        ONE,
        name="a refund that fails",
        tries=5,
        shut=(RARE | MOVING | ENDS | SERVICE | {"facts", "crashes", "refund returns"}) - {"refused"},
    ),
    replace(ONE, name="two use cases at once", flights=2, budget=1, fine=True, shut=RARE),
    replace(
        ONE,
        name="an end beside a payment",
        flights=2,
        budget=1,
        fine=True,
        until=2,
        free=frozenset({"cancels"}),
        shut=RARE | ENDS | SERVICE | BACK | MOVING | {"crashes", "refunds"},
    ),
)

MACHINES = (ORDER, CHARGE, ATTEMPT, REFUND, APPOINTMENT, booking.SLOT)
# Rows of the tables that no world can exercise, and why. One that is exercised after all must go from here.
NOT_YET: dict[Fired, str] = {
    ("order", "in_fulfilment", "operator_cancel"): "only a restore brings it back, see orders.restored",
    ("slot", "claimed", "move"): "no order can be moved to another time yet",
}


def larger(world: World) -> World:
    return world if world.budget is None else replace(world, budget=world.budget + 1)


def rows_of(machine: StateMachine) -> set[Fired]:
    return {(machine.name, state, event) for state, moves in machine.table.items() for event in moves}


def uncovered(exercised: set[Fired]) -> list[str]:
    """Rows of the tables that were neither exercised nor excused, and excuses that do not hold."""
    missing = set().union(*map(rows_of, MACHINES)) - exercised - NOT_YET.keys()
    stale = NOT_YET.keys() & exercised
    return sorted(
        [f"{machine}: {state} --{event}--> was never exercised" for machine, state, event in missing]
        + [f"{machine}: {state} --{event}--> is exercised, and excused" for machine, state, event in stale]
    )


def told(found: Found) -> str:
    """One world's search, in one line, and its violation with the path that leads there."""
    line = (
        f"{found.world.name}: {found.states:,} states, {found.transitions:,} transitions, depth {found.depth}, "
        f"{found.rests:,} at rest, {found.seconds:.1f} s"
    )
    if found.violation is None:
        return line
    name, what, path = found.violation
    return "\n".join([line, f"  broken: {name}: {what}", *(f"    {n}. {move}" for n, move in enumerate(path, 1))])


def coverage(exercised: set[Fired]) -> str:
    return " · ".join(
        f"{machine.name} {len(rows_of(machine) & exercised)}/{len(rows_of(machine))}" for machine in MACHINES
    )


def summary(found: Sequence[Found]) -> dict[str, int]:
    """The last line of the command."""
    return {
        "states": sum(one.states for one in found),
        "transitions": sum(one.transitions for one in found),
        "depth": max(one.depth for one in found),
        "violations": sum(one.violation is not None for one in found),
    }


def _bar(world: World, stream: TextIO) -> Progress | None:
    """A line that is written over, once a search has taken two seconds; nothing where nobody looks."""
    if not stream.isatty():
        return None
    begun = time.perf_counter()

    def show(done: int, known: int) -> None:
        if time.perf_counter() - begun > 2:
            bar = "#" * (30 * done // known)
            stream.write(f"\r{world.name} [{bar:<30}] {done:,} of {known:,} known ")
            stream.flush()

    return show


def main(arguments: Sequence[str] = ()) -> int:
    if set(arguments) - {"--larger"}:
        print("usage: python -m tests.simulation.model_check [--larger]", file=sys.stderr)
        return 2
    found = []
    for world in WORLDS:
        found.append(Search(larger(world) if arguments else world).run(_bar(world, sys.stderr)))
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
        print(told(found[-1]), flush=True)
    exercised = set().union(*(one.exercised for one in found))
    missing = uncovered(exercised)
    print(f"rows of the tables that were exercised: {coverage(exercised)}")
    for (machine, state, event), why in NOT_YET.items():
        print(f"  not yet: {machine}: {state} --{event}-->: {why}")
    for line in missing:
        print(f"  {line}")
    print(json.dumps(summary(found)))
    return 1 if missing or any(one.violation for one in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
