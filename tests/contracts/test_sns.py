"""The SNS adapter: the real SDK against a server of the same protocol, and against moto."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import pytest

from chalicelib.kernel.errors import Problem
from chalicelib.providers.ports import ProviderUnavailable, SmsRefused
from chalicelib.providers.sms.sns import SnsSender

GOOD = "<PublishResponse><PublishResult><MessageId>mid-1</MessageId></PublishResult></PublishResponse>"


class Handler(BaseHTTPRequestHandler):
    """Answers as the message's text asks: an error code, `hang-up`, or success."""

    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        sent = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.seen.append(sent)
        wish = sent["Message"]
        if wish == "hang-up":
            self.connection.close()
            return
        failed = wish.startswith("error ")
        code = wish.removeprefix("error ")
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>+861</Message></Error>"
        body = (f"<ErrorResponse>{error}</ErrorResponse>" if failed else GOOD).encode()
        self.send_response(400 if failed else 200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the base class's name
        """Says nothing."""


@pytest.fixture
def sns(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    seen: list[dict[str, str]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Seen", (Handler,), {"seen": seen}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{server.server_port}")
    yield seen
    server.shutdown()
    server.server_close()


def send(text: str) -> str:
    return SnsSender().send(to="+8613800000001", text=text, template="otp", dedupe_key="k")


def test_a_message_goes_out_as_transactional_under_our_name(sns: list[dict[str, str]]) -> None:
    """With the two attributes that SNS knows for it, and its id comes back."""
    assert send("您的验证码是 123456") == "mid-1"
    (sent,) = sns
    assert (sent["Action"], sent["PhoneNumber"], sent["Message"]) == (
        "Publish",
        "+8613800000001",
        "您的验证码是 123456",
    )
    attributes = {
        sent[f"MessageAttributes.entry.{n}.Name"]: sent[f"MessageAttributes.entry.{n}.Value.StringValue"]
        for n in (1, 2)
    }
    assert attributes == {"AWS.SNS.SMS.SenderID": "Linli", "AWS.SNS.SMS.SMSType": "Transactional"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("error InvalidParameter", SmsRefused),
        ("error OptedOut", SmsRefused),
        ("error Throttled", ProviderUnavailable),
        ("error InternalError", ProviderUnavailable),
        ("error AuthorizationError", ProviderUnavailable),
        ("hang-up", ProviderUnavailable),
    ],
)
def test_what_sns_refuses_or_fails_at_becomes_our_word_and_is_asked_once(
    sns: list[dict[str, str]], text: str, problem: type[Problem]
) -> None:
    """A call whose answer is lost may have sent the message: it is never repeated in here."""
    with pytest.raises(problem) as raised:
        send(text)
    assert len(sns) == 1
    assert raised.value.__cause__ is None
    assert "+861" not in str(raised.value)


def test_nobody_listening_is_unavailable_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person waits for a code behind this."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(ProviderUnavailable):
        send("hello")
    assert time.monotonic() - started < 5


def test_moto_takes_the_message_as_aws_would() -> None:
    """An independent reading of the same call."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.sns.models import sns_backends

    message_id = send("hello from Linli")
    assert sns_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sms_messages[message_id] == (
        "+8613800000001",
        "hello from Linli",
    )
