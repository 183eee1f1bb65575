"""What the provider holds beside what our books say, compared as of one cut.

Payments go on while a run reads. The cut is what the run has seen: the entries and the lines that it read, and the fees
that it booked on them. What came later, on either side, is left out on that side, so that both are as old as what
stands between them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from chalicelib.kernel.instant import HOUR_MS, MINUTE_MS, Instant
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import Entry
from chalicelib.providers.ports import BalanceLine
from chalicelib.reconciliation import tables
from chalicelib.reconciliation.model import FEE_EVENT, Difference, Run, day_start, effects, less_newer, provider_day
from chalicelib.runtime import log
from chalicelib.runtime.context import Context

READINGS = 5  # one takes two calls to the provider; no line may come between them


@dataclass
class Seen:
    """Lines by id, and entries on the provider's account by id."""

    lines: set[str] = field(default_factory=set)
    entries: dict[str, Entry] = field(default_factory=dict)

    def add(self, entries: Iterable[Entry], lines: Iterable[BalanceLine]) -> None:
        self.entries.update((entry.id, entry) for entry in entries)
        self.lines.update(line.line_id for line in lines)


def compare(
    ctx: Context, cursor: dict[str, int | str], today: date, open_items: Sequence[Difference], seen: Seen
) -> None:
    """Writes beside today's run what the provider holds, what our books say, and what is known to stand between."""
    provider = ctx.ports.payments.name
    booked = _booked(ctx, cursor, seen)
    explained = effects(open_items)
    held = _held(ctx, {ctx.settings.currency, *booked, *explained}, seen)
    balance = {
        currency: (amount, booked.get(currency, 0), explained.get(currency, 0))
        for currency, amount in sorted(held.items())
    }
    before = tables.run(provider, today) or Run(provider, today)
    run = replace(before, balance=balance)
    if run != before:
        tables.save_run(run)
    if run.balanced is None:
        log.warning("the provider's balance never stood still and was not compared", provider=provider)
    elif not run.balanced:
        log.error("the provider's balance is not explained by our books", provider=provider, balance=str(balance))


def _held(ctx: Context, currencies: Collection[str], seen: Seen) -> Mapping[str, int | None]:
    """What the provider held at the cut, by currency: what it holds now without the lines that came since. None where
    lines came during every reading, so that nobody can say which of them the balance has."""
    payments = ctx.ports.payments
    newer = _newer(ctx, seen)
    for _ in range(READINGS):
        held = {currency: payments.balance(currency).amount_minor for currency in currencies}
        before, newer = newer, _newer(ctx, seen)
        if newer == before:
            return less_newer(held, newer)
    return dict.fromkeys(currencies)


def _newer(ctx: Context, seen: Seen) -> list[BalanceLine]:
    """The provider's lines that the run has not seen. Its clock may go a little before or after ours."""
    lines = ctx.ports.payments.balance_lines(Instant(ctx.now.ms - MINUTE_MS), Instant(ctx.now.ms + HOUR_MS))
    return [line for line in lines if line.line_id not in seen.lines]


def _booked(ctx: Context, cursor: dict[str, int | str], seen: Seen) -> dict[str, int]:
    """Our account at the provider by currency, at the cut. The cursor keeps the sum up to a day ago, so that a night
    reads a night's entries; what indexes show late is younger than that."""
    account = f"A.psp:{ctx.ports.payments.name}"
    since = Instant(int(cursor.get("until", ctx.now.plus(days=-ledger.FIRST_LOOK_DAYS).ms)))
    until = max(since, day_start(provider_day(ctx.now.plus(days=-1))))
    totals: dict[str, int] = defaultdict(int)
    for name, amount in cursor.items():
        if name.startswith("psp_"):
            totals[name.removeprefix("psp_")] = int(amount)
    for entry in ledger.posted_between(since, until):
        totals[entry.currency] += entry.on(account)
    cursor.update({f"psp_{currency}": amount for currency, amount in totals.items()}, until=until.ms)
    # A run beside this one may have booked the fee of a line that both have seen.
    fees = [
        entry
        for entry in ledger.posted_between(until, Instant(ctx.now.ms + HOUR_MS))
        if entry.event == FEE_EVENT and entry.business_id in seen.lines
    ]
    for entry in {**seen.entries, **{fee.id: fee for fee in fees}}.values():
        if entry.at >= until:
            totals[entry.currency] += entry.on(account)
    return dict(totals)
