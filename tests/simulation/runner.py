"""Runs a plan, and says what came of it."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field

from tests.simulation import environment  # noqa: F401  # isort: skip  # before anything of the product

from tests import invariants
from tests.simulation import journeys
from tests.simulation.phones import Phones
from tests.simulation.plan import Plan
from tests.simulation.simulation import World

AT_THE_END = (*invariants.AT_REST, *invariants.AFTER_A_SWEEP, *invariants.FAITHFUL)
"""What every journey comes to, since it ends with sweeps. `ALSO` of a journey are checks that hold at its own end,
`EXCEPT` those that do not hold there."""


@dataclass(frozen=True)
class Outcome:
    """What one run went through, and what it broke. Equal plans have equal outcomes."""

    plan: str
    failures: tuple[str, ...]
    trace_hash: str
    calls: int
    messages: int
    orders: int
    reorders: int
    faults: dict[str, int] = field(default_factory=dict)


def run(world: World, plan: Plan, lines: list[str] | None = None) -> Outcome:
    """Plays a plan to its end and looks at everything. The trace is added to `lines`."""
    journey = journeys.journey(plan.journey)
    present = world.begin(plan)
    present.wire.lines = lines
    failures: list[str] = []
    orders = 0
    try:
        journey.begin(present)
        present.baton.run()
        before = reading(world)
        failures += invariants.faults(before, invariants.ALWAYS)
        (journey.rest if hasattr(journey, "rest") else type(present).comes_to_rest)(present)
        seen = reading(world)
        orders = len(seen.orders)
        failures += invariants.changed(before, seen)
        not_here = getattr(journey, "EXCEPT", ())
        checks = (*invariants.ALWAYS, *AT_THE_END, *getattr(journey, "ALSO", ()))
        failures += invariants.faults(seen, (check for check in checks if check not in not_here))
        if hasattr(journey, "check"):
            failures += [f"{plan.journey}.check: {fault}" for fault in journey.check(present)]
    except Exception as error:
        failures.append(f"crashed: {error!r}")
        if "SIMULATION_TRACE" in os.environ:
            traceback.print_exc()
    messages = present.functions.messages
    met = present.wire.met + messages.met
    present.wire.trace(*failures)
    return Outcome(
        str(plan), tuple(failures), present.wire.trace_hash, present.wire.calls, messages.sent, orders,
        messages.reorders, dict(sorted(met.items())),
    )  # fmt: skip


def reading(world: World) -> invariants.Seen:
    """Everything as it stands in the tables and at the provider, read past the wire."""
    present = world.present
    return invariants.read(
        scan=lambda table: iter(world.store.scan(table)),
        book=lambda kind: present.provider._store.page(kind, limit=1_000_000).data,
        sent=lambda: set(Phones.received),
        now=present.now,
    )
