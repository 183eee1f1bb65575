"""The apps of people: real requests, tried again under the same key until an answer comes that settles the matter."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.builders.identity import Person
from tests.client import Client, Reply

if TYPE_CHECKING:
    from tests.simulation.simulation import Run

_TRIES = 9
_LATER = {429, 500, 502, 503, 504}  # answers after which the same request is worth another try


class GaveUp(Exception):
    """An app's request was not answered in all its tries; the person goes away."""


@dataclass(frozen=True)
class Told:
    """An answer that reached somebody, and what they had asked."""

    method: str
    target: str
    body: Any
    key: str
    reply: Reply

    @property
    def done(self) -> bool:
        return self.reply.status in (200, 201)


class _Line(Client):
    """A client whose requests reach the functions through the run."""

    def __init__(self, run: Run, person: Person) -> None:
        super().__init__(person.client.token)
        self._run = run

    def _send(self, event: dict[str, Any]) -> dict[str, Any]:
        return self._run.functions.api(event)


class App:
    """One person's app."""

    def __init__(self, run: Run, person: Person) -> None:
        self.run = run
        self.person = person
        self.told: list[Told] = []  # every answer that settled a matter, in the order in which they came
        self._line = _Line(run, person)

    def get(self, target: str) -> Reply:
        """Raises GaveUp."""
        return self._asks("GET", target, None, {})

    def post(self, target: str, body: Any = None, *, key: str = "") -> Reply:
        """One act of the person, under one key however often it is sent. Raises GaveUp."""
        return self._asks("POST", target, body or {}, {"Idempotency-Key": key or secrets.token_hex(8)})

    def patch(self, target: str, body: Any, tag: str) -> Reply:
        """A change of what was read under that tag. Raises GaveUp."""
        return self._asks("PATCH", target, body, {"If-Match": tag})

    def asks_once(self, method: str, target: str, body: Any) -> None:
        """One request, after which the phone is gone whatever comes back."""
        self._line.request(method, target, body, {"Idempotency-Key": secrets.token_hex(8)})

    def _asks(self, method: str, target: str, body: Any, headers: dict[str, str]) -> Reply:
        for attempt in range(_TRIES):
            reply = self._line.request(method, target, body, dict(headers))
            if reply.status not in _LATER:
                self.told.append(Told(method, target, body, headers.get("Idempotency-Key", ""), reply))
                return reply
            self.run.waits(min(2**attempt, 60))
        raise GaveUp(f"{method} {target}")

    # What people do with their phones beside asking us

    def pays(self, attempt_id: str, outcome: str = "succeed", seconds: int | None = None) -> None:
        """The payer's answer to wallet or bank; nothing when the attempt cannot be found there or has ended."""
        provider = self.run.provider
        found = provider.control("GET", f"/local/payment_intents?metadata_key=attempt_id&metadata_value={attempt_id}")
        for item in found.json()["items"]:
            body = {"outcome": outcome, **({"seconds": seconds} if seconds is not None else {})}
            provider.control("POST", f"/local/payment_intents/{item['id']}", json.dumps(body).encode())
