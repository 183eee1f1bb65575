"""One of everything, so that every path parameter of every operation has something to name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import app  # noqa: F401  # registers every operation
from chalicelib.kernel.instant import Instant
from chalicelib.web.router import OPERATIONS, Operation
from tests import world
from tests.builders import identity
from tests.builders import orders as build
from tests.builders.identity import Person
from tests.builders.orders import Visit, expect

SCORES = {"service": 5, "environment": 4, "value": 4}
# Bodies that would do, where an empty one would not.
BODIES = {
    "open_payment": b'{"method": "alipay"}',
    "write_review": b'{"scores": {"service": 5, "environment": 4, "value": 4}}',
    "reply_to_review": b'{"text": "Thank you"}',
    **dict.fromkeys(("publish_review", "hide_review", "reject_review"), b'{"reason": "Looked at"}'),
}
ADDRESS = {"contact_name": "李雷", "phone": "+8613812345678", "city": "上海", "street": "南京西路 1266 号"}


@dataclass(frozen=True)
class Town:
    """A customer with a confirmed, paid order at a salon whose earlier visit is settled and reviewed; an operator."""

    visit: Visit
    operator: Person
    ids: dict[str, str]

    @property
    def customer(self) -> Person:
        return self.visit.customer

    def target(self, operation: Operation, **changed: str) -> str:
        """The operation's path with ids of things that are there, and whatever its query needs."""
        known = {**self.ids, **changed}
        path = re.sub(r"{(\w+)}", lambda found: known[found[1]], operation.path)
        return path + QUERIES.get(operation.name, "")


QUERIES = {"offer_availability": "?from=2030-01-01&to=2030-01-02"}


def night() -> None:
    """The next two nights: the provider's days are over, its money is matched and settled."""
    for _ in range(2):
        world.advance(days=1)
        world.run_schedule("reconcile")
        world.run_schedule("settle")
    world.settle_down()


def served(**changed: Any) -> Visit:
    """A visit from its booking to its end, on the clock that everybody shares."""
    visit = build.booked(days_ahead=1, **changed)
    visit.pay()
    starts = visit.order["booking"]["starts_at"]
    world.advance(seconds=max(0, seconds_until(starts)))
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    return visit


def seconds_until(instant: str) -> int:
    return Instant.parse(instant).since(world.now()) // 1000


@lru_cache(maxsize=1)
def town() -> Town:
    """Made once for all tests that only look at it, or try what must be refused."""
    return built()


def built() -> Town:
    """A town of its own, for a test that changes it."""
    earlier = served()
    night()
    salon, customer = earlier.salon, earlier.customer
    statement = expect(salon.owner.client.get("/v1/merchant/statements"), 200)["items"][0]
    visit = build.booked(salon, customer)
    attempt = visit.open_payment()
    world.payer_does(attempt["attempt_id"], "succeed")
    world.settle_down()
    visit.read()
    review = expect(customer.client.post(f"/v1/orders/{earlier.id}/reviews", {"scores": SCORES}), 201)
    world.settle_down()
    address = expect(customer.client.post("/v1/me/addresses", ADDRESS), 201)
    return Town(
        visit,
        identity.operator(),
        {
            "shop_id": salon.shop.id,
            "offer_id": salon.offer.id,
            "order_id": visit.id,
            "attempt_id": attempt["attempt_id"],
            "address_id": address["id"],
            "statement_id": statement["id"],
            "review_id": review["id"],
        },
    )


def operation(name: str) -> Operation:
    return next(found for found in OPERATIONS if found.name == name)
