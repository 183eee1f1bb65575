"""The local tools: the SMS inbox, the payment page, the schedules and the clock."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from chalice import Chalice, Rate

from chalicelib.providers.sms.local import Inbox
from infra.local.console import Console
from infra.local.files import local_now
from infra.local.scheduler import Scheduler
from infra.local.stripe_control import StripeControl
from infra.local.stripe_server.engine import StripeEngine
from infra.local.stripe_server.server import StripeServer
from infra.local.stripe_server.store import Store


class Provider(ThreadingHTTPServer):
    """The control endpoints of a payment provider that knows the attempt `att_1`."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _ProviderHandler)


class _ProviderHandler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        intent: dict[str, Any] = {"outcomes": ["succeed", "decline"]}
        intent |= {"amount": 12800, "currency": "cny", "status": "requires_action", "metadata": {}, "method": "alipay"}
        known = self.path.endswith("metadata_key=attempt_id&metadata_value=att_1")
        self._answer(200, {"items": [intent | {"id": "pi_new"}, intent | {"id": "pi_old"}] if known else []})

    def do_POST(self) -> None:
        decision = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.decisions.append((self.path, decision))
        refused = decision["outcome"] == "late"
        self._answer(409 if refused else 200, {"message": "too early"} if refused else {"status": "succeeded"})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(str(tmp_path / "sms.sqlite"))


@pytest.fixture
def console(tmp_path: Path, provider: Provider, inbox: Inbox) -> Console:
    app = Chalice("toy")

    @app.schedule(Rate(1, unit=Rate.HOURS))
    def sweep(event: Any) -> dict[str, int]:
        return {"swept": 2}

    @app.schedule(Rate(1, unit=Rate.HOURS))
    def broken(event: Any) -> None:
        raise RuntimeError("a secret")

    clock_file = tmp_path / "clock"
    return Console(
        inbox=inbox,
        stripe=StripeControl(f"http://127.0.0.1:{provider.server_port}"),
        scheduler=Scheduler(app, lambda: local_now(clock_file)),
        clock_file=clock_file,
    )


def ask(console: Console, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Return the status and the body, decoded when it is JSON."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    answer = console.answer(method, target, {"Host": "127.0.0.1:8000"} | headers, content)
    assert answer is not None
    text = answer.body.decode()
    return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text


def test_everything_else_is_the_applications(console: Console) -> None:
    assert console.answer("GET", "/v1/orders?next=/local/sms", {}, None) is None
    assert console.answer("GET", "/localities", {}, None) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_front_door_leads_to_the_local_tools(console: Console, method: str) -> None:
    """Only for readers: another method on `/` stays the application's."""
    answer = console.answer(method, "/?x=1", {"Host": "127.0.0.1:8000"}, None)
    assert answer is not None
    assert (answer.status, answer.headers["Location"]) == (302, "/local")
    assert console.answer("POST", "/", {"Host": "127.0.0.1:8000"}, None) is None


def test_a_refusal_has_a_request_id_like_the_applications(console: Console) -> None:
    """A new one, or the one that the request brought."""
    assert re.fullmatch(r"req_[0-9a-z]{26}", ask(console, "GET", "/local/nothing")[1]["request_id"])
    assert ask(console, "GET", "/local/nothing", **{"X-Request-Id": "abc-1"})[1]["request_id"] == "abc-1"


def test_the_providers_own_sentence_is_passed_on(inbox: Inbox, tmp_path: Path) -> None:
    """The real control behind the page: a payment is declined, paid, and then there is nothing left to decide."""
    engine = StripeEngine(Store(), clock=lambda: 1_900_000_000.0)
    form = b"amount=5000&currency=cny&metadata[attempt_id]=att_real&allowed_payment_method_types[0]=card"
    headers = {"authorization": "Bearer sk_test_local", "content-type": "application/x-www-form-urlencoded"}
    assert engine.handle("POST", "/v1/payment_intents", headers, form).status == 200
    with StripeServer(engine, 0, logs_requests=False) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        console = Console(
            inbox=inbox,
            stripe=StripeControl(f"http://127.0.0.1:{server.server_port}"),
            scheduler=Scheduler(Chalice("toy"), lambda: local_now(tmp_path / "clock")),
            clock_file=tmp_path / "clock",
        )
        declined = ask(console, "POST", "/local/pay/att_real", {"outcome": "decline"})
        paid = ask(console, "POST", "/local/pay/att_real", {"outcome": "succeed"})
        status, document = ask(console, "POST", "/local/pay/att_real", {"outcome": "succeed"})
        server.shutdown()
    assert (declined[0], declined[1]["status"]) == (200, "requires_payment_method")
    assert (paid[0], paid[1]["status"]) == (200, "succeeded")
    assert (status, document["code"]) == (409, "conflict")
    assert document["errors"][0]["message"] == "This payment is succeeded: there is nothing left to decide."


def test_the_inbox_shows_one_phone_newest_first(console: Console, inbox: Inbox) -> None:
    """An unescaped plus sign in a query is a space; both find the phone."""
    inbox.send(to="+8613800000001", text="1", template="otp", dedupe_key="a")
    inbox.send(to="+8613800000001", text="2", template="otp", dedupe_key="b")
    inbox.send(to="+8613900000001", text="3", template="otp", dedupe_key="c")
    for target in ("/local/sms?phone=+8613800000001", "/local/sms?phone=%2B8613800000001"):
        status, body = ask(console, "GET", target)
        assert status == 200
        assert [item["text"] for item in body["items"]] == ["2", "1"]
        assert set(body["items"][0]) == {"to", "text", "sent_at", "template"}
    assert len(ask(console, "GET", "/local/sms")[1]["items"]) == 3


def test_usage_tells_of_messages_since_the_start(console: Console, inbox: Inbox) -> None:
    """What the functions have used stands beside it; nothing of it can be changed."""
    inbox.send(to="+8613800000001", text="1", template="otp", dedupe_key="a")
    assert ask(console, "POST", "/local/schedules/sweep/run")[0] == 200
    status, body = ask(console, "GET", "/local/usage")
    assert (status, body["sms"]) == (200, 1)
    assert {"since", "functions", "operations", "dynamodb", "sqs", "not_counted"} <= set(body)
    assert ask(console, "POST", "/local/usage")[0] == 405


def test_a_message_is_kept_once_however_many_threads_send_it(inbox: Inbox) -> None:
    ids: list[str] = []

    def send() -> None:
        ids.append(inbox.send(to="+8613800000001", text="x", template="otp", dedupe_key="same"))

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 20
    assert len(set(ids)) == 1
    assert len(inbox.list()) == 1


def test_pages_escape_what_they_show_and_load_nothing_foreign(console: Console, inbox: Inbox) -> None:
    inbox.send(to="+8613800000001", text="<script>alert(1)</script>", template="otp", dedupe_key="a")
    for target in ("/local", "/local/sms", "/local/pay/att_1"):
        answer = console.answer("GET", target, {"Host": "localhost", "Accept": "text/html"}, None)
        assert answer is not None
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        page = answer.body.decode()
        assert "<script>alert" not in page
        assert "http://" not in page
        assert "https://" not in page


def test_the_payment_page_shows_the_amount_of_the_newest_intent(console: Console) -> None:
    status, page = ask(console, "GET", "/local/pay/att_1", Accept="text/html")
    assert status == 200
    assert "¥128.00" in page
    assert "pi_new" in page
    assert page.count("data-post") == 3  # the script's own, and one button for each outcome that is left


def test_an_outcome_reaches_the_provider(console: Console, provider: Provider) -> None:
    assert ask(console, "POST", "/local/pay/att_1", {"outcome": "delay", "seconds": 5})[0] == 200
    assert provider.decisions == [("/local/payment_intents/pi_new", {"outcome": "delay", "seconds": 5})]


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("/local/pay/att_1", {"outcome": "late"}, 409, "conflict"),
        ("/local/pay/att_1", {"outcome": "explode"}, 422, "invalid_request"),
        ("/local/pay/att_1", {"outcome": "delay", "seconds": -1}, 422, "invalid_request"),
        ("/local/pay/att_1", ["succeed"], 400, "malformed"),
        ("/local/pay/att_1", b"{", 400, "malformed"),
        ("/local/pay/att_1", None, 400, "malformed"),
        ("/local/pay/att_2", {"outcome": "succeed"}, 404, "not_found"),
        ("/local/clock", {"advance_seconds": -1}, 422, "invalid_request"),
        ("/local/clock", {"advance_seconds": 1.5}, 422, "invalid_request"),
        ("/local/clock", {"advance_seconds": True}, 422, "invalid_request"),
        ("/local/clock", {}, 422, "invalid_request"),
        ("/local/schedules/nothing/run", None, 404, "not_found"),
        ("/local/schedules/broken/run", None, 500, "internal"),
        ("/local/sms", {}, 405, "method_not_allowed"),
        ("/local/nothing", {}, 404, "not_found"),
    ],
)
def test_a_refused_change_is_a_problem_document(
    console: Console, target: str, body: Any, status: int, code: str
) -> None:
    got, document = ask(console, "POST", target, body)
    assert (got, document["code"], document["status"]) == (status, code, status)
    assert "a secret" not in json.dumps(document)


def test_a_provider_that_is_away_is_503(console: Console, provider: Provider) -> None:
    provider.shutdown()
    provider.server_close()
    status, document = ask(console, "POST", "/local/pay/att_1", {"outcome": "succeed"})
    assert (status, document["code"]) == (503, "unavailable")


def test_a_schedule_runs_and_an_unknown_name_lists_the_known_ones(console: Console) -> None:
    status, run = ask(console, "POST", "/local/schedules/sweep/run")
    assert (status, run["name"], run["result"]) == (200, "sweep", {"swept": 2})
    assert run["took_ms"] >= 0
    assert "broken, sweep" in ask(console, "POST", "/local/schedules/other/run")[1]["errors"][0]["message"]
    schedules = ask(console, "GET", "/local/schedules")[1]["items"]
    assert schedules == [{"name": name, "expression": "rate(1 hour)"} for name in ("broken", "sweep")]


def test_the_clock_only_moves_forward_and_is_kept_in_its_file(console: Console, tmp_path: Path) -> None:
    assert ask(console, "GET", "/local/clock")[1]["offset_seconds"] == 0
    ask(console, "POST", "/local/clock", {"advance_seconds": 3600})
    status, clock = ask(console, "POST", "/local/clock", {"advance_seconds": 60})
    assert (status, clock["offset_seconds"]) == (200, 3660)
    assert int((tmp_path / "clock").read_text()) == 3660


def test_a_foreign_page_can_neither_read_nor_change(console: Console) -> None:
    assert ask(console, "GET", "/local/sms", Host="rebound.example")[0] == 403
    assert ask(console, "POST", "/local/clock", {"advance_seconds": 1}, Origin="https://evil.example")[0] == 403
    assert ask(console, "POST", "/local/clock", {"advance_seconds": 1}, Origin="null")[0] == 403
    assert ask(console, "POST", "/local/clock", {"advance_seconds": 1}, Origin="http://localhost:8000")[0] == 200
