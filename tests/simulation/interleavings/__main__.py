"""Plays all interleavings, prints every guard with what was seen of it, and ends with a line of JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.simulation import World

from tests.simulation.interleavings import money, people, shops, stock, visits, work  # noqa: F401  # their cases
from tests.simulation.interleavings.guards import PASSED, REFUSED, Watch, unseen
from tests.simulation.interleavings.play import Played, play_all


def main() -> int:
    """0 when nothing is wrong."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation.interleavings", description=__doc__)
    asked.add_argument("--seeds", type=int, default=60, help="of an ordinary case (60)")
    asked.add_argument("--only", default="", help="cases whose name begins so")
    given = asked.parse_args()
    begun, world, watch = time.monotonic(), World(), Watch()
    played = play_all(world, watch, given.seeds, given.only, _tell)
    world.end()
    for guard in sorted(watch.met):
        met = watch.met[guard]
        print(
            f"{guard}  {met[PASSED]} {met[REFUSED]} {','.join(c for c, n in watch.by_case[guard].items() if n[REFUSED])}"
        )
    for place in unseen({p for places in watch.places.values() for p in places}):
        print("unseen", place)
    failures = [f"{one.case.name} {failure}" for one in played for failure in one.failures[:4]]
    for f in failures:
        print(f)
    print(time.monotonic() - begun)
    return 1 if failures else 0


def _tell(played: Played) -> None:
    print(
        f"{played.case.name:<28} {played.seeds:>4} seeds {played.won:>5} won {played.lost:>5} lost {dict(played.faults)}"
    )


sys.exit(main())
