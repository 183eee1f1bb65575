"""What the nights have matched and kept, against the provider's lines and our entries as they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from chalicelib.kernel.instant import DAY_MS
from chalicelib.ledger.entries import Entry
from chalicelib.reconciliation.model import Found
from chalicelib.runtime.settings import settings
from tests.invariants.reading import Seen

KNOWN = {"charge", "payment", "refund", "payment_refund", "refund_failure"}


def each_line_is_matched_once(seen: Seen) -> list[str]:
    """money 10: a line of the provider's is matched once, with an entry of its order that moved just that much."""
    lines = Counter(kept.line_id for kept in seen.kept)
    faults = [f"{line_id}: matched {count} times" for line_id, count in lines.items() if count > 1]
    moved: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for entry in seen.journal:
        if entry.event != "provider_fee":
            moved[entry.business_id, entry.ref].append((entry.on("A.psp:"), entry.currency))
    return faults + [
        f"{kept.line_id}: kept with {kept.amount_minor} for {kept.order_id}, whose books do not say so"
        for kept in seen.kept
        if (kept.amount_minor, kept.currency) not in moved[kept.order_id, kept.ref]
    ]


def no_line_is_dropped(seen: Seen) -> list[str]:
    """Reconciliation: whatever was older than the provider's lag when the last night ended well is matched or named as
    a difference, on either side; but for refunds that failed on their way, whose two lines leave nothing."""
    if not seen.whole or "reconcile" not in seen.last_ok:
        return []
    until = seen.last_ok["reconcile"].ms - settings().provider_lag_seconds * 1000
    kept = {one.line_id for one in seen.kept}
    kept_refs = {(one.ref, one.amount_minor > 0) for one in seen.kept}
    named = {one.difference.ref for one in seen.differences} | {one.difference.provider_ref for one in seen.differences}
    moved: Counter[str] = Counter()
    for line in seen.lines:
        moved[str(line["source"])] += int(line["amount"])
    faults = [
        f"{line['id']}: {line['amount']} of {line['source']} is neither matched nor a difference"
        for line in seen.lines
        if line["created"] * 1000 <= until
        and line["id"] not in kept
        and not {line["id"], line["source"]} & named
        and moved[str(line["source"])]
    ]
    # A refund that failed before it was booked moved nothing: its two lines are of no concern to anybody.
    nothing = _annulled(seen)
    faults = [fault for fault in faults if fault.partition(":")[0] not in nothing]
    return faults + [
        f"{entry.id}: neither matched nor a difference"
        for entry in seen.journal
        if _moves(entry)
        and entry.at.ms <= until
        and (entry.ref, entry.on("A.psp:") > 0) not in kept_refs
        and not {entry.ref, entry.id} & named
    ]


# ---------------------------------------------------------------------------------------------- after a night


def the_night_ended_well(seen: Seen) -> list[str]:
    """Schedules: the night's jobs have come to their ends, or what they leave behind says nothing."""
    if not seen.orders:
        return []
    ended = {name: seen.last_ok.get(name) for name in ("reconcile", "settle")}
    return [
        f"{name}: ended well {'at ' + str(at) if at else 'never'}"
        for name, at in ended.items()
        if at is None or seen.now.since(at) > DAY_MS
    ]


def open_differences_have_a_reason(seen: Seen) -> list[str]:
    """Reconciliation: what stands open is so at the provider and in the books at this moment."""
    return [
        f"{one.difference.kind} {one.difference.ref}: open, and nothing is wrong with it (any more)"
        for one in seen.differences
        if one.state == "open" and not _wrong(seen, one)
    ]


def nothing_differs(seen: Seen) -> list[str]:
    """Reconciliation: in an honest world no difference stands open after a night."""
    return [f"{one.difference.kind} {one.difference.ref}: open" for one in seen.differences if one.state == "open"]


def the_night_explains_every_cent(seen: Seen) -> list[str]:
    """money 10: the newest night's comparison of the provider's balance with our books leaves nothing unexplained."""
    runs = [run for run in seen.runs if run.balance]
    if not runs:
        return []
    newest = max(runs, key=lambda run: run.day)
    return [
        f"{newest.day}: {theirs} {currency} at the provider, {ours} in our books, {explained} explained"
        for currency, (theirs, ours, explained) in newest.balance.items()
        if theirs is not None and theirs != ours + explained
    ]


def runs_count_their_differences(seen: Seen) -> list[str]:
    """Reconciliation: each day's run counts the differences of that day that stand open."""
    if not seen.whole:
        return []
    open_ones = Counter((one.provider, one.difference.day) for one in seen.differences if one.state == "open")
    return [
        f"{run.provider} {run.day}: counts {run.differences}, {open_ones[run.provider, run.day]} stand open"
        for run in seen.runs
        if run.differences != open_ones[run.provider, run.day]
    ]


def _wrong(seen: Seen, found: Found) -> bool:
    """Is what a difference says so, by both books as they are?"""
    item = found.difference
    lines = [line for line in seen.lines if item.ref == line["id"] or item.provider_ref == line["source"]]
    entries = [one for one in seen.journal if _moves(one) and (one.ref or one.id) == (item.provider_ref or item.ref)]
    if item.kind == "state":
        order = seen.orders.get(item.order_id)
        booked = sum(one.on("A.psp:") for one in seen.entries_of(item.order_id))
        return order is None or order.captured_minor - order.refunded_minor != booked
    if item.kind == "fee":
        kept = {one.line_id: one.fee_minor for one in seen.kept}
        return any(line["id"] == item.ref and kept.get(item.ref) != line["fee"] for line in lines)
    if item.kind == "unknown_category":
        return any(line["id"] == item.ref and line["reporting_category"] not in KNOWN for line in lines)
    ours = Counter((one.on("A.psp:"), one.currency) for one in entries)
    theirs = Counter(_amount(line) for line in lines if line["reporting_category"] in KNOWN)
    return ours != theirs


def _annulled(seen: Seen) -> set[str]:
    """Ids of the lines of refunds that failed and of which our books have nothing."""
    booked = {entry.ref for entry in seen.journal if _moves(entry)}
    sums: Counter[str] = Counter()
    for line in seen.lines:
        sums[line["source"]] += int(line["amount"])
    failed = {line["source"] for line in seen.lines if line["reporting_category"] == "refund_failure"}
    return {line["id"] for line in seen.lines if line["source"] in failed - booked and not sums[line["source"]]}


def _amount(line: dict[str, Any]) -> tuple[int, str]:
    return int(line["amount"]), str(line["currency"]).upper()


def _moves(entry: Entry) -> bool:
    return entry.event != "provider_fee" and entry.on("A.psp:") != 0


ALWAYS = (each_line_is_matched_once, no_line_is_dropped)
AFTER_A_NIGHT = (
    the_night_ended_well,
    open_differences_have_a_reason,
    the_night_explains_every_cent,
    runs_count_their_differences,
)
HONEST = (nothing_differs,)
