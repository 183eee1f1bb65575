"""An order: its states, its parts, and what may be read off it. Decisions that move it stand in `decisions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.catalog.model import refund_bps
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Conflict, Gone, IdempotencyKeyReused, Invalid, Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import BPS, half_up
from chalicelib.kernel.states import StateMachine
from chalicelib.ledger import model as ledger
from chalicelib.ledger.model import Terms
from chalicelib.payments.model import Attempt, RefundRecord

ORDER = StateMachine(
    "order",
    "pending_payment",
    {
        "pending_payment": {"paid": "paid", "cancel": "cancelled", "expire": "cancelled"},
        "paid": {"confirm": "confirmed", "decline": "declined", "cancel": "cancelled"},
        "confirmed": {"check_in": "in_fulfilment", "cancel": "cancelled", "no_show": "cancelled"},
        "in_fulfilment": {"fulfil": "fulfilled", "operator_cancel": "cancelled"},
        "fulfilled": {"complete": "completed"},
        "completed": {},
        # Money that arrives after the hold ended revives the order when its place is still free.
        "cancelled": {"revive": "paid"},
        "declined": {},
    },
)

CHARGE = StateMachine(
    "charge",
    "open",
    {"open": {"pay": "paid", "void": "void"}, "paid": {}, "void": {"revive": "paid"}},
)

CANCELLED_BY = ("customer", "merchant", "operator", "timeout", "no_show", "declined")


class QuoteInvalid(Invalid):
    """The quote's id is not one that we signed for this account."""

    code = "quote_invalid"


class QuoteExpired(Gone):
    code = "quote_expired"


class QuoteChanged(Conflict):
    """Price, policy or offer changed since the quote: ask for a new one."""

    code = "quote_changed"


class Changed(Unavailable):
    """Somebody else moved the order between the read and the write."""

    code = "order_changed"


class CancelTooLate(Conflict):
    code = "cancel_too_late"


_KEY_CHARS = 8


def request_mark(account_id: str, key: str, request_hash: str) -> str:
    """What an order remembers of a request: 40 bits of its key, which has few others beside it, and 25 of its body."""
    return ids.digest(account_id, key, length=_KEY_CHARS) + ids.digest(request_hash, length=5)


def repeats(remembered: str, mark: str) -> bool:
    """Whether a request is the remembered one. Raises IdempotencyKeyReused when only its key is."""
    if not mark or remembered[:_KEY_CHARS] != mark[:_KEY_CHARS]:
        return False
    if remembered != mark:
        raise IdempotencyKeyReused
    return True


@dataclass(frozen=True)
class Discount:
    """`funder` is platform or merchant; a merchant's discount books nothing, it lowers the price."""

    funder: str
    id: str
    amount_minor: int


@dataclass(frozen=True)
class Booking:
    """Who and what is taken, from when to when. `occupied` includes the buffers around the service."""

    staff_id: str
    chair_id: str
    starts_at: Instant
    ends_at: Instant
    occupied_from: Instant
    occupied_until: Instant


@dataclass(frozen=True)
class Line:
    """One thing that was bought, at the offer's version of that moment. `fulfilment_state` is fulfilment's axis."""

    id: str
    offer_id: str
    offer_version: int
    kind: str
    option_ids: tuple[str, ...]
    quantity: int
    unit_price_minor: int
    discounts: tuple[Discount, ...]
    fulfilment_state: str
    booking: Booking | None = None

    @property
    def net_minor(self) -> int:
        return self.unit_price_minor * self.quantity - sum(d.amount_minor for d in self.discounts)


@dataclass(frozen=True)
class Charge:
    """What is asked for; one attempt of it succeeds at the most, any other money goes back."""

    id: str
    purpose: str
    amount_minor: int
    state: str
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Event:
    """A row of the timeline. `actor` is customer, merchant, operator, provider or system."""

    event: str
    at: Instant
    actor: str


@dataclass(frozen=True)
class Order:
    """`policy` is the snapshot: (seconds before the start, refund in bps), longest first. `terms` are frozen money.

    `deadline` is when the present state ends by itself: the hold of a pending order, the merchant's time to accept a
    paid one, the day on which a fulfilled one is closed. `due_at` is when the sweep looks at it next. `last_hash` is
    the hash of its newest journal entry. `cancel_mark` is the `request_mark` of the request that ended it, and
    `cancel_note` what was said with it. `behind`: a restore has left the row behind its own journal, whose entries it
    follows before it writes new ones.
    """

    id: str
    account_id: str
    merchant_id: str
    shop_id: str
    zone: str
    state: str
    lines: tuple[Line, ...]
    charges: tuple[Charge, ...]
    terms: Terms
    policy: tuple[tuple[int, int], ...]
    confirmation: str
    deadline: Instant
    due_at: Instant
    created_at: Instant
    request_hash: str
    version: int = 1
    payment_state: str = "none"
    refund_state: str = "none"
    dispute_state: str = "none"
    cancel_reason: str = ""
    cancel_mark: str = ""
    cancel_note: str = ""
    kept_minor: int = 0
    extended: bool = False
    refunds: tuple[RefundRecord, ...] = ()
    timeline: tuple[Event, ...] = ()
    note: str = ""
    last_hash: str = ""
    earned_at: Instant | None = None
    behind: bool = False

    @property
    def currency(self) -> str:
        return self.terms.currency

    @property
    def total_minor(self) -> int:
        return self.terms.cash_minor

    @property
    def booking(self) -> Booking | None:
        return self.lines[0].booking

    @property
    def starts_at(self) -> Instant | None:
        starts = [line.booking.starts_at for line in self.lines if line.booking]
        return min(starts) if starts else None

    @property
    def captured_minor(self) -> int:
        """What came in by provider facts, wanted or not."""
        return sum(a.received_minor for c in self.charges for a in c.attempts if a.state == "succeeded")

    @property
    def refunded_minor(self) -> int:
        return sum(refund.amount_minor for refund in self.refunds if refund.state == "succeeded")

    @property
    def living_attempts(self) -> tuple[Attempt, ...]:
        return tuple(a for c in self.charges for a in c.attempts if a.living)

    @property
    def strays(self) -> tuple[Attempt, ...]:
        """What could still be paid although its charge is paid or void: to be ended at the provider."""
        return tuple(a for c in self.charges if c.state != "open" for a in c.attempts if a.living)

    @property
    def terminal(self) -> bool:
        """Nothing more is to happen to its money."""
        return self.state in ("fulfilled", "completed", "cancelled", "declined") and not any(
            r.open for r in self.refunds
        )


REVIEW_DAYS = 30


def reviewable_until(order: Order, line: Line) -> Instant | None:
    """Until when a line may be reviewed: 30 days from its fulfilment. None while it has not been fulfilled."""
    served = order.state in ("fulfilled", "completed") and line.fulfilment_state == "finished"
    return order.earned_at.plus(days=REVIEW_DAYS) if served and order.earned_at is not None else None


def tab(order: Order) -> str:
    """Where an app lists the order: to_pay, to_use, in_service, done or refunds."""
    if any(refund.open for refund in order.refunds):
        return "refunds"
    return {
        "pending_payment": "to_pay",
        "paid": "to_use",
        "confirmed": "to_use",
        "in_fulfilment": "in_service",
    }.get(order.state, "done")


TABS = ("to_pay", "to_use", "in_service", "done", "refunds")


@dataclass(frozen=True)
class CancelQuote:
    """What cancelling now gives back, and what is kept by the policy. `rule` is the step that decided, in bps."""

    refund_minor: int
    kept_minor: int
    refund_bps: int


def cancel_quote(order: Order, now: Instant, by: str) -> CancelQuote:
    """The policy applied to money that is paid. A merchant's or operator's cancel always gives back everything.

    The kept part is of the gross, so that commission and funders share it at the order's own rate.
    """
    if order.payment_state != "paid":
        return CancelQuote(0, 0, BPS)
    bps = BPS
    if by in ("customer", "no_show") and order.starts_at is not None:
        bps = refund_bps(order.policy, order.starts_at.since(now) // 1000)
    kept_gross = order.terms.gross_minor - half_up(order.terms.gross_minor * bps, BPS)
    kept_cash = half_up(kept_gross * order.terms.cash_minor, order.terms.gross_minor) if kept_gross else 0
    return CancelQuote(order.terms.cash_minor - kept_cash, kept_gross, bps)


def proof_of(order: Order, entries: Sequence[ledger.Entry]) -> ledger.Proof:
    """Whether the journal's entries of an order agree with the provider's facts in its row, and with the decision
    computed anew from its frozen terms."""
    if order.earned_at is None:
        earned = 0
    elif order.state in ("fulfilled", "completed"):
        earned = order.terms.gross_minor
    else:
        earned = order.kept_minor
    alive = order.payment_state == "paid" and order.state not in ("cancelled", "declined")
    parts = ledger.parts_of(order.terms, order.terms.gross_minor if alive else earned)
    facts = ledger.Facts(
        captured=order.captured_minor, refunded=order.refunded_minor, coupon=parts.coupon, points=parts.points
    )
    return ledger.prove(entries, facts, ledger.expected_of(order.terms, earned), order.terminal)
