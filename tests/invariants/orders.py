"""Each order's money: what its books hold, against its frozen terms and what was decided."""

from __future__ import annotations

from collections import Counter

from chalicelib.kernel import ids
from chalicelib.orders.model import Order, proof_of
from tests.invariants.ledger import PENDING
from tests.invariants.reading import Seen

WHOLE = 10_000  # basis points
LIVES = ("paid", "confirmed", "in_fulfilment")
SERVED = ("fulfilled", "completed")
ENDED = ("cancelled", "declined")


def proofs_hold(seen: Seen) -> list[str]:
    """The proof of an order, as anybody may ask for it, holds: equation, decision and an end that holds nothing."""
    return [
        f"{order.id} ({order.state}): {failure}"
        for order in seen.orders.values()
        for failure in proof_of(order, seen.entries_of(order.id)).failures
    ]


def came_in_is_booked(seen: Seen) -> list[str]:
    """Proof (1): what came in and went back by the facts in an order's row is what its entries have moved."""
    faults = []
    for order in seen.orders.values():
        booked = on(seen, order, "A.psp:")
        if booked != order.captured_minor - order.refunded_minor:
            came = f"{order.captured_minor} came and {order.refunded_minor} went"
            faults.append(f"{order.id} ({order.state}): {came}, {booked} is booked")
    return faults


def escrow_is_what_lives(seen: Seen) -> list[str]:
    """money 7: escrow holds the whole price of an order that is paid and not over, and nothing of any other."""
    faults = []
    for order in seen.orders.values():
        lives = order.payment_state == "paid" and order.state in LIVES
        wanted = order.terms.gross_minor if lives else 0
        if -on(seen, order, "L.escrow") != wanted:
            faults.append(f"{order.id} ({order.state}): escrow {-on(seen, order, 'L.escrow')}, should be {wanted}")
    return faults


def owed_back_is_what_is_open(seen: Seen) -> list[str]:
    """money 7: refund_payable is the refunds of the order that have not succeeded; of a terminal order nothing."""
    faults = []
    for order in seen.orders.values():
        wanted = sum(refund.amount_minor for refund in order.refunds if refund.state != "succeeded")
        owed = -on(seen, order, "L.refund_payable")
        if owed != wanted:
            faults.append(f"{order.id} ({order.state}): {owed} is owed back by the books, {wanted} by its refunds")
    return faults


def commission_is_the_rate_on_the_net(seen: Seen) -> list[str]:
    """money 9: of what an order has earned the platform has the rate, half up, and the merchant the rest: no more."""
    faults = []
    for order in seen.orders.values():
        net = net_of(order)
        commission = (2 * net * order.terms.commission_bps + WHOLE) // (2 * WHOLE)
        platform = -on(seen, order, "R.commission") - on(seen, order, "L.tax")
        merchant = -on(seen, order, PENDING)
        if (platform, merchant) != (commission, net - commission):
            wanted = f"{commission} and {net - commission} of {net}"
            faults.append(f"{order.id} ({order.state}): platform {platform}, merchant {merchant}, should be {wanted}")
    return faults


def earned_is_dated(seen: Seen) -> list[str]:
    """States: money is earned when the service is finished or a part is kept, and never otherwise."""
    return [
        f"{order.id} ({order.state}): earned at {order.earned_at}, {net_of(order)} of it"
        for order in seen.orders.values()
        if (order.earned_at is not None) != (order.state in SERVED or net_of(order) > 0)
    ]


def kept_follows_the_policy(seen: Seen) -> list[str]:
    """States: what is kept of a cancelled order is what its policy snapshot says for the moment; a merchant keeps
    nothing of what it ends itself."""
    faults = []
    for order in seen.orders.values():
        ended = next((e for e in reversed(order.timeline) if e.event in ("cancelled", "declined", "no_show")), None)
        if order.state not in ENDED or ended is None or order.cancel_reason == "operator":
            if order.state not in ENDED and order.kept_minor:
                faults.append(f"{order.id} ({order.state}): {order.kept_minor} is kept of an order that lives")
            continue
        gross = order.terms.gross_minor if order.payment_state == "paid" else 0
        back = WHOLE
        if order.cancel_reason in ("customer", "no_show") and order.starts_at is not None:
            notice = order.starts_at.since(ended.at) // 1000
            back = next((bps for before, bps in order.policy if notice >= before), 0)
        kept = gross - (2 * gross * back + WHOLE) // (2 * WHOLE)
        if kept != order.kept_minor:
            faults.append(f"{order.id} ({order.cancel_reason}): {order.kept_minor} is kept, {kept} by the policy")
    return faults


def what_is_not_kept_goes_back(seen: Seen) -> list[str]:
    """money 17: an order that was paid and ended gives back all cash that is not kept, in one refund."""
    faults = []
    for order in seen.orders.values():
        back = [refund.amount_minor for refund in order.refunds if refund.reason == "cancelled"]
        wanted = []
        if order.state in ENDED and order.payment_state == "paid":
            terms = order.terms
            kept = (2 * order.kept_minor * terms.cash_minor + terms.gross_minor) // (2 * terms.gross_minor or 1)
            wanted = [terms.cash_minor - kept] if terms.cash_minor > kept else []
        if back != wanted:
            faults.append(f"{order.id} ({order.state}): {back} goes back, should be {wanted}")
    return faults


def a_whole_refund_restores_every_balance(seen: Seen) -> list[str]:
    """money 17: an order of which nothing was kept and all went back has moved no account in the end."""
    faults = []
    for order in seen.orders.values():
        if order.state not in ENDED or order.kept_minor or any(r.state != "succeeded" for r in order.refunds):
            continue
        sums: Counter[str] = Counter()
        for entry in seen.entries_of(order.id):
            for leg in entry.legs:
                sums[leg.account] += leg.amount_minor
        faults += [f"{order.id} ({order.state}): {amount} is left on {name}" for name, amount in sums.items() if amount]
    return faults


def ids_follow_their_owners(seen: Seen) -> list[str]:
    """Idempotency: an order's id follows from its account and its key, so that a request can only make one: its half
    is the owner's tag, and it remembers the request."""
    faults = []
    for order in seen.orders.values():
        if not ids.is_id(order.id, "ord") or ids.split(order.id)[0] != ids.tag(order.account_id):
            faults.append(f"{order.id}: is not an id of {order.account_id}'s")
        if not order.request_hash:
            faults.append(f"{order.id}: has forgotten its request")
    return faults


def nobody_is_forgotten(seen: Seen) -> list[str]:
    """Whatever still has to happen to an order by itself lies where the sweep has not passed yet."""
    cursor = int(seen.cursors.get("due", {}).get("ms", 0))
    return [
        f"{order.id} ({order.state}): its mark {order.due_at} lies behind the sweep"
        for order in seen.orders.values()
        if (order.state in ("pending_payment", "paid", "fulfilled") or any(refund.moving for refund in order.refunds))
        and order.due_at.ms <= cursor - 120_000
    ]


def nothing_is_overdue(seen: Seen) -> list[str]:
    """States: after a sweep no order stands in a state whose time is over."""
    graces = {"pending_payment": 1_800_000, "paid": 0, "fulfilled": 0}
    return [
        f"{order.id}: still {order.state}, whose time was over at {order.deadline}"
        for order in seen.orders.values()
        if order.state in graces and order.deadline.ms + graces[order.state] + 120_000 < seen.now.ms
    ]


def one_order_per_request(seen: Seen) -> list[str]:
    """Idempotency: where clients repeat a request only under its own key, no account has two orders of one request."""
    made = Counter((order.account_id, order.request_hash) for order in seen.orders.values())
    return [f"{account} has {count} orders of one request" for (account, _), count in made.items() if count > 1]


def net_of(order: Order) -> int:
    """What of the gross its merchant and the platform share by now."""
    if order.state in SERVED:
        return order.terms.gross_minor
    return order.kept_minor if order.state in ENDED else 0


def on(seen: Seen, order: Order, account: str) -> int:
    """The sum of an order's entries on accounts of this beginning, debit above zero."""
    return sum(
        leg.amount_minor for entry in seen.entries_of(order.id) for leg in entry.legs if leg.account.startswith(account)
    )


ALWAYS = (
    proofs_hold,
    came_in_is_booked,
    escrow_is_what_lives,
    owed_back_is_what_is_open,
    commission_is_the_rate_on_the_net,
    earned_is_dated,
    kept_follows_the_policy,
    what_is_not_kept_goes_back,
    a_whole_refund_restores_every_balance,
    ids_follow_their_owners,
    nobody_is_forgotten,
)
AFTER_A_SWEEP = (nothing_is_overdue,)
FAITHFUL = (one_order_per_request,)
