"""A case, and one round of it: what a seed makes of the same preparation and the same workers."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chalicelib.kernel.errors import Problem
from chalicelib.runtime import dynamo
from chalicelib.runtime.context import Context
from tests.builders import identity
from tests.client import Reply
from tests.simulation import plan as faults
from tests.simulation.interleavings.guards import Watch, conditional
from tests.simulation.plan import Plan
from tests.simulation.simulation import Run, World
from tests.simulation.wire import Answer, Send, Wire

# What goes wrong in a round, at one of its conditional writes. In most rounds nothing: overtaking is enough.
_FAULTS = ("",) * 5 + (faults.LOST_AFTER,) * 4 + (faults.CONFLICT,) * 3 + (faults.LOST_BEFORE, faults.BROKEN)
_WRITES = 6  # the conditional write that is struck is one of the first so many
_WINDOWS = "rate_windows"

Act = Callable[[], Any]
T = TypeVar("T")
CASES: dict[str, Case] = {}


@dataclass(frozen=True)
class Case:
    """`kept` is what its rounds share, made by the first that asks for it."""

    name: str
    play: Callable[[Round], None]
    weight: float = 1.0
    alone: bool = False
    windows: bool = False
    without: tuple[str, ...] = ()
    kept: dict[str, Any] = field(default_factory=dict)


def case(
    *, weight: float = 1.0, alone: bool = False, windows: bool = False, without: tuple[str, ...] = ()
) -> Callable[[Callable[[Round], None]], Callable[[Round], None]]:
    """Makes a function a case. `weight`: how many times as many seeds as usual. `alone`: each of its rounds begins in
    empty tables, because its workers look at all there is; others share the tables, as tenants do. `windows`: faults
    may strike the windows of rate limits, through which every request comes, as well. `without`: invariants that do
    not hold of what the case prepares."""

    def noted(play: Callable[[Round], None]) -> Callable[[Round], None]:
        CASES[play.__name__] = Case(play.__name__, play, weight, alone, windows, without)
        return play

    return noted


class Wrong(AssertionError):
    """The verdict on a round."""


class _Wire(Wire):
    """Strikes a conditional write, the nth of the round, instead of the nth call."""

    def __init__(self, run: Run, struck: dict[int, str], *, windows: bool) -> None:
        super().__init__(run.baton, run.plan)
        self._struck = struck
        self._windows = windows
        self._written = 0
        self._guarded: dict[str, bool] = {}

    def call(self, target: str, body: bytes, send: Send, instead: Mapping[str, Send]) -> Answer:
        task = self.baton.running
        if task is not None:
            self._guarded[task.name] = any(
                self._windows or not arguments["TableName"].endswith(_WINDOWS)
                for _, arguments in conditional(target, body)
            )
        return super().call(target, body, send, instead)

    def _strikes(self, instead: Mapping[str, Send]) -> tuple[str, int]:
        task = self.baton.running
        if task is None or not self._guarded[task.name]:
            return "", 0
        number, self._written = self._written, self._written + 1
        kind = self._struck.pop(number, "")
        if kind:
            self.met[kind] += 1
        return kind, 0


class Round:
    """One seed of a case. Queues and the provider's webhooks are silent in it: what they would bring is a worker's."""

    def __init__(self, world: World, of: Case, seed: int, watch: Watch, *, empty: bool) -> None:
        if empty:
            of.kept.clear()
        self.run = world.begin(Plan(of.name, seed), empty=empty)
        self.seed = seed
        self.won = self.lost = 0
        self._world = world
        self._case = of
        chance = random.Random(f"{of.name}/{seed}")  # noqa: S311  # not a secret
        kind = chance.choice(_FAULTS)
        struck = {chance.randrange(_WRITES): kind} if kind else {}
        self.run.wire = _Wire(self.run, struck, windows=of.windows)
        self.run.wire.observers.append(watch.observe)
        self.run.functions._lay = lambda *_: None  # type: ignore[method-assign]  # nobody receives
        self.run.provider.wake = lambda: None

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What all rounds of the case share, the same whichever of them comes first."""
        if name not in self._case.kept:
            self._world._chance.begin(f"{self._case.name}/{name}")
            self._case.kept[name] = make()
            self._world._chance.begin(f"{self._case.name}/{self.seed}")
        found: T = self._case.kept[name]
        return found

    @property
    def ctx(self) -> Context:
        """A context of nobody's, now."""
        return identity.context()

    def struck(self, kind: str) -> bool:
        """Whether that went wrong in this round."""
        return bool(self.run.wire.met[kind])

    def later(self, **by: int) -> None:
        """Moves the clock."""
        self.run.baton.now_ms = self.run.now.plus(**by).ms

    def raw(self, operation: str, table: str, **arguments: Any) -> None:
        """A write past the product, as a restore, the store itself or somebody with a console makes it."""
        asked = {"TableName": dynamo.table_name(table), **arguments}
        status, content = self.run.store.send(operation, json.dumps(asked).encode(), self.run.baton.now_ms)
        assert status == 200, content

    def erase(self, table: str, pk: str, sk: str) -> dict[str, Any]:
        """Takes a row away, as a restore to an earlier instant does with what came later. Returns what it was."""
        rows = {(one["pk"]["S"], one["sk"]["S"]): one for one in self.run.store.scan(dynamo.table_name(table))}
        self.raw("DeleteItem", table, Key={"pk": {"S": pk}, "sk": {"S": sk}})
        return rows.get((pk, sk), {})

    def race(self, *acts: Act) -> list[Any]:
        """What each of the workers got: a value, or the problem it was told. Whatever else is raised is a failure."""
        found: list[Any] = [None] * len(acts)

        def works(number: int, act: Act) -> None:
            try:
                found[number] = act()
            except Problem as problem:
                found[number] = problem

        for number, act in enumerate(acts):
            self.run.baton.spawn(f"worker {number}", lambda number=number, act=act: works(number, act))  # type: ignore[misc]
        self.run.baton.run()
        self.lost += sum(refused(one) for one in found)
        self.won += sum(not refused(one) for one in found)
        return found

    def same(self, what: str, found: object, wanted: object) -> None:
        """Raises Wrong unless they are equal."""
        if found != wanted:
            raise Wrong(f"{what}: {found!r} instead of {wanted!r}")

    def holds(self, what: str, found: object) -> None:
        """Raises Wrong unless it is so."""
        if not found:
            raise Wrong(what)


def refused(one: Any) -> bool:
    return isinstance(one, Problem) or (isinstance(one, Reply) and one.status >= 400)


def said(one: Any) -> str:
    """What a worker was told in one word: a problem's code, `done`, or what its service answers in words."""
    if isinstance(one, Problem):
        return one.code
    if isinstance(one, Reply):
        return one.code if one.status >= 400 else "done"
    return one if isinstance(one, str) else "done"


def outcomes(found: list[Any]) -> dict[str, int]:
    """How many workers were told what."""
    return dict(Counter(said(one) for one in found))
