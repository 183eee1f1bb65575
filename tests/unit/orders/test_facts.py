"""Money facts in any order, late, twice: captured once, nothing lost, the books agree."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kernel.errors import Problem
from chalicelib.kernel.instant import Instant
from chalicelib.orders import decisions
from chalicelib.orders.model import Order, proof_of
from tests.builders import plain
from tests.builders.plain import CLOCKS, NOW, PROVIDER, Books


class Play:
    """One order's life under facts that come as they like. The provider's side is kept apart: what each intent really
    did, and what each try of a refund really did."""

    def __init__(self, books: Books, seed: int) -> None:
        self.books = books
        self.chance = random.Random(seed)  # noqa: S311  # a seed, no secret
        self.now = NOW
        self.moved: dict[int, int] = {}
        self.tries: dict[tuple[str, int], str] = {}
        self.slot_free = self.chance.random() < 0.5

    @property
    def order(self) -> Order:
        return self.books.order

    def open(self, number: int) -> None:
        charge = next((c for c in self.order.charges if c.state == "open"), None)
        known = {a.intent_id for c in self.order.charges for a in c.attempts}
        if charge is not None and self.order.state == "pending_payment" and f"pi_{number}" not in known:
            attempt = plain.attempt(self.order, len(charge.attempts) + 1)
            attempt = replace(attempt, intent_id=f"pi_{number}")
            self.books.take(decisions.attempt_opened(self.order, charge.id, attempt, self.now), self.now)

    def pays(self, number: int, received: int | None) -> None:
        """The payer pays at the provider; nobody has told us yet."""
        self.moved.setdefault(number, self.order.charges[0].amount_minor if received is None else received)

    def hear(self, number: int, state: str) -> None:
        """A fact of an intent, true or long out of date; success only of one that was paid."""
        if state == "succeeded" and number not in self.moved:
            return
        told = plain.intent(self.order, number, state, received=self.moved.get(number))
        revival = decisions.revived(self.order, told, self.now, CLOCKS, PROVIDER)
        if revival is not None and self.slot_free:
            self.books.take(revival, self.now)
            return
        self.books.take(decisions.intent_fact(self.order, told, self.now, CLOCKS, PROVIDER), self.now)

    def refunds(self, outcome: str) -> None:
        """The provider answers about some refund that is under way, or tells again of one it answered before."""
        for record in self.order.refunds:
            key = (record.id, record.tries)
            if record.moving:
                self.tries[key] = outcome
        for refund_id, tries in self.chance.sample(sorted(self.tries), len(self.tries)):
            told = plain.refund(self.order, refund_id, tries, self.tries[refund_id, tries])
            self.books.take(decisions.refund_fact(self.order, told, self.now, PROVIDER), self.now)

    def act(self, name: str) -> None:
        """Somebody's act; refused ones change nothing."""
        act = {
            "expire": lambda o: decisions.expired(o, self.now),
            "extend": lambda o: decisions.extended(o, self.now, CLOCKS),
            "customer": lambda o: decisions.cancelled(o, "customer", self.now),
            "merchant": lambda o: decisions.cancelled(o, "merchant", self.now),
            "decline": lambda o: decisions.cancelled(o, "merchant", self.now, "decline"),
            "no_show": lambda o: decisions.cancelled(o, "no_show", self.now, "no_show"),
            "accept": lambda o: decisions.accepted(o, self.now),
            "start": lambda o: decisions.served(o, "in_service", "started", self.now, CLOCKS),
            "finish": lambda o: decisions.served(o, "finished", "finished", self.now, CLOCKS),
            "complete": lambda o: decisions.completed(o, self.now),
        }[name]
        try:
            change = act(self.order)
        except Problem:
            return
        self.books.take(change, self.now)

    def come_to_rest(self) -> None:
        """Every fact is told at last, nobody waits any more, and every refund reaches its customer."""
        for number in self.moved:
            self.hear(number, "succeeded")
        if self.order.state == "pending_payment":
            self.act("expire")
        if self.order.state == "paid":
            self.act("decline")
        for _ in range(8):
            self.refunds("succeeded")

    def check(self) -> None:
        order, entries = self.order, self.books.entries
        proof = proof_of(order, entries)
        assert proof.holds, proof.failures
        assert order.captured_minor == sum(self.moved.values())
        intents = [a.intent_id for c in order.charges for a in c.attempts]
        assert len(set(intents)) == len(intents)
        times = Counter(entry.event for entry in entries)
        assert times["payment_confirmed"] <= 1
        back = Counter(record.intent_id for record in order.refunds for _ in range(record.amount_minor))
        for number, amount in self.moved.items():
            assert back[f"pi_{number}"] <= amount, "more goes back than came in"
        lives = order.state not in ("cancelled", "declined") or order.cancel_reason == "no_show"
        assert self.books.holds_slot == lives
        assert order.due_at > self.now or not any(record.moving for record in order.refunds)


steps = st.one_of(
    st.tuples(st.just("open"), st.integers(1, 3)),
    st.tuples(st.just("pays"), st.integers(1, 4)),
    st.tuples(st.just("pays_short"), st.integers(1, 4)),
    st.tuples(
        st.sampled_from(["requires_action", "processing", "failed", "canceled", "succeeded", "succeeded"]),
        st.integers(1, 4),
    ),
    st.tuples(st.just("refunds"), st.sampled_from(["processing", "failed", "succeeded"])),
    st.tuples(
        st.just("act"),
        st.sampled_from(
            ["expire", "extend", "customer", "merchant", "decline", "no_show", "accept", "start", "finish", "complete"]
        ),
    ),
    st.tuples(st.just("wait"), st.sampled_from([1, 20, 600, 2800, 3000])),
)


@settings(max_examples=400, deadline=None)
@given(
    steps=st.lists(steps, max_size=14),
    price=st.integers(3, 99_999),
    subsidies=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    bps=st.sampled_from([0, 1, 1200, 3333, 10_000]),
    confirmation=st.sampled_from(["instant", "request"]),
    seed=st.integers(0, 2**16),
)
def test_money_is_never_lost_whatever_comes_in_whatever_order(steps, price, subsidies, bps, confirmation, seed) -> None:
    """Facts and acts in any order and number: after each the books prove, at rest everything is where it belongs."""
    coupon, points = (price * percent // 100 for percent in subsidies)
    begun = plain.order(
        price_minor=price, commission_bps=bps, confirmation=confirmation, coupon_minor=coupon, points_minor=points
    )
    play = Play(Books(begun), seed)
    for name, what in steps:
        if name == "open":
            play.open(what)
        elif name == "pays":
            play.pays(what, None)
        elif name == "pays_short":
            play.pays(what, price + 7)
        elif name == "refunds":
            play.refunds(what)
        elif name == "act":
            play.act(what)
        elif name == "wait":
            play.now = play.now.plus(minutes=what)
        else:
            play.hear(what, name)
        proof = proof_of(play.order, play.books.entries)
        assert proof.holds, proof.failures
    play.come_to_rest()
    play.check()


@settings(max_examples=150, deadline=None)
@given(
    shuffle=st.permutations(
        [(1, "requires_action"), (1, "processing"), (1, "succeeded"), (1, "succeeded"), (2, "canceled"), (2, "failed")]
    )
)
def test_the_facts_of_one_payment_end_the_same_in_every_order(shuffle) -> None:
    """One capture, one confirmation, whichever fact is told first."""
    play = Play(Books(plain.order()), 0)
    play.open(1)
    play.pays(1, None)
    for number, state in shuffle:
        play.hear(number, state)
    assert (play.order.state, play.order.payment_state) == ("confirmed", "paid")
    assert [entry.event for entry in play.books.entries] == ["payment_confirmed"]


def test_a_paid_order_is_refunded_from_the_payment_that_was_kept() -> None:
    """An attempt of a wrong amount went back already: the cancelled order's money is that of the next attempt."""
    books = Books(plain.order())
    for number, received in ((1, 12_799), (2, 12_800)):
        told = plain.intent(books.order, number, received=received)
        books.take(decisions.intent_fact(books.order, told, NOW, CLOCKS, PROVIDER))
    books.take(decisions.cancelled(books.order, "customer", NOW))
    assert [(r.reason, r.intent_id, r.amount_minor) for r in books.order.refunds] == [
        ("wrong_amount", "pi_1", 12_799),
        ("cancelled", "pi_2", 12_800),
    ]


def test_two_intents_under_one_attempt_id_are_two_payments() -> None:
    """A crash between the provider's answer and our write, then the same request with another return address: both
    intents carry one id of ours, and money on the one is not money on the other."""
    books = Books(plain.order())
    charge = books.order.charges[0]
    books.take(decisions.attempt_opened(books.order, charge.id, plain.attempt(books.order), NOW))
    ghost = replace(plain.intent(books.order), intent_id="pi_ghost")
    books.take(decisions.intent_fact(books.order, ghost, NOW, CLOCKS, PROVIDER))
    assert books.order.captured_minor == 12_800
    assert [a.state for a in books.order.charges[0].attempts] == ["requires_action", "succeeded"]
    assert len({a.id for a in books.order.charges[0].attempts}) == 2


def test_a_second_attempt_that_is_written_late_leaves_a_paid_order_paid() -> None:
    """The provider told of it before we wrote it down, and the first one succeeded in between."""
    books = Books(plain.order())
    charge = books.order.charges[0]
    books.take(decisions.attempt_opened(books.order, charge.id, plain.attempt(books.order), NOW))
    waiting = plain.intent(books.order, 2, state="requires_action")
    books.take(decisions.intent_fact(books.order, waiting, NOW, CLOCKS, PROVIDER))
    books.take(decisions.intent_fact(books.order, plain.intent(books.order), NOW, CLOCKS, PROVIDER))
    books.take(decisions.attempt_opened(books.order, charge.id, plain.attempt(books.order, 2), NOW))
    assert (books.order.state, books.order.payment_state) == ("confirmed", "paid")


def test_a_refund_that_bounces_is_owed_again_and_tried_again() -> None:
    """The bank gave the money back after the provider had said it was refunded."""
    books = Books(plain.order())
    books.take(decisions.intent_fact(books.order, plain.intent(books.order), NOW, CLOCKS, PROVIDER))
    books.take(decisions.cancelled(books.order, "merchant", NOW))
    record = books.order.refunds[0]
    for state in ("succeeded", "failed"):
        books.take(decisions.refund_fact(books.order, plain.refund(books.order, record.id, 0, state), NOW, PROVIDER))
    again = books.order.refunds[0]
    assert (again.state, again.tries, books.order.refunded_minor) == ("approved", 1, 0)
    proof = proof_of(books.order, books.entries)
    assert proof.holds
    assert proof.equation["owed_back"] == 12_800
    stale = plain.refund(books.order, record.id, 0, "succeeded")
    assert decisions.refund_fact(books.order, stale, NOW, PROVIDER) is None
    books.take(decisions.refund_fact(books.order, plain.refund(books.order, record.id, 1, "succeeded"), NOW, PROVIDER))
    assert proof_of(books.order, books.entries).equation["owed_back"] == 0


@pytest.mark.parametrize("why", ["failed", "refused"])
def test_a_refund_is_tried_five_times_and_then_waits_for_a_person(why: str) -> None:
    """Each try has a number of its own; after the fifth nothing moves by itself, and nothing is forgotten."""
    books = Books(plain.order())
    books.take(decisions.intent_fact(books.order, plain.intent(books.order), NOW, CLOCKS, PROVIDER))
    books.take(decisions.cancelled(books.order, "merchant", NOW))
    record = books.order.refunds[0]
    for number in range(5):
        assert books.order.refunds[0].tries == number
        if why == "failed":
            told = plain.refund(books.order, record.id, number, "failed")
            books.take(decisions.refund_fact(books.order, told, NOW, PROVIDER))
        else:
            books.take(decisions.refund_refused(books.order, record.id, number, NOW, PROVIDER))
    last = books.order.refunds[0]
    assert (last.state, last.open, last.moving) == ("failed", True, False)
    assert not books.order.terminal
    assert proof_of(books.order, books.entries).holds


def test_a_mark_never_lies_where_the_sweep_has_passed() -> None:
    """Money of a wrong amount on an order that is overdue: its next mark is ahead of now, not its old deadline."""
    books = Books(plain.order())
    late = NOW.plus(minutes=19)
    told = plain.intent(books.order, received=1)
    books.take(decisions.intent_fact(books.order, told, late, CLOCKS, PROVIDER), late)
    assert late < books.order.due_at <= late.plus(seconds=60)


def test_a_slow_refund_is_asked_about_less_and_less_often() -> None:
    """A minute at first, an hour at the most."""
    books = Books(plain.order())
    books.take(decisions.intent_fact(books.order, plain.intent(books.order), NOW, CLOCKS, PROVIDER))
    books.take(decisions.cancelled(books.order, "merchant", NOW))
    record = books.order.refunds[0]
    books.take(decisions.refund_fact(books.order, plain.refund(books.order, record.id, 0, "processing"), NOW, PROVIDER))
    from chalicelib.orders import changes

    waits = []
    now: Instant = books.order.due_at
    for _ in range(30):
        books.take(changes.marked_again(books.order, now), now)
        waits.append(books.order.due_at.since(now) // 1000)
        now = books.order.due_at
    assert waits[0] == 60
    assert waits == sorted(waits)
    assert waits[-1] == 3600
