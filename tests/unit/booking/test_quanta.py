"""Quanta and claims: days of 23 to 26 hours, blocks over midnight, one item per resource and day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.booking import model, tables
from chalicelib.booking.model import Block, Claim, ServiceTooLong, SlotTaken, claims_of, quanta_of
from chalicelib.kernel.instant import Instant, at_local, local_midnight
from chalicelib.runtime import transaction
from chalicelib.runtime.transaction import Transaction

ZONES = (
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # clocks changed at midnight until 2019
    "Asia/Beirut",  # still do
    "America/Santiago",
    "America/Havana",
    "Africa/Cairo",
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",  # 5 h 45
    "America/St_Johns",  # at 00:01 until 2011
    "Pacific/Apia",  # left out a whole day
    "Asia/Pyongyang",  # half an hour before midnight
    "Antarctica/Troll",  # by two hours
    "America/Nuuk",
    "Africa/Casablanca",
)
CHANGES = {
    # (zone, day): minutes of that day
    ("Europe/Berlin", date(2026, 3, 29)): 23 * 60,
    ("Europe/Berlin", date(2026, 10, 25)): 25 * 60,
    ("America/New_York", date(2026, 3, 8)): 23 * 60,
    ("America/New_York", date(2026, 11, 1)): 25 * 60,
    ("America/Sao_Paulo", date(2018, 11, 4)): 23 * 60,
    ("America/Sao_Paulo", date(2018, 2, 17)): 25 * 60,
    ("Australia/Lord_Howe", date(2026, 4, 5)): 24 * 60 + 30,
    ("Australia/Lord_Howe", date(2026, 10, 4)): 23 * 60 + 30,
    ("Pacific/Apia", date(2011, 12, 30)): 0,
    ("Asia/Beirut", date(2026, 3, 29)): 23 * 60,
    ("Asia/Shanghai", date(2026, 3, 29)): 24 * 60,
}
FIVE = model.QUANTUM_MS


@pytest.mark.parametrize(("zone", "day"), CHANGES, ids=str)
def test_a_day_has_as_many_quanta_as_it_has_minutes(zone: str, day: date) -> None:
    """A whole local day is all of its quanta from 0 on, and touches no other day."""
    begin, end = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
    found = quanta_of(begin, end, zone)
    minutes = CHANGES[zone, day]
    assert found == ({day: frozenset(range(minutes // 5))} if minutes else {})


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, Instant, Instant]:
    """A zone, and a stretch of up to two days near a change of its clocks (or anywhere)."""
    zone, day = draw(st.sampled_from(sorted(CHANGES)))
    if draw(st.booleans()):
        zone = draw(st.sampled_from(ZONES))
        day = draw(st.dates(date(2001, 1, 1), date(2037, 12, 31)))
    begin = local_midnight(day, zone).plus(minutes=draw(st.integers(-1500, 1500)), ms=draw(st.sampled_from([0, 1, -1])))
    return zone, begin, begin.plus(minutes=draw(st.integers(0, 2880)), ms=draw(st.sampled_from([0, 1])))


@settings(max_examples=400, deadline=None)
@given(near_changes())
def test_quanta_cover_a_stretch_exactly_and_belong_to_the_day_they_are_on(case) -> None:
    """Turned back into instants, they join without a gap from at most five minutes before to five minutes after."""
    zone, begin, end = case
    found = quanta_of(begin, end, zone)
    steps = sorted(local_midnight(day, zone).ms + number * FIVE for day, quanta in found.items() for number in quanta)
    if begin == end:
        assert steps == []
        return
    assert steps == list(range(steps[0], steps[-1] + 1, FIVE))
    assert begin.ms - FIVE < steps[0] <= begin.ms
    assert end.ms <= steps[-1] + FIVE < end.ms + FIVE
    for day, quanta in found.items():
        length = local_midnight(day + timedelta(days=1), zone).since(local_midnight(day, zone))
        assert 0 <= min(quanta) <= max(quanta) < length // FIVE


@settings(max_examples=300, deadline=None)
@given(near_changes(), st.integers(-600, 600), st.integers(5, 600))
def test_two_stretches_overlap_exactly_when_their_quanta_meet(case, shift: int, minutes: int) -> None:
    """On the five-minute grid, in every zone and over every change of clocks."""
    zone, begin, _ = case
    begin = Instant(begin.ms // FIVE * FIVE)
    one = (begin, begin.plus(minutes=60))
    other_begin = begin.plus(minutes=shift // 5 * 5)
    other = (other_begin, other_begin.plus(minutes=minutes // 5 * 5))
    meets = one[0] < other[1] and other[0] < one[1]
    quanta, others = quanta_of(*one, zone), quanta_of(*other, zone)
    assert any(quanta[day] & others.get(day, frozenset()) for day in quanta) == meets


def test_the_hour_that_occurs_twice_can_be_booked_twice() -> None:
    """02:30 before and after the clocks went back are two places."""
    zone, day = "Europe/Berlin", date(2026, 10, 25)
    first = at_local(day, 150, zone)
    second = first.plus(hours=1)
    assert first.local(zone).time() == second.local(zone).time()
    one = quanta_of(first, first.plus(minutes=30), zone)[day]
    assert not one & quanta_of(second, second.plus(minutes=30), zone)[day]


def block(staff: str, begin: str, minutes: int, chair: str = "") -> Block:
    start = Instant.parse(begin)
    return Block("shp_1", "Asia/Shanghai", staff, chair, start, start.plus(minutes=minutes))


def test_lines_of_one_visit_with_one_person_become_one_claim() -> None:
    """DynamoDB takes an item once in a transaction; both first quanta carry the order."""
    claims = claims_of([block("stf_a", "2026-11-22T04:00:00Z", 30), block("stf_a", "2026-11-22T04:30:00Z", 30)])
    assert claims == [
        Claim("shp_1", date(2026, 11, 22), "stf_a", frozenset(range(144, 156)), frozenset({144, 150})),
    ]


def test_a_block_over_midnight_claims_both_days() -> None:
    """Each day's row knows the order at its own first quantum; chairs carry none."""
    claims = claims_of([block("stf_a", "2026-11-22T15:50:00Z", 20, "chr_1")])
    assert [(c.day.day, c.resource_id, sorted(c.quanta), sorted(c.refs)) for c in claims] == [
        (22, "chr_1", [286, 287], []),
        (22, "stf_a", [286, 287], [286]),
        (23, "chr_1", [0, 1], []),
        (23, "stf_a", [0, 1], [0]),
    ]


def test_two_lines_that_want_one_chair_at_once_are_refused() -> None:
    """All or nothing begins before the table is asked."""
    with pytest.raises(SlotTaken):
        claims_of(
            [block("stf_a", "2026-11-22T04:00:00Z", 30, "chr_1"), block("stf_b", "2026-11-22T04:25:00Z", 30, "chr_1")]
        )


blocks = st.lists(
    st.builds(
        lambda staff, chair, start, length: Block(
            "shp_1",
            "Europe/Berlin",
            staff,
            chair,
            at_local(date(2026, 10, 24), 0, "Europe/Berlin").plus(minutes=start * 5),
            at_local(date(2026, 10, 24), 0, "Europe/Berlin").plus(minutes=(start + length) * 5),
        ),
        st.sampled_from(["stf_a", "stf_b", "stf_c"]),
        st.sampled_from(["", "chr_1", "chr_2"]),
        st.integers(0, 500),
        st.integers(1, 30),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(blocks)
def test_claims_hold_every_block_once_and_refuse_exactly_the_overlaps(wanted: list[Block]) -> None:
    """Compared with a plain list of (resource, minute)."""
    taken = [
        (resource, minute)
        for one in wanted
        for resource in filter(None, (one.staff_id, one.chair_id))
        for minute in range(one.begin.ms, one.end.ms, FIVE)
    ]
    if len(set(taken)) < len(taken):
        with pytest.raises(SlotTaken):
            claims_of(wanted)
        return
    claims = claims_of(wanted)
    assert len({(c.day, c.resource_id) for c in claims}) == len(claims)
    found = {
        (c.resource_id, local_midnight(c.day, "Europe/Berlin").ms + number * FIVE)
        for c in claims
        for number in c.quanta
    }
    assert found == set(taken)
    staffed = [c for c in claims if c.resource_id.startswith("stf_")]
    assert all(c.refs <= c.quanta for c in claims)
    assert sum(len(c.refs) for c in staffed) == sum(
        len(quanta_of(one.begin, one.end, "Europe/Berlin")) for one in wanted
    )


def test_the_longest_claim_fits_what_dynamodb_takes_and_one_more_is_refused() -> None:
    """144 quanta: at most 300 operators and less than 4 KB in each expression."""
    tx = Transaction()
    (longest,) = claims_of([block("stf_a", "2026-11-21T16:00:00Z", 144 * 5)])
    tables.claim(tx, longest, "ord_x")
    (operation,) = tx._operations
    condition = operation.arguments["ConditionExpression"]
    assert condition.count("contains") == 144
    assert transaction._operators(condition) == 288
    assert max(len(operation.arguments[name]) for name in ("ConditionExpression", "UpdateExpression")) < 4096
    with pytest.raises(ServiceTooLong):
        claims_of([block("stf_a", "2026-11-21T16:00:00Z", 145 * 5)])


def test_a_transaction_refuses_a_condition_that_aws_would() -> None:
    """The engine takes more than 300 operators, AWS does not: our own count stands before both."""
    tx = Transaction()
    too_long = Claim("shp_1", date(2026, 11, 22), "stf_a", frozenset(range(151)), frozenset({0}))
    with pytest.raises(ValueError, match="operators"):
        tables.claim(tx, too_long, "ord_x")
