"""That the machinery finds what it is for: four who look whether a place is free and then write it, without a condition
and with the product's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chalicelib.booking import tables as calendar
from chalicelib.booking.model import Claim, SlotTaken
from chalicelib.booking.tables import DayRow
from chalicelib.kernel import ids
from chalicelib.runtime.transaction import Transaction
from tests.simulation.interleavings.case import Case, Round, outcomes
from tests.simulation.interleavings.guards import Watch
from tests.simulation.simulation import BEGIN, World

_WORKERS = 4
_QUANTA = frozenset({120, 121, 122})

Write = Callable[[Transaction, Claim, str], None]


def oversold(world: World, watch: Watch, seeds: int) -> tuple[int, int]:
    """In how many of so many rounds one place was sold more than once: without a condition, and by the product."""
    return _rounds(world, watch, _unconditional, seeds), _rounds(world, watch, calendar.claim, seeds)


def _rounds(world: World, watch: Watch, write: Write, seeds: int) -> int:
    case, found = Case(write.__name__, lambda _: None), 0
    watch.case = case.name
    for seed in range(seeds):
        one = Round(world, case, seed, watch, empty=seed == 0)
        day, resource_id = BEGIN.local_date("Asia/Shanghai"), ids.random_id("stf")
        claim = Claim(ids.random_id("shp"), day, resource_id, _QUANTA, frozenset({min(_QUANTA)}))
        told = outcomes(one.race(*(partial(_buys, write, claim, f"ord_{n}") for n in range(_WORKERS))))
        found += told.get("sold", 0) > 1
    return found


def _buys(write: Write, claim: Claim, order_id: str) -> str:
    taken = calendar.day(claim.shop_id, claim.day).busy.get(claim.resource_id, frozenset())
    if taken & claim.quanta:
        raise SlotTaken(alternatives=[])
    tx = Transaction()
    write(tx, claim, order_id)
    tx.commit()
    return "sold"


def _unconditional(tx: Transaction, wanted: Claim, order_id: str) -> None:
    """As a careless `claim` would write it."""
    row = DayRow(f"{wanted.shop_id}#{wanted.day:%Y%m%d}", wanted.resource_id)
    tx.update(row, [DayRow.quanta.add(set(wanted.quanta))])
