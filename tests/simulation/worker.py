"""`python -m tests.simulation.worker`: one process of a campaign, with a world of its own. A plan comes in on each line
of standard input, its outcome goes out on a line; when the input ends, everything that it has started ends with it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from typing import Any

from tests.simulation import runner
from tests.simulation.plan import Plan
from tests.simulation.shape import kind
from tests.simulation.simulation import World

READY = "ready\n"  # what it says first


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever is printed by others is no answer
    wanted: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    world = World()
    threading.Thread(target=_listen, args=(wanted, world), daemon=True).start()
    answers.write(READY)
    answers.flush()
    while True:
        asked = wanted.get()
        lines: list[str] | None = [] if asked["trace"] else None
        outcome = runner.run(world, Plan.parse(asked["plan"]), lines)
        told = asdict(outcome) | {"lines": lines or []}
        if asked["shape"]:
            told["reach"] = [kind(*call) for call in world.present.wire.reach]
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def _listen(wanted: queue.SimpleQueue[dict[str, Any]], world: World) -> None:
    """Also while a run goes on: whoever asked may have died, and nobody else would end the engines."""
    for line in sys.stdin:
        wanted.put(json.loads(line))
    world.end()
    os.killpg(0, signal.SIGKILL)  # with an engine that has begun just now


if __name__ == "__main__":
    main()
