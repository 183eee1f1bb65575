"""Every operation of the API document answers 2xx somewhere in the story; one that never does is named."""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import Any

import pytest

from chalicelib.web.router import OPERATIONS
from tests import client as transport
from tests import world
from tests.builders import identity, reviews, salons, town
from tests.builders import orders as build
from tests.builders.orders import expect
from tests.client import Client

Seen = dict[tuple[str, str], set[int]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """(method, path of the operation) → statuses, of every call that any client makes."""
    found: Seen = defaultdict(set)
    sent = Client.request

    def noted(self: Client, method: str, target: str, *rest: Any, **more: Any) -> Any:
        reply = sent(self, method, target, *rest, **more)
        found[method, transport._route_of(target.partition("?")[0])[1]].add(reply.status)
        return reply

    monkeypatch.setattr(Client, "request", noted)
    return found


def test_every_operation_is_seen_to_succeed(seen: Seen) -> None:
    """Sign in, look around, book, pay, be served, say how it was, cancel, decline, miss a visit, settle, reconcile."""
    customer = _sign_in_and_settle_in()
    salon = salons.salon()
    _look_around(salon)
    visit = _book_and_pay(salon, customer)
    _be_served(visit)
    _say_how_it_was(visit)
    _cancel(salon, customer)
    _wait_for_the_merchant(customer)
    _do_not_come(salon, customer)
    town.night()
    _read_the_books(salon)
    never = [
        f"{operation.method} {operation.path}"
        for operation in OPERATIONS
        if not any(200 <= status < 300 for status in seen[operation.method, operation.path])
    ]
    assert never == []


def test_what_the_story_answers_is_what_the_document_says(seen: Seen) -> None:
    """No operation of a served visit answers a status that it does not declare."""
    town.served()
    for operation in OPERATIONS:
        for status in seen[operation.method, operation.path]:
            assert status in operation.answers, (operation.name, status)


def _sign_in_and_settle_in() -> identity.Person:
    anybody, number = Client(), identity.phone()
    expect(anybody.get("/healthz"), 200)
    assert anybody.get("/docs").status == 200
    expect(anybody.get("/v1/openapi.json"), 200)
    expect(anybody.post("/v1/auth/otp", {"phone": number}), 202)
    signed_in = expect(anybody.post("/v1/auth/sessions", {"phone": number, "code": identity.last_code(number)}), 201)
    fresh = expect(anybody.post("/v1/auth/sessions/refresh", {"refresh_token": signed_in["refresh_token"]}), 201)
    assert Client(fresh["access_token"]).delete("/v1/auth/sessions/current").status == 204
    wechat = expect(anybody.post("/v1/auth/sessions/wechat", {"code": f"wx-demo-4-{secrets.token_hex(8)}"}), 201)
    someone = Client(wechat["access_token"])
    world.advance(minutes=2)
    if wechat["account"]["phone_masked"] is None:
        another = identity.phone()
        expect(anybody.post("/v1/auth/otp", {"phone": another}), 202)
        expect(someone.post("/v1/me/phone", {"phone": another, "code": identity.last_code(another)}), 200)
    person = identity.person()
    me = person.client.get("/v1/me")
    expect(person.client.patch("/v1/me", {"display_name": "Han Meimei"}, If_Match=me.headers["ETag"]), 200)
    expect(person.client.post("/v1/me/devices", {"platform": "ios", "push_token": "fcm:0123456789"}), 201)
    made = person.client.post("/v1/me/addresses", town.ADDRESS)
    where = f"/v1/me/addresses/{expect(made, 201)['id']}"
    expect(person.client.get("/v1/me/addresses"), 200)
    expect(person.client.get(where), 200)
    expect(person.client.patch(where, {"unit": "301"}, If_Match=made.headers["ETag"]), 200)
    assert person.client.delete(where).status == 204
    return person


def _look_around(salon: salons.Salon) -> None:
    visitor = identity.person().client
    for path in ("/v1/cities", "/v1/categories", "/v1/search?city=sha", f"/v1/shops/{salon.shop.id}"):
        expect(visitor.get(path), 200)
    expect(visitor.get(f"/v1/shops/{salon.shop.id}/offers"), 200)
    expect(visitor.get(f"/v1/offers/{salon.offer.id}"), 200)
    expect(visitor.request("PUT", f"/v1/me/favourites/{salon.shop.id}"), 201)
    expect(visitor.get("/v1/me/favourites"), 200)
    assert visitor.delete(f"/v1/me/favourites/{salon.shop.id}").status == 204


def _book_and_pay(salon: salons.Salon, customer: identity.Person) -> build.Visit:
    visit = build.booked(salon, customer, days_ahead=1)
    expect(customer.client.get("/v1/orders"), 200)
    expect(customer.client.get("/v1/orders/counts"), 200)
    expect(customer.client.get(f"/v1/orders/{visit.id}/payment-methods?client=web"), 200)
    attempt = visit.open_payment()
    expect(customer.client.get(f"/v1/orders/{visit.id}/payments/{attempt['attempt_id']}"), 200)
    world.payer_does(attempt["attempt_id"], "succeed")
    world.settle_down()
    assert visit.read()["payment_state"] == "paid"
    expect(customer.client.get(f"/v1/orders/{visit.id}/cancel-quote"), 200)
    assert visit.proof()["holds"]
    return visit


def _be_served(visit: build.Visit) -> None:
    owner = visit.salon.owner.client
    expect(owner.get("/v1/merchant/orders"), 200)
    expect(owner.get(f"/v1/merchant/orders/{visit.id}"), 200)
    _until_it_begins(visit)
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    assert visit.read()["state"] == "fulfilled"


def _say_how_it_was(visit: build.Visit) -> None:
    """A review is written, changed, answered, and looked at by an operator; one that waits is refused."""
    customer, owner, operator = visit.customer.client, visit.salon.owner.client, identity.operator().client
    expect(customer.post("/v1/uploads", {"content_type": "image/jpeg", "bytes": 200_000}), 201)
    review = reviews.reviewed(visit)
    path = f"/v1/reviews/{review['id']}"
    tag = customer.get(path).headers["ETag"]
    expect(customer.patch(path, {"text": "剪得很细致，还会再来。"}, **{"If-Match": tag}), 200)
    assert expect(customer.get(f"/v1/orders/{visit.id}/reviews"), 200)["items"]
    assert expect(customer.get(f"/v1/shops/{visit.salon.shop.id}/reviews"), 200)["items"]
    assert expect(owner.get("/v1/merchant/reviews"), 200)["items"]
    expect(owner.post(f"/v1/merchant/reviews/{review['id']}/reply", {"text": "谢谢光临。"}), 201)
    for act in ("hide", "publish"):
        expect(operator.post(f"/v1/operator/reviews/{review['id']}/{act}", {"reason": "A second look"}), 200)
    other = expect(reviews.write(reviews.served(), text="加微信 13800138000"), 201)
    assert expect(operator.get("/v1/operator/reviews?limit=100"), 200)["items"]
    expect(operator.post(f"/v1/operator/reviews/{other['id']}/reject", {"reason": "Advertising"}), 200)


def _until_it_begins(visit: build.Visit) -> None:
    world.advance(seconds=max(0, town.seconds_until(visit.order["booking"]["starts_at"])))


def _cancel(salon: salons.Salon, customer: identity.Person) -> None:
    build.booked(salon, customer).cancel()
    by_merchant = build.booked(salon, customer)
    by_merchant.pay()
    by_merchant.staff_does("cancel")


def _wait_for_the_merchant(customer: identity.Person) -> None:
    asks_first = salons.salon(confirmation="request")
    for act, state in (("accept", "confirmed"), ("decline", "declined")):
        visit = build.booked(asks_first, customer)
        assert visit.pay()["state"] == "paid"
        assert visit.staff_does(act)["state"] == state


def _do_not_come(salon: salons.Salon, customer: identity.Person) -> None:
    missed = build.booked(salon, customer, days_ahead=1)
    missed.pay()
    _until_it_begins(missed)
    world.advance(minutes=20)
    assert missed.staff_does("no-show")["state"] == "cancelled"


def _read_the_books(salon: salons.Salon) -> None:
    owner, operator = salon.owner.client, identity.operator().client
    expect(owner.get("/v1/merchant/balance"), 200)
    statement = expect(owner.get("/v1/merchant/statements"), 200)["items"][0]
    assert expect(owner.get(f"/v1/merchant/statements/{statement['id']}"), 200)["lines"]
    runs = expect(operator.get("/v1/operator/reconciliation/runs"), 200)["items"]
    assert sum(run["matched"] for run in runs) > 0
    expect(operator.get("/v1/operator/reconciliation/differences"), 200)
