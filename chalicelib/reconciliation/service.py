"""The nightly match: reads both sides, books the fees of what agrees, and keeps each difference until it is gone.

Every write is put-if-absent or conditional on what was there, so that a run can end anywhere, overlap another, or be
repeated: the second time it finds its own work and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from chalicelib.kernel import ids
from chalicelib.kernel.instant import SECOND_MS, Instant
from chalicelib.kernel.page import Page
from chalicelib.ledger import model as books
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import EntryConflict, Meta, ProviderLine
from chalicelib.reconciliation import balance, tables
from chalicelib.reconciliation.balance import Seen
from chalicelib.reconciliation.model import (
    DIFFERENCE,
    FEE_EVENT,
    LATE_DAYS,
    MISSING_HERE,
    Difference,
    Found,
    Match,
    Movement,
    OrderSide,
    Result,
    Run,
    beside_booked_fees,
    captured_and_refunded,
    day_start,
    fee_difference,
    fee_differences,
    match,
    movement,
    provider_day,
    spans,
    state_differences,
    with_orphans,
)
from chalicelib.runtime import jobs, log
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction

JOB = "reconcile"
Progress = Callable[[int, int], None]
"""Told after each step: how many provider days are done, of how many."""


@dataclass
class Tally:
    """What was found on the days of one run."""

    matched: int = 0
    in_flight: int = 0
    differences: int = 0
    fees_posted: int = 0
    seen: Seen = field(default_factory=Seen)


def reconcile(ctx: Context, only: date | None = None, progress: Progress | None = None) -> dict[str, int]:
    """Matches the provider days since the last completed run and every older day with an open difference; or one
    named day. Answers how many days were looked at and lines matched, what is in flight or different, fees posted.

    Raises ProviderUnavailable; what was done until then stands.
    """
    cursor = dict(jobs.cursor(JOB))
    today = provider_day(ctx.now)
    days = {only} if only else _days(ctx, cursor, today)
    tally, open_items = Tally(), list[Difference]()
    done = 0
    for group in spans(days):
        result = _match(ctx, group, tally.seen)
        for day in group:
            open_items += _conclude(ctx, day, result.of_days({day}), tally, keep=day == today and only is None)
            done += 1
            if progress:
                progress(done, len(days))
    if only is None:
        balance.compare(ctx, cursor, today, open_items, tally.seen)
        cursor["day"] = provider_day(Instant(ctx.now.ms - _lag_ms(ctx))).isoformat()
        jobs.save_cursor(JOB, cursor)
    return {
        "days": len(days),
        "matched": tally.matched,
        "in_flight": tally.in_flight,
        "differences": tally.differences,
        "fees_posted": tally.fees_posted,
    }


def preview(ctx: Context, only: date | None = None, progress: Progress | None = None) -> dict[str, int]:
    """What `reconcile` would find now, by the same names; writes nothing, so the provider's balance is not compared.
    Raises ProviderUnavailable."""
    days = {only} if only else _days(ctx, dict(jobs.cursor(JOB)), provider_day(ctx.now))
    found = {"days": len(days), "matched": 0, "in_flight": 0, "differences": 0, "fees_posted": 0}
    done = 0
    for group in spans(days):
        result = _match(ctx, group, Seen())
        kept = ledger.kept_lines([(one.ours.order_id, one.theirs.line_id) for one in result.matched])
        unlike = fee_differences(result.matched, kept)
        fresh = [one for one in result.matched if one.theirs.line_id not in kept]
        found["matched"] += len(result.matched) - len(unlike)
        found["in_flight"] += len(result.in_flight)
        found["differences"] += len(result.differences) + len(unlike)
        found["fees_posted"] += sum(one.theirs.fee.amount_minor != 0 for one in fresh)
        done += len(group)
        if progress:
            progress(done, len(days))
    return found


def _lag_ms(ctx: Context) -> int:
    return ctx.settings.provider_lag_seconds * SECOND_MS


def _days(ctx: Context, cursor: dict[str, int | str], today: date) -> set[date]:
    first = (
        date.fromisoformat(str(cursor["day"])) if "day" in cursor else today - timedelta(days=ledger.FIRST_LOOK_DAYS)
    )
    new = {first + timedelta(days=i) for i in range((today - first).days + 1)}
    return new | {today} | tables.open_days(ctx.ports.payments.name)


def _match(ctx: Context, group: Sequence[date], seen: Seen) -> Result:
    """Both sides of some days, with the days around them in which a counterpart may stand. What happens while this
    runs is left to the next run, so that a day is looked at as it was at one instant."""
    since = day_start(group[0] - timedelta(days=LATE_DAYS))
    until = day_start(group[-1] + timedelta(days=1 + LATE_DAYS))
    account = f"A.psp:{ctx.ports.payments.name}"
    entries = [entry for entry in ledger.posted_between(since, min(until, ctx.now.plus(ms=1))) if entry.on(account)]
    ours = [found for entry in entries if (found := movement(entry, account))]
    # The provider's times are whole seconds.
    theirs = list(ctx.ports.payments.balance_lines(since, min(until, ctx.now.plus(ms=SECOND_MS))))
    seen.add(entries, theirs)
    days = set(group)
    result = match(ours, theirs, ctx.now, ctx.settings.provider_lag_seconds).of_days(days)
    result = with_orphans(result, _unknown_orders(ctx, [*result.in_flight, *result.differences]))
    of_orders = [move for move in ours if provider_day(move.at) in days and move.at.ms <= ctx.now.ms - _lag_ms(ctx)]
    wrong = state_differences(_order_sides(ctx, of_orders))
    return replace(
        result,
        in_flight=tuple(_beside_booked_fees(item) for item in result.in_flight),
        differences=(*(_beside_booked_fees(item) for item in result.differences), *wrong),
    )


def _unknown_orders(ctx: Context, items: Iterable[Difference]) -> set[str]:
    """The orders of lines that are missing here, where there is no such order."""
    named = {item.order_id for item in items if item.kind == MISSING_HERE and ids.is_id(item.order_id, "ord")}
    return named - set(_said_by_orders(ctx, sorted(named)))


def _beside_booked_fees(item: Difference) -> Difference:
    return beside_booked_fees(item, ledger.lines_of(item.order_id)) if item.order_id else item


def _order_sides(ctx: Context, moves: Iterable[Movement]) -> list[OrderSide]:
    """What the journal and the order each say of the money that an order has moved, for orders of these movements."""
    first = {move.order_id: move for move in reversed(list(moves)) if move.order_id.startswith("ord_")}
    said = _said_by_orders(ctx, list(first))
    account = f"A.psp:{ctx.ports.payments.name}"
    sides = []
    for order_id, move in first.items():
        captured, refunded = captured_and_refunded(ledger.entries_of(order_id), account)
        sides.append(OrderSide(order_id, move.at, move.currency, captured, refunded, said.get(order_id)))
    return sides


def _said_by_orders(ctx: Context, order_ids: Sequence[str]) -> dict[str, tuple[int, int, str]]:
    """Captured, refunded and currency by order, from the slice that owns orders."""
    from chalicelib.orders import service as orders

    facts = orders.payment_facts(ctx, order_ids)
    return {order_id: (money.captured_minor, money.refunded_minor, money.currency) for order_id, money in facts.items()}


def _conclude(ctx: Context, day: date, result: Result, tally: Tally, *, keep: bool) -> list[Difference]:
    """Books fees, keeps differences and the day's run. Returns what is in flight or different. `keep`: the day gets a
    run row although nothing has happened on it."""
    provider = ctx.ports.payments.name
    matched, unlike = _book_fees(ctx, result.matched, tally)
    differences = [*result.differences, *unlike]
    still = _keep(ctx, day, differences)
    before = tables.run(provider, day)
    run = Run(provider, day, matched, len(result.in_flight), still, before.balance if before else {})
    if run != before and (before or keep or matched or run.in_flight or still):
        tables.save_run(run)
    tally.matched += matched
    tally.in_flight += run.in_flight
    tally.differences += still
    return [*differences, *result.in_flight]


def _book_fees(ctx: Context, matched: Sequence[Match], tally: Tally) -> tuple[int, list[Difference]]:
    """Posts the fee of each line that is matched for the first time. Returns how many lines agree in everything, and
    the differences of those that do not."""
    kept = ledger.kept_lines([(found.ours.order_id, found.theirs.line_id) for found in matched])
    unlike = fee_differences(matched, kept)
    for found in matched:
        if found.theirs.line_id in kept:
            continue
        try:
            tally.fees_posted += _book_fee(ctx, found, tally.seen)
        except EntryConflict:
            # Posted by a run that ended before it could keep the line, and the fee has changed since.
            unlike.append(fee_difference(found, _booked_fee(found)))
    return len(matched) - len(unlike), unlike


def _booked_fee(found: Match) -> int:
    return sum(entry.on("E.psp_fee") for entry in ledger.entries_of(found.theirs.line_id))


def _book_fee(ctx: Context, found: Match, seen: Seen) -> int:
    """The fee's entry first and the line after it, so that a line that is kept has its fee booked. Returns how many
    entries were posted."""
    line = found.theirs
    posted = 0
    legs = books.provider_fee(line.fee.amount_minor, ctx.ports.payments.name)
    if legs:
        tx = Transaction()
        meta: Meta = {"order_id": found.ours.order_id, "available_on": line.available_on.ms}
        currency = line.fee.currency
        fee = books.entry(
            FEE_EVENT, line.line_id, 1, at=ctx.now, currency=currency, legs=legs, ref=line.source, meta=meta
        )
        ledger.post(tx, fee)
        try:
            tx.commit()
            seen.add([fee], [])
            posted = 1
        except AlreadyDone:
            posted = 0
    ledger.keep_line(
        ProviderLine(
            order_id=found.ours.order_id,
            line_id=line.line_id,
            ref=line.source,
            currency=line.amount.currency,
            amount_minor=line.amount.amount_minor,
            fee_minor=line.fee.amount_minor,
            available_on=line.available_on,
            matched_at=ctx.now,
        )
    )
    return posted


def _keep(ctx: Context, day: date, differences: Sequence[Difference]) -> int:
    """Brings what is kept of a day to what was found: new ones are put, changed ones replaced, those that are gone
    turn repaired. Returns how many stand open; an accepted one does not."""
    provider = ctx.ports.payments.name
    known = {tables.place(found.difference): found for found in tables.of_day(provider, day)}
    still = 0
    for item in differences:
        before = known.pop(tables.place(item), None)
        if before is not None and before.state == "accepted":
            continue
        still += 1
        if before is None:
            _write(None, Found(provider, item, DIFFERENCE.initial, ctx.now))
        elif before.state == "repaired":
            again = Found(provider, item, DIFFERENCE.fire("repaired", "seen_again"), before.found_at)
            _write(before, again)
        elif before.difference != item:
            _write(before, replace(before, difference=item))
    for before in known.values():
        if before.state == DIFFERENCE.initial:
            _write(before, replace(before, state=DIFFERENCE.fire(before.state, "gone"), repaired_at=ctx.now))
    return still


def _write(before: Found | None, after: Found) -> None:
    tx = Transaction()
    if before is None:
        tables.put_found(tx, after)
    else:
        tables.move_found(tx, before, after)
    try:
        tx.commit()
    except AlreadyDone:
        return  # another run has seen the same
    item = after.difference
    log.warning("reconciliation difference", kind=item.kind, ref=item.ref, state=after.state, order_id=item.order_id)


def runs(before: str | None, limit: int) -> Page[Run]:
    """Newest provider day first."""
    return tables.runs(before, limit)


def differences(state: str | None, kind: str | None, before: str | None, limit: int) -> Page[Found]:
    """Last found first; every state unless one is named."""
    return tables.listed((state,) if state else DIFFERENCE.states, kind, before, limit)
