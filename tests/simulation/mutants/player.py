"""Plays plans in trees: a script that reads requests, one JSON line each, and answers in lines.

It has loaded what no mutant touches, and forks for each tree: the child loads the product from there, afresh.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.plan import Plan
    from tests.simulation.simulation import World

ROOT = str(Path(__file__).parents[3])
LOADED = ("chalice.local", "infra.local.stripe_server.inprocess", "phonenumbers", "pydantic.main", "pynamodb.models")
CRASHED = "crashed"


def serve() -> None:
    """Until nobody asks any more. A request: `tree`, `plans`, `seeds` and `kinds` to search when the plans find
    nothing, `seconds` at the most, and in `scan` and `says` what ends it: that this scan finds something, in these
    words. All invariants are named first, then each plan is answered in a line, and the last is `{"over": how}`."""
    sys.path[0] = ROOT
    for name in LOADED:
        import_module(name)
    from stripe import StripeClient  # noqa: F401  # loads what is loaded late

    assert not {"chalicelib", "tests"} & sys.modules.keys()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _live(asked)
        try:
            _, status = os.waitpid(child, 0)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # with an engine that it left behind
        late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        _say({"over": "late" if late else "well" if status == 0 else "badly"})


def _live(asked: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(asked["seconds"])
    status = 1
    try:
        os.chdir(asked["tree"])
        tempfile.tempdir = asked["tree"]  # goes away with it, whatever happens
        sys.path[0] = asked["tree"]
        for told in play(asked):
            _say(told)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)  # whatever still lives in threads


def play(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What each plan broke: `broke` are names of scans, of invariants or of the journey's own."""
    from tests.simulation.runner import run  # isort: skip  # before all else of the product

    from tests import invariants
    from tests.simulation.plan import Plan
    from tests.simulation.simulation import World

    world = World()
    names = {check.__name__ for check in (*invariants.EVERY, *invariants.BETWEEN)}
    yield {"scans": sorted(names)}
    try:
        for plan in chain(map(Plan.parse, asked["plans"]), _searched(asked, world)):
            begun = time.monotonic()
            outcome = run(world, plan)
            scans = [_scan_of(failure, names, plan.journey) for failure in outcome.failures]
            found = any(
                scan == asked["scan"] and asked["says"] in failure
                for scan, failure in zip(scans, outcome.failures, strict=True)
            )
            yield {
                "plan": str(plan),
                "seconds": round(time.monotonic() - begun, 2),
                "broke": sorted(set(scans) - {CRASHED}),
                "failures": outcome.failures[:20],
                "found": found,
            }
            if found:
                break
    finally:
        world.end()


def _scan_of(failure: str, names: set[str], journey: str) -> str:
    name = failure.partition(":")[0]
    return name if name in names or name == CRASHED else f"{journey}.check"


def _searched(asked: dict[str, Any], world: World) -> Iterator[Plan]:
    """Calm plans of the first one's journey, then each kind of fault at each call of a calm one, then stormy plans."""
    from tests.simulation.plan import Fault, Plan, quiet, random_plan
    from tests.simulation.runner import run

    journey = Plan.parse(asked["plans"][0]).journey
    for seed in range(asked["seeds"]):
        yield quiet(journey, seed)
    for seed in range(min(asked["seeds"], 8)) if asked["kinds"] else ():
        run(world, quiet(journey, seed))
        calls = [target for _, target, _ in world.present.wire.reach]
        for kind, _, wanted in (one.partition("@") for one in asked["kinds"]):
            for number, target in enumerate(calls):
                if target == (wanted or target):
                    yield Plan(journey, seed, (Fault(number, kind),))
    for seed in range(asked["seeds"]):
        run(world, quiet(journey, seed))
        yield random_plan(journey, seed, world.present.wire.calls, world.present.functions.messages.sent)


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
