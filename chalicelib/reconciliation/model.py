"""The three-way match as pure decisions: our journal, the provider's own lines, and what orders say of themselves.

A movement of ours and a line of theirs belong together when they name the same charge or refund and move the same way.
What has no counterpart is in flight while it is younger than the provider's lag, and a difference from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from chalicelib.kernel.instant import SECOND_MS, Instant
from chalicelib.kernel.states import StateMachine
from chalicelib.ledger.model import Entry, ProviderLine
from chalicelib.providers.ports import BalanceLine

DIFFERENCE = StateMachine(
    "reconciliation_difference",
    "open",
    {
        "open": {"gone": "repaired", "accept": "accepted"},
        "repaired": {"seen_again": "open"},
        "accepted": {},
    },
)

MISSING_HERE, MISSING_THERE, AMOUNT, CURRENCY = "missing_here", "missing_there", "amount", "currency"
FEE, STATE, DUPLICATE, UNKNOWN_CATEGORY = "fee", "state", "duplicate", "unknown_category"
ORPHAN = "orphan"  # money of an order that is not here, which only a restore can bring about
KINDS = (MISSING_HERE, MISSING_THERE, AMOUNT, CURRENCY, FEE, STATE, DUPLICATE, UNKNOWN_CATEGORY, ORPHAN)

# The provider's reporting categories that our entries have counterparts of. Methods other than cards book `payment`
# where cards book `charge`; what is not named here is shown as a difference, never dropped.
KNOWN_CATEGORIES = frozenset({"charge", "payment", "refund", "payment_refund", "refund_failure"})
FEE_EVENT = "provider_fee"
RETURNED_EVENT = "refund_returned"
LATE_DAYS = 4  # a provider tells of a thing for up to three days, so its counterpart may stand on another day


@dataclass(frozen=True)
class Movement:
    """An entry that moved money at the provider; minor units, what came in above zero."""

    entry_id: str
    order_id: str
    ref: str
    currency: str
    amount_minor: int
    at: Instant


@dataclass(frozen=True)
class Match:
    """A movement and the line that agrees with it."""

    ours: Movement
    theirs: BalanceLine


@dataclass(frozen=True)
class Difference:
    """`ref` names it on its day. `effect` is by how much, per currency, the provider's balance is above our books
    because of it."""

    kind: str
    ref: str
    at: Instant
    order_id: str = ""
    provider_ref: str = ""
    ours: tuple[int, str] | None = None
    theirs: tuple[int, str] | None = None
    effect: Mapping[str, int] = field(default_factory=dict)

    @property
    def day(self) -> date:
        return provider_day(self.at)


@dataclass(frozen=True)
class Result:
    """What a match found; everything that went in is in exactly one of the four. `undone` are lines of refunds that
    failed on their way, each with the line that takes it back: for our books they never happened."""

    matched: tuple[Match, ...]
    in_flight: tuple[Difference, ...]
    differences: tuple[Difference, ...]
    undone: tuple[BalanceLine, ...] = ()

    def of_days(self, days: set[date]) -> Result:
        """What happened on these days; the rest was there only to find counterparts."""
        return Result(
            tuple(match for match in self.matched if provider_day(match.theirs.created) in days),
            tuple(item for item in self.in_flight if item.day in days),
            tuple(item for item in self.differences if item.day in days),
            tuple(line for line in self.undone if provider_day(line.created) in days),
        )


@dataclass(frozen=True)
class Run:
    """The standing of one provider day. `balance` is currency → (provider's balance, our books, explained by what is
    in flight or different), on the newest day only; the provider's is None where it could not be compared."""

    provider: str
    day: date
    matched: int = 0
    in_flight: int = 0
    differences: int = 0
    balance: Mapping[str, tuple[int | None, int, int]] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return "differences" if self.differences else "in_flight" if self.in_flight else "matched"

    @property
    def balanced(self) -> bool | None:
        """Is every cent between the provider's balance and our books explained? None: some was not compared, and the
        rest is."""
        held = [holds(*amounts) for amounts in self.balance.values()]
        return False if False in held else None if None in held else True


@dataclass(frozen=True)
class Found:
    """A difference as it is kept, with its state and times."""

    provider: str
    difference: Difference
    state: str
    found_at: Instant
    repaired_at: Instant | None = None


def holds(theirs: int | None, ours: int, explained: int) -> bool | None:
    """None: it was not compared."""
    return None if theirs is None else theirs == ours + explained


def provider_day(at: Instant) -> date:
    """Days of Stripe begin at midnight UTC."""
    return datetime.fromtimestamp(at.seconds, UTC).date()


def day_start(day: date) -> Instant:
    return Instant.of(datetime(day.year, day.month, day.day, tzinfo=UTC))


def movement(entry: Entry, account: str) -> Movement | None:
    """What an entry moved on the provider's account; None for one that did not, and for the provider's own fees."""
    amount = entry.on(account)
    if entry.event == FEE_EVENT or not amount:
        return None
    return Movement(entry.id, entry.business_id, entry.ref, entry.currency, amount, entry.at)


def spans(days: Iterable[date]) -> list[list[date]]:
    """Days in order, in groups near enough to be read in one go with the days around them."""
    groups: list[list[date]] = []
    for day in sorted(set(days)):
        if groups and day - groups[-1][-1] <= timedelta(days=2 * LATE_DAYS):
            groups[-1].append(day)
        else:
            groups.append([day])
    return groups


def match(ours: Iterable[Movement], theirs: Iterable[BalanceLine], now: Instant, lag_seconds: int) -> Result:
    """Joins both sides. The outcome does not depend on their order, nor on reading the same thing twice."""
    lines = sorted({line.line_id: line for line in theirs}.values(), key=lambda line: (line.created.ms, line.line_id))
    moves = sorted({move.entry_id: move for move in ours}.values(), key=lambda move: (move.at.ms, move.entry_id))
    ours_by: dict[tuple[str, bool], list[Movement]] = defaultdict(list)
    theirs_by: dict[tuple[str, bool], list[BalanceLine]] = defaultdict(list)
    differences: list[Difference] = []
    for move in moves:
        ours_by[move.ref or move.entry_id, move.amount_minor > 0].append(move)
    for line in lines:
        if line.category in KNOWN_CATEGORIES:
            theirs_by[line.source, line.amount.amount_minor > 0].append(line)
        else:
            differences.append(_of_line(UNKNOWN_CATEGORY, line))
    matched: list[Match] = []
    lonely: list[Difference] = []
    unknown: list[BalanceLine] = []
    for key in sorted({*ours_by, *theirs_by}):
        agree, unlike, more_ours, more_theirs = _paired(ours_by.get(key, []), theirs_by.get(key, []))
        matched += agree
        differences += unlike
        if agree or unlike:
            # Beside a pair the rest is a second one of the same thing.
            differences += [replace(_of_move(DUPLICATE, move), ref=move.entry_id) for move in more_ours]
            differences += [_of_line(DUPLICATE, line) for line in more_theirs]
        else:
            lonely += [_of_move(MISSING_THERE, move) for move in more_ours]
            unknown += more_theirs
    undone = _undone(unknown)
    lonely += [_of_line(MISSING_HERE, line) for line in unknown if line not in undone]
    young = now.ms - lag_seconds * SECOND_MS
    return Result(
        tuple(matched),
        tuple(item for item in lonely if item.at.ms > young),
        tuple(differences) + tuple(item for item in lonely if item.at.ms <= young),
        tuple(undone),
    )


def _undone(lines: Sequence[BalanceLine]) -> list[BalanceLine]:
    """Those that take each other back: a wallet's refund is on its line when it is asked for, and when the wallet then
    refuses it, there is a second line. We book a refund when it has arrived, and so neither."""
    waiting = {line.source: line for line in lines if line.amount.amount_minor < 0}
    found = []
    for line in lines:
        refund = waiting.get(line.source)
        # Where something is left over, a fee too, both are differences.
        if line.category == "refund_failure" and refund is not None and _nothing_left(refund, line):
            found += [waiting.pop(line.source), line]
    return found


def _nothing_left(one: BalanceLine, other: BalanceLine) -> bool:
    feeless = not one.fee.amount_minor and not other.fee.amount_minor
    same = one.amount.currency == other.amount.currency
    return feeless and same and one.amount.amount_minor == -other.amount.amount_minor


def _paired(
    ours: Sequence[Movement], theirs: Sequence[BalanceLine]
) -> tuple[list[Match], list[Difference], list[Movement], list[BalanceLine]]:
    """What agrees and what does not of one charge or refund, equal amounts first; then what each side has left over."""
    left, agree, rest = list(theirs), [], []
    for move in ours:
        equal = next((line for line in left if _agree(move, line)), None)
        if equal is None:
            rest.append(move)
        else:
            left.remove(equal)
            agree.append(Match(move, equal))
    # Only a thing that agrees with nothing at all is compared with one that does not agree.
    unlike = [_unlike(rest.pop(0), left.pop(0))] if not agree and rest and left else []
    return agree, unlike, rest, left


def _agree(move: Movement, line: BalanceLine) -> bool:
    return move.amount_minor == line.amount.amount_minor and move.currency == line.amount.currency


def _unlike(move: Movement, line: BalanceLine) -> Difference:
    kind = AMOUNT if move.currency == line.amount.currency else CURRENCY
    effect = defaultdict(int, {line.amount.currency: line.amount.amount_minor - line.fee.amount_minor})
    effect[move.currency] -= move.amount_minor
    return replace(
        _of_line(kind, line),
        order_id=move.order_id,
        ours=(move.amount_minor, move.currency),
        effect=dict(effect),
    )


def _of_line(kind: str, line: BalanceLine) -> Difference:
    return Difference(
        kind,
        line.line_id,
        line.created,
        order_id=line.order_id,
        provider_ref=line.source,
        theirs=(line.amount.amount_minor, line.amount.currency),
        effect={line.amount.currency: line.amount.amount_minor - line.fee.amount_minor},
    )


def _of_move(kind: str, move: Movement) -> Difference:
    return Difference(
        kind,
        move.ref or move.entry_id,
        move.at,
        order_id=move.order_id,
        provider_ref=move.ref,
        ours=(move.amount_minor, move.currency),
        effect={move.currency: -move.amount_minor},
    )


def with_orphans(result: Result, unknown: Collection[str]) -> Result:
    """Lines that are missing here because their order is: `unknown` are the orders that do not exist. An order is
    always written before the provider hears of it, so such a line is never in flight."""

    def orphan(item: Difference) -> bool:
        return item.kind == MISSING_HERE and item.order_id in unknown

    return replace(
        result,
        in_flight=tuple(item for item in result.in_flight if not orphan(item)),
        differences=(
            *(replace(item, kind=ORPHAN) if orphan(item) else item for item in result.differences),
            *(replace(item, kind=ORPHAN) for item in result.in_flight if orphan(item)),
        ),
    )


def beside_booked_fees(item: Difference, kept: Iterable[ProviderLine]) -> Difference:
    """The difference when lines of the same order were matched before: a fee that is booked is in our books already,
    so the balances are that much nearer to each other. A second one of a thing never had a fee."""
    if item.kind not in (MISSING_THERE, AMOUNT, CURRENCY):
        return item
    effect = defaultdict(int, item.effect)
    for line in kept:
        if line.ref == item.provider_ref:
            effect[line.currency] += line.fee_minor
    return replace(item, effect=dict(effect))


def fee_differences(matched: Iterable[Match], kept: Mapping[str, ProviderLine]) -> list[Difference]:
    """Lines whose fee is no longer the one that was booked when they were first matched."""
    return [
        fee_difference(match, kept[match.theirs.line_id].fee_minor)
        for match in matched
        if match.theirs.line_id in kept and kept[match.theirs.line_id].fee_minor != match.theirs.fee.amount_minor
    ]


def fee_difference(match: Match, booked_minor: int) -> Difference:
    line, fee = match.theirs, match.theirs.fee
    return replace(
        _of_line(FEE, line),
        order_id=match.ours.order_id,
        ours=(booked_minor, fee.currency),
        theirs=(fee.amount_minor, fee.currency),
        effect={fee.currency: booked_minor - fee.amount_minor},
    )


@dataclass(frozen=True)
class OrderSide:
    """What is booked at the provider for an order, and what the order itself says; minor units. `said` None: there is
    no such order."""

    order_id: str
    at: Instant
    currency: str
    captured: int
    refunded: int
    said: tuple[int, int, str] | None


def captured_and_refunded(entries: Iterable[Entry], account: str) -> tuple[int, int]:
    """What came in on the provider's account and what went back, in minor units. A refund that the bank has returned
    did not go back; it is no second payment."""
    moved = [(entry.event, entry.on(account)) for entry in entries]
    captured = sum(amount for event, amount in moved if amount > 0 and event != RETURNED_EVENT)
    return captured, captured - sum(amount for _, amount in moved)


def state_differences(orders: Iterable[OrderSide]) -> list[Difference]:
    """Orders that say something else of their payment than the journal. No money moves by it, so no effect."""
    return [
        Difference(
            STATE,
            side.order_id,
            side.at,
            order_id=side.order_id,
            ours=(side.captured - side.refunded, side.currency),
            theirs=(side.said[0] - side.said[1], side.said[2]) if side.said else None,
        )
        for side in orders
        if side.said != (side.captured, side.refunded, side.currency)
    ]


def effects(differences: Iterable[Difference]) -> dict[str, int]:
    """By how much, per currency, all of these put the provider's balance above our books."""
    total: dict[str, int] = defaultdict(int)
    for item in differences:
        for currency, amount in item.effect.items():
            total[currency] += amount
    return dict(total)


def less_newer(held: Mapping[str, int], newer: Iterable[BalanceLine]) -> dict[str, int]:
    """What the provider held before these lines came; minor units by currency, fees taken off as the provider does."""
    left = dict(held)
    for line in newer:
        if line.amount.currency in left:
            left[line.amount.currency] -= line.amount.amount_minor - line.fee.amount_minor
    return left
