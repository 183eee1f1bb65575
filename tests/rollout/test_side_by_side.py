"""The previous release beside this one on the same tables and queues, and then alone again: a roll-out and a roll-back.

The previous release runs in a process of its own, from its own files; this one runs in the tests' process.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.kernel import ids
from chalicelib.kernel.money import Money
from chalicelib.notifications import handlers as notifications
from chalicelib.orders import handlers as orders
from chalicelib.orders import orphans
from chalicelib.providers.ports import IntentRequest
from chalicelib.providers.sms.local import Inbox
from chalicelib.runtime import resources
from infra.local.events import sqs_event
from tests import invariants, queues, world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.identity import Person
from tests.builders.orders import Visit, expect
from tests.client import Client
from tests.invariants import ledger
from tests.rollout.releases import Release, checked_out, previous_commit

pytestmark = pytest.mark.usefixtures("alone")

Handle = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def previous() -> Iterator[Release]:
    with checked_out(previous_commit()) as code, Release(code) as release:
        yield release


@pytest.fixture
def new() -> Side:
    return Side(
        Client(),
        lambda like: Client(like.token, language=like.language),
        {"notify": lambda event: notifications.notify(event, None), "refund": lambda event: orders.refund(event, None)},
        {name: lambda name=name: world.run_schedule(name) for name in ("sweep", "settle", "reconcile")},
    )


class Side:
    """One release as the tests drive it: HTTP, webhooks, its consumers and its schedules."""

    def __init__(
        self,
        anybody: Client,
        client: Callable[[Client], Client],
        consumers: dict[str, Handle],
        schedules: dict[str, Callable[[], Any]],
    ) -> None:
        self.anybody = anybody
        self.client = client
        self._consumers = consumers
        self._schedules = schedules

    def run(self, schedule: str) -> Any:
        return self._schedules[schedule]()

    def person(self, known: Person) -> Person:
        return replace(known, client=self.client(known.client))

    def visit(self, known: Visit) -> Visit:
        """The same visit, its customer and its staff served by this release."""
        salon = replace(known.salon, owner=self.person(known.salon.owner))
        return Visit(salon, self.person(known.customer), known.order)

    def hear(self) -> int:
        """Takes every webhook that is due."""
        count = 0
        while waiting := world.due_webhooks():
            for attempt in waiting:
                sent = {"Stripe-Signature": attempt.signature}
                reply = self.anybody.request("POST", "/webhooks/stripe", attempt.payload.encode(), sent)
                world.provider().webhook_sent(attempt, accepted=reply.status == 200)
                assert reply.status == 200, reply.text
                count += 1
        return count

    def consume(self) -> int:
        """Lets its consumers have everything in the queues."""
        count = 0
        for name, handle in self._consumers.items():
            queue = next(one for one in resources.QUEUES if one.name == name)
            url = resources.queue_url(queue)
            sqs = queues.admin()
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                answer = handle(sqs_event(f"arn:aws:sqs:us-east-1:0:{name}", messages))
                assert answer == {"batchItemFailures": []}
                for message in messages:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                count += len(messages)
        return count

    def settle_down(self) -> None:
        while self.hear() + self.consume():
            pass


@pytest.fixture
def old(previous: Release) -> Side:
    def schedule(module: str, name: str) -> Callable[[], Any]:
        event = {"source": "aws.events", "detail": {}, "detail-type": "Scheduled Event", "resources": []}
        event |= {"version": "0", "account": "0", "region": "us-east-1", "time": str(world.now()), "id": name}
        return lambda: previous.handle(f"chalicelib.{module}.handlers.{name}", event)

    return Side(
        previous.client(),
        previous.client,
        {
            "notify": lambda event: previous.handle("chalicelib.notifications.handlers.notify", event),
            "refund": lambda event: previous.handle("chalicelib.orders.handlers.refund", event),
        },
        {
            "sweep": schedule("orders", "sweep"),
            "settle": schedule("settlement", "settle"),
            "reconcile": schedule("reconciliation", "reconcile"),
            "relay_outbox": schedule("runtime", "relay_outbox"),
        },
    )


def texts(person: Person) -> list[str]:
    """Which messages about orders a person got, newest first."""
    return [one["template"] for one in Inbox().list(person.phone) if one["template"] != "otp"]


def booked(side: Side, salon: salons.Salon, customer: Person, *, quoted_by: Side | None = None) -> Visit:
    """An order that one release places with the quote of another."""
    start = build.free_slots(salon, 1)[0]["starts_at"]
    quote = build.quote(salon, (quoted_by or side).person(customer), start)
    who = side.person(customer)
    order = expect(who.client.post("/v1/orders", {"quote_id": quote["id"]}, key=secrets.token_hex(8)), 201)
    return Visit(salon, customer, order)


def pay(side: Side, visit: Visit, *, heard_by: Side) -> None:
    attempt = side.visit(visit).open_payment("card")
    world.payer_does(attempt["attempt_id"], "succeed")
    assert heard_by.hear() > 0


def test_both_releases_carry_one_journey_and_the_previous_one_goes_on_alone(old: Side, new: Side) -> None:
    """Each step is taken by the other release than the one before; in the end nothing is lost, owed or unproven."""
    salon = salons.salon(staff=4)
    customer = signed_in(old, new)

    # Placed by the previous release with a quote of this one, paid here; told by the other.
    first = booked(old, salon, customer, quoted_by=new)
    pay(old, first, heard_by=new)
    assert old.consume() > 0
    assert texts(customer) == ["order.confirmed"]

    # Placed here with a quote of the previous release, paid there, cancelled there, refunded here.
    second = booked(new, salon, customer, quoted_by=old)
    pay(new, second, heard_by=old)
    new.consume()
    assert old.visit(second).cancel()["state"] == "cancelled"
    new.settle_down()
    assert [left for _, _, left in old.visit(second).refunds()] == ["succeeded"]

    # A list begun by one goes on at the other; the newest order is first at both.
    for one, other in ((old, new), (new, old)):
        begun = expect(one.person(customer).client.get("/v1/orders?limit=1"), 200)
        rest = expect(other.person(customer).client.get(f"/v1/orders?limit=1&cursor={begun['next_cursor']}"), 200)
        assert [order["id"] for order in begun["items"] + rest["items"]] == [second.id, first.id]

    # Served by turns; earned there, settled here.
    first.until_start()
    for side, act in ((old, "check-in"), (new, "start"), (old, "finish")):
        side.visit(first).staff_does(act)
    night(reconciled_by=old, settled_by=new)
    statement = expect(old.person(salon.owner).client.get("/v1/merchant/statements"), 200)["items"][0]
    lines = expect(new.person(salon.owner).client.get(f"/v1/merchant/statements/{statement['id']}"), 200)["lines"]
    assert first.id in {line["order_id"] for line in lines}

    an_orphan(new, old)

    # Earned here; then this release is taken away, and the previous one goes on with everything.
    third, fourth, late = (booked(new, salon, customer) for _ in range(3))
    pay(new, third, heard_by=new)
    pay(new, fourth, heard_by=new)
    assert old.consume() > 0
    assert texts(customer).count("order.confirmed") == 4
    unpaid = new.visit(late).open_payment("alipay")
    third.until_start()
    for act in ("check-in", "start", "finish"):
        new.visit(third).staff_does(act)
    rolled_back(old, salon, customer, [first, second, third, fourth, late], fourth)
    assert expect(old.person(customer).client.get(f"/v1/orders/{late.id}"), 200)["state"] == "cancelled"
    assert unpaid["attempt_id"]
    # The release before does not count the entries behind a balance: `linli rebuild` does it afterwards.
    counted = (ledger.balances_are_rebuilt,)
    assert invariants.broken({salon.shop.id}, at_rest=True, without=counted) == []


def signed_in(old: Side, new: Side) -> Person:
    """Code asked for at one release, used at the other; either takes the other's tokens, and renews them."""
    number = identity.phone()
    expect(new.anybody.post("/v1/auth/otp", {"phone": number}), 202)
    session = {"phone": number, "code": identity.last_code(number)}
    tokens = expect(old.anybody.post("/v1/auth/sessions", session), 201)
    for side in (new, old, new):
        tokens = expect(side.anybody.post("/v1/auth/sessions/refresh", {"refresh_token": tokens["refresh_token"]}), 201)
    me = expect(old.client(Client(tokens["access_token"])).get("/v1/me"), 200)
    return Person(me["id"], number, identity.client_of(me["id"], "en"))


def night(*, reconciled_by: Side, settled_by: Side) -> None:
    for _ in range(2):
        world.advance(days=1)
        reconciled_by.run("reconcile")
        settled_by.run("settle")


def rolled_back(old: Side, salon: salons.Salon, customer: Person, visits: list[Visit], cancelled: Visit) -> None:
    """Only the previous release is there: it reads, proves, ends, sweeps, tells and settles what the new one wrote."""
    old.consume()
    old.visit(cancelled).staff_does("cancel")
    old.settle_down()
    world.advance(minutes=20)
    old.run("sweep")
    old.settle_down()
    for visit in visits:
        assert old.visit(visit).proof()["holds"]
    world.advance(seconds=61)
    old.run("relay_outbox")
    old.settle_down()
    night(reconciled_by=old, settled_by=old)
    settled = expect(old.person(salon.owner).client.get("/v1/merchant/statements"), 200)["items"]
    assert len(settled) == 2
    assert expect(old.person(salon.owner).client.get("/v1/merchant/balance"), 200)["pending"]["amount_minor"] == 0
    operator = old.person(identity.operator())
    expect(operator.client.get("/v1/operator/reconciliation/runs"), 200)


def an_orphan(new: Side, old: Side) -> None:
    """Money without an order, which only this release knows by that name: the previous one can show it."""
    order_id = ids.random_id("ord")
    request = IntentRequest(
        key=order_id,
        order_id=order_id,
        charge_id=ids.random_id("chg"),
        attempt_id=ids.random_id("att"),
        amount=Money(700, "CNY"),
        method="card",
        client="web",
        description="",
        return_url=None,
    )
    intent = wiring.ports().payments.create_intent(request)
    world.payer_does(request.attempt_id, "succeed")
    new.run("reconcile")
    path = "/v1/operator/reconciliation/differences?limit=100"
    operator = identity.operator()
    shown = [expect(side.person(operator).client.get(path), 200)["items"] for side in (new, old)]
    kinds = [[item["kind"] for item in items if item["order_id"] == order_id] for items in shown]
    assert kinds == [["orphan"], ["missing_here"]]
    # It goes back, so that no other test finds it.
    ctx = identity.context(world.now())
    orphans.give_back(ctx, wiring.ports().payments.fetch_intent(intent.intent_id))
    new.settle_down()
    old.run("reconcile")
    items = expect(old.person(operator).client.get(path), 200)["items"]
    assert [item["state"] for item in items if item["order_id"] == order_id] == ["repaired"]
