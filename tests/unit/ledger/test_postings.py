"""Postings: every row balances, and parts of a net amount obey the rounding rule."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel.money import share_bps
from chalicelib.ledger import model
from chalicelib.ledger.model import Legs, Terms, parts_of
from tests.builders.ledger import EXAMPLE

amounts = st.integers(0, 99_999_999)
all_terms = st.builds(Terms, st.just("CNY"), amounts, amounts, amounts, st.integers(0, 10_000))


def as_dict(legs: Legs) -> dict[str, int]:
    return {leg.account: leg.amount_minor for leg in legs}


def test_the_worked_example_books_what_the_page_says() -> None:
    """85 cash, 10 coupon and 5 points are 100 of escrow; 88 goes to the merchant and 12 is commission."""
    assert as_dict(model.payment_confirmed(EXAMPLE, "stripe")) == {
        "A.psp:stripe": 8500,
        "E.coupon_subsidy": 1000,
        "L.points": 500,
        "L.escrow": -10_000,
    }
    assert as_dict(model.earned(EXAMPLE, "mch_1", 10_000)) == {
        "L.escrow": 10_000,
        "L.merchant_pending:mch_1": -8800,
        "R.commission": -1200,
    }


def test_half_kept_splits_what_goes_back_among_those_who_paid() -> None:
    """Of 50.00 kept the merchant has 44.00; 42.50 cash, 5.00 coupon and 2.50 points go back."""
    assert as_dict(model.kept(EXAMPLE, "mch_1", 5000)) == {
        "L.escrow": 10_000,
        "L.refund_payable": -4250,
        "E.coupon_subsidy": -500,
        "L.points": -250,
        "L.merchant_pending:mch_1": -4400,
        "R.commission": -600,
    }


def test_nothing_kept_touches_no_merchant() -> None:
    """A whole refund books no leg for the merchant and none of zero."""
    legs = model.kept(EXAMPLE, "mch_1", 0)
    assert as_dict(legs) == {"L.escrow": 10_000, "L.refund_payable": -8500, "E.coupon_subsidy": -1000, "L.points": -500}


@given(all_terms, st.data())
def test_every_posting_sums_to_zero_and_has_no_empty_leg(terms: Terms, data: st.DataObject) -> None:
    """Whatever the terms and the net, debits equal credits."""
    net = data.draw(st.integers(0, terms.gross_minor))
    less = data.draw(st.integers(0, net))
    some = data.draw(amounts)
    for legs in (
        model.payment_confirmed(terms, "stripe"),
        model.earned(terms, "mch_1", net),
        model.earned_reversed(terms, "mch_1", net),
        model.kept(terms, "mch_1", net),
        model.refund_approved(terms, net, less),
        model.refund_succeeded(some, "stripe"),
        model.refund_returned(some, "stripe"),
        model.unexpected_money(some, "stripe"),
        model.provider_fee(-some, "stripe"),
        model.tip(some, "stripe"),
        model.tip_earned(some, "mch_1"),
        model.settled(some, "mch_1"),
    ):
        assert sum(leg.amount_minor for leg in legs) == 0
        assert all(leg.amount_minor for leg in legs)


def test_no_leg_grows_and_commission_is_the_rate_on_what_remains_over_20_000_random_orders() -> None:
    """However an order's refunds are split, each leg only shrinks, the legs add up to the net, and nothing of the
    end depends on the way there."""
    dice = random.Random(8)  # noqa: S311  # a seed, so that a failure comes again
    for _ in range(20_000):
        top = dice.choice((100, 1000, 100_000, 99_999_999))
        cash, coupon, points = (dice.randint(0, top) if dice.random() < 0.8 else 0 for _ in range(3))
        terms = Terms("CNY", cash, coupon, points, dice.randint(0, 10_000))
        net, parts = terms.gross_minor, parts_of(terms, terms.gross_minor)
        assert (parts.cash, parts.coupon, parts.points) == (cash, coupon, points)
        refunded = dict.fromkeys(("L.refund_payable", "E.coupon_subsidy", "L.points"), 0)
        while net:
            less = net - dice.randint(1, net)
            after = parts_of(terms, less)
            assert after.commission == share_bps(less, terms.commission_bps)
            assert after.commission + after.merchant == less == after.cash + after.coupon + after.points
            for leg in ("commission", "merchant", "cash", "coupon", "points"):
                assert 0 <= getattr(after, leg) <= getattr(parts, leg), (terms, net, less, leg)
            for made in model.refund_approved(terms, net, less):
                if made.account in refunded:
                    refunded[made.account] -= made.amount_minor
            net, parts = less, after
        assert list(refunded.values()) == [cash, coupon, points]


@pytest.mark.parametrize("net", [-1, 10_001])
def test_a_net_outside_the_gross_is_a_bug(net: int) -> None:
    """No more can remain than there was, and no less than nothing."""
    with pytest.raises(ValueError, match="net"):
        parts_of(EXAMPLE, net)


def test_terms_refuse_what_no_order_can_have() -> None:
    """Negative amounts and a commission above everything."""
    with pytest.raises(ValueError, match="negative"):
        Terms("CNY", -1, 0, 0, 0)
    with pytest.raises(ValueError, match="commission"):
        Terms("CNY", 1, 0, 0, 10_001)


def test_a_refund_cannot_leave_more_than_there_was() -> None:
    """Net only goes down."""
    with pytest.raises(ValueError, match="no more than"):
        model.refund_approved(EXAMPLE, 100, 101)
