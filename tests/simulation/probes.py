"""`python -m tests.simulation.probes`: looks at what the platform does with functions that fail. It is a process of
its own, because a simulated world and the world of the tests cannot stand in one. Prints one JSON object;
`test_functions.py` says what it must be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from tests.simulation import environment  # noqa: F401  # isort: skip  # before anything of the product

from chalicelib.runtime import resources
from tests.simulation import runner, steps
from tests.simulation.phones import Phones
from tests.simulation.plan import Plan
from tests.simulation.simulation import Run, World
from tests.simulation.wire import Crash

_QUEUE = resources.NOTIFY


def unreadable_message(world: World) -> dict[str, Any]:
    """A message that no function can read: when it was tried, and where it ends."""
    run = world.begin(Plan("book_and_pay", 1))
    tried = _noted(run, lambda task: task == _QUEUE.full_name)
    run.goes("sender", lambda: _sends(run, "{}"))
    run.baton.run()
    return {"tried_s": _since_first(tried), "dead": run.functions.dead_letters, "queue": _limits()}


def crashing_consumer(world: World) -> dict[str, Any]:
    """The function dies with its first message: the message comes again, and its effect stands."""
    run = world.begin(Plan("book_and_pay", 1))
    salon = run.salon()
    tried = _noted(run, lambda task: task == _QUEUE.full_name)
    app = steps.newcomer(run)
    run.goes("buyer", lambda: steps.books_and_pays(app, salon))
    dies = _dies_at_first(run, _QUEUE.full_name)
    run.baton.run()
    return {"tried_s": _since_first(tried), "died": dies, "texts": _texts(), "queue": _limits()}


def crashing_webhook(world: World) -> dict[str, Any]:
    """The function dies with the first webhook: the provider tells it again, and the order is confirmed."""
    run = world.begin(Plan("book_and_pay", 1))
    salon = run.salon()
    tried = _noted(run, lambda task: task == "webhook")
    app = steps.newcomer(run)
    orders: list[str] = []

    def buys() -> None:
        orders.append(steps.books_and_pays(app, salon) or "")
        run.waits(7_200)
        orders.append(steps.looks(app, orders[0])["state"])

    run.goes("buyer", buys)
    dies = _dies_at_first(run, "webhook")
    run.baton.run()
    return {"tried_s": _since_first(tried), "died": dies, "state": orders[1]}


def _noted(run: Run, wanted: Callable[[str], bool]) -> list[int]:
    """When functions of that kind were begun, in ms."""
    invoke, begun = run.functions.invoke, []

    def noting(work: Callable[[], Any]) -> Any:
        assert run.baton.running is not None
        if wanted(run.baton.running.name):
            begun.append(run.baton.now_ms)
        return invoke(work)

    run.functions.invoke = noting  # type: ignore[method-assign]  # to look on
    return begun


def _dies_at_first(run: Run, task: str) -> list[int]:
    """The first call of such a function is its last: which one it was."""
    call, died = run.wire.call, []

    def dying(*arguments: Any) -> Any:
        running = run.baton.running
        if running is not None and running.name == task and not died:
            died.append(run.wire.calls)
            running.dead = True
            raise Crash
        return call(*arguments)

    run.wire.call = dying  # type: ignore[method-assign]  # dies on purpose
    return died


def _sends(run: Run, body: str) -> None:
    run.functions.take("SendMessage", {"QueueUrl": f"https://sqs/{_QUEUE.full_name}", "MessageBody": body})


def _since_first(times: list[int]) -> list[int]:
    return [round((ms - times[0]) / 1000) for ms in times]


def _texts() -> int:
    return len(Phones.received)


def _limits() -> dict[str, int]:
    return {"visibility": _QUEUE.visibility_seconds, "receives": _QUEUE.max_receives}


def plans_between(world: World) -> dict[str, Any]:
    """The same plan twice in one process, with another in between."""
    plan = Plan.parse("book_and_pay/3/2000/stale@20,crash_after@60,duplicate@4:30,delay@8:60")
    other = Plan.parse("hold_expiry/4/0/throttle@5,crash_before@40")
    hashes = [runner.run(world, plan).trace_hash]
    runner.run(world, other)
    hashes.append(runner.run(world, plan).trace_hash)
    return {"hashes": hashes}


PROBES = (unreadable_message, crashing_consumer, crashing_webhook, plans_between)


def main() -> None:
    world = World()
    try:
        sys.stdout.write(json.dumps({probe.__name__: probe(world) for probe in PROBES}))
    finally:
        world.end()


if __name__ == "__main__":
    main()
