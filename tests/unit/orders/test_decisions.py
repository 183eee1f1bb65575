"""What may happen to an order in which state, what cancelling costs, and how policies join."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalog.model import refund_bps
from chalicelib.kernel.errors import InvalidTransition
from chalicelib.kernel.money import BPS
from chalicelib.kernel.states import StateMachine
from chalicelib.ledger import model as ledger
from chalicelib.orders import changes, decisions
from chalicelib.orders.changes import Change
from chalicelib.orders.model import CANCELLED_BY, CHARGE, ORDER, Order, cancel_quote, proof_of, tab
from chalicelib.orders.quotes import strictest
from chalicelib.payments.model import ATTEMPT, REFUND
from tests.builders import plain
from tests.builders.plain import CLOCKS, NOW, PROVIDER, Books


def in_state(state: str, *, confirmation: str = "instant", paid: bool = True) -> Books:
    """An order that came into a state the way orders do."""
    waits = state in ("paid", "declined")
    books = Books(plain.order(confirmation="request" if waits else confirmation))
    if state == "pending_payment":
        return books
    if state == "cancelled" and not paid:
        books.take(decisions.expired(books.order, NOW))
        return books
    books.take(decisions.intent_fact(books.order, plain.intent(books.order), NOW, CLOCKS, PROVIDER))
    path: dict[str, list[Callable[[Order], Change]]] = {
        "cancelled": [lambda o: decisions.cancelled(o, "customer", NOW)],
        "declined": [lambda o: decisions.cancelled(o, "merchant", NOW, "decline")],
        "in_fulfilment": [lambda o: decisions.served(o, "checked_in", "checked_in", NOW, CLOCKS)],
        "fulfilled": [lambda o: decisions.served(o, "finished", "finished", NOW, CLOCKS)],
        "completed": [
            lambda o: decisions.served(o, "finished", "finished", NOW, CLOCKS),
            lambda o: decisions.completed(o, NOW),
        ],
    }
    for step in path.get(state, []):
        books.take(step(books.order))
    assert books.order.state == state
    return books


ACTS: dict[str, Callable[[Order], Change]] = {
    "expire": lambda o: decisions.expired(o, NOW),
    "cancel": lambda o: decisions.cancelled(o, "customer", NOW),
    "decline": lambda o: decisions.cancelled(o, "merchant", NOW, "decline"),
    "no_show": lambda o: decisions.cancelled(o, "no_show", NOW, "no_show"),
    "operator_cancel": lambda o: decisions.cancelled(o, "operator", NOW, "operator_cancel"),
    "confirm": lambda o: decisions.accepted(o, NOW),
    "check_in": lambda o: decisions.served(o, "checked_in", "checked_in", NOW, CLOCKS),
    "fulfil": lambda o: decisions.served(o, "finished", "finished", NOW, CLOCKS),
    "complete": lambda o: decisions.completed(o, NOW),
}


@pytest.mark.parametrize("act", sorted(ACTS))
@pytest.mark.parametrize("state", ORDER.states)
def test_every_act_in_every_state_moves_by_the_table_or_changes_nothing(state: str, act: str) -> None:
    """Allowed: the table's next state, and books that prove. Not allowed: refused with what would be."""
    books = in_state(state)
    # A service may start at once, and be done without having been checked in: both go by way of in_fulfilment.
    steps = {"check_in": ["check_in"], "fulfil": ["check_in", "fulfil"]}.get(act, [act])
    wanted = state
    for event in steps:
        if not (act in ("check_in", "fulfil") and event == "check_in" and wanted == "in_fulfilment"):
            wanted = ORDER.table[wanted].get(event, "refused")
        if wanted == "refused":
            break
    if wanted == "refused":
        with pytest.raises(InvalidTransition) as refusal:
            ACTS[act](books.order)
        assert refusal.value.extras["allowed"] == sorted(ORDER.table[state])
        return
    after = books.take(ACTS[act](books.order))
    assert after.state == wanted
    assert proof_of(after, books.entries).holds


@pytest.mark.parametrize("state", ORDER.states)
@pytest.mark.parametrize("fact", ["requires_action", "processing", "failed", "canceled", "succeeded", "wrong"])
@pytest.mark.parametrize("known", [1, 2])
def test_every_payment_fact_in_every_state_is_booked(state: str, fact: str, known: int) -> None:
    """No fact is refused in any state; money that the order cannot take is owed back in the same moment."""
    books = in_state(state, paid=known == 1)
    before = books.order
    told = plain.intent(
        before, known, "succeeded" if fact == "wrong" else fact, received=5 if fact == "wrong" else None
    )
    after = books.take(decisions.intent_fact(before, told, NOW, CLOCKS, PROVIDER))
    assert proof_of(after, books.entries).holds
    new = fact in ("succeeded", "wrong") and all(a.intent_id != told.intent_id for a in before.charges[0].attempts)
    taken = new and fact == "succeeded" and state == "pending_payment"
    sent_back = [r for r in after.refunds if r.reason in decisions.SENT_BACK]
    assert len(sent_back) == (1 if new and not taken else 0)
    if taken:
        assert after.payment_state == "paid"
    elif fact in ("succeeded", "wrong") and new:
        reason = "wrong_amount" if fact == "wrong" else "late" if before.charges[0].state == "void" else "duplicate"
        assert sent_back[0].reason == reason
        assert after.state == before.state


def walk(machine: StateMachine) -> set[str]:
    seen, ahead = set(), [machine.initial]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += machine.table[state].values()
    return seen


@pytest.mark.parametrize("machine", [ORDER, CHARGE, ATTEMPT, REFUND], ids=lambda machine: machine.name)
def test_every_state_of_a_machine_is_reached_from_its_first(machine: StateMachine) -> None:
    """No row of a table is dead."""
    assert walk(machine) == set(machine.states)


def test_a_cancelled_order_comes_alive_only_by_late_money_after_a_timeout() -> None:
    """Not when a person ended it, not for another amount, not after its time has passed."""
    expired = in_state("cancelled", paid=False).order
    told = plain.intent(expired)
    change = decisions.revived(expired, told, NOW, CLOCKS, PROVIDER)
    assert change is not None
    assert (change.after.state, change.after.cancel_reason, change.claims) == ("confirmed", "", True)
    assert decisions.revived(replace(expired, cancel_reason="customer"), told, NOW, CLOCKS, PROVIDER) is None
    assert decisions.revived(expired, plain.intent(expired, received=1), NOW, CLOCKS, PROVIDER) is None
    assert decisions.revived(expired, told, expired.starts_at or NOW, CLOCKS, PROVIDER) is None
    assert decisions.revived(expired, plain.intent(expired, state="processing"), NOW, CLOCKS, PROVIDER) is None


@pytest.mark.parametrize(
    ("by", "seconds_before", "refund"),
    [
        ("customer", 7200, 12_801),
        ("customer", 7199, 6401),
        ("customer", 0, 6401),
        ("customer", -1, 0),
        ("no_show", -900, 0),
        ("merchant", 10, 12_801),
        ("operator", -10, 12_801),
        ("timeout", 10, 12_801),
    ],
)
def test_what_cancelling_gives_back_depends_on_who_and_when(by: str, seconds_before: int, refund: int) -> None:
    """All of it up to two hours before, half until the start, nothing after; a merchant's cancel always all of it."""
    order = replace(in_state("confirmed").order, terms=plain.order(price_minor=12_801).terms)
    now = (order.starts_at or NOW).plus(seconds=-seconds_before)
    quote = cancel_quote(order, now, by)
    assert (quote.refund_minor, quote.kept_minor) == (refund, 12_801 - refund)
    assert cancel_quote(order, now.plus(ms=1), by).refund_minor <= quote.refund_minor


@given(
    price=st.integers(1, 10**8 - 1),
    subsidies=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    commission=st.integers(0, BPS),
    bps=st.integers(0, BPS),
)
def test_what_is_quoted_is_what_the_ledger_books(price: int, subsidies, commission: int, bps: int) -> None:
    """The refund of a cancel equals the leg that owes it, the kept part is shared at the order's own rate, nothing is
    rounded away."""
    coupon, points = (price * percent // 100 for percent in subsidies)
    begun = plain.order(price_minor=price, coupon_minor=coupon, points_minor=points, commission_bps=commission)
    order = replace(begun, policy=((0, bps),), payment_state="paid", state="confirmed")
    quote = cancel_quote(order, NOW, "customer")
    legs = {leg.account: leg.amount_minor for leg in ledger.kept(order.terms, "mch_x", quote.kept_minor)}
    assert quote.refund_minor == -legs.get("L.refund_payable", 0)
    kept = -sum(amount for account, amount in legs.items() if account.startswith(("L.merchant", "R.commission")))
    assert kept == quote.kept_minor
    assert 0 <= quote.refund_minor <= order.terms.cash_minor
    assert sum(legs.values()) == 0


def test_every_reason_to_cancel_is_one_that_is_listed() -> None:
    """What apps may read in `cancel_reason`."""
    reasons = {
        decisions.cancelled(in_state("confirmed").order, by, NOW).after.cancel_reason
        for by in ("customer", "merchant", "operator")
    }
    reasons.add(decisions.cancelled(in_state("paid").order, "merchant", NOW, "decline").after.cancel_reason)
    reasons.add(decisions.cancelled(in_state("paid").order, "timeout", NOW, "decline").after.cancel_reason)
    reasons.add(decisions.cancelled(in_state("confirmed").order, "no_show", NOW, "no_show").after.cancel_reason)
    assert reasons == set(CANCELLED_BY)


def test_the_timeline_names_people_and_machines_only() -> None:
    """A no-show is told by the merchant, a timeout by the system."""
    for books, change in (
        (in_state("confirmed"), lambda o: decisions.cancelled(o, "no_show", NOW, "no_show")),
        (in_state("paid"), lambda o: decisions.cancelled(o, "timeout", NOW, "decline")),
    ):
        actors = {event.actor for event in books.take(change(books.order)).timeline}
        assert actors <= {"customer", "merchant", "operator", "provider", "system"}


def test_a_timeline_is_bounded() -> None:
    """An order that a payer tries again and again keeps its beginning and its end."""
    order = plain.order()
    for number in range(100):
        order = changes.told(order, NOW.plus(seconds=number), "customer", f"e{number}")
    assert len(order.timeline) == changes.MAX_TIMELINE
    assert (order.timeline[0].event, order.timeline[-1].event) == ("placed", "e99")


def test_a_tab_for_every_state() -> None:
    """Apps list orders without knowing states."""
    found = {state: tab(in_state(state).order) for state in ORDER.states}
    assert found == {
        "pending_payment": "to_pay",
        "paid": "to_use",
        "confirmed": "to_use",
        "in_fulfilment": "in_service",
        "fulfilled": "done",
        "completed": "done",
        "cancelled": "refunds",
        "declined": "refunds",
    }


policies = st.lists(
    st.tuples(st.integers(1, 200), st.integers(0, BPS)), max_size=7, unique_by=lambda step: step[0]
).map(
    lambda steps: tuple(
        zip(
            [notice for notice, _ in sorted(steps, reverse=True)] + [0],
            sorted([bps for _, bps in steps] + [steps[0][1] if steps else 5000], reverse=True),
            strict=True,
        )
    )
)


@given(joined=st.lists(policies, min_size=1, max_size=5), notice=st.integers(-5, 250))
def test_joined_policies_give_back_the_least_of_them_at_any_notice(joined, notice: int) -> None:
    """Also where neither policy is the stricter one as a whole; and no step says what the next one says."""
    policy = strictest(joined)
    assert refund_bps(policy, notice) == min(refund_bps(one, notice) for one in joined)
    assert policy[-1][0] == 0
    assert [seconds for seconds, _ in policy] == sorted({seconds for seconds, _ in policy}, reverse=True)
    assert len({bps for _, bps in policy}) == len(policy)
