"""kill -9 of everything while a hundred people book, half of them paying; then a start on what is left."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.journeys.stack import ROOT, Caller, LocalStack, Reply

pytestmark = pytest.mark.stack

PEOPLE = 20
BOOKINGS = 100
STARTS = 100  # three chairs, and an hour covers several starts: room for everybody, and many want the same
KILLED_AFTER_ORDERS, KILLED_AFTER_PAYMENTS = (30, 80), (3, 25)
SPREAD_SECONDS = 6
REST_WITHIN_SECONDS = 60
HEARD_WITHIN_SECONDS = 60


@dataclass
class Person:
    phone: str
    caller: Caller


@dataclass
class Town:
    """Everything the hundred threads share: what they were told, and what they try to get."""

    stack: LocalStack
    seed: int
    people: list[Person] = field(default_factory=list)
    offer_id: str = ""
    starts: list[str] = field(default_factory=list)
    acknowledged: dict[str, Person] = field(default_factory=dict)
    approved: set[str] = field(default_factory=set)
    """Orders whose payer was told by the provider that it has the money."""
    ended: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    made = LocalStack(tmp_path / "data")
    yield made
    made.end()


def test_nothing_that_was_acknowledged_is_lost_when_everything_is_killed(stack: LocalStack) -> None:
    """Every acknowledged order is there; each is paid here exactly if the provider has the money; every proof holds;
    no place belongs to two orders; who has a confirmed order gets the message."""
    seed = int(os.environ.get("LINLI_CRASH_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    stack.start()
    town = settled_town(stack, seed)
    book_until_killed(town)
    assert town.ended < BOOKINGS, "everybody was done before the kill"
    print(f"killed: {len(town.acknowledged)} orders acknowledged, {len(town.approved)} approved; {dict(town.refusals)}")

    restarted = time.monotonic()
    print(f"up again in {stack.start():.1f} s")
    orders = at_rest(town, restarted + REST_WITHIN_SECONDS)
    print(f"at rest {time.monotonic() - restarted:.1f} s after the restart: {Counter(o['state'] for o in orders)}")
    assert set(town.acknowledged) <= {order["id"] for order in orders}
    assert all(paid_here(order) for order in orders if order["id"] in town.approved)
    assert any(paid_here(order) for order in orders)
    assert any(not paid_here(order) for order in orders)
    proofs = [told(owner_of(town, order).get(f"/v1/orders/{order['id']}/proof"), 200) for order in orders]
    assert [proof for proof in proofs if not proof["holds"]] == []
    assert calendar(stack)["wrong"] == []
    everybody_hears(town, orders)
    assert stack.stop() == 0
    assert stack.left_over() == []


# ---------------------------------------------------------------------------------------------- before


def told(reply: Reply, status: int) -> Any:
    assert reply.status == status, reply
    return reply.body


def settled_town(stack: LocalStack, seed: int) -> Town:
    """Twenty people who are signed in, and a shop with little more room than they want."""
    anybody = Caller(stack.port)
    town = Town(stack, seed)
    with ThreadPoolExecutor(4) as pool:
        town.people = list(pool.map(lambda n: signed_in(stack.port, f"+86138{n:04d}0000"), range(PEOPLE)))
    hit = told(anybody.get("/v1/search?lat=31.2304&lng=121.4737&category=hair&limit=1"), 200)["items"][0]
    offer = told(anybody.get(f"/v1/shops/{hit['shop_id']}/offers?limit=1"), 200)["items"][0]
    soon = date.fromisoformat(told(anybody.get("/local/clock"), 200)["now"][:10]) + timedelta(days=2)
    target = f"/v1/offers/{offer['id']}/availability?from={soon}&to={soon + timedelta(days=10)}"
    town.offer_id = offer["id"]
    town.starts = [slot["starts_at"] for slot in told(anybody.get(target), 200)["items"]][:STARTS]
    return town


def signed_in(port: int, phone: str) -> Person:
    caller = Caller(port)
    told(caller.post("/v1/auth/otp", {"phone": phone}), 202)
    text = told(caller.get(f"/local/sms?phone={quote(phone)}"), 200)["items"][0]["text"]
    code = re.findall(r"\b\d{6}\b", text)[0]
    session = told(caller.post("/v1/auth/sessions", {"phone": phone, "code": code}), 201)
    caller.token = session["access_token"]
    return Person(phone, caller)


# ---------------------------------------------------------------------------------------------- the crash


def book_until_killed(town: Town) -> None:
    """A hundred threads begin together; everything is killed at a moment that the seed chooses."""
    chance = random.Random(town.seed)
    orders, payments = chance.randint(*KILLED_AFTER_ORDERS), chance.randint(*KILLED_AFTER_PAYMENTS)
    pause_seconds = chance.random() * 0.1
    together = threading.Barrier(BOOKINGS + 1)
    threads = [
        threading.Thread(target=book, args=(town, number, random.Random(town.seed + number), together))
        for number in range(BOOKINGS)
    ]
    for thread in threads:
        thread.start()
    together.wait()
    deadline = time.monotonic() + 30
    while len(town.acknowledged) < orders or len(town.approved) < payments:
        assert time.monotonic() < deadline, town.refusals
        time.sleep(0.002)
    time.sleep(pause_seconds)
    town.stack.kill()
    for thread in threads:
        thread.join()


def book(town: Town, number: int, chance: random.Random, together: threading.Barrier) -> None:
    """One booking, and the payment when the number is even. Ends when nobody answers any more."""
    person = town.people[number % PEOPLE]
    together.wait()
    # On a quick machine all orders would stand before the first payment: spread out, the kill meets both halfway.
    time.sleep(chance.random() * SPREAD_SECONDS)
    order_id = placed(town, person, chance)
    if order_id is None or number % 2:
        town.ended += order_id is not None
        return
    opened = patiently(lambda key: person.caller.post(f"/v1/orders/{order_id}/payments", {"method": "alipay"}, key))
    if opened.status != 201:
        town.refusals[f"payment {opened.status}"] += 1
        return
    decided = Caller(town.stack.port).post(f"/local/pay/{opened.body['attempt_id']}", {"outcome": "succeed"})
    if decided.status == 200:
        town.approved.add(order_id)
        town.ended += 1


def placed(town: Town, person: Person, chance: random.Random) -> str | None:
    """The order's id, once one of the places could be had; None when nobody answers."""
    while True:
        wanted = {"offer_id": town.offer_id, "starts_at": chance.choice(town.starts)}
        quoted = person.caller.post("/v1/quotes", wanted)
        if quoted.status == 0:
            return None
        quote_id = told(quoted, 201)["id"]
        reply = patiently(lambda key, quote_id=quote_id: person.caller.post("/v1/orders", {"quote_id": quote_id}, key))
        if reply.status == 201:
            town.acknowledged[reply.body["id"]] = person
            return str(reply.body["id"])
        if reply.status == 0:
            return None
        town.refusals[reply.body["code"]] += 1
        assert reply.status == 409, reply


def patiently(send: Callable[[str], Reply]) -> Reply:
    """Sends the same request with the same key again while the answer is 503, as a client does."""
    key = f"key-{random.SystemRandom().getrandbits(64):x}"
    while (reply := send(key)).status == 503:
        time.sleep(0.1)
    return reply


# ---------------------------------------------------------------------------------------------- after


def paid_here(order: dict[str, Any]) -> bool:
    return bool(order["payment_state"] == "paid")


def owner_of(town: Town, order: dict[str, Any]) -> Caller:
    return next(person.caller for person in town.people if person.phone == order["phone"])


def all_orders(town: Town) -> list[dict[str, Any]]:
    """Every order of everybody, also those that were never acknowledged."""
    return [
        {**order, "phone": person.phone}
        for person in town.people
        for order in told(person.caller.get("/v1/orders?limit=100"), 200)["items"]
    ]


def provider_has(stack: LocalStack) -> dict[str, int]:
    """What the provider holds for each order, asked of its API by the SDK: minor units, 0 when nothing came."""
    import stripe

    client = stripe.StripeClient(
        stack.secrets["stripe_secret_key"], base_addresses={"api": stack.tools["LINLI_STRIPE_BASE_URL"]}
    )
    held: dict[str, int] = Counter()
    for intent in client.v1.payment_intents.list({"limit": 100}).auto_paging_iter():
        held[intent.metadata["order_id"]] += intent.amount_received
    return held


def at_rest(town: Town, deadline: float) -> list[dict[str, Any]]:
    """Every order, once each is paid here exactly if it is paid there. Fails when that takes too long."""
    while True:
        held = provider_has(town.stack)
        orders = all_orders(town)
        unlike = {
            order["id"]: (order["state"], order["payment_state"], held.get(order["id"], 0))
            for order in orders
            if paid_here(order) != (held.get(order["id"], 0) == order["total"]["amount_minor"])
            or held.get(order["id"], 0) not in (0, order["total"]["amount_minor"])
        }
        unlike |= {order_id: ("no order", "", held[order_id]) for order_id in set(held) - {o["id"] for o in orders}}
        if not unlike:
            return orders
        assert time.monotonic() < deadline, unlike
        time.sleep(0.5)


def calendar(stack: LocalStack) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.journeys.calendar_audit"]
    done = subprocess.run(command, cwd=ROOT, env=stack.tools, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"calendar: {found['orders']} orders hold {found['quanta']} quanta")
    assert found["orders"] > 0
    return found


def everybody_hears(town: Town, orders: list[dict[str, Any]]) -> None:
    """One message for each confirmed order. The queue forgot with the kill: what was not sent is sent again from the
    outbox when it is a minute old, so the local clock is moved on."""
    expected = Counter(order["phone"] for order in orders if order["state"] == "confirmed")
    anybody = Caller(town.stack.port)
    began = time.monotonic()
    while (heard := messages(anybody, town)) != expected:
        assert time.monotonic() - began < HEARD_WITHIN_SECONDS, (heard, expected)
        told(anybody.post("/local/clock", {"advance_seconds": 61}), 200)
        told(anybody.post("/local/schedules/relay_outbox/run"), 200)
        time.sleep(1.0)
    print(f"{expected.total()} messages, the last {time.monotonic() - began:.1f} s later")


def messages(anybody: Caller, town: Town) -> Counter[str]:
    return Counter(
        person.phone
        for person in town.people
        for message in told(anybody.get(f"/local/sms?phone={quote(person.phone)}"), 200)["items"]
        if message["template"] == "order.confirmed"
    )
