"""`python -m tests.simulation.interleavings`: plays the cases, prints every guard with what was seen of it and by which
cases, and ends with a line of JSON: `cases`, `seeds`, `guards`, `unguarded_oversold`, `failures`.

Exits with 1 when something failed. `--case one_place --seed 17` plays one round again; SIMULATION_TRACE=1 shows where
it broke.
"""

from __future__ import annotations

from tests.simulation import environment  # noqa: F401  # isort: skip  # before anything of the product

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.harness import progress
from tests.simulation.interleavings import bases, evidence, facts, money, opinions, people, shops, stock, visits, work  # noqa: F401  # cases
from tests.simulation.interleavings.guards import EXPLAINED, PASSED, REFUSED, Watch, uncovered
from tests.simulation.interleavings.play import Played, chosen, play, seeds_of
from tests.simulation.simulation import World

_SHOWN = 5  # failures of one case
_EVIDENCE = 100
_WIDTH = 200  # of the tables


def main(arguments: Sequence[str]) -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.simulation.interleavings", description=__doc__)
    asked.add_argument("--seeds", type=int, default=60, help="of an ordinary case (60)")
    asked.add_argument("--case", default="", help="only cases whose name begins so")
    asked.add_argument("--seed", type=int, help="only this one")
    given = asked.parse_args(arguments)
    watch, whole = Watch(), not given.case and given.seed is None
    world = World()
    try:
        played = _play(world, watch, given)
        missing = uncovered(watch) if whole else []
        oversold, sold_twice = evidence.oversold(world, watch, _EVIDENCE) if whole else (0, 0)
    finally:
        world.end()
    if sold_twice:
        missing.append(f"the product's claim oversold in {sold_twice} of {_EVIDENCE} rounds")
    console = Console(highlight=False, markup=False, soft_wrap=True, width=_WIDTH)
    _show(console, played, watch)
    failures = [f"{one.case.name}: {failure}" for one in played for failure in one.failures]
    shown = [f"{one.case.name}: {failure}" for one in played for failure in one.failures[:_SHOWN]]
    for line in [*shown, *missing]:
        console.print(line)
    said = {
        "cases": len(played),
        "seeds": sum(one.seeds for one in played),
        "guards": len(watch.met),
        "unguarded_oversold": oversold,
        "failures": len(failures) + len(missing),
    }
    console.print(json.dumps(said))
    return 1 if said["failures"] else 0


def _play(world: World, watch: Watch, given: argparse.Namespace) -> list[Played]:
    cases = chosen(given.case)
    seeds = {
        case.name: seeds_of(case, given.seeds) if given.seed is None else range(given.seed, given.seed + 1)
        for case in cases
    }
    played = []
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    with progress("interleavings", sum(map(len, seeds.values())), console=console) as bar:
        for case in cases:
            played.append(play(world, watch, case, seeds[case.name]))
            failed = sum(len(one.failures) for one in played)
            bar(sum(one.seeds for one in played), f"{len(played)} cases  {failed} failed")
    return played


def _show(console: Console, played: Sequence[Played], watch: Watch) -> None:
    table = Table("case", "seeds", "won", "lost", "faults", box=None)
    for one in played:
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(one.faults.items()))
        table.add_row(one.case.name, str(one.seeds), str(one.won), str(one.lost), faults)
    console.print(table)
    table = Table("guard", "table", "write", "condition", "passed", "refused", "cases that saw it refused", box=None)
    for guard, met in sorted(watch.met.items()):
        cases = [name for name, seen in watch.by_case[guard].items() if seen[REFUSED]]
        told = ", ".join(cases[:3]) + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")
        why = EXPLAINED.get((guard.where, guard.kind), "")
        table.add_row(
            guard.where, guard.table, guard.kind, guard.condition, str(met[PASSED]), str(met[REFUSED]), told or why
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
