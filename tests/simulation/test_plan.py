"""Plans as text, and plans by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation import plan as faults
from tests.simulation.plan import Fault, Plan, random_plan

KINDS = st.sampled_from(faults.CALL_FAULTS + faults.MESSAGE_FAULTS)
FAULTS = st.builds(Fault, at=st.integers(0, 10_000), kind=KINDS, value=st.integers(0, 5_000))
PLANS = st.builds(
    Plan,
    journey=st.sampled_from(("book_and_pay", "hold_expiry")),
    seed=st.integers(0, 2**40),
    faults=st.lists(FAULTS, max_size=12).map(tuple),
    skew_ms=st.integers(0, 5_000),
)


@given(PLANS)
def test_a_printed_plan_is_the_plan(plan: Plan) -> None:
    """What a failure prints is what is played again."""
    assert Plan.parse(str(plan)) == plan


@pytest.mark.parametrize(
    "text", ["", "book_and_pay", "book_and_pay/1", "book_and_pay/x/0/", "book_and_pay/1/0/crash@3", "a/1/0/delay@3:-1"]
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    """A plan that was copied badly says so, rather than playing another."""
    with pytest.raises(ValueError):  # noqa: PT011  # whichever part of it is wrong
        Plan.parse(text)


def test_chance_is_the_seeds() -> None:
    """A seed is always the same plan, and another seed another one; nearly a quarter of many messages come twice."""
    plans = [random_plan("book_and_pay", seed, 200, 40) for seed in range(200)]
    assert plans == [random_plan("book_and_pay", seed, 200, 40) for seed in range(200)]
    assert len({str(plan) for plan in plans}) == 200
    twice = sum(fault.kind == faults.DUPLICATE for plan in plans for fault in plan.faults)
    assert 0.2 < twice / (200 * 40) < 0.3
