"""The answers have Stripe's shape: every key of its published resource fixtures, and only keys that the SDK knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.contracts.test_local_stripe_process import Provider, provider

# The keys of Stripe's published resource fixtures (stripe/openapi, fixtures3.json), written down here so that the test
# needs no file. Left out: `source` and `refunds` of a charge (`refunds` comes only when expanded), and
# `connect_reserved` of the balance, which only Connect platforms have.
KEYS = {
    "payment_intent": (
        "amount amount_capturable amount_details amount_received application application_fee_amount"
        " automatic_payment_methods canceled_at cancellation_reason capture_method client_secret confirmation_method"
        " created currency customer customer_account description excluded_payment_method_types id last_payment_error"
        " latest_charge livemode managed_payments metadata next_action object on_behalf_of payment_method"
        " payment_method_configuration_details payment_method_options payment_method_types processing receipt_email"
        " review setup_future_usage shipping source statement_descriptor statement_descriptor_suffix status"
        " transfer_data transfer_group"
    ),
    "charge": (
        "amount amount_captured amount_refunded application application_fee application_fee_amount"
        " balance_transaction billing_details calculated_statement_descriptor captured created currency customer"
        " description disputed failure_balance_transaction failure_code failure_message fraud_details id livemode"
        " metadata object on_behalf_of outcome paid payment_intent payment_method payment_method_details"
        " receipt_email receipt_number receipt_url refunded review shipping source_transfer statement_descriptor"
        " statement_descriptor_suffix status transfer_data transfer_group"
    ),
    "refund": (
        "amount balance_transaction charge created currency customer customer_account destination_details id metadata"
        " object payment_intent payment_method reason receipt_number source_transfer_reversal status transfer_reversal"
    ),
    "balance_transaction": (
        "amount available_on balance_type created currency description exchange_rate fee fee_details id net object"
        " reporting_category source status type"
    ),
    "event": "api_version created data id livemode object pending_webhooks request type",
    "balance": "available livemode object pending",
    "webhook_endpoint": (
        "api_version application created description enabled_events id livemode metadata object status url"
    ),
}
CLASSES: dict[str, Any] = {
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "balance_transaction": stripe.BalanceTransaction,
    "event": stripe.Event,
    "balance": stripe.Balance,
    "webhook_endpoint": stripe.WebhookEndpoint,
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Real answers of each kind, in several states."""
    with provider(tmp_path_factory.mktemp("shapes")) as psp:
        yield _collect(psp)


def _collect(psp: Provider) -> dict[str, list[dict[str, Any]]]:
    api = psp.client.v1
    waiting, paid = psp.pay("alipay", metadata={"a": "b"}), psp.pay("pm_card_visa")
    psp.pay("wechat_pay")
    psp.decide(waiting.id, "succeed")
    for intent in (waiting, paid):
        api.refunds.create({"payment_intent": intent.id, "amount": 700})
    url = "http://127.0.0.1:9/none"
    api.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    lists: dict[str, Any] = {
        "payment_intent": api.payment_intents,
        "charge": api.charges,
        "refund": api.refunds,
        "balance_transaction": api.balance_transactions,
        "event": api.events,
        "webhook_endpoint": api.webhook_endpoints,
    }
    found = {kind: [one.to_dict() for one in service.list({"limit": 100}).data] for kind, service in lists.items()}
    return found | {"balance": [api.balance.retrieve().to_dict()]}


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_every_key_of_the_published_shape_is_there(answers: dict[str, list[dict[str, Any]]], kind: str) -> None:
    """A reader of a key that Stripe sends never meets a KeyError here."""
    assert answers[kind]
    for answer in answers[kind]:
        assert set(KEYS[kind].split()) - set(answer) == set()
        assert answer["object"] == kind


@pytest.mark.parametrize("kind", sorted(KEYS))
def test_no_key_is_invented(answers: dict[str, list[dict[str, Any]]], kind: str) -> None:
    """Each key is one that the SDK's own class declares."""
    for answer in answers[kind]:
        assert set(answer) - set(CLASSES[kind].__annotations__) - {"object"} == set()


def test_parts_have_the_sdk_s_keys_too(answers: dict[str, list[dict[str, Any]]]) -> None:
    """The redirect, the QR code, fee details and an event's request use the names the SDK declares."""
    actions = {a["type"]: a[a["type"]] for one in answers["payment_intent"] if (a := one["next_action"])}
    code = stripe.PaymentIntent.NextAction.WechatPayDisplayQrCode
    assert set(actions["wechat_pay_display_qr_code"]) == set(code.__annotations__)
    fee = next(line["fee_details"][0] for line in answers["balance_transaction"] if line["fee_details"])
    assert set(fee) == set(stripe.BalanceTransaction.FeeDetail.__annotations__)
    assert set(answers["event"][0]["request"]) == set(stripe.Event.Request.__annotations__)
    methods = {one["payment_method_details"]["type"]: one["payment_method_details"] for one in answers["charge"]}
    details = stripe.Charge.PaymentMethodDetails
    assert set(methods["alipay"]["alipay"]) == set(details.Alipay.__annotations__)
    assert set(methods["card"]["card"]) <= set(details.Card.__annotations__)


def test_amounts_are_integers_everywhere(answers: dict[str, list[dict[str, Any]]]) -> None:
    """No float, at any depth, in any answer."""

    def floats(value: Any) -> bool:
        if isinstance(value, dict):
            return any(floats(one) for one in value.values())
        if isinstance(value, list):
            return any(floats(one) for one in value)
        return isinstance(value, float)

    assert not floats(answers)
