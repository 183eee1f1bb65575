"""PaymentIntents on the local Stripe server: each method's way, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from tests.contracts.test_local_stripe_process import RETURN_URL, Provider, call, client_of, provider


@pytest.fixture(scope="module")
def psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One server for this file."""
    with provider(tmp_path_factory.mktemp("payments")) as running:
        yield running


def refusal(psp: Provider, **params: Any) -> stripe.InvalidRequestError:
    """The error that creating an intent with these parameters gives."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        psp.client.v1.payment_intents.create(params)
    assert caught.value.http_status == 400
    return caught.value


def test_a_card_is_charged_at_once(psp: Provider) -> None:
    """Create unconfirmed, then confirm with a test card: succeeded, with a charge and a line less the fee."""
    intent = psp.client.v1.payment_intents.create({"amount": 10_000, "currency": "cny"})
    assert intent.status == "requires_payment_method"
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(intent.id + "_secret_")
    paid = psp.client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "expand": ["latest_charge.balance_transaction"]}
    )
    assert (paid.status, paid.amount_received) == ("succeeded", 10_000)
    charge: Any = paid.latest_charge
    assert charge.captured
    line = charge.balance_transaction
    assert (line.type, line.reporting_category, line.source) == ("charge", "charge", charge.id)
    assert (line.amount, line.fee, line.net) == (10_000, 320, 9_680)


@pytest.mark.parametrize(
    ("method", "action"), [("alipay", "alipay_handle_redirect"), ("wechat_pay", "wechat_pay_display_qr_code")]
)
def test_a_wallet_asks_the_payer_first(psp: Provider, method: str, action: str) -> None:
    """A wallet goes to `requires_action` with our pay page, and becomes a `payment` line when the payer agrees."""
    intent = psp.pay(method, 10_000, metadata={"attempt_id": f"att-{method}"})
    assert (intent.status, intent.next_action.type) == ("requires_action", action)
    page = intent.next_action.to_dict()[action]
    assert page["url" if method == "alipay" else "data"] == f"http://127.0.0.1:8000/local/pay/att-{method}"
    psp.decide(intent.id, "succeed")
    paid = psp.client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    charge: Any = paid.latest_charge
    assert (paid.status, charge.payment_method_details.type) == ("succeeded", method)
    line = charge.balance_transaction
    assert (line.type, line.reporting_category, line.fee) == ("payment", "charge", 255)


def test_a_declined_card_answers_402_and_leaves_a_trace(psp: Provider) -> None:
    """The error names the decline, and the intent is back at `requires_payment_method` with a failed charge."""
    with pytest.raises(stripe.CardError) as caught:
        psp.pay("pm_card_chargeDeclined")
    error: Any = caught.value.error
    assert (caught.value.http_status, error.code, error.decline_code) == (402, "card_declined", "generic_decline")
    intent = psp.client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == "card_declined"
    assert psp.client.v1.charges.retrieve(error.charge).status == "failed"
    retried = psp.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (retried.status, retried.last_payment_error) == ("succeeded", None)


def test_a_payer_whose_card_is_declined_can_try_again(psp: Provider) -> None:
    """On the pay page: the intent stays at `requires_payment_method` with the error and an event, then it is paid."""
    intent = psp.client.v1.payment_intents.create({"amount": 10_000, "currency": "cny"})
    for _ in range(2):
        assert psp.decide(intent.id, "decline")["status"] == "requires_payment_method"
    declined = psp.client.v1.payment_intents.retrieve(intent.id)
    error: Any = declined.last_payment_error
    assert (declined.status, declined.payment_method) == ("requires_payment_method", None)
    assert (error.type, error.code, error.decline_code) == ("card_error", "card_declined", "generic_decline")
    assert psp.client.v1.charges.retrieve(error.charge).status == "failed"
    events = psp.client.v1.events.list({"type": "payment_intent.payment_failed", "limit": 2}).data
    assert [event.data.object["id"] for event in events] == [intent.id, intent.id]
    psp.decide(intent.id, "succeed")
    paid = psp.client.v1.payment_intents.retrieve(intent.id)
    assert (paid.status, paid.amount_received, paid.last_payment_error) == ("succeeded", 10_000, None)


def test_a_card_that_wants_authentication_waits_for_the_payer(psp: Provider) -> None:
    """`requires_action` with a redirect, then the bank says yes or no."""
    intent = psp.pay("pm_card_authenticationRequired", return_url=RETURN_URL)
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    psp.decide(intent.id, "decline")
    failed = psp.client.v1.payment_intents.retrieve(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"


def test_a_card_can_be_held_and_captured_in_part(psp: Provider) -> None:
    """`capture_method=manual`: nothing is booked until the capture, and then only what was captured."""
    held = psp.pay("pm_card_visa", 8_000, capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 8_000, 0)
    with pytest.raises(stripe.InvalidRequestError, match="between 1 and 8000"):
        psp.client.v1.payment_intents.capture(held.id, {"amount_to_capture": 8_001})
    taken = psp.client.v1.payment_intents.capture(held.id, {"amount_to_capture": 3_000})
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 3_000)
    lines = psp.client.v1.balance_transactions.list({"source": str(taken.latest_charge)}).data
    assert [line.amount for line in lines] == [3_000]


def test_wallets_refuse_manual_capture(psp: Provider) -> None:
    """They are dropped from the list of methods, and refused when chosen."""
    held = psp.client.v1.payment_intents.create({"amount": 5000, "currency": "cny", "capture_method": "manual"})
    assert held.payment_method_types == ["card"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        psp.pay("alipay", capture_method="manual")
    assert caught.value.code == "payment_intent_incompatible_payment_method"


def test_allowed_types_that_do_not_fit_are_dropped_in_silence(psp: Provider) -> None:
    """WeChat Pay takes no Malaysian ringgit, and this server has no Klarna: both go without a word."""
    allowed: Any = ["card", "alipay", "wechat_pay", "klarna"]
    intent = psp.client.v1.payment_intents.create(
        {"amount": 5000, "currency": "myr", "allowed_payment_method_types": allowed}
    )
    assert intent.payment_method_types == ["card", "alipay"]
    assert intent.allowed_payment_method_types == allowed
    refusal(psp, amount=5000, currency="myr", allowed_payment_method_types=["wechat_pay"])


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
        ({"ammount": 5}, "parameter_unknown", "ammount"),
        ({"payment_method_data": {"type": "alipay", "x": "1"}}, "parameter_unknown", "payment_method_data[x]"),
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": 349}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"currency": "CNY"}, None, "currency"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"allowed_payment_method_types": ["cash"]}, None, "allowed_payment_method_types[0]"),
        ({"payment_method": "pm_nobody"}, "resource_missing", "payment_method"),
        ({"transfer_data": {"destination": "acct_1"}}, "local_server_unsupported", "transfer_data"),
        ({"metadata": {"k" * 41: "v"}}, None, f"metadata[{'k' * 41}]"),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, None, "metadata"),
    ],
)
def test_what_stripe_refuses_is_refused(psp: Provider, params: Any, code: str | None, param: str) -> None:
    """A wrong parameter is 400 with Stripe's code and the parameter's own name."""
    error = refusal(psp, **({"amount": 5000, "currency": "cny"} | params))
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_a_missing_parameter_is_named(psp: Provider, missing: str) -> None:
    """`parameter_missing`."""
    params = {"amount": 5000, "currency": "cny"}
    del params[missing]
    error = refusal(psp, **params)
    assert (error.code, error.param) == ("parameter_missing", missing)


def test_alipay_needs_a_return_url(psp: Provider) -> None:
    """A redirect without a way back is refused, and leaves no intent behind."""
    before = psp.pay("alipay").id
    error = refusal(psp, amount=5000, currency="cny", confirm=True, payment_method_data={"type": "alipay"})
    assert (error.code, error.param) == ("parameter_missing", "return_url")
    assert psp.client.v1.payment_intents.list({"limit": 1}).data[0].id == before


def test_cancel_ends_an_unpaid_intent_once(psp: Provider) -> None:
    """A waiting intent is cancelled; a second cancel, a confirm, and the payer's act are refused."""
    intent = psp.pay("alipay")
    done = psp.client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (done.status, done.cancellation_reason, done.next_action) == ("canceled", "abandoned", None)
    with pytest.raises(stripe.InvalidRequestError) as again:
        psp.client.v1.payment_intents.cancel(intent.id)
    assert again.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError):
        psp.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert psp.local("POST", f"payment_intents/{intent.id}", {"outcome": "succeed"})[0] == 409


def test_cancel_of_a_paid_intent_is_refused_with_the_intent(psp: Provider) -> None:
    """The error carries the intent, so that the caller sees that it was paid."""
    paid = psp.pay("pm_card_visa")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        psp.client.v1.payment_intents.cancel(paid.id)
    error: Any = caught.value.error
    assert (error.code, error.payment_intent.status) == ("payment_intent_unexpected_state", "succeeded")


def test_cancel_releases_a_hold_without_a_balance_line(psp: Provider) -> None:
    """A held amount that is given back never touched the balance."""
    held = psp.pay("pm_card_visa", 8_000, capture_method="manual")
    assert psp.client.v1.payment_intents.cancel(held.id).status == "canceled"
    assert psp.client.v1.charges.retrieve(str(held.latest_charge)).refunded
    assert psp.client.v1.balance_transactions.list({"source": str(held.latest_charge)}).data == []


def test_metadata_is_merged_and_searched(psp: Provider) -> None:
    """An update adds and unsets keys; search and the local control find the intent by what it has now."""
    intent = psp.client.v1.payment_intents.create(
        {"amount": 5000, "currency": "cny", "metadata": {"order_id": "o'1", "old": "x"}}
    )
    updated = psp.client.v1.payment_intents.update(intent.id, {"metadata": {"old": "", "attempt_id": "a-77"}})
    assert updated.metadata.to_dict() == {"order_id": "o'1", "attempt_id": "a-77"}
    search = psp.client.v1.payment_intents.search
    assert [one.id for one in search({"query": "metadata['order_id']:'o\\'1'"}).data] == [intent.id]
    assert search({"query": "metadata['old']:'x'"}).data == []
    assert search({"query": "metadata['attempt_id']:'a-77' AND status:'succeeded'"}).data == []
    with pytest.raises(stripe.InvalidRequestError):
        search({"query": "order_id = 1"})
    found = psp.local("GET", "payment_intents?metadata_key=attempt_id&metadata_value=a-77")[1]["items"]
    assert [one["id"] for one in found] == [intent.id]


def test_a_declined_key_replays_the_decline(psp: Provider) -> None:
    """A 402 is stored under its key, so a retry does not charge again; a refused parameter is not stored."""
    params: Any = {"amount": 5000, "currency": "cny", "confirm": True, "payment_method": "pm_card_chargeDeclined"}
    seen = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            psp.client.v1.payment_intents.create(params, {"idempotency_key": "decline-1"})
        error: Any = caught.value.error
        seen.append((error.charge, caught.value.headers.get("Idempotent-Replayed")))
    assert seen[0][0] == seen[1][0]
    assert [replayed for _, replayed in seen] == [None, "true"]
    with pytest.raises(stripe.InvalidRequestError):
        psp.client.v1.payment_intents.create({"amount": 1, "currency": "cny"}, {"idempotency_key": "fixed-1"})
    assert psp.client.v1.payment_intents.create(
        {"amount": 5000, "currency": "cny"}, {"idempotency_key": "fixed-1"}
    ).id.startswith("pi_")


def test_a_hundred_at_once_with_one_key_are_one_intent(psp: Provider) -> None:
    """Concurrent requests with the same key are serialised, and all get the same answer."""

    def buy(_: int) -> str:
        return (
            client_of(psp.port)
            .v1.payment_intents.create(
                {"amount": 5000, "currency": "cny", "metadata": {"race": "one"}}, {"idempotency_key": "race-1"}
            )
            .id
        )

    with ThreadPoolExecutor(100) as pool:
        ids = set(pool.map(buy, range(100)))
    found = psp.client.v1.payment_intents.search({"query": "metadata['race']:'one'"}).data
    assert ids == {one.id for one in found}
    assert len(ids) == 1


@pytest.mark.parametrize("key", ["sk_test_other", "sk_live_x"])
def test_another_api_key_is_401(psp: Provider, key: str) -> None:
    """Only the configured key is accepted, and the error does not repeat what was sent."""
    with pytest.raises(stripe.AuthenticationError) as caught:
        client_of(psp.port, key).v1.balance.retrieve()
    assert key not in str(caught.value)


def test_bad_requests_are_stripe_errors_and_never_500(psp: Provider) -> None:
    """Unknown paths and ids, no key, JSON bodies, other API versions, malformed forms: all 4xx in Stripe's shape."""
    psp.pay("alipay")  # what cannot be expanded is found on what there is
    base = f"http://127.0.0.1:{psp.port}/v1"
    bearer = {"Authorization": f"Bearer {'sk_test_contract'}"}
    form = bearer | {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [
        (404, call("GET", f"{base}/nothing", None, bearer)),
        (404, call("PUT", f"{base}/payment_intents", None, bearer)),
        (404, call("GET", f"{base}/payment_intents/pi_none", None, bearer)),
        (401, call("GET", f"{base}/balance")),
        (400, call("POST", f"{base}/payment_intents", {"amount": 5}, bearer)),
        (400, call("POST", f"{base}/payment_intents", {"amount": 5}, form)),
        (400, call("GET", f"{base}/balance", None, bearer | {"Stripe-Version": "2020-08-27"})),
        (400, call("GET", f"{base}/events?limit=0", None, bearer)),
        (400, call("GET", f"{base}/events?limit=9999999999999999999999", None, bearer)),
        (400, call("GET", f"{base}/events?a[[b=1", None, bearer)),
        (400, call("GET", f"{base}/events?limit=1&limit[x]=1", None, bearer)),
        (400, call("GET", f"{base}/events?type=%ff%00", None, bearer)),
        (400, call("GET", f"{base}/events?starting_after=evt_none", None, bearer)),
        (400, call("GET", f"{base}/payment_intents?expand[0]=data.amount", None, bearer)),
    ]
    assert [status for status, _ in answers] == [answer[0] for _, answer in answers]
    assert {answer[1]["error"]["type"] for _, answer in answers} == {"invalid_request_error"}


def test_the_control_says_plainly_what_it_cannot_do(psp: Provider) -> None:
    """422 with the allowed outcomes, 404 for a stranger, 409 for a paid one."""
    intent = psp.pay("alipay")
    status, answer = psp.local("POST", f"payment_intents/{intent.id}", {"outcome": "dispute"})
    assert (status, "succeed, decline" in answer["message"]) == (422, True)
    assert psp.local("POST", f"payment_intents/{intent.id}", {"outcome": "late", "seconds": -1})[0] == 422
    assert psp.local("POST", "payment_intents/pi_none", {"outcome": "succeed"})[0] == 404
    assert psp.decide(intent.id, "succeed")["status"] == "succeeded"
    assert psp.local("POST", f"payment_intents/{intent.id}", {"outcome": "succeed"})[0] == 409
    view = psp.local("GET", f"payment_intents/{intent.id}")[1]
    assert (view["method"], view["status"], view["outcomes"]) == ("alipay", "succeeded", [])
