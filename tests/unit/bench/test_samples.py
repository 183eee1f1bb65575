"""The arithmetic of a benchmark."""

from __future__ import annotations

import statistics
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.samples import percentile, plan, slope

MIX = {"search": 0.90, "booking": 0.08, "webhook": 0.02}
some_numbers = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def test_a_hundred_values_are_their_own_percentiles() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]


def test_of_nothing_and_of_one_value() -> None:
    assert percentile([], 0.99) == 0
    assert percentile([7.0], 0.01) == percentile([7.0], 0.99) == 7


@given(some_numbers, st.sampled_from([0.01, 0.5, 0.95, 0.99, 0.999, 1.0]))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_a_line_has_its_slope() -> None:
    assert slope([(float(x), 3.5 * x - 2) for x in range(20)]) == pytest.approx(3.5)
    assert slope([(0.0, 5.0), (1.0, 5.0)]) == 0
    assert slope([(1.0, 2.0), (1.0, 9.0)]) == slope([]) == 0


@given(st.lists(st.tuples(st.integers(0, 600), st.floats(0, 1000)), min_size=3, max_size=60))
def test_the_slope_is_the_standard_librarys(points: list[tuple[int, float]]) -> None:
    """Of any points that are not all at the same moment."""
    if len({x for x, _ in points}) > 1:
        expected = statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
        assert slope([(float(x), y) for x, y in points]) == pytest.approx(expected, abs=1e-6)


def test_the_schedule_is_fixed_by_its_seed() -> None:
    """As many as the rate says, in the order of time, each kind in its proportion."""
    arrivals = plan(20, 50, MIX, seed=7)
    assert arrivals == plan(20, 50, MIX, seed=7) != plan(20, 50, MIX, seed=8)
    assert Counter(one.kind for one in arrivals) == {"search": 900, "booking": 80, "webhook": 20}
    assert [one.number for one in arrivals] == list(range(1000))
    times = [one.at for one in arrivals]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= 50


def test_the_kinds_are_spread_over_the_whole_time() -> None:
    """No part of a run is without bookings, and gaps vary as they do when people come by themselves."""
    arrivals = plan(20, 50, MIX, seed=7)
    tenths = {int(one.at / 5) for one in arrivals if one.kind == "booking"}
    assert tenths == set(range(10))
    gaps = [later.at - one.at for one, later in pairwise(arrivals)]
    assert statistics.mean(gaps) == pytest.approx(0.05, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.05, rel=0.15)


@given(st.floats(0.1, 50), st.floats(1, 30), st.integers(0, 9))
def test_the_shortest_run_has_every_kind(rate: float, seconds: float, seed: int) -> None:
    arrivals = plan(rate, seconds, MIX, seed)
    assert len(arrivals) == max(len(MIX), round(rate * seconds))
    assert {one.kind for one in arrivals} == set(MIX)
