"""What a statement is, and which earnings go on one: pure decisions over journal entries.

A statement covers everything that was earned in [period_start, period_end), and what earlier statements left waiting.
What cannot be settled yet is left waiting in turn, so that each earning is considered until it is on exactly one
statement. Periods follow one another without a gap; the numbers of a shop's statements count up from 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from chalicelib.kernel import ids
from chalicelib.kernel.instant import HOUR_MS, Instant, local_midnight
from chalicelib.kernel.states import StateMachine
from chalicelib.ledger.model import Entry

STATEMENT = StateMachine("statement", "closing", {"closing": {"close": "closed"}, "closed": {}})

LINES_IN_CHUNK = 200
MAX_LINES = 5_000  # of one statement; a shop with more gets the next statement in the same night
MAX_WAITING = 2_000  # what a statement leaves to the next before it ends its period earlier
# Indexes trail their tables: a period never ends later than this, so that no entry appears in it afterwards.
TRAILING_MS = HOUR_MS

EARNING, REVERSAL, ADJUSTMENT = "earning", "reversal", "adjustment"
_PENDING = "L.merchant_pending:"


@dataclass(frozen=True)
class Account:
    """What statements are kept for: one currency of one shop. `zone` is where its days begin."""

    merchant_id: str
    shop_id: str
    currency: str
    zone: str


@dataclass(frozen=True)
class Line:
    """One entry of an order. Minor units: gross − discounts − commission = net; all below zero on a reversal.

    `psp_fee` is what the provider took for the order; the platform bears it, it is no part of the net.
    """

    order_id: str
    event: str
    n: int
    at: Instant
    kind: str
    gross: int
    discounts: int
    commission: int
    commission_bps: int
    psp_fee: int
    net: int


@dataclass(frozen=True)
class Statement:
    """`opened_at` is when its content was fixed: what became known later is for the next one."""

    id: str
    account: Account
    number: int
    state: str
    period_start: Instant
    period_end: Instant
    opened_at: Instant
    opening_minor: int
    closing_minor: int = 0
    line_count: int = 0
    waiting_count: int = 0
    content_hash: str = ""
    closed_at: Instant | None = None


@dataclass(frozen=True)
class Standing:
    """What must be known of an order before its earnings settle: is its money available at the provider, when was the
    merchant's share last moved, and what did the provider take. `first_moved` is the entry that shows the fee, so that
    a tip or a reversal does not repeat it."""

    available: bool
    last_moved: Instant
    psp_fee: int = 0
    first_moved: str = ""


@dataclass(frozen=True)
class Content:
    """What stands on a statement, and the entries it leaves to the next."""

    lines: tuple[Line, ...]
    waiting: tuple[Entry, ...]

    @property
    def net_minor(self) -> int:
        return sum(line.net for line in self.lines)


def moves_pending(entry: Entry) -> bool:
    """Is this entry an earning, or takes one back? A settlement moves the same account, but is what we make of it."""
    return entry.event != "settled" and entry.on(_PENDING) != 0


def statement_id(account: Account, number: int) -> str:
    return ids.owned("stm", account.merchant_id, account.shop_id, account.currency, str(number))


def period_end(zone: str, now: Instant, settle_after_days: int, dispute_seconds: int) -> Instant:
    """Before this, earnings are old enough: the midnight of the shop's zone so many days ago is later, and nobody can
    dispute the service any more."""
    midnight = local_midnight(now.local_date(zone) - timedelta(days=settle_after_days), zone)
    return min(midnight, now.plus(seconds=-dispute_seconds), now.plus(ms=-TRAILING_MS))


def decide(entries: Sequence[Entry], standing: Mapping[str, Standing], end: Instant) -> Content:
    """Which of the entries go on the statement. An order settles whole: while money of it is not available, or its
    share moved at or after the end of the period, all of its entries wait."""
    lines, waiting = [], []
    for entry in sorted(entries, key=lambda found: (found.at, found.id)):
        order = standing[entry.business_id]
        if order.available and order.last_moved < end:
            lines.append(line_of(entry, order.psp_fee if entry.id == order.first_moved else 0))
        else:
            waiting.append(entry)
    return Content(tuple(lines), tuple(waiting))


def bounded_end(window: Sequence[Entry], carried: int, standing: Mapping[str, Standing], end: Instant) -> Instant:
    """The end of the period, or earlier where lines or waiting entries would become too many. `window` is in order of
    time; the bound on waiting is soft, for an earlier end can make a few more wait."""
    left = MAX_WAITING - carried
    for index, entry in enumerate(window):
        left -= not standing[entry.business_id].available
        if index == MAX_LINES - carried or left < 0:
            return min(entry.at, end)
    return end


def line_of(entry: Entry, psp_fee: int) -> Line:
    """What an entry says on a statement; the provider's fee is not in the entry."""
    return unpacked(
        (
            entry.business_id,
            entry.event,
            entry.n,
            entry.at.ms,
            int(entry.meta.get("discounts", 0)),
            -entry.on("R.commission") - entry.on("L.tax"),
            int(entry.meta.get("bps", 0)),
            psp_fee,
            -entry.on(_PENDING),
        )
    )


def content_hash(statement: Statement, content: Content) -> str:
    """SHA-256 in hex over the period, the opening amount, every line, and what is left to the next."""
    said = [
        statement.id,
        statement.period_start.ms,
        statement.period_end.ms,
        statement.opening_minor,
        [packed(line) for line in content.lines],
        [entry.id for entry in content.waiting],
    ]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def packed(line: Line) -> list[int | str]:
    """A line as the plain list that is stored: what does not follow from the rest."""
    return [
        line.order_id,
        line.event,
        line.n,
        line.at.ms,
        line.discounts,
        line.commission,
        line.commission_bps,
        line.psp_fee,
        line.net,
    ]


def unpacked(row: Sequence[Any]) -> Line:
    """The line that `packed` made this list of."""
    order_id, event, n, at_ms, discounts, commission, bps, psp_fee, net = row
    return Line(
        order_id=order_id,
        event=event,
        n=n,
        at=Instant(at_ms),
        kind=EARNING if net > 0 else REVERSAL,
        gross=net + commission + discounts,
        discounts=discounts,
        commission=commission,
        commission_bps=bps,
        psp_fee=psp_fee,
        net=net,
    )


def closed_with(statement: Statement, content: Content) -> Statement:
    """The statement as it reads once it is closed with this content."""
    return replace(
        statement,
        state=STATEMENT.fire(statement.state, "close"),
        closing_minor=statement.opening_minor + content.net_minor,
        line_count=len(content.lines),
        waiting_count=len(content.waiting),
        content_hash=content_hash(statement, content),
    )
