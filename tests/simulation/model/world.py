"""What the small world is made of: instants, rows, the provider's objects, use cases that are under way. All values.

A buyer is everything that concerns one order: its row, its intents and refunds at the provider, and the use cases that
are under way for it. Buyers meet in the calendar alone, so they all have the same ids, and may change places.

What is left out of a row: the timeline, hashes, and the version. The journal keeps what each entry says and not where
it stands in the chain. A conditional write compares what was read with what stands there instead of their versions:
where both are equal, reading again would read the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from chalicelib.booking.model import claims_of
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.ledger.model import Leg
from chalicelib.orders import saving
from chalicelib.orders.model import Booking, Order
from chalicelib.providers.ports import Intent, Refund
from tests.builders import plain

T = TypeVar("T", bound=Hashable)

BEGIN = plain.NOW
STARTS_IN_MINUTES = 26 * 60
# Time is collapsed into phases: `now` is the first instant of one, and whatever is due within it can be swept in it.
PHASES = (
    ("the hold runs", BEGIN),
    ("the hold has run out", BEGIN.plus(minutes=15)),
    ("the provider has been silent, the extension is over", BEGIN.plus(minutes=31)),
    ("the merchant's time is over, an hour before the start", BEGIN.plus(minutes=25 * 60)),
    ("after the start", BEGIN.plus(minutes=STARTS_IN_MINUTES + 20)),
    ("days after the end", BEGIN.plus(minutes=STARTS_IN_MINUTES + 3 * 24 * 60)),
)
INSTANTS = tuple(instant for _, instant in PHASES)
LAST = len(PHASES) - 1
NEVER = INSTANTS[-1].plus(days=3650)

FREE, MINE, OTHER = "free", "mine", "other"  # a unit of the calendar as one buyer sees it

Post = tuple[str, tuple[Leg, ...], str]
"""What an entry says: event, legs, the provider's object."""


class Row(NamedTuple):
    """An order and its journal, which are written together."""

    order: Order
    posts: tuple[Post, ...]


class IntentAt(NamedTuple):
    """An intent at the provider. `told` are the states of which facts are under way; they stay there for ever, so that
    each may come late, twice, and in any order. `first` is what a repeated creation answers."""

    key: str
    attempt_id: str
    method: str
    first: str
    state: str
    received: int
    told: frozenset[str]


class RefundAt(NamedTuple):
    """A refund at the provider, `key` being our id of this try."""

    key: str
    intent_id: str
    amount: int
    state: str
    told: frozenset[str]


class Flight(NamedTuple):
    """A use case under way: which, since which phase, and what it has been answered so far. Nothing else is needed to
    go on with it, see `replay`."""

    name: str
    about: Hashable
    phase: int
    answers: tuple[Hashable, ...]


class Buyer(NamedTuple):
    """`row` numbers a Row, -1 for nobody yet. `silent`: the provider did not answer when an intent was to be ended."""

    row: int = -1
    intents: tuple[IntentAt, ...] = ()
    refunds: tuple[RefundAt, ...] = ()
    flights: tuple[Flight, ...] = ()
    silent: bool = False


class Pool(Generic[T]):
    """Values by number, each once."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found

    def __getitem__(self, number: int) -> T:
        return self.values[number]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class World:
    """How large the world is.

    `flights` use cases may be under way at once. `budget` bounds the cost of a path (see `moves`; that one begins
    beside another costs 1), None for no bound. `fine`: others may act also between a read and the provider's call
    after it. `kinds` are the orders that may be placed, `holds_until` the last phase in which, `until` the last of all.
    `shut` names moves that do not happen, `free` those that cost nothing here.
    """

    name: str
    buyers: int
    units: int
    flights: int
    budget: int | None
    marks: tuple[str, ...] = ("alipay", "wechat_pay")
    intents: int = 2
    tries: int = 2
    fine: bool = True
    rival: bool = False
    kinds: tuple[str, ...] = ("request",)
    holds_until: int = 1
    until: int = LAST
    shut: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()


def _phase_at_or_before(instant: Instant) -> Instant:
    return max((one for one in INSTANTS if one <= instant), default=INSTANTS[0])


def _phase_at_or_after(instant: Instant) -> Instant:
    return min((one for one in INSTANTS if one >= instant), default=NEVER)


def abstract(order: Order) -> Order:
    """The order without what no decision looks at, its clocks moved to the phases in which they strike.

    A deadline has passed in the phase that begins at it or after it; a mark of the sweep is met in the phase in which
    it lies. Where nothing can be due, clocks say the beginning: the sweep may look, and finds nothing. The version only
    gives refunds their ids, which differ as long as it counts refunds.
    """
    began = order.created_at if order.state == "pending_payment" else BEGIN
    clocked = order.state in ("pending_payment", "paid", "fulfilled")
    charges = tuple(
        replace(c, attempts=tuple(replace(a, opened_at=BEGIN, checked_at=BEGIN) for a in c.attempts))
        for c in order.charges
    )
    return replace(
        order,
        timeline=(),
        last_hash="",
        version=1 + len(order.refunds),
        charges=charges,
        refunds=tuple(replace(refund, approved_at=BEGIN) for refund in order.refunds),
        created_at=began,
        deadline=_phase_at_or_after(order.deadline) if clocked else BEGIN,
        due_at=_phase_at_or_before(order.due_at) if clocked or any(r.open for r in order.refunds) else BEGIN,
        earned_at=BEGIN if order.earned_at else None,
    )


def placed(kind: str, unit: int, phase: int) -> Order:
    """A new order of a unit (a stylist at the one time that everybody wants). `kind`: `instant` or `request`
    confirmation, or `free` for one that costs nothing."""
    now = INSTANTS[phase]
    free = kind == "free"
    made = plain.order(
        price_minor=0 if free else 12_801,
        confirmation="request" if kind == "request" else "instant",
        starts_in_minutes=STARTS_IN_MINUTES - now.since(BEGIN) // 60_000,
        now=now,
    )
    booking = made.lines[0].booking
    assert booking is not None
    line = replace(made.lines[0], booking=replace(booking, staff_id=f"{booking.staff_id[:-1]}{unit}"))
    made = replace(made, lines=(line,))
    if free:
        made = replace(made, state="confirmed", payment_state="paid")
    return abstract(made)


def unit_of(order: Order) -> int:
    """Which unit an order claims, told by the claims that it would write."""
    found = _UNITS.get(order.lines[0].booking)
    if found is None:
        (claim,) = claims_of(saving.blocks_of(order))
        found = _UNITS[order.lines[0].booking] = int(claim.resource_id[-1])
    return found


_UNITS: dict[Booking | None, int] = {}


def calendar_after(units: tuple[str, ...], claims: int, releases: int) -> tuple[str, ...]:
    """The calendar as a buyer sees it once it has claimed or released a unit; -1 for none."""
    changed = {claims: MINE, releases: FREE}
    return tuple(changed.get(unit, seen) for unit, seen in enumerate(units))


_ANY = placed("request", 0, 0)


def intent_said(number: int, intent: IntentAt, state: str = "") -> Intent:
    """A fact of the provider's intent of this number: as it stands, or as it stood in another state."""
    of = plain.intent(_ANY, number, state or intent.state, received=intent.received, method=intent.method)
    return replace(of, attempt_id=intent.attempt_id, created=NEVER)


def refund_said(number: int, refund: RefundAt, state: str = "") -> Refund:
    amount = Money(refund.amount, _ANY.currency)
    return Refund(f"re_{number}", state or refund.state, amount, _ANY.id, refund.key, refund.intent_id)
