"""What the payer decides, and how its webhooks arrive: once, thrice, in reverse, late, or never."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.contracts.test_local_stripe_process import (
    SECRET,
    Provider,
    Receiver,
    client_of,
    eventually,
    provider,
    receiver,
)

SUCCEEDED = "payment_intent.succeeded"


@pytest.fixture(scope="module")
def inbox() -> Iterator[Receiver]:
    """One receiver for this file."""
    with receiver() as listening:
        yield listening


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's files."""
    return tmp_path_factory.mktemp("webhooks")


@pytest.fixture(scope="module")
def psp(folder: Path, inbox: Receiver) -> Iterator[Provider]:
    """One server that sends to the receiver."""
    with provider(folder, webhook_url=inbox.url) as running:
        yield running


def settled(psp: Provider, inbox: Receiver, intent_id: str) -> list[str]:
    """What arrived about an intent, once nothing is on its way any more."""
    eventually(lambda: psp.client.v1.events.list({"limit": 1, "delivery_success": False}).data == [])
    return inbox.types(intent_id)


def test_succeed_arrives_once_and_is_signed(psp: Provider, inbox: Receiver) -> None:
    """Each event once; the request that caused it is named; the SDK verified every signature."""
    params: Any = {"amount": 5000, "currency": "cny", "confirm": True, "payment_method": "pm_card_visa"}
    intent = psp.client.v1.payment_intents.create(params, {"idempotency_key": "named-1"})
    arrived = settled(psp, inbox, intent.id)
    assert sorted(arrived) == ["charge.succeeded", "payment_intent.created", SUCCEEDED]
    event = next(one for one in inbox.events if one["type"] == SUCCEEDED and one["data"]["object"]["id"] == intent.id)
    assert event["request"]["idempotency_key"] == "named-1"
    assert event["api_version"] == "2026-10-28.endive"
    assert psp.client.v1.events.retrieve(event["id"]).pending_webhooks == 0
    assert inbox.refused == []


def test_decline_returns_the_intent_to_the_payer(psp: Provider, inbox: Receiver) -> None:
    """`payment_failed` with a reason; then the payer may try again."""
    intent = psp.pay("wechat_pay")
    assert psp.decide(intent.id, "decline")["status"] == "requires_payment_method"
    failed = psp.client.v1.payment_intents.retrieve(intent.id)
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_method_customer_decline"
    assert psp.decide(intent.id, "succeed")["status"] == "succeeded"
    assert settled(psp, inbox, intent.id).count("payment_intent.payment_failed") == 1


def test_delay_is_processing_for_a_while(psp: Provider, inbox: Receiver) -> None:
    """`processing`, in which a cancel is refused; then succeeded without anybody asking."""
    intent = psp.pay("alipay")
    assert psp.decide(intent.id, "delay", seconds=1)["status"] == "processing"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        psp.client.v1.payment_intents.cancel(intent.id)
    assert caught.value.code == "payment_intent_unexpected_state"
    eventually(lambda: SUCCEEDED in inbox.types(intent.id))
    assert "payment_intent.processing" in inbox.types(intent.id)


def test_a_timer_of_a_declined_attempt_does_not_pay_the_next_one(psp: Provider, folder: Path) -> None:
    """delay, decline, delay for longer: the first timer passes without an effect."""
    intent = psp.pay("alipay")
    psp.decide(intent.id, "delay", seconds=1)
    psp.decide(intent.id, "decline")
    psp.decide(intent.id, "delay", seconds=600)
    time.sleep(1.2)
    assert psp.client.v1.payment_intents.retrieve(intent.id).status == "processing"


def test_duplicate_arrives_three_times(psp: Provider, inbox: Receiver) -> None:
    """The same event id thrice, for the intent and for the charge; what came before it once."""
    intent = psp.pay("alipay")
    psp.decide(intent.id, "duplicate")
    arrived = settled(psp, inbox, intent.id)
    assert (arrived.count(SUCCEEDED), arrived.count("charge.succeeded")) == (3, 3)
    ids = {one["id"] for one in inbox.events if one["type"] == SUCCEEDED and one["data"]["object"]["id"] == intent.id}
    assert len(ids) == 1
    assert arrived.count("payment_intent.created") == 1


def test_shuffle_arrives_newest_first(psp: Provider, inbox: Receiver) -> None:
    """The charge before the intent, and the older events after them."""
    intent = psp.pay("alipay")
    eventually(lambda: "payment_intent.requires_action" in inbox.types(intent.id))
    settled(psp, inbox, intent.id)
    before = len(inbox.types(intent.id))
    psp.decide(intent.id, "shuffle")
    assert settled(psp, inbox, intent.id)[before:] == [
        "charge.succeeded",
        SUCCEEDED,
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.created",
    ]


def test_lose_is_paid_and_listed_but_never_sent(tmp_path: Path) -> None:
    """Only who asks finds out: the intent and the event listing know, the receiver does not."""
    with receiver() as inbox, provider(tmp_path, webhook_url=inbox.url) as psp:
        intent, later = psp.pay("alipay"), psp.pay("alipay")
        psp.decide(intent.id, "lose")
        psp.decide(later.id, "succeed")
        eventually(lambda: SUCCEEDED in inbox.types(later.id))
        assert SUCCEEDED not in inbox.types(intent.id)
        assert psp.client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
        undelivered = psp.client.v1.events.list({"type": SUCCEEDED, "delivery_success": False}).data
        assert [one.data.object["id"] for one in undelivered] == [intent.id]
        assert undelivered[0].pending_webhooks == 1


def test_wrong_amount_pays_one_less(psp: Provider) -> None:
    """A misbehaving provider: amount_received, the charge and the line are one short of the amount."""
    intent = psp.pay("alipay", 5000)
    psp.decide(intent.id, "wrong_amount")
    paid = psp.client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    charge: Any = paid.latest_charge
    assert (paid.amount, paid.amount_received, charge.balance_transaction.amount) == (5000, 4999, 4999)
    assert psp.client.v1.refunds.create({"payment_intent": intent.id}).amount == 4999


def test_late_is_paid_now_and_told_later(tmp_path: Path) -> None:
    """Paid at the provider at once; the webhook comes when the clock has moved on, by default 20 minutes."""
    with receiver() as inbox, provider(tmp_path, webhook_url=inbox.url) as psp:
        intent = psp.pay("alipay")
        psp.decide(intent.id, "late")
        assert psp.client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
        eventually(lambda: "payment_intent.requires_action" in inbox.types(intent.id))
        time.sleep(0.4)
        assert SUCCEEDED not in inbox.types(intent.id)
        (tmp_path / "clock").write_text("1190")
        time.sleep(0.4)
        assert SUCCEEDED not in inbox.types(intent.id)
        (tmp_path / "clock").write_text("1200")
        eventually(lambda: SUCCEEDED in inbox.types(intent.id))


def test_a_refused_webhook_is_sent_again(tmp_path: Path) -> None:
    """While the receiver answers 503 nothing is lost, and every event arrives once it accepts."""
    with receiver() as inbox, provider(tmp_path, webhook_url=inbox.url) as psp:
        inbox.failing = True
        intent = psp.pay("pm_card_visa")
        time.sleep(0.3)
        assert inbox.events == []
        assert psp.client.v1.events.list({"type": SUCCEEDED}).data[0].pending_webhooks == 1
        inbox.failing = False
        eventually(lambda: sorted(inbox.types(intent.id)) == ["charge.succeeded", "payment_intent.created", SUCCEEDED])


def test_endpoints_of_the_api_have_their_own_secret_and_events(tmp_path: Path) -> None:
    """A registered endpoint gets the events it asked for, signed by its own secret, until it is deleted."""
    got: list[str] = []
    secrets: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(stripe.Webhook.construct_event(payload, self.headers["Stripe-Signature"], secrets[0]).type)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with provider(tmp_path) as psp:
        hooks = psp.client.v1.webhook_endpoints
        wanted: Any = ["charge.succeeded"]
        made = hooks.create({"url": f"http://127.0.0.1:{server.server_port}/x", "enabled_events": wanted})
        assert made.secret is not None
        assert made.secret.startswith("whsec_")
        secrets.append(made.secret)
        assert "secret" not in hooks.retrieve(made.id).to_dict()
        psp.pay("pm_card_visa")
        eventually(lambda: got == ["charge.succeeded"])
        assert hooks.delete(made.id).deleted
        psp.pay("pm_card_visa")
        time.sleep(0.3)
        with pytest.raises(stripe.InvalidRequestError) as caught:
            hooks.create({"url": "https://example.com/x", "enabled_events": wanted})
        assert caught.value.code == "url_invalid"
    server.shutdown()
    server.server_close()
    assert got == ["charge.succeeded"]


def test_a_wrong_secret_or_an_altered_body_does_not_verify(psp: Provider, inbox: Receiver) -> None:
    """The signature is over exactly these bytes: the SDK refuses any change."""
    from infra.local.stripe_server.delivery import signature

    payload, now = '{"object": "event"}', int(time.time())
    good = signature(payload, SECRET, now)
    stripe.WebhookSignature.verify_header(payload, good, SECRET, 300)
    for body, secret in ((payload + " ", SECRET), (payload, "whsec_other")):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body, good, secret, 300)


def test_two_hundred_buyers_at_once(psp: Provider, inbox: Receiver) -> None:
    """Two hundred clients at the same time: each is answered, and each payment's webhook arrives."""
    ids: list[str] = []

    def buy() -> None:
        params: Any = {"amount": 5000, "currency": "cny", "confirm": True, "payment_method": "pm_card_visa"}
        ids.append(client_of(psp.port).v1.payment_intents.create(params).id)

    buyers = [threading.Thread(target=buy) for _ in range(200)]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join(20)
    assert len(set(ids)) == 200
    eventually(
        lambda: set(ids) <= {e["data"]["object"]["id"] for e in list(inbox.events) if e["type"] == SUCCEEDED}, 15
    )
