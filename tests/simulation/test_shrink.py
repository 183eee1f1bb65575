"""Plans that fail are made smaller."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation import plan as faults
from tests.simulation.plan import Fault, Plan, random_plan
from tests.simulation.shrink import shrunk

GUILTY = {faults.CRASH_AFTER: 0, faults.DELAY: 100}


def _fails(plan: Plan) -> bool:
    """Two faults together, one of which lasts long enough, on clocks that differ."""
    kinds = {fault.kind for fault in plan.faults if fault.value >= GUILTY.get(fault.kind, 1_000_000)}
    return kinds >= GUILTY.keys()


def _storm() -> Plan:
    plan = random_plan("book_and_pay", 5, 300, 60)
    added = (Fault(7, faults.CRASH_AFTER), Fault(9, faults.DELAY, 900))
    return Plan(plan.journey, 5, tuple(sorted({*plan.faults, *added})), 2_000)


def test_what_is_left_is_what_is_needed() -> None:
    """Of a storm remain the two faults that matter, as short as they may be; the clocks agree; each step was told."""
    told: list[Plan] = []
    found = shrunk(_storm(), _fails, told.append)
    assert sorted(fault.kind for fault in found.faults) == [faults.CRASH_AFTER, faults.DELAY]
    assert 100 <= next(fault.value for fault in found.faults if fault.kind == faults.DELAY) < 200
    assert found.skew_ms == 0
    assert found.seed == 5
    assert told[-1] == found
    assert all(_fails(plan) for plan in told)


def test_another_seed_only_when_asked() -> None:
    """The first seeds are tried when somebody wants them, and the plan's own is kept otherwise."""
    assert shrunk(_storm(), _fails, seeds=20).seed == 0
    assert shrunk(_storm(), lambda plan: _fails(plan) and plan.seed in (3, 5), seeds=20).seed == 3


def test_it_gives_up_in_time() -> None:
    """However large a plan, it costs no more runs than were allowed, and none is played twice."""
    played: list[Plan] = []

    def fails(plan: Plan) -> bool:
        played.append(plan)
        return _fails(plan)

    shrunk(_storm(), fails, tries=25)
    assert len(played) == 25
    assert len(set(played)) == 25


@given(st.sets(st.integers(0, 30), min_size=1, max_size=4), st.integers(5, 40))
def test_no_fault_can_go_alone(needed: set[int], count: int) -> None:
    """The result is minimal: with any one fault less it does not fail."""
    all_faults = tuple(Fault(at, faults.CRASH_BEFORE) for at in range(max(count, max(needed) + 1)))

    def fails(plan: Plan) -> bool:
        return needed <= {fault.at for fault in plan.faults}

    found = shrunk(Plan("book_and_pay", 1, all_faults), fails, tries=5_000)
    assert {fault.at for fault in found.faults} == needed
