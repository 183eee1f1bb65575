"""Many acts at the same moment, in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")


def at_once(acts: Sequence[Callable[[], T]]) -> list[T]:
    """What each of them answered; all begin together, and what one raises is raised."""
    gate = Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        gate.wait(timeout=30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def in_crowd(acts: Iterable[Callable[[], T]], threads: int) -> list[T]:
    """What each answered, so many at a time: for more acts than a machine has room for at once."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda act: act(), acts))
