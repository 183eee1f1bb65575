"""The first few of many keys, however the many are spread."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.search.selection import smallest, tied

SIZES = (0, 1, 30, 2_048, 2_049, 5_000, 20_000)
SPREADS = (
    "even",
    "few values",
    "ascending",
    "descending",
    "hidden from samples",
    "seen by samples alone",
    "a few samples",
)


def keys_of(size: int, spread: str, dtype: str, draw: np.random.Generator) -> np.ndarray:
    keys = draw.integers(0, 50_000, size)
    step = max(size // 1_024, 1)
    if spread == "few values":
        keys = draw.integers(0, 3, size)
    elif spread == "ascending":
        keys.sort()
    elif spread == "descending":
        keys[::-1].sort()
    elif spread == "hidden from samples":
        keys[::step] += 10_000
    elif spread == "seen by samples alone":
        keys += 10_000
        keys[::step] = 7
    elif spread == "a few samples":
        keys += 10_000
        keys[: 30 * step : step] = 7
    return keys.astype(dtype)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SIZES),
    st.sampled_from(SPREADS),
    st.sampled_from(("u4", "f4")),
    st.sampled_from((None, 0.0, 0.001, 0.02, 0.5, 1.0)),
    st.sampled_from((1, 2, 21, 51)),
    st.sampled_from((0, 3, 4_000)),
    st.integers(0, 2**32),
)
def test_the_smallest_are_all_of_them_and_no_others(
    size: int, spread: str, dtype: str, share: float | None, count: int, slack: int, seed: int
) -> None:
    """Ties with the last one too, and what is greater by no more than the slack."""
    draw = np.random.default_rng(seed)
    keys = keys_of(size, spread, dtype, draw)
    chosen = None if share is None else draw.random(size) < share
    if dtype == "u4":
        slack = 0  # only scores and distances are uncertain
    places = range(size) if chosen is None else np.flatnonzero(chosen).tolist()
    values = sorted(keys[place] for place in places)
    expected = [place for place in places if len(values) <= count or keys[place] <= float(values[count - 1]) + slack]
    assert smallest(keys, chosen, count, slack).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=60), st.integers(1, 30))
def test_ties_are_cut_by_the_second_key(pairs: list[tuple[int, int]], count: int) -> None:
    """The first ones by both keys are there; what is there besides equals the last of them."""
    first, second = (np.array([pair[place] for pair in pairs], np.int64) for place in (0, 1))
    found = sorted(pairs[place] for place in tied(first, second, count).tolist())
    wanted = sorted(pairs)[:count]
    assert found[: len(wanted)] == wanted
    assert all(pair == wanted[-1] for pair in found[len(wanted) :])
