"""Statements against the journal: each earning once, each sum right, and nothing before its time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

from chalicelib.kernel.instant import local_midnight
from chalicelib.ledger.entries import Entry
from chalicelib.runtime.settings import settings
from tests.invariants.ledger import AVAILABLE, PENDING
from tests.invariants.reading import Earning, OnPaper, Seen

Account = tuple[str, str, str]


def each_earning_is_settled_once(seen: Seen) -> list[str]:
    """money 14: an earning stands on one statement at the most, and what is on one says what its entry says."""
    earnings = earnings_of(seen)
    on = Counter((line.order_id, line.event, line.n) for paper in closed(seen) for line in paper.lines)
    faults = [f"{earning}: on {count} statements" for earning, count in on.items() if count > 1]
    for paper in closed(seen):
        for line in paper.lines:
            entry = earnings.get((line.order_id, line.event, line.n))
            if entry is None:
                faults.append(f"{paper.statement.id}: {line.event} of {line.order_id} is no earning")
                continue
            says = (entry.on(PENDING), entry.on("R.commission") + entry.on("L.tax"), entry.at, _account(entry))
            if says != (-line.net, -line.commission, line.at, account_of(paper)):
                faults.append(f"{paper.statement.id}: {entry.id} reads {line.net} + {line.commission} at {line.at}")
    return faults


def no_earning_is_passed_over(seen: Seen) -> list[str]:
    """money 14: what was earned in the time of closed statements stands on one of them, or waits on the newest."""
    on = {(line.order_id, line.event, line.n) for paper in closed(seen) for line in paper.lines}
    newest: dict[Account, OnPaper] = {account_of(paper): paper for paper in closed(seen)}
    faults = []
    for earning, entry in earnings_of(seen).items():
        paper = newest.get(_account(entry))
        if paper is not None and entry.at < paper.statement.period_end and earning not in on:
            if earning not in paper.waiting:
                faults.append(f"{entry.id}: passed over by statement {paper.statement.number} of {_account(entry)}")
        elif paper is not None and earning in paper.waiting:
            faults.append(f"{entry.id}: waits, and is on a statement or in no period yet")
    return faults


def statements_add_up(seen: Seen) -> list[str]:
    """money 14: a closed statement's sums, counts and hash are those of its lines, and it opens where the one before it
    closed."""
    faults = []
    chains: dict[Account, list[OnPaper]] = defaultdict(list)
    for paper in seen.statements:
        chains[account_of(paper)].append(paper)
    for account, papers in chains.items():
        papers.sort(key=lambda paper: paper.statement.number)
        if [paper.statement.number for paper in papers] != list(range(1, len(papers) + 1)):
            faults.append(f"{account}: statements {[paper.statement.number for paper in papers]}")
        if papers[0].statement.opening_minor or any(paper.statement.state != "closed" for paper in papers[:-1]):
            faults.append(f"{account}: begins with an amount, or goes on after a statement that is not closed")
        for earlier, later in pairwise(paper.statement for paper in papers):
            if (later.opening_minor, later.period_start) != (earlier.closing_minor, earlier.period_end):
                faults.append(f"{later.id}: does not begin where number {earlier.number} ended")
    for paper in closed(seen):
        one, net = paper.statement, sum(line.net for line in paper.lines)
        if one.closing_minor != one.opening_minor + net:
            faults.append(f"{one.id}: closes with {one.closing_minor}, opened with {one.opening_minor} and has {net}")
        if (one.line_count, one.waiting_count) != (len(paper.lines), len(paper.waiting)):
            faults.append(f"{one.id}: counts {one.line_count} and {one.waiting_count}")
        if own_hash(paper) != one.content_hash:
            faults.append(f"{one.id}: its content is not what was hashed")
        faults += [
            f"{one.id}: a line of {line.net} net and {line.commission} is {line.gross} gross"
            for line in paper.lines
            if line.gross != line.net + line.commission + line.discounts
        ]
    return faults


def own_hash(paper: OnPaper) -> str:
    """What a statement's hash has always been: SHA-256 over its period, its opening, each line, and what waits."""
    one = paper.statement
    lines = [
        [a.order_id, a.event, a.n, a.at.ms, a.discounts, a.commission, a.commission_bps, a.psp_fee, a.net]
        for a in paper.lines
    ]
    waiting = [f"{event}:{order_id}:{n}" for order_id, event, n in paper.waiting]
    said = [one.id, one.period_start.ms, one.period_end.ms, one.opening_minor, lines, waiting]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def statements_are_booked_once(seen: Seen) -> list[str]:
    """money 14: a closed statement has moved its net from pending to available, in one entry; an open one nothing."""
    faults = []
    booked = {entry.business_id: entry for entry in seen.journal if entry.event == "settled"}
    for paper in seen.statements:
        one = paper.statement
        net = sum(line.net for line in paper.lines)
        entry = booked.pop(one.id, None)
        moved = (entry.on(PENDING), entry.on(AVAILABLE)) if entry else (0, 0)
        if moved != (net, -net) or (entry is not None and _account(entry) != account_of(paper)):
            faults.append(f"{one.id}: is {one.state} with {net}, booked is {moved}")
        if entry is not None and (entry.n != 1 or entry.at != one.closed_at):
            faults.append(f"{entry.id}: posted at {entry.at}, the statement was closed at {one.closed_at}")
    merchants = {paper.statement.account.merchant_id for paper in seen.statements}
    return faults + [
        f"{entry.id}: settles a statement that is not there"
        for entry in booked.values()
        if seen.whole or entry.merchant_id in merchants
    ]


def available_is_what_was_settled(seen: Seen) -> list[str]:
    """money 14: what a merchant has available is the sum of its closed statements, as nothing leaves it yet."""
    settled: Counter[tuple[str, str]] = Counter()
    for paper in closed(seen):
        account = paper.statement.account
        settled[account.merchant_id, account.currency] += sum(line.net for line in paper.lines)
    return [
        f"{key}: {row.balance.available if row else 0} is available, {settled[key]} was settled"
        for key in settled.keys() | seen.balances.keys()
        if (row := seen.balances.get(key)) is None or row.balance.available != settled[key]
        if settled[key] or row is not None
    ]


def nothing_is_settled_too_early(seen: Seen) -> list[str]:
    """States: settled is only what was earned before the midnight N days ago in the shop's zone, whose dispute window
    is over and whose money can be used at the provider."""
    usable = {str(line["source"]): int(line["available_on"]) * 1000 for line in seen.lines}
    faults = []
    for paper in seen.statements:
        one = paper.statement
        day = one.opened_at.local_date(one.account.zone) - timedelta(days=settings().settle_after_days)
        midnight = local_midnight(day, one.account.zone)
        if one.period_end > min(midnight, one.opened_at.plus(seconds=-settings().auto_complete_seconds)):
            faults.append(f"{one.id}: ends at {one.period_end} and was opened at {one.opened_at}")
        for line in paper.lines:
            if line.at >= one.period_end:
                faults.append(f"{one.id}: {line.event} of {line.order_id} is of {line.at}, after its period")
            for entry in seen.entries_of(line.order_id):
                late = usable.get(entry.ref, 0) > one.opened_at.ms
                if late and entry.at < one.opened_at and entry.on("A.psp:") > 0:
                    faults.append(f"{one.id}: settles {line.order_id}, whose {entry.ref} cannot be used yet")
    return faults


def no_statement_stays_open(seen: Seen) -> list[str]:
    """States: after a settlement every statement that was opened is closed."""
    return [
        f"{paper.statement.id}: number {paper.statement.number} is {paper.statement.state}"
        for paper in seen.statements
        if paper.statement.state != "closed"
    ]


# ---------------------------------------------------------------------------------------------- small parts


def closed(seen: Seen) -> list[OnPaper]:
    """Closed statements, by account and number."""
    return [paper for paper in seen.statements if paper.statement.state == "closed"]


def account_of(paper: OnPaper) -> Account:
    account = paper.statement.account
    return account.merchant_id, account.shop_id, account.currency


def _account(entry: Entry) -> Account:
    return entry.merchant_id, entry.shop_id, entry.currency


def earnings_of(seen: Seen) -> dict[Earning, Entry]:
    """Every entry that a merchant earned by, or that took some of it back."""
    return {
        (entry.business_id, entry.event, entry.n): entry
        for entry in seen.journal
        if entry.event != "settled" and entry.on(PENDING)
    }


ALWAYS = (
    each_earning_is_settled_once,
    no_earning_is_passed_over,
    statements_add_up,
    statements_are_booked_once,
    available_is_what_was_settled,
    nothing_is_settled_too_early,
)
AFTER_A_NIGHT = (no_statement_stays_open,)
