"""The first few of many by a key, without sorting or even partitioning the many."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Flags = NDArray[np.bool_]

_FEW = 2_048
_SAMPLES = 1_024


def smallest(keys: Array, chosen: Flags | None, count: int, slack: float = 0) -> Array:
    """Positions, ascending, of the chosen keys that are at most the `count`-th smallest of them plus `slack`; of all
    chosen ones when there are no more than `count`."""
    size = len(keys)
    if size > _FEW:
        bound = _guess(keys, chosen, count)
        if bound is not None:
            found = _up_to(keys, chosen, bound)
            if len(found) >= count:
                least = keys.take(found)
                exact: Any = np.partition(least, count - 1)[count - 1]
                if not slack or exact + slack <= bound:
                    return _where(found, least, exact + slack if slack else exact)
                return _up_to(keys, chosen, exact + slack)
    places = np.arange(size) if chosen is None else np.flatnonzero(chosen)
    least = keys.take(places)
    if len(least) <= count:
        return places
    exact = np.partition(least, count - 1)[count - 1]
    return _where(places, least, exact + slack if slack else exact)


def _where(places: Array, keys: Array, bound: Any) -> Array:
    return np.compress(keys <= bound, places)


def _up_to(keys: Array, chosen: Flags | None, bound: Any) -> Array:
    low = keys <= bound
    if chosen is not None:
        low &= chosen
    return np.flatnonzero(low)


def _guess(keys: Array, chosen: Flags | None, count: int) -> Any:
    """A key that is probably not smaller than the `count`-th smallest chosen one, and not much greater."""
    step = len(keys) // _SAMPLES
    sample = keys[::step]
    if chosen is not None:
        sample = sample[chosen[::step]]
    mean = count / step
    rank = math.ceil(mean + 3 * math.sqrt(mean)) + 1
    return np.partition(sample, rank)[rank] if rank < len(sample) else None


def tied(keys: Array, then: Array, count: int) -> Array:
    """Positions that hold the first `count` by key and, where keys are equal, by `then`; a few more where both are."""
    if len(keys) <= count:
        return np.arange(len(keys))
    bound = np.partition(keys, count - 1)[count - 1]
    sure = np.flatnonzero(keys < bound)
    equal = np.flatnonzero(keys == bound)
    left = count - len(sure)
    if left < len(equal):
        seconds = then.take(equal)
        equal = equal[seconds <= np.partition(seconds, left - 1)[left - 1]]
    return np.concatenate([sure, equal])
