"""Stripe's resource shapes, each with every key that Stripe sends. Amounts are minor units, times are Unix seconds."""

from __future__ import annotations

from typing import Any

from infra.local.stripe_server.rules import API_VERSION, SETTLES_AFTER_SECONDS, TEST_CARDS, WALLETS

Json = dict[str, Any]


def payment_intent(intent_id: str, *, secret: str, now: int, amount: int, currency: str, types: list[str]) -> Json:
    """A PaymentIntent that nobody has paid: `requires_payment_method`."""
    return {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": secret,
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": types,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(charge_id: str, intent: Json, *, now: int, amount: int, method: str, status: str) -> Json:
    """A charge of an intent by `card`, `alipay` or `wechat_pay`; `status` succeeded or failed."""
    paid = status == "succeeded"
    return {
        "id": charge_id,
        "object": "charge",
        "amount": amount,
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": _address(), "email": None, "name": None, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": None,
        "captured": False,
        "created": now,
        "currency": intent["currency"],
        "customer": None,
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(paid),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": _method_details(method, intent["payment_method"], charge_id),
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def refund(refund_id: str, of: Json, *, now: int, amount: int, reason: str | None, status: str) -> Json:
    """A refund of a charge."""
    method = of["payment_method_details"]["type"]
    details = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
    return {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": of["id"],
        "created": now,
        "currency": of["currency"],
        "customer": None,
        "customer_account": None,
        "destination_details": {method: {} if method in WALLETS else details, "type": method},
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method": of["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def balance_transaction(
    line_id: str, *, now: int, kind: str, category: str, source: str, amount: int, fee: int, currency: str
) -> Json:
    """A line of the provider's balance. `amount` is signed; `net` is what the balance moves by."""
    parts = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return {
        "id": line_id,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now + SETTLES_AFTER_SECONDS,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": parts if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source,
        "status": "pending",
        "type": kind,
    }


def event(event_id: str, *, kind: str, now: int, thing: Json, before: Json | None, request: Json, pending: int) -> Json:
    """An event with a snapshot of the thing it is about; `before` holds the values an update replaced."""
    data: Json = {"object": thing}
    if before is not None:
        data["previous_attributes"] = before
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": data,
        "livemode": False,
        "pending_webhooks": pending,
        "request": request,
        "type": kind,
    }


def webhook_endpoint(endpoint_id: str, *, now: int, url: str, events: list[str], description: str | None) -> Json:
    """A place that events are sent to. Its signing secret is shown only by the answer that created it."""
    return {
        "id": endpoint_id,
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": now,
        "description": description,
        "enabled_events": events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def balance(sums: list[tuple[str, bool, int]]) -> Json:
    """The balance object from `(currency, available, net)` sums; a currency seen once stands in both lists."""
    currencies = sorted({currency for currency, _, _ in sums})
    net = {(currency, available): amount for currency, available, amount in sums}

    def column(available: bool) -> list[Json]:
        amounts = [(currency, net.get((currency, available), 0)) for currency in currencies]
        return [{"amount": n, "currency": c, "source_types": {"card": n}} for c, n in amounts]

    return {"object": "balance", "available": column(True), "livemode": False, "pending": column(False)}


def listing(url: str, data: list[Json], has_more: bool) -> Json:
    """A list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def _address() -> Json:
    return dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def _outcome(paid: bool) -> Json:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if paid else "declined_by_network",
        "reason": None if paid else "generic_decline",
        "risk_level": "normal",
        "seller_message": "Payment complete." if paid else "The bank did not accept the payment.",
        "type": "authorized" if paid else "issuer_declined",
    }


def _method_details(method: str, payment_method: str | None, charge_id: str) -> Json:
    number = charge_id.removeprefix("ch_")
    if method == "alipay":
        details: Json = {"buyer_id": "2088000000000000", "fingerprint": None, "transaction_id": f"ali{number}"}
    elif method == "wechat_pay":
        details = {"fingerprint": None, "location": None, "reader": None, "transaction_id": f"wx{number}"}
    else:
        card = TEST_CARDS.get(payment_method or "", TEST_CARDS["pm_card_visa"])
        details = {
            "amount_authorized": None,
            "authorization_code": None,
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "exp_month": 8,
            "exp_year": 2040,
            "fingerprint": None,
            "funding": "credit",
            "installments": None,
            "last4": card.last4,
            "mandate": None,
            "network": card.brand,
            "three_d_secure": None,
            "wallet": None,
        }
    return {method: details, "type": method}
