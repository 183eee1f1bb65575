"""The local Stripe server as a process: it starts, keeps what it acknowledged, and ends. Holds the harness too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk_test_contract"
SECRET = "whsec_contract"
RETURN_URL = "http://127.0.0.1:8000/back"


@dataclass
class Provider:
    """A running server process, a real SDK client for it, and its local control."""

    process: subprocess.Popen[str]
    port: int
    client: stripe.StripeClient

    def pay(self, method: str = "alipay", amount: int = 5000, **more: Any) -> Any:
        """A confirmed intent by a wallet (it waits for the payer), or by a test card."""
        params: dict[str, Any] = {"amount": amount, "currency": "cny", "confirm": True} | more
        if method in {"alipay", "wechat_pay"}:
            params |= {"payment_method_data": {"type": method}, "return_url": RETURN_URL}
        else:
            params["payment_method"] = method
        return self.client.v1.payment_intents.create(params)

    def local(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """A control request: `(status, JSON)`."""
        return call(method, f"http://127.0.0.1:{self.port}/local/{path}", body)

    def decide(self, intent_id: str, outcome: str, seconds: int | None = None) -> dict[str, Any]:
        """Let the payer's side act; it must be accepted."""
        body = {"outcome": outcome} | ({} if seconds is None else {"seconds": seconds})
        status, answer = self.local("POST", f"payment_intents/{intent_id}", body)
        assert status == 200, answer
        return answer

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait(5)


@dataclass
class Receiver:
    """A webhook endpoint that verifies each request with the SDK's own `construct_event`."""

    port: int
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failing: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/stripe"

    def types(self, intent_id: str) -> list[str]:
        """The types of the events that arrived about an intent, in order of arrival."""
        return [event["type"] for event in list(self.events) if _about(event) == intent_id]


def _about(event: dict[str, Any]) -> str | None:
    thing = event["data"]["object"]
    return thing["id"] if thing["object"] == "payment_intent" else thing.get("payment_intent")


def call(method: str, url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> Any:
    """A plain HTTP request with a JSON answer: `(status, JSON)`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {}, method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        return problem.code, json.load(problem)


def eventually(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Wait until `check()` is truthy and return it; fail the test after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)
    return value


def spawn(arguments: list[str]) -> subprocess.Popen[str]:
    """Start the server with these arguments; its standard error can be read."""
    command = [sys.executable, "-m", "infra.local.stripe_server", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def port_of(process: subprocess.Popen[str]) -> int:
    """The port it took, from the line it prints when it listens; the rest of its output is drained."""
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "listening on" in line, line + process.stderr.read()
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return int(line.rsplit(":", 1)[1])


def client_of(port: int, key: str = KEY) -> stripe.StripeClient:
    """The real SDK pointed at a local port."""
    http = stripe.RequestsClient(timeout=(3, 8))
    address: Any = {"api": f"http://127.0.0.1:{port}"}
    return stripe.StripeClient(key, base_addresses=address, max_network_retries=0, http_client=http)


@contextmanager
def provider(folder: Path, *, webhook_url: str | None = None, more: list[str] | None = None) -> Iterator[Provider]:
    """A server over `folder`; a second one over the same folder continues where the first one ended."""
    arguments = [
        "--port",
        "0",
        "--db",
        str(folder / "stripe.db"),
        "--secret-key",
        KEY,
        "--parent-pid",
        str(os.getpid()),
    ]
    arguments += ["--clock-file", str(folder / "clock"), "--quiet", *(more or [])]
    if webhook_url:
        arguments += ["--webhook-url", webhook_url, "--webhook-secret", SECRET]
    process = spawn(arguments)
    try:
        port = port_of(process)
        yield Provider(process, port, client_of(port))
    finally:
        process.terminate()
        process.wait(5)


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """A listening webhook receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                stripe.Webhook.construct_event(payload, self.headers["Stripe-Signature"], SECRET)
            except (ValueError, stripe.SignatureVerificationError) as problem:
                state.refused.append(repr(problem))
                self.send_error(400)
                return
            if state.failing:
                self.send_error(503)
                return
            state.events.append(json.loads(payload))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    state = Receiver(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def test_an_acknowledged_intent_survives_kill_9(tmp_path: Path) -> None:
    """Every create that was answered under load is there after the process was killed in the middle of it."""
    acknowledged: list[str] = []

    def buy(client: stripe.StripeClient) -> None:
        try:
            while True:
                acknowledged.append(client.v1.payment_intents.create({"amount": 700, "currency": "cny"}).id)
        except stripe.APIConnectionError:
            return

    with provider(tmp_path) as first:
        buyers = [threading.Thread(target=buy, args=(client_of(first.port),)) for _ in range(4)]
        for buyer in buyers:
            buyer.start()
        eventually(lambda: len(acknowledged) >= 60)
        first.kill()
        for buyer in buyers:
            buyer.join(5)
    with provider(tmp_path) as second:
        stored = {one.id for one in second.client.v1.payment_intents.list({"limit": 100}).auto_paging_iter()}
    assert set(acknowledged) <= stored
    # At most the requests that were under way when it died are there without an answer.
    assert len(stored) - len(acknowledged) <= len(buyers)


def test_an_idempotency_key_is_remembered_across_a_restart(tmp_path: Path) -> None:
    """The same key and body gives the first answer from the next process; another body is refused."""
    with provider(tmp_path) as first:
        one = first.client.v1.payment_intents.create({"amount": 900, "currency": "cny"}, {"idempotency_key": "order-1"})
        first.kill()
    with provider(tmp_path) as second:
        api = second.client.v1.payment_intents
        again = api.create({"amount": 900, "currency": "cny"}, {"idempotency_key": "order-1"})
        assert again.id == one.id
        assert again.last_response is not None
        assert again.last_response.headers["Idempotent-Replayed"] == "true"
        with pytest.raises(stripe.IdempotencyError):
            api.create({"amount": 901, "currency": "cny"}, {"idempotency_key": "order-1"})
        assert len(api.list().data) == 1


def test_webhooks_reach_a_receiver_that_was_down_across_a_restart(tmp_path: Path) -> None:
    """An event that nobody took is sent after the server itself was killed and the receiver came up."""
    with receiver() as gone:
        address, port = gone.url, gone.port
    with provider(tmp_path, webhook_url=address) as first:
        intent = first.pay("pm_card_visa")
        first.kill()
    with receiver(port) as up, provider(tmp_path, webhook_url=address):
        eventually(lambda: "payment_intent.succeeded" in up.types(intent.id))
        assert up.refused == []


def test_the_clock_file_moves_time(tmp_path: Path) -> None:
    """Seconds in the clock file shift `created`, and make a long delay due at once."""
    with provider(tmp_path) as running:
        intent = running.pay("alipay")
        running.decide(intent.id, "delay", seconds=3600)
        assert running.client.v1.payment_intents.retrieve(intent.id).status == "processing"
        (tmp_path / "clock").write_text("3601")
        assert running.client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
        later = running.client.v1.payment_intents.create({"amount": 700, "currency": "cny"})
        assert 3600 <= later.created - intent.created <= 3605


def test_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """SIGTERM: exit status 0 within a second."""
    with provider(tmp_path) as running:
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(5) == 0
        assert time.monotonic() - began < 1


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """When the parent is killed with -9, the server goes too."""
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'infra.local.stripe_server', '--port', '0',"
        f" '--secret-key', '{KEY}', '--parent-pid', str(os.getpid())])\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    port = port_of(parent)
    assert call("GET", f"http://127.0.0.1:{port}/local/health")[0] == 200
    parent.kill()
    parent.wait(5)

    def gone() -> bool:
        try:
            call("GET", f"http://127.0.0.1:{port}/local/health")
        except (urllib.error.URLError, ConnectionError):
            return True
        return False

    eventually(gone)


def test_a_webhook_address_outside_this_machine_is_refused(tmp_path: Path) -> None:
    """A test provider never calls out: such a command line ends with status 2."""
    process = spawn(["--port", "0", "--secret-key", KEY, "--webhook-url", "https://example.com/hook"])
    assert process.wait(5) == 2
