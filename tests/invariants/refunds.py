"""Money on its way back: never more than came, once at the provider, and booked as the provider says."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from chalicelib.payments.model import MAX_REFUND_TRIES, RefundRecord
from tests.invariants.reading import Seen

OVER = ("failed", "canceled")


def refunds_within_what_came(seen: Seen) -> list[str]:
    """money 8: of each payment no more goes or went back than it brought, in our rows and in the provider's book."""
    faults = []
    for order in seen.orders.values():
        came = {a.intent_id: a.received_minor for c in order.charges for a in c.attempts if a.state == "succeeded"}
        goes: Counter[str] = Counter()
        for refund in order.refunds:
            goes[refund.intent_id] += refund.amount_minor
        faults += [
            f"{order.id}: {amount} goes back of {came.get(intent, 0)} on {intent}"
            for intent, amount in goes.items()
            if amount > came.get(intent, 0)
        ]
    theirs = {str(intent["id"]): int(intent["amount_received"]) for intent in seen.intents}
    back: Counter[str] = Counter()
    for sent in seen.refunds:
        if sent["status"] not in OVER:
            back[str(sent["payment_intent"])] += int(sent["amount"])
    return faults + [
        f"{intent}: the provider sends back {amount} of {theirs[intent]}"
        for intent, amount in back.items()
        if intent in theirs and amount > theirs[intent]
    ]


def provider_refunds_once(seen: Seen) -> list[str]:
    """money 11: each try of a refund is one refund at the provider, of the right amount, and one at the most stands."""
    faults = []
    tries: Counter[str] = Counter()
    stands: Counter[str] = Counter()
    records = records_of(seen)
    for refund in seen.refunds:
        own_id, _, number = _own_id(refund).rpartition(".")
        record = records.get(own_id)
        tries[_own_id(refund)] += 1
        stands[own_id] += refund["status"] not in OVER
        if record is None or record.amount_minor != refund["amount"]:
            owed = record.amount_minor if record else None
            faults.append(f"{refund['id']}: {refund['amount']} was sent, {owed} is owed")
        elif not number.isdecimal() or int(number) > record.tries or record.intent_id != refund["payment_intent"]:
            faults.append(f"{refund['id']}: is try {number} of {record.tries} on {refund['payment_intent']}")
    faults += [f"refund {own_id} stands {n} times at the provider" for own_id, n in tries.items() if n > 1]
    return faults + [f"refund {own_id} is paid out {n} times" for own_id, n in stands.items() if n > 1]


def refunds_are_booked_once(seen: Seen) -> list[str]:
    """money 3: what an order's refunds have paid out is what its entries say, one for each that succeeded."""
    faults = []
    for order in seen.orders.values():
        paid: dict[str, int] = defaultdict(int)
        for entry in seen.entries_of(order.id):
            if entry.event in ("refund_succeeded", "refund_returned"):
                paid[entry.ref] -= entry.on("A.psp:")
        wanted = {r.provider_id: r.amount_minor for r in order.refunds if r.state == "succeeded"}
        booked = {ref: amount for ref, amount in paid.items() if amount}
        if booked != wanted:
            faults.append(f"{order.id}: refunds {wanted} have succeeded, {booked} are booked")
        twice = Counter(refund.id for refund in order.refunds)
        faults += [f"{order.id}: {count} refunds are called {name}" for name, count in twice.items() if count > 1]
    return faults


def open_refunds_move(seen: Seen) -> list[str]:
    """States: a refund that is not paid out is under way, until its last try has failed; what is asked for has a name
    at the provider from the answer on."""
    faults = []
    for order in seen.orders.values():
        for record in order.refunds:
            if record.state in ("failed", "returned") and record.tries + 1 < MAX_REFUND_TRIES:
                faults.append(f"{order.id}: refund {record.id} is {record.state} after try {record.tries}")
            if record.state in ("processing", "succeeded") and not record.provider_id:
                faults.append(f"{order.id}: refund {record.id} is {record.state} without a name at the provider")
            if not 0 <= record.tries < MAX_REFUND_TRIES or record.amount_minor <= 0:
                faults.append(f"{order.id}: refund {record.id} of {record.amount_minor}, try {record.tries}")
    return faults


def refunds_are_as_the_provider_says(seen: Seen) -> list[str]:
    """money 12: at rest a refund has succeeded here exactly when its last try has succeeded at the provider."""
    theirs = {_own_id(refund): refund["status"] for refund in seen.refunds}
    faults = []
    for record in records_of(seen).values():
        status = theirs.get(f"{record.id}.{record.tries}", "unknown")
        if (record.state == "succeeded") != (status == "succeeded"):
            faults.append(f"refund {record.id} is {record.state}, at the provider it is {status}")
    return faults


def records_of(seen: Seen) -> dict[str, RefundRecord]:
    """Refunds of orders and of payments without one, by our id."""
    found = {record.id: record for order in seen.orders.values() for record in order.refunds}
    return found | {orphan.refund.id: orphan.refund for orphan in seen.orphans if orphan.refund}


def _own_id(refund: dict[str, Any]) -> str:
    return str(refund["metadata"].get("refund_id", ""))


ALWAYS = (refunds_within_what_came, provider_refunds_once, refunds_are_booked_once, open_refunds_move)
AT_REST = (refunds_are_as_the_provider_says,)
