"""The provider's own book against ours: money that came is known, lines are booked, and nothing can be paid in vain."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.invariants.reading import Seen, order_id_of

PAYABLE = {"requires_payment_method", "requires_confirmation", "requires_action", "processing"}
SENT_BACK = ("wrong_amount", "duplicate", "late")


def one_attempt_pays_a_charge(seen: Seen) -> list[str]:
    """States: a charge is paid by exactly one attempt, of its own amount; the money of every other is sent back."""
    faults = []
    for order in seen.orders.values():
        back = {refund.intent_id for refund in order.refunds if refund.reason in SENT_BACK}
        for charge in order.charges:
            came = [a for a in charge.attempts if a.state == "succeeded" and a.intent_id not in back]
            if len(came) != (charge.state == "paid"):
                faults.append(f"{order.id}: a charge that is {charge.state} is paid by {len(came)} attempts")
            faults += [
                f"{order.id}: {attempt.received_minor} was taken for a charge of {charge.amount_minor}"
                for attempt in came
                if attempt.received_minor != charge.amount_minor
            ]
        intents = Counter(a.intent_id for c in order.charges for a in c.attempts)
        faults += [f"{order.id}: {intent} is {count} attempts" for intent, count in intents.items() if count > 1]
    return faults


def no_money_is_imagined(seen: Seen) -> list[str]:
    """money 12: what an order takes for paid or given back is so at the provider, which knew it first."""
    came = {str(one["id"]): int(one["amount_received"]) for one in seen.intents if one["status"] == "succeeded"}
    went = {str(one["id"]): int(one["amount"]) for one in seen.refunds if one["status"] != "pending"}
    faults = []
    for order in seen.orders.values():
        faults += [
            f"{order.id}: {a.received_minor} by {a.intent_id}, at the provider {came.get(a.intent_id, 'nothing')}"
            for charge in order.charges
            for a in charge.attempts
            if a.state == "succeeded" and a.received_minor != came.get(a.intent_id)
        ]
        faults += [
            f"{order.id}: {one.amount_minor} went by {one.provider_id}, at the provider {went.get(one.provider_id)}"
            for one in order.refunds
            if one.state == "succeeded" and one.amount_minor != went.get(one.provider_id)
        ]
    return faults


def provider_lines_are_booked_once(seen: Seen) -> list[str]:
    """money 10: no charge and no refund of the provider's moves our account there twice, in any order's books."""
    moves: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in seen.journal:
        amount = entry.on("A.psp:")
        if entry.event != "provider_fee" and amount and entry.ref:
            kind = "back" if entry.event == "refund_returned" else "in" if amount > 0 else "out"
            moves[entry.ref, kind].append(entry.id)
    faults = [
        f"{ref} went {kind} {len(names)} times: {names}" for (ref, kind), names in moves.items() if len(names) > 1
    ]
    return faults + [
        f"{entry.id}: moves money at the provider and names none of its objects"
        for entry in seen.journal
        if entry.on("A.psp:") and not entry.ref
    ]


def fees_are_booked_once(seen: Seen) -> list[str]:
    """money 10: a fee is booked once for its line, as the provider has it; a line that is kept has its fee booked."""
    theirs = {str(line["id"]): line for line in seen.lines}
    booked: dict[str, int] = {}
    faults = []
    for entry in seen.journal:
        if entry.event == "provider_fee":
            line = theirs.get(entry.business_id)
            booked[entry.business_id] = booked.get(entry.business_id, 0) - entry.on("A.psp:")
            if line is not None and (line["fee"], line["source"]) != (booked[entry.business_id], entry.ref):
                faults.append(f"{entry.id}: {booked[entry.business_id]} is booked of {line['source']}'s {line['fee']}")
    return faults + [
        f"{kept.line_id}: kept with a fee of {kept.fee_minor}, {booked.get(kept.line_id, 0)} is booked"
        for kept in seen.kept
        if booked.get(kept.line_id, 0) != kept.fee_minor and kept.line_id in theirs
    ]


# ---------------------------------------------------------------------------------------------- at rest


def money_at_the_provider_is_known(seen: Seen) -> list[str]:
    """money 12: what an intent brought in is in its order, or waits among the parked facts; what the order says came in
    did."""
    theirs: dict[str, dict[str, int]] = defaultdict(dict)
    known = {orphan.intent_id for orphan in seen.orphans} | seen.parked
    faults = []
    for intent in seen.intents:
        if intent["status"] == "succeeded" and intent["id"] not in known:
            theirs[order_id_of(intent)][str(intent["id"])] = int(str(intent["amount_received"]))
    for order in seen.orders.values():
        ours = {a.intent_id: a.received_minor for c in order.charges for a in c.attempts if a.state == "succeeded"}
        if ours != theirs.get(order.id, {}):
            faults.append(f"{order.id}: the provider has {theirs.get(order.id, {})}, the order {ours}")
    return faults + [
        f"{one or 'nobody'}: is not here, and {theirs[one]} came" for one in theirs.keys() - seen.orders.keys()
    ]


def paid_or_refunded(seen: Seen) -> list[str]:
    """money 12: money that came in lives on in its order or has gone back; nothing is owed any more."""
    faults = []
    for order in seen.orders.values():
        rests = order.captured_minor - order.refunded_minor
        terms = order.terms
        due = terms.cash_minor if order.payment_state == "paid" else 0
        if order.state in ("cancelled", "declined"):
            due = (2 * order.kept_minor * terms.cash_minor + terms.gross_minor) // (2 * terms.gross_minor or 1)
        # What could not be given back in five tries waits for a person, and is still owed.
        due += sum(refund.amount_minor for refund in order.refunds if refund.open and not refund.moving)
        if rests != due:
            faults.append(f"{order.id} ({order.state}): {rests} of its money is here, {due} should be")
        faults += [f"{order.id}: refund {r.id} is {r.state}" for r in order.refunds if r.moving]
    return faults


def dead_orders_cannot_be_paid(seen: Seen) -> list[str]:
    """No intent that anybody was shown can still be paid at the provider when its order has ended."""
    return [
        f"{intent['id']} of {order_id_of(intent)} is {intent['status']}"
        for intent in seen.intents
        if intent["status"] in PAYABLE
        and (order := seen.orders.get(order_id_of(intent))) is not None
        and order.state in ("cancelled", "declined", "fulfilled", "completed")
        and any(a.intent_id == intent["id"] for c in order.charges for a in c.attempts)
    ]


def provider_lines_are_booked(seen: Seen) -> list[str]:
    """money 10: of every charge and refund the provider's lines sum to what our entries of it moved, fees aside."""
    waiting = {str(one["latest_charge"]) for one in seen.intents if one["id"] in seen.parked}
    theirs: Counter[tuple[str, str]] = Counter()
    ours: Counter[tuple[str, str]] = Counter()
    for line in seen.lines:
        theirs[str(line["source"]), str(line["currency"]).upper()] += int(line["amount"])
    for entry in seen.journal:
        if entry.event != "provider_fee" and (amount := entry.on("A.psp:")):
            ours[entry.ref, entry.currency] += amount
    known = {str(intent["latest_charge"]) for intent in seen.intents} | {str(refund["id"]) for refund in seen.refunds}
    return [
        f"{ref}: the provider moved {theirs[ref, currency]} {currency}, {ours[ref, currency]} is booked"
        for ref, currency in theirs.keys() | ours.keys()
        if theirs[ref, currency] != ours[ref, currency] and ref not in waiting and (seen.whole or ref in known)
    ]


def our_account_is_the_providers_balance(seen: Seen) -> list[str]:
    """money 10: A.psp is what the provider holds of ours, once the fees that no night has booked yet are set aside."""
    if not seen.whole:
        return []
    waiting = {str(one["latest_charge"]) for one in seen.intents if one["id"] in seen.parked}
    charged = {entry.business_id for entry in seen.journal if entry.event == "provider_fee"}
    theirs: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    for line in seen.lines:
        if line["source"] not in waiting:
            fee_to_come = int(line["fee"]) if line["id"] not in charged else 0
            theirs[str(line["currency"]).upper()] += int(line["net"]) + fee_to_come
    for entry in seen.journal:
        ours[entry.currency] += entry.on("A.psp:")
    return [
        f"{currency}: our books say {ours[currency]}, the provider holds {theirs[currency]}"
        for currency in theirs.keys() | ours.keys()
        if theirs[currency] != ours[currency]
    ]


def nothing_rests_in_suspense(seen: Seen) -> list[str]:
    """Reconciliation: what rested in suspense has found where it belongs."""
    sums: Counter[str] = Counter()
    for entry in seen.journal:
        sums[entry.currency] += entry.on("L.suspense")
    return [f"{currency}: {-amount} rests in suspense" for currency, amount in sums.items() if amount]


def parked_facts_are_applied(seen: Seen) -> list[str]:
    """States: after a sweep no fact is parked whose order is here; one of no order waits for three days at the most."""
    orders = {str(one["id"]): order_id_of(one) for one in (*seen.intents, *seen.refunds)}
    faults = []
    for fact, is_open in seen.facts:
        if is_open and orders.get(fact.object_id) in seen.orders:
            faults.append(f"{fact.object_id}: parked ({fact.reason}), and {orders[fact.object_id]} is here")
        elif is_open and seen.whole and seen.now.since(fact.received_at) > 3 * 86_400_000 + 120_000:
            faults.append(f"{fact.object_id}: parked since {fact.received_at}")
    return faults


def one_intent_per_attempt(seen: Seen) -> list[str]:
    """money 11: where clients ask again in the same words, an attempt is one intent however often it was asked for."""
    made = Counter(str(intent["metadata"].get("attempt_id", intent["id"])) for intent in seen.intents)
    return [f"{attempt} is {count} intents at the provider" for attempt, count in made.items() if count > 1]


ALWAYS = (one_attempt_pays_a_charge, no_money_is_imagined, provider_lines_are_booked_once, fees_are_booked_once)
AT_REST = (
    money_at_the_provider_is_known,
    paid_or_refunded,
    dead_orders_cannot_be_paid,
    provider_lines_are_booked,
    our_account_is_the_providers_balance,
    nothing_rests_in_suspense,
)
AFTER_A_SWEEP = (parked_facts_are_applied,)
FAITHFUL = (one_intent_per_attempt,)
