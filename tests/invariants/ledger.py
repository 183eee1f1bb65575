"""The journal by itself, and whatever is summed from it. Computed here anew, with nothing of the code that books."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter, defaultdict
from datetime import UTC, datetime

from chalicelib.kernel.money import EXPONENTS
from chalicelib.ledger.balances import recounted
from chalicelib.ledger.entries import Entry
from chalicelib.ledger.tables import JournalRow
from chalicelib.runtime.settings import settings
from tests.invariants.reading import Key, Seen

PENDING, AVAILABLE = "L.merchant_pending:", "L.merchant_available:"
GUARDED = {
    "available": (AVAILABLE, -1),
    "withdrawing": ("L.merchant_withdrawing:", -1),
    "reserve": ("L.merchant_reserve:", -1),
    "owed": ("A.merchant_receivable:", 1),
}
OF_MERCHANTS = (PENDING, *(account for account, _ in GUARDED.values()))
PLAIN = {"L.escrow", "L.refund_payable", "L.points", "L.suspense", "L.tax", "E.coupon_subsidy", "E.psp_fee"}
PLAIN |= {"R.commission", "A.bank"}
# What ends an order's money once and for all, and what happens once in the life of its subject.
ENDS = {"earned", "cancelled", "declined", "no_show"}
ONCE = {"payment_confirmed", "provider_fee", "settled", "orphan_payment", "orphan_refund_approved"}


def entries_balance(seen: Seen) -> list[str]:
    """money 1: every entry has two legs or more, whole amounts, none of nothing, each account once, and sums to 0."""
    faults = []
    for entry in seen.journal:
        amounts = [leg.amount_minor for leg in entry.legs]
        accounts = [leg.account for leg in entry.legs]
        if len(amounts) < 2 or len(set(accounts)) != len(accounts):
            faults.append(f"{entry.id}: {len(amounts)} legs on {len(set(accounts))} accounts")
        if any(type(amount) is not int or amount == 0 for amount in amounts):
            faults.append(f"{entry.id}: amounts {amounts}")
        elif sum(amounts) != 0:
            faults.append(f"{entry.id}: its legs sum to {sum(amounts)}")
        if entry.currency not in EXPONENTS:
            faults.append(f"{entry.id}: a book in {entry.currency!r}")
    return faults


def accounts_are_of_the_chart(seen: Seen) -> list[str]:
    """money 1: legs stand on accounts of the chart, and a merchant's account is that of the entry's own merchant."""
    faults = []
    for entry in seen.journal:
        for leg in entry.legs:
            if leg.account in PLAIN or leg.account.startswith("A.psp:"):
                continue
            kind, _, owner = leg.account.partition(":")
            if f"{kind}:" not in OF_MERCHANTS:
                faults.append(f"{entry.id}: no account is called {leg.account}")
                continue
            order = seen.orders.get(entry.business_id)
            if owner != entry.merchant_id or (order is not None and owner != order.merchant_id):
                faults.append(f"{entry.id}: moves {leg.account}, but is of {entry.merchant_id or 'nobody'}")
    return faults


def own_hash(entry: Entry) -> str:
    """What an entry's hash has always been: SHA-256 over all that it says and the hash before it."""
    names = [entry.event, entry.business_id, entry.n, entry.currency, entry.merchant_id, entry.shop_id, entry.ref]
    legs = [[leg.account, leg.amount_minor] for leg in sorted(entry.legs, key=lambda leg: leg.account)]
    said = [*names, legs, sorted(entry.meta.items()), entry.at.ms, entry.previous_hash]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def chains_hold(seen: Seen) -> list[str]:
    """money 2: the entries of one subject are one chain: each hash covers its content, and each follows one other."""
    faults = []
    for subject, entries in seen.subjects.items():
        faults += [f"{entry.id}: is not what was hashed" for entry in entries if own_hash(entry) != entry.hash]
        following = Counter(entry.previous_hash for entry in entries)
        faults += [
            f"{subject}: {count} entries follow {hash or 'nothing'}" for hash, count in following.items() if count > 1
        ]
        known = {entry.hash for entry in entries} | {""}
        faults += [f"{entry.id}: follows what is not there" for entry in entries if entry.previous_hash not in known]
        if entries and "" not in following:
            faults.append(f"{subject}: its first entry is missing")
    return faults


def rows_name_their_heads(seen: Seen) -> list[str]:
    """money 2: the row of an order names the last entry of its chain, and no order's entries are without their row."""
    faults = []
    for order in seen.orders.values():
        entries = seen.entries_of(order.id)
        heads = {entry.hash for entry in entries} - {entry.previous_hash for entry in entries} or {""}
        if heads != {order.last_hash}:
            faults.append(f"{order.id}: names {order.last_hash[:8] or 'none'} as its head, not {sorted(heads)}")
    for orphan in seen.orphans:
        if orphan.last_hash not in {entry.hash for entry in seen.entries_of(orphan.intent_id)}:
            faults.append(f"{orphan.intent_id}: names a head that is not there")
    subjects = {entry.business_id for entry in seen.journal if entry.business_id.startswith("ord_")}
    # Of a merchant with other shops there are more entries than orders in a reading of some shops.
    return faults + [f"{one}: entries without an order" for one in subjects - seen.orders.keys() if seen.whole]


def one_entry_per_event(seen: Seen) -> list[str]:
    """money 3: an event that was told many times is one entry, by its id and by what it says."""
    faults = [f"{name}: stands {n} times" for name, n in Counter(entry.id for entry in seen.journal).items() if n > 1]
    for subject, entries in seen.subjects.items():
        counted = Counter("the end" if entry.event in ENDS else entry.event for entry in entries)
        faults += [f"{subject}: {counted[one]} of {one}" for one in (*ONCE, "the end") if counted[one] > 1]
        about = Counter((entry.event, entry.ref) for entry in entries if entry.ref)
        faults += [f"{subject}: {n} of {event} by {ref}" for (event, ref), n in about.items() if n > 1]
    return faults


def entries_are_numbered_by_their_rows(seen: Seen) -> list[str]:
    """money 3: the number of an order's entry is the version of the row that it moved: rising, and never above it."""
    faults = []
    for order in seen.orders.values():
        follows = {entry.previous_hash: entry for entry in seen.entries_of(order.id)}
        last, head = 1, ""
        while head in follows:
            entry = follows.pop(head)
            if not last < entry.n <= order.version:
                faults.append(f"{entry.id}: comes after version {last}, and the row is at {order.version}")
            last, head = entry.n, entry.hash
    return faults


def entries_lie_where_jobs_look(seen: Seen) -> list[str]:
    """money 5: every entry is in the index of its day, and in its merchant's exactly when it moves that account."""
    faults = []
    for item in seen.raw.get(JournalRow.Meta.table_name, []):
        ms, _, name = item["ps"]["S"].partition("#")
        event, _, n = item["sk"]["S"].partition("#")
        if name != f"{event}:{item['pk']['S']}:{n}":
            faults.append(f"{event}:{item['pk']['S']}:{n}: its sort key names {name}")
        shard = zlib.crc32(item["pk"]["S"].encode()) % settings().journal_shards
        if item["pb"]["S"] != f"{datetime.fromtimestamp(int(ms) // 1000, UTC):%Y%m%d}#{shard}":
            faults.append(f"{name}: lies in {item['pb']['S']}, where no day's reading finds it")
        moves = any(account.startswith(OF_MERCHANTS) for account in json.loads(item["lg"]["S"]))
        if moves != ("mk" in item):
            faults.append(f"{name}: {'lacks' if moves else 'has'} the merchant's key")
    return faults


def balances_are_rebuilt(seen: Seen) -> list[str]:
    """money 5: a merchant's balance is the sum of its entries and counts them, here and by the product's rebuild."""
    sums: dict[Key, Counter[str]] = defaultdict(Counter)
    for entry in seen.journal:
        moved = {name: sign * entry.on(account) for name, (account, sign) in GUARDED.items()}
        if any(moved.values()):
            sums[entry.merchant_id, entry.currency].update(moved)
            sums[entry.merchant_id, entry.currency]["entries"] += 1
    faults = []
    for key in sums.keys() | seen.balances.keys():
        says = {name: sums[key][name] for name in (*GUARDED, "entries")}
        row = seen.balances.get(key)
        stands = row.by_name() if row else dict.fromkeys(says, 0)
        rebuilt = recounted(*key, (entry for entry in seen.journal if entry.merchant_id == key[0])).by_name()
        if not stands == says == rebuilt:
            faults.append(f"{key}: the row says {stands}, the journal {says}, the rebuild {rebuilt}")
    return faults


def pending_marks_are_sums(seen: Seen) -> list[str]:
    """money 5: the mark of what a merchant has pending is the sum of its entries up to the mark's instant."""
    faults = []
    for (merchant_id, currency), mark in seen.marks.items():
        says = -sum(
            entry.on(PENDING + merchant_id)
            for entry in seen.journal
            if entry.currency == currency and entry.at < mark.until
        )
        if says != mark.amount_minor:
            faults.append(f"{merchant_id} {currency}: marked {mark.amount_minor}, the journal says {says}")
    return faults


def carried_sum_is_the_journals(seen: Seen) -> list[str]:
    """money 5: the account at the provider that the night carries is the sum of the entries up to its cursor."""
    cursor = seen.cursors.get("reconcile", {})
    if not seen.whole or "until" not in cursor:
        return []
    sums: Counter[str] = Counter()
    for entry in seen.journal:
        if entry.at.ms < int(cursor["until"]):
            sums[f"psp_{entry.currency}"] += entry.on("A.psp:")
    return [
        f"{name}: {cursor.get(name, 0)} is carried, {sums[name]} is booked"
        for name in sums.keys() | {name for name in cursor if name.startswith("psp_")}
        if sums[name] != int(cursor.get(name, 0))
    ]


def nothing_guarded_is_negative(seen: Seen) -> list[str]:
    """money 6: what is available, being withdrawn, in reserve or owed is never below zero."""
    faults = [
        f"{key}: {name} is {amount}"
        for key, row in seen.balances.items()
        for name, amount in row.by_name().items()
        if amount < 0
    ]
    for order in seen.orders.values():
        terms = order.terms
        amounts = (terms.cash_minor, terms.coupon_minor, terms.points_minor, order.kept_minor, *_asked(seen, order.id))
        if min(amounts) < 0 or order.kept_minor > terms.gross_minor:
            faults.append(f"{order.id}: an amount below zero or above the whole among {amounts}")
    return faults


def _asked(seen: Seen, order_id: str) -> list[int]:
    order = seen.orders[order_id]
    received = [attempt.received_minor for charge in order.charges for attempt in charge.attempts]
    return [*(charge.amount_minor for charge in order.charges), *(r.amount_minor for r in order.refunds), *received]


ALWAYS = (
    entries_balance,
    accounts_are_of_the_chart,
    chains_hold,
    rows_name_their_heads,
    one_entry_per_event,
    entries_are_numbered_by_their_rows,
    entries_lie_where_jobs_look,
    balances_are_rebuilt,
    pending_marks_are_sums,
    carried_sum_is_the_journals,
    nothing_guarded_is_negative,
)
