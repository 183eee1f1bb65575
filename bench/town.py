"""Who books what in a run: people who are signed in, and starts that are free. Prepared ahead of what is measured."""

from __future__ import annotations

import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from bench.stack import BenchError, Caller

PEOPLES_SQUARE = (31.2304, 121.4737)
LOOK_AHEAD_DAYS = 12
_RENEW_BEFORE_SECONDS = 120
_PARALLEL = 4
_RESEND_SECONDS = 65

Json = dict[str, Any]


@dataclass
class Person:
    """Somebody signed in; the access token is renewed before it ends."""

    caller: Caller
    phone: str
    _access: str = ""
    _refresh: str = ""
    _renew_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self) -> str:
        """An access token that is good for a while. Raises BenchError."""
        with self._lock:
            if time.monotonic() > self._renew_at:
                reply = self.caller.post("/v1/auth/sessions/refresh", {"refresh_token": self._refresh})
                self.take(self.caller.told(reply, 201))
            return self._access

    def take(self, session: Json) -> None:
        self._access, self._refresh = session["access_token"], session["refresh_token"]
        self._renew_at = time.monotonic() + int(session["expires_in_seconds"]) - _RENEW_BEFORE_SECONDS

    def clock_moved(self) -> None:
        """The stack's clock was moved on: the token in use may have ended."""
        self._renew_at = 0.0


@dataclass(frozen=True)
class Town:
    """Everybody and everything that the arrivals need."""

    caller: Caller
    people: list[Person]
    starts: list[tuple[str, str]]
    """Offers and their free starts, `(offer_id, starts_at)`."""
    categories: list[str]


def sign_in(caller: Caller, phone: str) -> Person:
    """A code by SMS, and with it a session. Raises BenchError."""
    since = caller.told(caller.get("/local/clock"), 200)["now"]
    asked = caller.post("/v1/auth/otp", {"phone": phone})
    deadline = time.monotonic() + _RESEND_SECONDS
    while asked.status == 429 and time.monotonic() < deadline:  # somebody asked for a code just before
        time.sleep(2)
        asked = caller.post("/v1/auth/otp", {"phone": phone})
    caller.told(asked, 202)
    kept = caller.told(caller.get(f"/local/sms?phone={quote(phone)}"), 200)["items"]
    texts = [one["text"] for one in kept if one["template"].startswith("otp") and one["sent_at"] >= since]
    if not texts:
        raise BenchError(f"no code came for {phone}")
    code = re.findall(r"\b\d{6}\b", texts[0])[0]
    person = Person(caller, phone)
    person.take(caller.told(caller.post("/v1/auth/sessions", {"phone": phone, "code": code}), 201))
    return person


def settle(caller: Caller, people: int, starts: int) -> Town:
    """A town of `people` new accounts and at least `starts` free starts, if the shops have so many."""
    chance = random.SystemRandom()  # new phones each time: a stack that runs on remembers the ones of the last time
    phones = [f"+86138{chance.randrange(10**8):08d}" for _ in range(people)]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        signed_in = list(pool.map(lambda phone: sign_in(caller, phone), phones))
    lat, lng = PEOPLES_SQUARE
    target = f"/v1/search?lat={lat}&lng={lng}&radius_m=50000&limit=50"
    hits = caller.told(caller.get(target), 200)["items"]
    found: list[tuple[str, str]] = []
    for hit in hits:
        found += _free_starts(caller, hit["shop_id"])
        if len(found) >= starts:
            break
    if not found:
        raise BenchError("no shop near People's Square has a free start")
    return Town(caller, signed_in, found, sorted({str(hit["category"]) for hit in hits}))


def _free_starts(caller: Caller, shop_id: str) -> list[tuple[str, str]]:
    """Those of the shop's first offer that is confirmed at once."""
    offers = caller.told(caller.get(f"/v1/shops/{shop_id}/offers?limit=20"), 200)["items"]
    for offer in offers:
        if offer["kind"] == "appointment" and offer["confirmation"] == "instant":
            today = date.fromisoformat(caller.told(caller.get("/local/clock"), 200)["now"][:10])
            span = f"from={today + timedelta(days=2)}&to={today + timedelta(days=2 + LOOK_AHEAD_DAYS)}"
            items = caller.told(caller.get(f"/v1/offers/{offer['id']}/availability?{span}"), 200)["items"]
            return [(str(offer["id"]), str(one["starts_at"])) for one in items]
    return []
