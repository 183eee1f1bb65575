"""Makes a plan that fails smaller: fewer faults first, then shorter ones, then clocks that agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tests.simulation.plan import Fault, Plan

TRIES = 300  # runs; a smaller plan is worth minutes, not hours
SEEDS = 20  # the first ones, which are the easiest to remember


def shrunk(
    plan: Plan,
    fails: Callable[[Plan], bool],
    told: Callable[[Plan], object] = lambda plan: None,
    *,
    tries: int = TRIES,
    seeds: int = 0,
) -> Plan:
    """The smallest plan found in so many tries for which `fails` holds, as it does for the given one. Each that is
    smaller is told. With `seeds`, another of the first so many seeds may take the place of the plan's own."""
    search = _Search(plan, fails, told, tries)
    while True:
        before = search.best
        search.without_faults()
        search.takes(_shorter)
        search.takes(lambda one: [replace(one, skew_ms=0)] if one.skew_ms else [])
        search.takes(lambda one: [replace(one, seed=seed) for seed in range(min(seeds, one.seed))])
        if search.best == before:
            return before


class _Search:
    def __init__(self, plan: Plan, fails: Callable[[Plan], bool], told: Callable[[Plan], object], tries: int) -> None:
        self.best = plan
        self._fails = fails
        self._told = told
        self._left = tries
        self._known = {plan}

    def holds(self, plan: Plan) -> bool:
        """Tries a plan once, and takes it for the best when it fails too."""
        if plan in self._known or not self._left:
            return False
        self._known.add(plan)
        self._left -= 1
        if not self._fails(plan):
            return False
        self.best = plan
        self._told(plan)
        return True

    def without_faults(self) -> None:
        """Delta debugging: leaves out parts of the faults, large ones before small ones, until none can go alone.
        https://www.st.cs.uni-saarland.de/papers/tse2002/tse2002.pdf"""
        size = len(self.best.faults)
        while size:
            place = 0
            while place < len(self.best.faults):
                faults = self.best.faults
                if not self.holds(replace(self.best, faults=faults[:place] + faults[place + size :])):
                    place += size
            size //= 2

    def takes(self, smaller: Callable[[Plan], Iterable[Plan]]) -> None:
        """Goes on with the first of the smaller plans that fails, as long as there is one."""
        while any(self.holds(one) for one in smaller(self.best)):
            pass


def _shorter(plan: Plan) -> Iterator[Plan]:
    """Each fault that lasts, with one second and with half of its seconds."""
    for place, fault in enumerate(plan.faults):
        for seconds in sorted({1, fault.value // 2}):
            if 0 < seconds < fault.value:
                other = Fault(fault.at, fault.kind, seconds)
                yield replace(plan, faults=(*plan.faults[:place], other, *plan.faults[place + 1 :]))
