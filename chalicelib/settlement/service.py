"""Settling: every night each account's due earnings go on one statement, and what it says becomes available.

A run can end at any point, and runs can overlap. The header that is put first is the fence: one statement of an account
is open, and whoever comes next goes on with it. Lines are stored under the hash of the whole content, and the last
transaction closes the header with the hash that counts, posts the entry and moves the balance, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from chalicelib.kernel.errors import NotFound
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.kernel.money import Money
from chalicelib.kernel.page import Page
from chalicelib.ledger import model as books
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import Entry
from chalicelib.runtime import jobs, log
from chalicelib.runtime.context import Actor, Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction
from chalicelib.settlement import tables
from chalicelib.settlement.model import (
    STATEMENT,
    TRAILING_MS,
    Account,
    Content,
    Line,
    Statement,
    bounded_end,
    closed_with,
    decide,
    moves_pending,
    period_end,
    statement_id,
)
from chalicelib.settlement.standing import Standings

JOB = "settle"
Progress = Callable[[int, int], None]
"""Told after each step: how many accounts are done, of how many."""
IDLE_MS = 7 * DAY_MS  # longer than any run can hang, so that forgetting an account never races with noting it


def settle(ctx: Context, progress: Progress | None = None) -> dict[str, int]:
    """Closes every statement that is due. Answers how many accounts it looked at, statements it closed, entries that
    wait, and accounts that failed (they are logged and come again)."""
    _discover(ctx)
    standings = Standings(ctx)
    done = {"accounts": 0, "statements": 0, "waiting": 0, "failed": 0}
    accounts = sorted(
        tables.agenda().items(), key=lambda item: (item[0].merchant_id, item[0].shop_id, item[0].currency)
    )
    for merchant_id, group in groupby(accounts, key=lambda item: item[0].merchant_id):
        ours = list(group)
        done["accounts"] += len(ours)
        if progress:
            progress(done["accounts"], len(accounts))
        try:
            statements, waiting = _settle_merchant(standings, merchant_id, ours)
        except Exception as error:  # one merchant's trouble must not hold up the others
            log.error("settlement failed", error, merchant_id=merchant_id)
            done["failed"] += 1
            continue
        done["statements"] += statements
        done["waiting"] += waiting
    return done


def preview(ctx: Context, progress: Progress | None = None) -> list[Statement]:
    """The statement that `settle` would close next for each account, as it would read then. Writes nothing."""
    standings = Standings(ctx)
    found = []
    noted = list({_key(item[0]): item for item in [*tables.agenda().items(), *_named(ctx).items()]}.values())
    for index, (account, first) in enumerate(noted, 1):
        last = tables.last_of(account)
        start = _start(last, first)
        ours = (account.shop_id, account.currency)
        entries = [
            entry
            for entry in ledger.merchant_entries(account.merchant_id, start, ctx.now)
            if moves_pending(entry) and (entry.shop_id, entry.currency) == ours
        ]
        if last is not None and last.state == STATEMENT.initial:
            earlier = tables.one(account, last.number - 1)
            found.append(closed_with(last, _content(standings, last, earlier, entries)))
        elif due := _due(standings, account, last, start, entries):
            found.append(closed_with(*due))
        if progress:
            progress(index, len(noted))
    return found


def _discover(ctx: Context) -> None:
    """Notes accounts that the journal names since the last run."""
    tables.note(_named(ctx))
    jobs.save_cursor(JOB, {"until": ctx.now.ms})


def _named(ctx: Context) -> dict[Account, Instant]:
    """Accounts that the journal names since the last run, where the agenda does not know them as they are. What an
    index shows late is seen again."""
    first_look = ctx.now.plus(days=-ledger.FIRST_LOOK_DAYS)
    since = Instant(int(jobs.cursor(JOB).get("until", first_look.ms)) - TRAILING_MS)
    known = {_key(account): (account, first) for account, first in tables.agenda().items()}
    fresh: dict[tuple[str, str, str], tuple[Account, Instant]] = {}
    for entry in ledger.posted_between(since, ctx.now):
        if not moves_pending(entry):
            continue
        account = Account(entry.merchant_id, entry.shop_id, entry.currency, str(entry.meta.get("zone", "UTC")))
        before = fresh.get(_key(account)) or known.get(_key(account))
        if before is None or before[0].zone != account.zone:
            fresh[_key(account)] = (account, before[1] if before else entry.at)
    return dict(fresh.values())


def _key(account: Account) -> tuple[str, str, str]:
    return account.merchant_id, account.shop_id, account.currency


def unnoted(ctx: Context, earned: Mapping[Account, Instant]) -> dict[Account, Instant]:
    """Those of the accounts that have something unsettled and stand not on the agenda, so that no night would come by
    them; with the time of their first entry. What was posted since the last night is not missing yet."""
    looked_until = int(jobs.cursor(JOB).get("until", 0)) - TRAILING_MS
    known = {_key(account) for account in tables.agenda()}
    found = {}
    for account, first in earned.items():
        if _key(account) in known or first.ms >= looked_until:
            continue
        last = tables.last_of(account)
        since = _start(last, first)
        mine = (
            entry
            for entry in ledger.merchant_entries(account.merchant_id, since, Instant(looked_until))
            if moves_pending(entry) and (entry.shop_id, entry.currency) == (account.shop_id, account.currency)
        )
        if (last is not None and (last.waiting_count or last.state == STATEMENT.initial)) or any(True for _ in mine):
            found[account] = first
    return found


def note(tx: Transaction, account: Account, first: Instant) -> None:
    """Puts an account on the agenda in somebody else's transaction; one that stands there is AlreadyDone."""
    tables.note_new(tx, account, first)


def _settle_merchant(standings: Standings, merchant_id: str, noted: list[tuple[Account, Instant]]) -> tuple[int, int]:
    """One merchant's accounts over one reading of its entries. Returns statements closed and entries that wait."""
    ctx = standings.ctx
    last = {account: tables.last_of(account) for account, _ in noted}
    starts = {account: _start(last[account], first) for account, first in noted}
    entries = [
        entry for entry in ledger.merchant_entries(merchant_id, min(starts.values()), ctx.now) if moves_pending(entry)
    ]
    statements = waiting = 0
    idle: list[Account] = []
    for account, first in noted:
        ours = [entry for entry in entries if (entry.shop_id, entry.currency) == (account.shop_id, account.currency)]
        newest = last[account]
        while (closed := _next_statement(standings, account, newest, _start(newest, first), ours)) is not None:
            newest = closed
            statements += 1
        left = [entry for entry in ours if entry.at >= _start(newest, first)]
        waiting += len(left) + (newest.waiting_count if newest else 0)
        if newest and not left and not newest.waiting_count and ctx.now.since(newest.period_end) > IDLE_MS:
            idle.append(account)
    for currency in sorted({account.currency for account, _ in noted}):
        ledger.roll_pending(merchant_id, currency, ctx.now)
    tables.forget(idle)
    return statements, waiting


def _start(last: Statement | None, first_noted: Instant) -> Instant:
    if last is None:
        return Instant(max(0, first_noted.ms - TRAILING_MS))
    return last.period_end if last.state == "closed" else last.period_start


def _next_statement(
    standings: Standings, account: Account, last: Statement | None, start: Instant, entries: Sequence[Entry]
) -> Statement | None:
    """Goes on with the statement that is open, or opens the next one when something is due, and closes it. None when
    there is nothing to do, or another run does it."""
    if last is not None and last.state == "closing":
        earlier = tables.one(account, last.number - 1)
        return _close(standings.ctx, last, _content(standings, last, earlier, entries))
    opened = _open(standings, account, last, start, entries)
    return _close(standings.ctx, *opened) if opened else None


def _open(
    standings: Standings, account: Account, last: Statement | None, start: Instant, entries: Sequence[Entry]
) -> tuple[Statement, Content] | None:
    """Puts the next header, unless nothing is due or another run has put it: then that run goes on with it."""
    due = _due(standings, account, last, start, entries)
    if due is None:
        return None
    tx = Transaction()
    tables.open_new(tx, due[0])
    try:
        tx.commit()
    except AlreadyDone:
        return None
    return due


def _due(
    standings: Standings, account: Account, last: Statement | None, start: Instant, entries: Sequence[Entry]
) -> tuple[Statement, Content] | None:
    """The statement that comes next and what stands on it; None when nothing is due."""
    ctx = standings.ctx
    end = period_end(account.zone, ctx.now, ctx.settings.settle_after_days, ctx.settings.auto_complete_seconds)
    carried = _carried(last)
    window = [entry for entry in entries if start <= entry.at < end]
    standing = standings.of([*carried, *window], ctx.now)
    end = bounded_end(window, len(carried), standing, end)
    content = decide([*carried, *(entry for entry in window if entry.at < end)], standing, end)
    if end <= start or not content.lines or content.net_minor < 0:
        return None  # what a merchant would owe waits for what it earns
    number = last.number + 1 if last else 1
    opened = Statement(
        id=statement_id(account, number),
        account=account,
        number=number,
        state=STATEMENT.initial,
        period_start=start,
        period_end=end,
        opened_at=ctx.now,
        opening_minor=last.closing_minor if last else 0,
    )
    return opened, content


def _content(
    standings: Standings, statement: Statement, earlier: Statement | None, entries: Sequence[Entry]
) -> Content:
    """What belongs on a statement that another run has opened: its period, and what is available as of its opening."""
    carried = _carried(earlier)
    window = [entry for entry in entries if statement.period_start <= entry.at < statement.period_end]
    standing = standings.of([*carried, *window], statement.opened_at)
    return decide([*carried, *window], standing, statement.period_end)


def _close(ctx: Context, statement: Statement, content: Content) -> Statement | None:
    """Lines first, then state, journal and balance in one transaction."""
    account, closed = statement.account, closed_with(statement, content)
    tables.put_chunks(closed, content)
    tx = Transaction()
    tables.close(tx, closed, ctx.now)
    legs = books.settled(content.net_minor, account.merchant_id)
    if legs:
        entry = books.entry(
            "settled",
            statement.id,
            1,
            at=ctx.now,
            currency=account.currency,
            legs=legs,
            merchant_id=account.merchant_id,
            shop_id=account.shop_id,
        )
        ledger.post(tx, entry)
        ledger.add_available(tx, account.merchant_id, account.currency, content.net_minor)
    try:
        tx.commit()
    except AlreadyDone:
        return None  # another run closed it, and goes on with what comes next
    log.info("statement closed", statement_id=statement.id, lines=closed.line_count, net_minor=content.net_minor)
    return closed


def _carried(last: Statement | None) -> list[Entry]:
    """The entries that a closed statement left waiting, read again from the journal."""
    if last is None or not last.waiting_count:
        return []
    waiting = tables.waiting_of(last)
    found = []
    for order_id, keys in groupby(sorted(waiting), key=lambda key: key[0]):
        wanted = {(event, n) for _, event, n in keys}
        found += [entry for entry in ledger.entries_of(order_id) if (entry.event, entry.n) in wanted]
    return found


def statements_of(actor: Actor, after: str | None, limit: int) -> Page[Statement]:
    """Closed statements of the actor's merchant and shops, newest first."""
    return tables.statements_of(actor.merchant_id, actor.shop_ids, after, limit)


def statement(actor: Actor, statement_id: str) -> tuple[Statement, list[Line]]:
    """A closed statement with its lines. Raises NotFound for another merchant's or shop's."""
    found = tables.find(statement_id)
    if found is None or found.account.merchant_id != actor.merchant_id or not actor.may_act_for(found.account.shop_id):
        raise NotFound
    return found, tables.lines_of(found)


def balance(merchant_id: str, currency: str, now: Instant) -> dict[str, Money]:
    """Pending, available, withdrawing, reserve and owed, by name."""
    held = ledger.balance(merchant_id, currency)
    amounts = {
        "pending": ledger.pending(merchant_id, currency, now),
        "available": held.available,
        "withdrawing": held.withdrawing,
        "reserve": held.reserve,
        "owed": held.owed,
    }
    return {name: Money(amount, currency) for name, amount in amounts.items()}
