"""Plays cases seed by seed, and says what was found."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from tests import invariants
from tests.simulation.interleavings.case import CASES, Case, Round, Wrong
from tests.simulation.interleavings.guards import Watch
from tests.simulation.phones import Phones
from tests.simulation.simulation import Run, World


@dataclass
class Played:
    """What became of one case."""

    case: Case
    seeds: int = 0
    won: int = 0
    lost: int = 0
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def play(world: World, watch: Watch, case: Case, seeds: Iterable[int]) -> Played:
    """One case over some seeds, in tables of its own; at the end what always holds is looked for in all of them."""
    played, runs, empty = Played(case), list[Run](), True
    watch.case = case.name
    for seed in seeds:
        if case.alone and runs:
            played.failures += [f"seed {played.seeds - 1}: {fault}" for fault in _broken(world, case, runs)]
            runs.clear()
        one = Round(world, case, seed, watch, empty=empty or case.alone)
        runs.append(one.run)
        empty = False
        try:
            case.play(one)
        except Wrong as wrong:
            played.failures.append(f"seed {seed}{_struck(one)}: {wrong}")
        except Exception as error:
            played.failures.append(f"seed {seed}{_struck(one)}: {error!r}")
            if "SIMULATION_TRACE" in os.environ:
                traceback.print_exc()
        watch.forget()
        played.seeds += 1
        played.won += one.won
        played.lost += one.lost
        played.calls += one.run.wire.calls
        played.faults += one.run.wire.met
    played.failures += [f"after all seeds: {fault}" for fault in _broken(world, case, runs)]
    return played


def _struck(one: Round) -> str:
    return "".join(f" with {kind}" for kind in one.run.wire.met)


def _broken(world: World, case: Case, runs: list[Run]) -> list[str]:
    """What always holds and does not."""
    if not runs:
        return []
    seen = invariants.read(
        scan=lambda table: iter(world.store.scan(table)),
        book=lambda kind: list(chain(*(run.provider._store.page(kind, limit=1_000_000).data for run in runs))),
        sent=lambda: set(Phones.received),
        now=world.present.now,
    )
    return invariants.faults(seen, (check for check in invariants.ALWAYS if check.__name__ not in case.without))


def seeds_of(case: Case, seeds: int) -> range:
    """The seeds of a case where an ordinary one has so many."""
    return range(max(2, round(seeds * case.weight)))


def chosen(only: str = "") -> list[Case]:
    """The cases whose name begins so, by name."""
    return [CASES[name] for name in sorted(CASES) if name.startswith(only)]
