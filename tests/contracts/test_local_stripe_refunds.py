"""Refunds and the provider's book on the local Stripe server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.contracts.test_local_stripe_process import Provider, eventually, provider

DAY = 86_400


@pytest.fixture(scope="module")
def psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One server for this file; a wallet confirms a refund after a fifth of a second."""
    with provider(tmp_path_factory.mktemp("refunds"), more=["--refund-delay-seconds", "0.2"]) as running:
        yield running


def paid(psp: Provider, method: str, amount: int = 5000, outcome: str = "succeed") -> Any:
    """A paid intent."""
    intent = psp.pay(method, amount)
    if intent.status != "succeeded":
        psp.decide(intent.id, outcome)
    return psp.client.v1.payment_intents.retrieve(intent.id)


def about(psp: Provider, intent_id: str) -> list[str]:
    """The types of all events about an intent, its charge and its refunds, oldest first."""
    events = psp.client.v1.events.list({"limit": 100}).data
    things = [(event.type, event.to_dict()["data"]["object"]) for event in reversed(events)]
    return [kind for kind, thing in things if intent_id in {thing.get("id"), thing.get("payment_intent")}]


def net_of(psp: Provider) -> int:
    """The sum of all nets, by auto-paging through the whole book."""
    lines = psp.client.v1.balance_transactions.list({"limit": 3})
    return sum(line.net for line in lines.auto_paging_iter())


def test_a_card_refund_is_done_at_once(psp: Provider) -> None:
    """succeeded at once, with a `refund` line and no fee given back."""
    intent = paid(psp, "pm_card_visa")
    refund = psp.client.v1.refunds.create(
        {"payment_intent": intent.id, "amount": 2_000, "metadata": {"refund_id": "r"}}
    )
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 2_000, intent.latest_charge)
    line = psp.client.v1.balance_transactions.retrieve(str(refund.balance_transaction))
    assert (line.type, line.reporting_category, line.amount, line.fee, line.net, line.source) == (
        "refund",
        "refund",
        -2_000,
        0,
        -2_000,
        refund.id,
    )
    charge = psp.client.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (2_000, False)
    assert about(psp, intent.id)[-2:] == ["refund.created", "charge.refunded"]


@pytest.mark.parametrize("method", ["alipay", "wechat_pay"])
def test_a_wallet_refund_is_confirmed_later(psp: Provider, method: str) -> None:
    """pending, then succeeded by `refund.updated`; the line is a `payment_refund`."""
    intent = paid(psp, method)
    refund = psp.client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "pending"
    line = psp.client.v1.balance_transactions.retrieve(str(refund.balance_transaction))
    assert (line.type, line.reporting_category, line.net) == ("payment_refund", "refund", -5_000)
    eventually(lambda: psp.client.v1.refunds.retrieve(refund.id).status == "succeeded")
    assert about(psp, intent.id)[-3:] == ["refund.created", "charge.refunded", "refund.updated"]


@pytest.mark.parametrize("method", ["alipay", "pm_card_visa", "pm_card_refundFail"])
def test_a_refund_that_fails_later_puts_the_money_back(psp: Provider, method: str) -> None:
    """`refund.failed`, a `refund_failure` line that cancels the refund's, and the charge can be refunded again."""
    if method == "pm_card_visa":
        held = psp.client.v1.payment_intents.create({"amount": 5000, "currency": "cny"})
        psp.decide(held.id, "refund_fails")
        intent = psp.client.v1.payment_intents.retrieve(held.id)
    else:
        intent = paid(psp, method, outcome="refund_fails")
    before = net_of(psp)
    refund = psp.client.v1.refunds.create({"payment_intent": intent.id})
    assert net_of(psp) == before - 5_000
    failed = eventually(lambda: (now := psp.client.v1.refunds.retrieve(refund.id)).status == "failed" and now)
    back = psp.client.v1.balance_transactions.retrieve(failed.failure_balance_transaction)
    assert (back.type, back.reporting_category, back.net, back.source) == (
        "refund_failure",
        "refund_failure",
        5_000,
        refund.id,
    )
    assert net_of(psp) == before
    assert psp.client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == 0
    assert about(psp, intent.id)[-1] == "refund.failed"


def test_never_more_than_was_paid_is_refunded(psp: Provider) -> None:
    """Over any sequence of partial refunds: too much is refused, and when nothing is left the code says so."""
    intent = paid(psp, "alipay")
    refunds = psp.client.v1.refunds
    refunds.create({"payment_intent": intent.id, "amount": 3_000})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as caught:
        refunds.create({"payment_intent": intent.id, "amount": 2_001})
    assert caught.value.param == "amount"
    assert refunds.create({"payment_intent": intent.id}).amount == 2_000
    with pytest.raises(stripe.InvalidRequestError) as done:
        refunds.create({"payment_intent": intent.id, "amount": 1})
    assert done.value.code == "charge_already_refunded"
    assert [one.amount for one in refunds.list({"payment_intent": intent.id}).data] == [2_000, 3_000]
    assert psp.client.v1.charges.retrieve(str(intent.latest_charge)).refunded


@pytest.mark.parametrize("amount", [0, -5])
def test_a_refund_of_nothing_is_refused(psp: Provider, amount: int) -> None:
    """The amount is a positive integer."""
    intent = paid(psp, "pm_card_visa")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        psp.client.v1.refunds.create({"payment_intent": intent.id, "amount": amount})
    assert caught.value.code == "parameter_invalid_integer"


def test_an_unpaid_intent_cannot_be_refunded(psp: Provider) -> None:
    """Nothing was captured: 400; an unknown intent or none at all: 400 too."""
    waiting = psp.pay("alipay")
    held = psp.pay("pm_card_visa", capture_method="manual")
    for params in ({"payment_intent": waiting.id}, {"charge": held.latest_charge}, {"payment_intent": "pi_none"}, {}):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            psp.client.v1.refunds.create(params)
        assert caught.value.http_status == 400


@pytest.mark.parametrize(("method", "days"), [("alipay", 90), ("wechat_pay", 180)])
def test_a_wallet_takes_refunds_for_so_many_days(
    tmp_path_factory: pytest.TempPathFactory, method: str, days: int
) -> None:
    """A day before the end of the window it works, a day after it does not."""
    folder = tmp_path_factory.mktemp("window")
    with provider(folder) as psp:
        intent = paid(psp, method)
        (folder / "clock").write_text(str((days - 1) * DAY))
        psp.client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
        (folder / "clock").write_text(str((days + 1) * DAY))
        with pytest.raises(stripe.InvalidRequestError) as caught:
            psp.client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
        assert caught.value.code == "charge_not_refundable"


def test_the_book_adds_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Random payments and refunds: Σ net of all lines = the balance, before and after the money is available."""
    folder = tmp_path_factory.mktemp("book")
    chance = random.Random(7)  # noqa: S311 - a seed, so that a failure comes again
    with provider(folder, more=["--refund-delay-seconds", "0"]) as psp:
        expected: dict[str, int] = {"cny": 0, "usd": 0}
        for _ in range(25):
            method, amount = chance.choice(["pm_card_visa", "alipay", "wechat_pay"]), chance.randint(400, 90_000)
            currency = chance.choice(["cny", "usd"])
            intent = psp.pay(method, amount, currency=currency)
            if intent.status != "succeeded":
                psp.decide(intent.id, "succeed")
            bps, fixed = (290, 30) if method == "pm_card_visa" else (220, 35)
            expected[currency] += amount - (int(amount * bps / 10_000 + 0.5) + fixed)
            if chance.random() < 0.5:
                part = chance.randint(1, amount)
                psp.client.v1.refunds.create({"payment_intent": intent.id, "amount": part})
                expected[currency] -= part
        lines = list(psp.client.v1.balance_transactions.list({"limit": 7}).auto_paging_iter())
        nets = {c: sum(line.net for line in lines if line.currency == c) for c in expected}
        balance = psp.client.v1.balance.retrieve()
        assert nets == expected == {one.currency: one.amount for one in balance.pending}
        assert {one.amount for one in balance.available} == {0}
        assert all(line.net == line.amount - line.fee for line in lines)
        assert all(sum(part.amount for part in line.fee_details) == line.fee for line in lines)
        assert {line.status for line in lines} == {"pending"}
        (folder / "clock").write_text(str(2 * DAY))
        settled = psp.client.v1.balance.retrieve()
        assert expected == {one.currency: one.amount for one in settled.available}
        assert psp.client.v1.balance_transactions.retrieve(lines[0].id).status == "available"


def test_listings_page_newest_first(psp: Provider) -> None:
    """`limit`, `starting_after`, `ending_before` and `created` cut the same order without gaps or repeats."""
    made = [psp.client.v1.payment_intents.create({"amount": 700 + n, "currency": "cny"}).id for n in range(7)][::-1]
    listing = psp.client.v1.payment_intents.list
    first = listing({"limit": 3})
    assert ([one.id for one in first.data], first.has_more) == (made[:3], True)
    second = listing({"limit": 3, "starting_after": made[2]})
    assert [one.id for one in second.data] == made[3:6]
    back = listing({"limit": 2, "ending_before": made[3]})
    assert ([one.id for one in back.data], back.has_more) == (made[1:3], True)
    every = [one.id for one in listing({"limit": 2}).auto_paging_iter()]
    assert every[:7] == made
    assert len(every) == len(set(every))
    newest = first.data[0].created
    assert listing({"created": {"gte": newest + 60}}).data == []
    assert made[0] in {one.id for one in listing({"created": {"gte": newest, "lt": newest + 1}}).data}


def test_lines_and_events_are_filtered(psp: Provider) -> None:
    """By type, source and creation time, as a reconciliation asks."""
    intent = paid(psp, "alipay")
    lines = psp.client.v1.balance_transactions
    assert {line.type for line in lines.list({"type": "payment", "limit": 100}).data} == {"payment"}
    assert [line.source for line in lines.list({"source": str(intent.latest_charge)}).data] == [intent.latest_charge]
    now = intent.created
    assert lines.list({"created": {"gte": now + 60, "lt": now + 120}}).data == []
    events = psp.client.v1.events
    assert {one.type for one in events.list({"type": "charge.succeeded"}).data} == {"charge.succeeded"}
    two: Any = ["charge.succeeded", "payment_intent.created"]
    assert {one.type for one in events.list({"types": two, "limit": 100}).data} == set(two)
    latest = events.list({"limit": 1}).data[0]
    assert events.retrieve(latest.id).to_dict() == latest.to_dict()
    assert events.list({"ending_before": latest.id}).data == []


def test_the_book_can_be_falsified_on_purpose(psp: Provider) -> None:
    """The control removes a line or alters its amount: what a reconciliation has to find."""
    first, second = (paid(psp, "pm_card_visa") for _ in range(2))
    one, two = (
        psp.client.v1.balance_transactions.list({"source": str(intent.latest_charge)}).data[0].id
        for intent in (first, second)
    )
    before = net_of(psp)
    status, altered = psp.local("POST", f"balance_transactions/{one}", {"amount_delta": 1})
    assert (status, altered["amount"], altered["net"]) == (200, 5_001, 4_826)
    assert psp.local("DELETE", f"balance_transactions/{two}")[0] == 200
    assert net_of(psp) == before + 1 - 4_825
    with pytest.raises(stripe.InvalidRequestError) as caught:
        psp.client.v1.balance_transactions.retrieve(two)
    assert caught.value.http_status == 404
    assert psp.local("DELETE", f"balance_transactions/{two}")[0] == 404
    assert psp.local("POST", f"balance_transactions/{one}", {"amount_delta": 0})[0] == 422
    psp.local("POST", f"balance_transactions/{one}", {"amount_delta": 2})
    for line in (one, two):
        status, restored = psp.local("POST", f"balance_transactions/{line}/restore")
        assert (status, restored["amount"], restored["net"]) == (200, 5_000, 4_825)
    assert net_of(psp) == before
    assert psp.local("POST", "balance_transactions/txn_unknown/restore")[0] == 404
