"""Threads of which one runs."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from tests.simulation import baton as batons
from tests.simulation.baton import Baton, Lock, Restless


def test_one_runs_at_a_time() -> None:
    """Work between two calls is never interrupted, and at a call anybody may go on."""
    baton = Baton(3, 0)
    at_work: list[str] = []
    order: list[str] = []

    def work(name: str) -> None:
        for _ in range(20):
            at_work.append(name)
            assert at_work == [name]
            order.append(name)
            at_work.remove(name)
            baton.pause()

    for name in "abc":
        baton.spawn(name, lambda name=name: work(name))  # type: ignore[misc]  # bound now
    baton.run()
    turns = sum(one != two for one, two in pairwise(order))
    assert len(order) == 60
    assert turns > 15


def _turns(seed: int) -> list[tuple[str, int]]:
    baton = Baton(seed, 0)
    turns: list[tuple[str, int]] = []

    def work(name: str) -> None:
        for _ in range(8):
            baton.pause()
            turns.append((name, baton.now_ms))

    for name in "abc":
        baton.spawn(name, lambda name=name: work(name))  # type: ignore[misc]  # bound now
    baton.run()
    return turns


def test_the_seed_chooses() -> None:
    """The same seed is the same order of turns at the same instants; other seeds are others."""
    assert _turns(7) == _turns(7)
    assert len({tuple(_turns(seed)) for seed in range(10)}) == 10


def test_sleepers_wake_in_the_order_of_time() -> None:
    """The clock moves to whoever wakes first, and nobody waits for it."""
    baton = Baton(1, 1_000)
    woken: list[tuple[str, int]] = []

    def sleeps(name: str, ms: int) -> None:
        baton.sleep(ms)
        woken.append((name, baton.now_ms))

    baton.spawn("hour", lambda: sleeps("hour", 3_600_000))
    baton.spawn("minute", lambda: sleeps("minute", 60_000))
    baton.spawn("late", lambda: sleeps("late", 1_000), after_ms=70_000)
    baton.run()
    assert woken == [("minute", 61_000), ("late", 72_000), ("hour", 3_601_000)]


def test_a_failure_ends_everybody() -> None:
    """The first exception is the run's: all that is under way unwinds, no thread is left."""
    baton = Baton(1, 0)
    unwound: list[str] = []

    def waits() -> None:
        try:
            baton.sleep(1_000)
        finally:
            unwound.append("waits")

    def fails() -> None:
        baton.pause()
        raise RuntimeError("broken")

    before = set(threading.enumerate())  # of other tests, and those may end meanwhile
    baton.spawn("waits", waits)
    baton.spawn("fails", fails)
    with pytest.raises(RuntimeError, match="broken"):
        baton.run()
    assert unwound == ["waits"]
    assert set(threading.enumerate()) <= before


def test_a_run_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks again and again, for ever, fails the run instead of holding up all others."""
    monkeypatch.setattr(batons, "MAX_PAUSES", 50)
    baton = Baton(1, 0)

    def asks() -> None:
        while True:
            baton.pause()

    baton.spawn("asks", asks)
    with pytest.raises(Restless):
        baton.run()


def test_a_lock_lets_others_go_on() -> None:
    """Whoever finds a lock taken waits in virtual time until it is free, while its owner is overtaken."""
    baton = Baton(1, 0)
    lock = Lock(lambda: baton)
    inside: list[str] = []

    def work(name: str) -> None:
        with lock:
            inside.append(f"{name} in")
            baton.sleep(50)
            inside.append(f"{name} out")

    for name in "ab":
        baton.spawn(name, lambda name=name: work(name))  # type: ignore[misc]  # bound now
    baton.run()
    assert sorted(inside[:2]) in (["a in", "a out"], ["b in", "b out"])
    assert len(inside) == 4
