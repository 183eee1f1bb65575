"""What one arrival does: a search, a booking from the quote to the confirmation, or a payment told awkwardly."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from bench.harness import Bar
from bench.samples import Arrival
from bench.stack import BenchError, Reply
from bench.town import PEOPLES_SQUARE, Person, Town

SEARCH, BOOKING, WEBHOOK = "search", "booking", "webhook"
MIX = {SEARCH: 0.90, BOOKING: 0.08, WEBHOOK: 0.02}
CLIENTS = 96
LEAD_SECONDS = 1.5  # by which the order of a webhook's arrival is placed before its time
CONFIRMED_WITHIN_SECONDS = 15.0
TRIES = 20
_LOOK_SECONDS, _LOOK_AT_MOST_SECONDS = 0.02, 0.25
_TAKEN = "slot_taken"


@dataclass(frozen=True)
class Decision:
    """How the provider tells of a payment; `seconds` it waits with telling."""

    outcome: str
    seconds: int = 0


PROMPT = Decision("succeed")
AWKWARD = (Decision("duplicate"), Decision("shuffle"), Decision("late", seconds=1))
"""Three times the same, the newest fact first, a while later."""


@dataclass(frozen=True)
class Visit:
    """One arrival that is over. `at` is when it was meant to begin, and `ms` is counted from there; `error` is empty
    when all went well."""

    kind: str
    at: float
    ms: float
    error: str = ""


@dataclass(frozen=True)
class Sale:
    """An order whose payer the provider has told that the money was taken."""

    order_id: str
    person: Person


@dataclass
class Diary:
    """What happened in a run; many threads write."""

    visits: list[Visit] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    confirmed: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    """Expected refusals: somebody else was quicker."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while a number is counted up."""

    @property
    def errors(self) -> Counter[str]:
        return Counter(f"{visit.kind}: {visit.error}" for visit in self.visits if visit.error)

    def times_ms(self, kind: str = "") -> list[float]:
        """Of all visits, or of one kind."""
        return [visit.ms for visit in self.visits if kind in ("", visit.kind)]


class _Failed(Exception):
    """A step was not answered as it must be."""

    def __init__(self, step: str, reply: Reply) -> None:
        super().__init__(f"{step} {reply.status} {reply.code}".rstrip())


def visit_all(town: Town, arrivals: list[Arrival], seed: int, bar: Bar) -> Diary:
    """Let everybody come at their time, and return when the last has left."""
    diary = Diary()
    begin = time.monotonic() + 0.1 + LEAD_SECONDS
    leads = sorted(arrivals, key=lambda one: one.at - (LEAD_SECONDS if one.kind == WEBHOOK else 0.0))
    with ThreadPoolExecutor(CLIENTS, thread_name_prefix="visit") as pool:
        running = []
        for arrival in leads:
            starts_at = begin + arrival.at - (LEAD_SECONDS if arrival.kind == WEBHOOK else 0.0)
            while (ahead := starts_at - time.monotonic()) > 0:
                time.sleep(min(ahead, 0.5))
                bar(max(0.0, time.monotonic() - begin), _standing(diary))
            running.append(pool.submit(_Client(town, diary, begin, seed).visit, arrival))
        wait(running)
        bar(time.monotonic() - begin, _standing(diary))
    for each in running:
        each.result()
    return diary


def _standing(diary: Diary) -> str:
    return f"{len(diary.visits)} visits, {diary.confirmed} bookings, {diary.errors.total()} errors"


@dataclass(frozen=True)
class _Client:
    town: Town
    diary: Diary
    begin: float
    seed: int

    def visit(self, arrival: Arrival) -> None:
        # Latency from the intended begin, not from when this thread came to it: a stack that stalls delays all who come
        # meanwhile, and a client that waits with asking would leave them out ("coordinated omission"; Gil Tene, "How
        # NOT to Measure Latency").
        due = self.begin + arrival.at
        chance = random.Random(self.seed * 1_000_003 + arrival.number)
        decision = chance.choice(AWKWARD) if arrival.kind == WEBHOOK else PROMPT
        error = ""
        try:
            if arrival.kind == SEARCH:
                self._search(chance)
            else:
                self._book(arrival, chance, decision, due)
        except (_Failed, BenchError) as failure:
            error = str(failure)
        wished = decision.seconds if not error else 0
        self.diary.visits.append(Visit(arrival.kind, arrival.at, (time.monotonic() - due - wished) * 1000, error))

    def _search(self, chance: random.Random) -> None:
        lat, lng = (round(middle + chance.gauss(0, 0.02), 5) for middle in PEOPLES_SQUARE)
        query: dict[str, Any] = {"lat": lat, "lng": lng, "radius_m": chance.choice((1000, 3000, 5000)), "limit": 20}
        if chance.random() < 0.5:
            query["category"] = chance.choice(self.town.categories)
        self._must("search", self.town.caller.get(f"/v1/search?{urlencode(query)}"), 200)

    def _book(self, arrival: Arrival, chance: random.Random, decision: Decision, due: float) -> None:
        person = self._person(arrival.number)
        order_id, attempt_id = self._order(person, chance)
        time.sleep(max(0.0, due - time.monotonic()))
        body = {"outcome": decision.outcome, **({"seconds": decision.seconds} if decision.seconds else {})}
        self._must("pay", self.town.caller.post(f"/local/pay/{attempt_id}", body), 200)
        self.diary.sales.append(Sale(order_id, person))
        self._see_confirmed(order_id, person)

    def _person(self, number: int) -> Person:
        return self.town.people[number % len(self.town.people)]

    def _order(self, person: Person, chance: random.Random) -> tuple[str, str]:
        """A place, an order for it and an attempt to pay; whoever finds the place taken chooses another."""
        caller = self.town.caller
        for _ in range(TRIES):
            offer_id, starts_at = chance.choice(self.town.starts)
            wanted = {"offer_id": offer_id, "starts_at": starts_at}
            quoted = caller.post("/v1/quotes", wanted, person.token())
            if self._is_taken("quote", quoted):
                continue
            quote_id = self._must("quote", quoted, 201)["id"]
            placed = caller.post("/v1/orders", {"quote_id": quote_id}, person.token())
            if self._is_taken("order", placed):
                continue
            order_id = str(self._must("order", placed, 201)["id"])
            payment = {"method": chance.choice(("alipay", "wechat_pay", "card")), "client": "web"}
            opened = caller.post(f"/v1/orders/{order_id}/payments", payment, person.token())
            return order_id, str(self._must("payment", opened, 201)["attempt_id"])
        raise BenchError(f"no free start in {TRIES} tries")

    def _is_taken(self, step: str, reply: Reply) -> bool:
        taken = reply.status == 409 and reply.code == _TAKEN
        if taken:
            with self.diary.lock:
                self.diary.taken[f"{step} {_TAKEN}"] += 1
        return taken

    def _see_confirmed(self, order_id: str, person: Person) -> None:
        deadline, pause = time.monotonic() + CONFIRMED_WITHIN_SECONDS, _LOOK_SECONDS
        while True:
            order = self._must("look", self.town.caller.get(f"/v1/orders/{order_id}", person.token()), 200)
            if (order["state"], order["payment_state"]) == ("confirmed", "paid"):
                with self.diary.lock:
                    self.diary.confirmed += 1
                return
            if time.monotonic() > deadline:
                raise BenchError(f"not confirmed in {CONFIRMED_WITHIN_SECONDS:.0f} s")
            time.sleep(pause)
            pause = min(pause * 1.5, _LOOK_AT_MOST_SECONDS)

    def _must(self, step: str, reply: Reply, status: int) -> Any:
        if reply.status != status:
            raise _Failed(step, reply)
        return reply.body
