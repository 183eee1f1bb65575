"""The proof of an order: it holds for every true story, and each of its three conditions fails by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.ledger import model
from chalicelib.ledger.model import NOTHING_EARNED, Expected, Facts, Leg, Terms, expected_of, parts_of, prove
from tests.builders.ledger import EXAMPLE, Books

small = st.integers(0, 20_000)
some_terms = st.builds(Terms, st.just("CNY"), st.integers(1, 20_000), small, small, st.integers(0, 10_000))


@dataclass
class Story:
    """An order's books together with what the provider and the decision say of it."""

    books: Books
    facts: Facts
    expected: Expected
    terminal: bool


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Paid, partly refunded, then left open, earned or cancelled with a part kept; refunds done or still on the way;
    perhaps a payment nobody expected."""
    terms = draw(some_terms)
    books = Books(terms)
    books.captured()
    captured, refunded, net = terms.cash_minor, 0, terms.gross_minor
    for _ in range(draw(st.integers(0, 3))):
        less = draw(st.integers(0, net))
        if less < net:
            books.refund_approved(net, less)
        net = less
    end = draw(st.sampled_from(["open", "earned", "cancelled"]))
    expected = NOTHING_EARNED
    if end == "earned" and net:
        books.earned(net)
        expected = expected_of(terms, net)
    elif end == "cancelled" and net == terms.gross_minor:
        net = draw(st.integers(0, net))
        books.kept(net)
        expected = expected_of(terms, net)
    elif net:
        end = "open"
    if draw(st.booleans()):
        extra = draw(st.integers(1, 20_000))
        books.add("unexpected_money", model.unexpected_money(extra, "stripe"), ref="ch_extra")
        captured += extra
    owed = captured - parts_of(terms, net).cash
    back = owed if draw(st.booleans()) else draw(st.integers(0, owed))
    if back:
        books.refund_succeeded(back)
        refunded = back
    parts = parts_of(terms, net)
    facts = Facts(captured, refunded, coupon=parts.coupon, points=parts.points)
    return Story(books, facts, expected, terminal=end != "open" and back == owed)


def told(story: Story) -> model.Proof:
    return prove(story.books.entries, story.facts, story.expected, story.terminal)


@given(stories())
def test_every_true_story_is_proven(story: Story) -> None:
    """Whatever happened to the order, books that followed it agree with the facts and the decision."""
    proof = told(story)
    assert (proof.holds, proof.failures) == (True, [])
    assert proof.hash == story.books.entries[-1].hash


@given(stories(), st.sampled_from(["captured", "refunded", "charged_back", "coupon", "points"]), st.integers(1, 500))
def test_condition_1_a_fact_that_the_books_do_not_know_breaks_the_equation(story: Story, name: str, by: int) -> None:
    """Money that the provider moved and nobody booked, although all entries balance."""
    story.facts = replace(story.facts, **{name: getattr(story.facts, name) + by})
    proof = told(story)
    assert not proof.holds
    assert [failure.partition(":")[0] for failure in proof.failures] == ["equation"]


@given(stories(), st.integers(1, 500))
def test_condition_2_a_wrong_share_breaks_the_proof_though_the_equation_holds(story: Story, moved: int) -> None:
    """Commission computed at another rate: merchant and platform shift, their sum does not."""
    legs = (
        Leg(f"L.merchant_pending:{story.books.merchant_id}", moved),
        Leg("R.commission", -moved),
    )
    story.books.add("earned_reversed", legs)
    proof = told(story)
    assert not proof.holds
    assert [failure.partition(":")[0] for failure in proof.failures] == ["merchant", "platform"]


def test_condition_3_a_terminal_order_holds_nothing_back() -> None:
    """A cancelled order whose refund has not reached the customer is not at its end."""
    books = Books()
    books.captured()
    books.kept(0)
    facts = Facts(captured=8500)
    assert prove(books.entries, facts, NOTHING_EARNED, terminal=False).holds
    proof = prove(books.entries, facts, NOTHING_EARNED, terminal=True)
    assert proof.failures == ["terminal: escrow 0, owed back 8500"]
    books = Books()
    books.captured()
    facts = Facts(captured=8500, coupon=1000, points=500)
    assert prove(books.entries, facts, NOTHING_EARNED, terminal=True).failures == [
        "terminal: escrow 10000, owed back 0"
    ]


def test_a_broken_chain_proves_nothing() -> None:
    """Amounts that add up do not make a tampered entry true."""
    books = Books()
    books.captured()
    books.entries[0] = replace(books.entries[0], ref="ch_other")
    proof = prove(books.entries, Facts(8500, coupon=1000, points=500), NOTHING_EARNED, terminal=False)
    assert not proof.holds


def test_the_equation_names_both_sides() -> None:
    """The worked example, earned: 85 + 15 = 88 + 12."""
    books = Books(EXAMPLE)
    books.captured()
    books.earned()
    proof = prove(books.entries, Facts(8500, coupon=1000, points=500), expected_of(EXAMPLE, 10_000), terminal=True)
    assert proof.holds
    assert proof.equation == {
        "captured": 8500,
        "refunded": 0,
        "charged_back": 0,
        "subsidies": 1500,
        "escrow": 0,
        "merchant": 8800,
        "platform": 1200,
        "tax": 0,
        "owed_back": 0,
    }
