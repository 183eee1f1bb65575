"""Many runs: which plans there are, in which order, and what they add up to."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.simulation.plan import CRASH_AFTER, CRASH_BEFORE, LOST_AFTER, Plan, one_fault, quiet, random_plan
from tests.simulation.workers import Crew, Played

EXHAUSTIVE = "exhaustive"
RANDOM = "random"
QUIET = "quiet"
_AT_EACH_CALL = (CRASH_BEFORE, CRASH_AFTER, LOST_AFTER)


@dataclass(frozen=True)
class Wish:
    """What somebody asked for: random plans of so many seeds, from the first on, divided over the journeys; and plans
    with one fault: at the most at so many calls that are `alike`, or at all for 0; of these plans each `every`-th, or
    none for 0."""

    journeys: tuple[str, ...]
    seeds: int
    first: int = 0
    alike: int = 0
    every: int = 1
    workers: int = 1
    stop_after: int = 0  # failing runs; 0: go on to the end


@dataclass
class Tally:
    """What all runs went through. Taken in the order of the plans, so it does not depend on who played them."""

    runs: Counter[tuple[str, str]] = field(default_factory=Counter)  # by journey, and by the kind of plan
    faults: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    calls: int = 0
    messages: int = 0
    reorders: int = 0
    failed: list[Played] = field(default_factory=list)
    seconds: float = 0.0
    broken_off: bool = False
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def trace_hash(self) -> str:
        return self._hash.hexdigest()

    def add(self, kind: str, played: Played) -> None:
        self.runs[played.plan.partition("/")[0], kind] += 1
        self.faults.update(played.faults)
        self.orders += played.orders
        self.calls += played.calls
        self.messages += played.messages
        self.reorders += played.reorders
        self._hash.update(played.trace_hash.encode())
        if played.failures:
            self.failed.append(played)

    def of(self, kind: str) -> int:
        """Runs of a kind of plan."""
        return sum(count for (_, one), count in self.runs.items() if one == kind)


Progress = Callable[[int, int, Tally], None]
"""Is told how many runs are done, of how many, and what they add up to."""


def run(wish: Wish, progress: Progress = lambda done, total, tally: None) -> Tally:
    """Plays all plans. When it is broken off by Ctrl-C, the tally says what was done until then."""
    tally = Tally()
    began = time.monotonic()
    with Crew(wish.workers) as crew:
        try:
            _play(wish, crew, tally, progress)
        except KeyboardInterrupt:
            tally.broken_off = True
    tally.seconds = time.monotonic() - began
    return tally


def _play(wish: Wish, crew: Crew, tally: Tally, progress: Progress) -> None:
    calm = list(crew.play(map(quiet, wish.journeys), shape=True))
    for played in calm:
        tally.add(QUIET, played)
    plans = list(plans_of(wish, calm))
    for number, ((kind, _), played) in enumerate(zip(plans, crew.play(plan for _, plan in plans), strict=True), 1):
        tally.add(kind, played)
        progress(number, len(plans), tally)
        if wish.stop_after and len(tally.failed) >= wish.stop_after:
            return


def plans_of(wish: Wish, calm: Iterable[Played]) -> Iterator[tuple[str, Plan]]:
    """The plans with their kind, made for what the quiet run of each journey showed of it."""
    shapes = dict(zip(wish.journeys, calm, strict=True))
    if wish.every:
        for journey, shape in shapes.items():
            for plan in one_fault_each(journey, shape.reach, wish.alike)[:: wish.every]:
                yield EXHAUSTIVE, plan
    for seed in range(wish.first, wish.first + wish.seeds):
        journey = wish.journeys[seed % len(wish.journeys)]
        shape = shapes[journey]
        yield RANDOM, random_plan(journey, seed, max(1, len(shape.reach)), shape.messages)


def one_fault_each(journey: str, reach: Iterable[str], alike: int) -> list[Plan]:
    """Every call that changes something, with each way in which a function or an answer is lost there. The same way at
    all calls stands together, so that every n-th of them is of all ways and from all over the run."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for number, kind in enumerate(reach):
        if kind:
            by_kind[kind].append(number)
    struck = sorted(number for numbers in by_kind.values() for number in _spread(numbers, alike))
    return [one_fault(journey, number, fault) for fault in _AT_EACH_CALL for number in struck]


def _spread(numbers: list[int], most: int) -> list[int]:
    """At the most so many of them, the first among them, from all over; all for 0."""
    if not most or len(numbers) <= most:
        return numbers
    return [numbers[place * len(numbers) // most] for place in range(most)]
