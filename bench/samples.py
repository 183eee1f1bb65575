"""The arithmetic of a run: when who comes, how long it took, how something grew."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Arrival:
    """Somebody comes `at` seconds after the begin and wants `kind`, however the ones before are doing."""

    at: float
    kind: str
    number: int


def plan(rate: float, seconds: float, mix: Mapping[str, float], seed: int) -> list[Arrival]:
    """Arrivals at `rate` a second over `seconds`, in order of time, the kinds in the proportion of `mix`.

    The times are a Poisson process's, given how many come: independent and uniform. All of it is fixed before the
    first request, so a slow answer delays nobody: an open system. Schroeder, Wierman and Harchol-Balter, "Open Versus
    Closed: A Cautionary Tale", NSDI 2006.
    """
    chance = random.Random(seed)
    count = max(len(mix), round(rate * seconds))
    whole = sum(mix.values())
    # At least one of each kind, and the rest to the most frequent.
    numbers = {kind: max(1, round(count * share / whole)) for kind, share in mix.items()}
    numbers[max(mix, key=lambda kind: mix[kind])] += count - sum(numbers.values())
    kinds = [kind for kind, number in numbers.items() for _ in range(number)]
    chance.shuffle(kinds)
    times = sorted(chance.uniform(0, seconds) for _ in kinds)
    return [Arrival(at, kind, number) for number, (at, kind) in enumerate(zip(times, kinds, strict=True))]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all do not exceed (nearest rank); 0 of none.

    >>> percentile([3.0, 1.0, 2.0], 0.5), percentile([3.0, 1.0, 2.0], 0.99)
    (2.0, 3.0)
    """
    if not values:
        return 0.0
    rank = -(-len(values) * round(share * 10_000) // 10_000)
    return sorted(values)[max(0, min(len(values), rank) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second grows when the first grows by one: least squares; 0 of fewer than two moments.

    >>> slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
    2.0
    """
    if len({x for x, _ in points}) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
