"""What the demo stands on: HTTP to a running Linli, its people and its clock, and an account of each step."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

Thing = TypeVar("Thing")

TIMEOUT_SECONDS = 30
RENEW_BEFORE_SECONDS = 60
LONGEST_WAIT_SECONDS = 3_600  # by which the demo lets the clock pass a limit on codes


class DemoFailed(Exception):
    """A step did not go as it must; `document` is the problem document, or what was found instead."""

    def __init__(self, message: str, document: Any = None) -> None:
        super().__init__(message)
        self.document = document


@dataclass(frozen=True)
class Reply:
    """One answer; `body` is decoded JSON, None when there is none."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Api(Protocol):
    """Where the API is asked; `calls` counts the requests."""

    @property
    def calls(self) -> int: ...

    def ask(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply: ...


class Backstage(Protocol):
    """What the story needs and no customer sees. Where Linli runs decides how it is done."""

    def offset_seconds(self) -> int:
        """By how much the clock that the functions read is ahead."""

    def advance(self, seconds: int) -> int:
        """Move that clock on; returns the new offset."""

    def pay(self, attempt_id: str) -> None:
        """The payer approves a payment."""

    def run(self, schedule: str) -> dict[str, Any]:
        """Run a scheduled function now and return what it did; `{"skipped": True}` while another run is under way."""

    def mark(self) -> Any:
        """This moment, for `heard`."""

    def heard(self, phone: str, template: str, since: Any) -> str:
        """The newest text of a kind that was sent to a phone since a mark; "" when there is none."""


class Http:
    """JSON over one kept connection to a loopback address; paths are below the one of `url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._prefix = parts.path.rstrip("/")
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        self.calls = 0

    def ask(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Raises OSError or http.client.HTTPException when nobody answers."""
        self.calls += 1
        content = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            answer = self._send(method, target, content, sent)
        except (ConnectionError, http.client.BadStatusLine):
            # The kept connection had been closed meanwhile. Every write of the demo carries a key, so twice is once.
            self._connection.close()
            answer = self._send(method, target, content, sent)
        text = answer.read()
        return Reply(answer.status, dict(answer.getheaders()), json.loads(text) if text else None)

    def _send(
        self, method: str, target: str, content: bytes | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        self._connection.request(method, self._prefix + target, content, headers)
        return self._connection.getresponse()


class Stage:
    """A running Linli, and the screen."""

    def __init__(
        self,
        api: Api,
        provider: Http,
        provider_key: str,
        backstage: Backstage,
        console: Console,
        patience_seconds: float = 15.0,
    ) -> None:
        """`provider` is the local payment provider, `provider_key` its secret key."""
        self.http = api
        self._provider = provider
        self._provider_headers = {"Authorization": f"Bearer {provider_key}"}
        self._backstage = backstage
        self._console = console
        self._patience_seconds = patience_seconds
        self._number = 0
        self.heading = ""
        self._offset_seconds = backstage.offset_seconds()

    # ------------------------------------------------------------------ the screen

    def step(self, chinese: str, english: str) -> None:
        """Begin a step."""
        self._number += 1
        self.heading = f"{self._number}. {chinese} · {english}"
        self._console.print(f"\n[bold green]{escape(self.heading)}[/]")

    def say(self, *lines: str) -> None:
        for line in lines:
            self._console.print(f"   {escape(line)}")

    def show(self, thing: Any) -> None:
        """Anything rich can draw, for example a table."""
        self._console.print(thing)

    def check(self, holds: bool, claim: str, document: Any = None) -> None:
        """Tell a claim that holds. Raises DemoFailed when it does not."""
        if not holds:
            raise DemoFailed(f"it should be true that {claim}", document)
        self._console.print(f"   [green]✓[/] {escape(claim)}")

    # ------------------------------------------------------------------ Linli and the provider

    def call(
        self, method: str, target: str, body: Any = None, *, expect: int = 200, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask the API. Raises DemoFailed unless it answers with the status `expect`."""
        reply = self.http.ask(method, target, body, {"Accept-Language": "zh-CN", **(headers or {})})
        if reply.status != expect:
            raise DemoFailed(f"{method} {target} answered {reply.status}, not {expect}", reply.body)
        return reply

    def provider(self, method: str, target: str, body: Any = None) -> Any:
        """Ask the local payment provider: its own API below /v1, its control below /local."""
        reply = self._provider.ask(method, target, body, self._provider_headers)
        if reply.status != 200:
            raise DemoFailed(f"the payment provider answered {reply.status} to {method} {target}", reply.body)
        return reply.body

    def pay(self, attempt_id: str) -> None:
        """The payer approves."""
        self._backstage.pay(attempt_id)

    def run(self, schedule: str) -> dict[str, Any]:
        """Run a scheduled function now and return what it did; one that is under way is waited for."""

        def done() -> dict[str, Any]:
            result = self._backstage.run(schedule)
            return {} if result.get("skipped") else result

        result = self.wait_for(f"the schedule {schedule} runs", done, every_seconds=1.0)
        self.say(f"{schedule}: " + ", ".join(f"{name} {count}" for name, count in result.items()))
        return result

    # ------------------------------------------------------------------ time

    def now(self) -> datetime:
        """The time where Linli runs."""
        return datetime.fromtimestamp(time.time() + self._offset_seconds, UTC)

    def advance(self, seconds: int) -> None:
        """Move the clock on."""
        self._offset_seconds = self._backstage.advance(seconds)
        self.say(f"⏩ the clock moves on to {self.now():%Y-%m-%d %H:%M} UTC")

    def advance_to(self, instant: str) -> None:
        """Move the clock on to an instant of the API, or a second after it; never back."""
        seconds = int((datetime.fromisoformat(instant) - self.now()).total_seconds()) + 1
        if seconds > 0:
            self.advance(seconds)

    def wait_for(
        self, what: str, look: Callable[[], Thing], *, seconds: float = 0.0, every_seconds: float = 0.05
    ) -> Thing:
        """Look until there is something, and return it. Raises DemoFailed when there is nothing in time."""
        seconds = max(seconds, self._patience_seconds)
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what}: nothing happened within {seconds:.0f} s")
            time.sleep(every_seconds)
        return found

    # ------------------------------------------------------------------ people

    def mark(self) -> Any:
        """This moment, for `sms`."""
        return self._backstage.mark()

    def sms(self, phone: str, template: str, since: Any) -> str:
        """The text of the newest message of a kind to a phone since a mark; "" when there is none."""
        return self._backstage.heard(phone, template, since)

    def sign_in(self, phone: str, who: str) -> Person:
        """A code by SMS, and with it a session."""
        since = self.mark()
        asked = self.http.ask("POST", "/v1/auth/otp", {"phone": phone}, {"Accept-Language": "zh-CN"})
        while asked.status == 429:
            wait_seconds = int(asked.headers["Retry-After"])
            if wait_seconds > LONGEST_WAIT_SECONDS:
                raise DemoFailed(f"no more codes for {phone} today", asked.body)
            self.say(f"a code was asked for just before: {asked.body['title']}")
            self.advance(wait_seconds)
            since = self.mark()
            asked = self.http.ask("POST", "/v1/auth/otp", {"phone": phone}, {"Accept-Language": "zh-CN"})
        if asked.status != 202:
            raise DemoFailed(f"no code for {phone}: {asked.status}", asked.body)
        text = self.wait_for(f"a code for {phone}", lambda: self.sms(phone, "otp", since))
        found = re.search(r"\b\d{6}\b", text)
        if found is None:
            raise DemoFailed(f"there is no code in {text!r}")
        person = Person(self, phone)
        person.take(self.call("POST", "/v1/auth/sessions", {"phone": phone, "code": found[0]}, expect=201).body)
        self.say(f"{who} {person.account['phone_masked']}  {person.account['display_name']}   📱 {text}")
        return person


@dataclass
class Person:
    """Somebody who is signed in; the tokens are renewed as the clock moves."""

    stage: Stage
    phone: str
    account: dict[str, Any] = field(default_factory=dict)
    _access: str = ""
    _refresh: str = ""
    _until: float = 0.0

    def take(self, session: Mapping[str, Any]) -> None:
        """Use a session's tokens from now on."""
        self.account = dict(session["account"])
        self._access, self._refresh = session["access_token"], session["refresh_token"]
        self._until = self.stage.now().timestamp() + int(session["expires_in_seconds"]) - RENEW_BEFORE_SECONDS

    def ask(self, method: str, target: str, body: Any = None, *, expect: int = 200, key: str = "") -> Reply:
        """Ask the API as this person; a POST carries an idempotency key, a fresh one unless `key` is given."""
        if self.stage.now().timestamp() > self._until:
            renewed = self.stage.call("POST", "/v1/auth/sessions/refresh", {"refresh_token": self._refresh}, expect=201)
            self.take(renewed.body)
        headers = {"Authorization": f"Bearer {self._access}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or secrets.token_hex(12)
        return self.stage.call(method, target, body, expect=expect, headers=headers)

    def get(self, target: str) -> Any:
        return self.ask("GET", target).body

    def post(self, target: str, body: Any = None, *, expect: int = 200) -> Any:
        return self.ask("POST", target, body if body is not None else {}, expect=expect).body


def yuan(money: Mapping[str, Any] | int) -> str:
    """Money of the API, or minor units of CNY, for people.

    >>> yuan({"amount_minor": 12800, "currency": "CNY"}), yuan(-5)
    ('¥128.00', '-¥0.05')
    """
    minor = money if isinstance(money, int) else int(money["amount_minor"])
    whole, rest = divmod(abs(minor), 100)
    return f"{'-' if minor < 0 else ''}¥{whole:,}.{rest:02d}"


def in_shop_time(instant: str, zone: str) -> str:
    """An instant of the API as a clock in the shop shows it."""
    from zoneinfo import ZoneInfo

    return f"{datetime.fromisoformat(instant).astimezone(ZoneInfo(zone)):%m-%d %H:%M}"
