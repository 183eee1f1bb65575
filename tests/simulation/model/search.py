"""Breadth first through every state of a world. The first state that breaks a property ends it, with its shortest path.

A state is the phase, what was spent of the budget, whether the rival has the first unit, and the buyers in order of
their numbers, each with the units that the calendar says are its own: buyers may change places. All of it is one
integer. What can happen to a buyer depends on itself, the phase and the calendar, so it is found once for each.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from chalicelib.orders.soundness import holds_place
from tests.simulation.model import properties
from tests.simulation.model.moves import Rules, Scene
from tests.simulation.model.replay import Fired, Replayer
from tests.simulation.model.world import FREE, MINE, OTHER, PHASES, Buyer, Pool, Row, World, unit_of

_BITS = 28  # of a buyer in a state: 24 for its number, 4 for its units
_UNITS = 4
MOST = 2  # that one move costs
_RIVAL, _SPENT = 4, 5  # where they begin in the head of a state; the phase comes first

Progress = Callable[[int, int], None]
"""Told now and then: how many states are done, of how many that are known."""


class Move(NamedTuple):
    """What one move makes of a buyer, as the search keeps it. `fault` is a property and how it is broken."""

    label: int
    cost: int
    fair: bool
    buyer: int
    claims: int
    releases: int
    fault: tuple[str, str] | None


class Following(NamedTuple):
    """A state after another one: which buyer moved (-1: nobody's move), and how. `pairs` stand as in the first one."""

    slot: int
    label: int
    fair: bool
    head: int
    pairs: list[int]
    fault: tuple[str, str] | None = None


@dataclass
class Found:
    """What a search has seen. `violation` is the property, what is wrong, and the path; None when all hold."""

    world: World
    states: int = 0
    transitions: int = 0
    depth: int = 0
    rests: int = 0
    buyers: int = 0
    seconds: float = 0.0
    violation: tuple[str, str, list[str]] | None = None
    exercised: set[Fired] = field(default_factory=set)


class _Broken(Exception):
    """State `number` breaks a property, or the move `label` from it does."""

    def __init__(self, fault: tuple[str, str], number: int, slot: int = -1, label: int = -1) -> None:
        super().__init__(*fault)
        self.fault, self.number, self.slot, self.label = fault, number, slot, label


class Search:
    """One world, walked through once."""

    def __init__(self, world: World, rules: Rules | None = None) -> None:
        self.world = world
        self.rules = rules or Rules()
        self.rows: Pool[Row] = Pool()
        self.buyers: Pool[Buyer] = Pool()
        self.labels: Pool[str] = Pool()
        self.replayer = Replayer(self.rules.use_cases, self.rows)
        self._time = [self.labels.number(f"time passes: {name}") for name, _ in PHASES[1:]]
        self._rival = [self.labels.number(f"a rival {does} unit 0") for does in ("takes", "gives back")]
        self._moves: dict[tuple[int, int, int, int], list[Move]] = {}
        self._rows: dict[int, tuple[tuple[str, str] | None, int]] = {-1: (None, 0)}
        self._faults: list[tuple[str, str] | None] = []
        self._places: list[int] = []  # the units that each buyer's living order needs, as a mask
        self._flights: list[tuple[int, ...]] = []  # the phases in which each buyer's use cases under way began
        self._states: list[int] = []
        self._numbers: dict[int, int] = {}
        self._parents = array("l")

    def run(self, progress: Progress | None = None) -> Found:
        begun = time.perf_counter()
        found = Found(self.world)
        with self.replayer.at_the_edges():
            try:
                self._walk(found, progress)
            except _Broken as broken:
                found.violation = (*broken.fault, self._path(broken))
        found.states, found.buyers = len(self._states), len(self.buyers)
        found.exercised = set(self.rules.written)
        found.seconds = time.perf_counter() - begun
        return found

    # ------------------------------------------------------------------ one buyer

    def _buyer(self, buyer: Buyer) -> int:
        number = self.buyers.number(buyer)
        if number == len(self._faults):
            of_row, place = self._row(buyer.row)
            self._faults.append(of_row or self._wrong_with(buyer))
            self._places.append(place)
            self._flights.append(tuple(flight.phase for flight in buyer.flights))
        return number

    def _row(self, number: int) -> tuple[tuple[str, str] | None, int]:
        """What is wrong with a row, and the unit as a mask that its order needs while it lives."""
        found = self._rows.get(number)
        if found is None:
            row = self.rows[number]
            faults = ((check.__name__, fault) for check in properties.OF_ROWS for fault in check(row))
            place = 1 << unit_of(row.order) if holds_place(row.order) else 0
            found = self._rows[number] = next(faults, None), place
        return found

    def _wrong_with(self, buyer: Buyer) -> tuple[str, str] | None:
        if buyer.row < 0:
            return None
        row = self.rows[buyer.row]
        faults = ((check.__name__, fault) for check in properties.OF_BUYERS for fault in check(row, buyer))
        return next(faults, None)

    def _moves_of(self, number: int, phase: int, seen: int, cost: int) -> list[Move]:
        """What can happen to a buyer at this cost. `seen`: two bits a unit, 0 free, 1 its own, 2 another's."""
        key = (number, phase, seen, cost)
        found = self._moves.get(key)
        if found is None:
            found = self._moves[key] = list(self._look(*key))
        return found

    def _look(self, number: int, phase: int, seen: int, wanted: int) -> Iterator[Move]:
        buyer = self.buyers[number]
        units = tuple((FREE, MINE, OTHER)[seen >> 2 * unit & 3] for unit in range(self.world.units))
        scene = Scene(self.world, self.rules, self.replayer, buyer, phase, units)
        known = set()
        for name, (price, fair, move) in self.rules.moves.items():
            cost = 0 if name in self.world.free else price
            for outcome in move(scene) if name not in self.world.shut and cost <= wanted else ():
                if cost + outcome.cost != wanted:
                    continue
                after = self._buyer(outcome.buyer)
                fault = self._wrong_at(buyer, outcome.buyer, outcome.fault)
                made = (wanted, fair and not outcome.cost, after, outcome.claims, outcome.releases, fault)
                if (after != number or fault) and made not in known:
                    known.add(made)
                    yield Move(self.labels.number(outcome.label), *made)

    def _wrong_at(self, before: Buyer, after: Buyer, failed: str) -> tuple[str, str] | None:
        if failed:
            return "the_code_does_not_fail", failed
        if before.row in (-1, after.row):
            return None
        rows = self.rows[before.row].order, self.rows[after.row].order
        what = next(properties.moves_by_the_tables(*rows), "")
        return ("moves_by_the_tables", what) if what else None

    # ------------------------------------------------------------------ all of them

    def _following(self, state: int) -> Iterator[Following]:
        head, pairs = self._unpacked(state)
        phase, rival, spent = head & 15, head >> _RIVAL & 1, head >> _SPENT
        numbers = [pair >> _UNITS for pair in pairs]
        under_way = sum(len(self._flights[number]) for number in numbers)
        # What runs while time passes may end later, but not days later.
        if phase < self.world.until and all(began == phase for number in numbers for began in self._flights[number]):
            yield Following(-1, self._time[phase], True, head + 1, pairs)
        if self.world.rival and phase <= self.world.holds_until and not any(pair & 1 for pair in pairs):
            yield Following(-1, self._rival[rival], False, head ^ 1 << _RIVAL, pairs)
        budget = self.world.budget
        left = MOST if budget is None else min(budget - spent, MOST)
        for slot, number in enumerate(numbers):
            if slot and pairs[slot] == pairs[slot - 1]:
                continue  # buyers who are alike do alike
            here = len(self._flights[number])
            seen = self._seen(pairs, slot, rival)
            for move in (one for cost in range(left + 1) for one in self._moves_of(number, phase, seen, cost)):
                beside = under_way - here + len(self._flights[move.buyer])
                cost = move.cost + (under_way < 2 <= beside)
                if beside > self.world.flights or (budget is not None and spent + cost > budget):
                    continue
                after = head if budget is None else head + (cost << _SPENT)
                yield Following(slot, move.label, move.fair, after, _moved(pairs, slot, move), move.fault)

    def _seen(self, pairs: list[int], slot: int, rival: int) -> int:
        seen = 0
        for unit in range(self.world.units):
            if pairs[slot] >> unit & 1:
                seen |= 1 << 2 * unit
            elif any(pair >> unit & 1 for pair in pairs) or (rival and unit == 0):
                seen |= 2 << 2 * unit
        return seen

    def _packed(self, head: int, pairs: list[int]) -> int:
        for pair in sorted(pairs):
            head = head << _BITS | pair
        return head

    def _unpacked(self, state: int) -> tuple[int, list[int]]:
        """The greatest first."""
        pairs = []
        for _ in range(self.world.buyers):
            pairs.append(state & (1 << _BITS) - 1)
            state >>= _BITS
        return state, pairs

    # ------------------------------------------------------------------ the walk

    def _walk(self, found: Found, progress: Progress | None) -> None:
        states, numbers = self._states, self._numbers
        self._add(self._packed(0, [self._buyer(Buyer()) << _UNITS] * self.world.buyers), -1)
        fair, begins, rests = array("L"), array("L"), bytearray()
        ends_at = 1
        for done, state in enumerate(states):  # it grows meanwhile
            if done == ends_at:
                found.depth, ends_at = found.depth + 1, len(states)
            begins.append(len(fair))
            for one in self._following(state):
                found.transitions += 1
                if one.fault:
                    raise _Broken(one.fault, done, one.slot, one.label)
                after = self._packed(one.head, one.pairs)
                number = numbers.get(after)
                if number is None:
                    number = self._add(after, done)
                if one.fair:
                    fair.append(number)
            rests.append(all(number == done for number in fair[begins[-1] :]))
            if rests[-1]:
                found.rests += 1
                self._check_rest(done)
            if progress and done % 4096 == 0:
                progress(done, len(states))
        self._check_ways(fair, begins, rests)

    def _add(self, state: int, parent: int) -> int:
        number = self._numbers[state] = len(self._states)
        self._states.append(state)
        self._parents.append(parent)
        head, pairs = self._unpacked(state)
        for pair in pairs:
            fault = self._faults[pair >> _UNITS]
            if fault:
                raise _Broken(fault, number)
            owned = pair & (1 << _UNITS) - 1
            if owned != self._places[pair >> _UNITS] or (owned & 1 and head >> _RIVAL & 1):
                raise _Broken(("no_oversell", "a place does not belong to the one order that lives on it"), number)
        return number

    def _check_rest(self, number: int) -> None:
        for pair in self._unpacked(self._states[number])[1]:
            buyer = self.buyers[pair >> _UNITS]
            if buyer.row >= 0:
                for fault in properties.nothing_is_owed(self.rows[buyer.row], buyer):
                    raise _Broken(("nothing_is_owed", fault), number)

    def _check_ways(self, fair: array[int], begins: array[int], rests: bytearray) -> None:
        """From every state fair moves alone lead to a rest."""
        begins.append(len(fair))
        left = [number for number, rest in enumerate(rests) if not rest]
        while left:
            still = []
            for number in reversed(left):  # most moves lead to later states
                if any(rests[fair[i]] for i in range(begins[number], begins[number + 1])):
                    rests[number] = 1
                else:
                    still.append(number)
            if len(still) == len(left):
                raise _Broken(("rest_is_reachable", "fair moves alone never come to rest from here"), min(still))
            left = still[::-1]

    # ------------------------------------------------------------------ paths

    def _path(self, broken: _Broken) -> list[str]:
        """The moves from the beginning to where it broke, each with the name of who moved."""
        way = [broken.number]
        while self._parents[way[-1]] >= 0:
            way.append(self._parents[way[-1]])
        states = [self._states[number] for number in reversed(way)]
        names = [f"buyer {letter}" for letter in "ABCDEFGH"[: self.world.buyers]]
        path = []
        for state, after in pairwise(states):
            one = next(f for f in self._following(state) if self._packed(f.head, f.pairs) == after)
            path.append(self._told(names, one.slot, one.label))
            order = sorted(range(len(names)), key=lambda i: -one.pairs[i])
            names = [names[i] for i in order]
        if broken.label >= 0:
            path.append(self._told(names, broken.slot, broken.label))
        return path

    def _told(self, names: list[str], slot: int, label: int) -> str:
        return f"{names[slot]} · {self.labels[label]}" if slot >= 0 else self.labels[label]


def _moved(pairs: list[int], slot: int, move: Move) -> list[int]:
    owned = pairs[slot] & (1 << _UNITS) - 1
    then = list(pairs)
    if move.claims >= 0:
        then = [pair & ~(1 << move.claims) for pair in pairs]
        owned |= 1 << move.claims
    if move.releases >= 0:
        owned &= ~(1 << move.releases)
    then[slot] = move.buyer << _UNITS | owned
    return then
