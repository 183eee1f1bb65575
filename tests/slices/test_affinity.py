"""A member's taste: learned from fulfilled orders, seen in search, forgotten by a switch."""

from __future__ import annotations

import secrets

import pytest

from chalicelib.identity import service as identity_service
from chalicelib.identity import tables
from chalicelib.kernel.errors import Conflict
from chalicelib.runtime.context import Actor
from chalicelib.runtime.meter import measured
from chalicelib.runtime.transaction import Transaction
from chalicelib.search import affinity
from tests import world
from tests.builders import catalog as build_shops
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.identity import Person
from tests.client import Client
from tests.races.together import at_once


@pytest.fixture
def visit() -> build.Visit:
    """Somebody was served."""
    found = build.paid()
    found.until_start()
    found.staff_does("start")
    found.staff_does("finish")
    return found


def taste(person: Person) -> dict | None:
    found = identity_service.taste_of(person.account_id, consistent=True)
    assert found is not None
    return found.content


def switch(person: Person, *, on: bool) -> dict:
    seen = person.client.get("/v1/me")
    reply = person.client.patch("/v1/me", {"personalised": on}, If_Match=seen.headers["ETag"])
    assert reply.status == 200, reply.text
    return reply.json


def reasons(client: Client, salon: salons.Salon, asked: str = "") -> set[str | None]:
    reply = client.get(f"/v1/search?city=sha&q={salon.shop.id[-8:]}{asked}")
    assert reply.status == 200, reply.text
    assert reply.headers["Cache-Control"].startswith("private")
    return {item["reason"] for item in reply.json["items"] if item["shop_id"] == salon.shop.id}


def test_a_fulfilled_order_makes_its_shop_more_likely_for_its_customer_alone(visit: build.Visit) -> None:
    """In both languages, and for nobody else; `personalised=false` is as for a stranger."""
    stranger = Client(language="en")
    ordinary = reasons(stranger, visit.salon)
    assert reasons(visit.customer.client, visit.salon) in ({"Like what you book"}, {"合您口味"})
    for language, words in (("en", "Like what you book"), ("zh-CN", "合您口味")):
        known = Client(visit.customer.client.token, language=language)
        assert reasons(known, visit.salon) == {words}
        assert words not in reasons(known, visit.salon, "&personalised=false")
    assert reasons(Client(visit.customer.client.token, language="en"), visit.salon, "&personalised=false") == ordinary


def test_a_step_that_is_told_twice_counts_once(visit: build.Visit) -> None:
    once = taste(visit.customer)
    visit.staff_does("finish")
    assert once is not None
    assert taste(visit.customer) == once
    assert once["s"][visit.salon.shop.id][0] == affinity.VISIT
    assert once["c"]["hair"][0] == affinity.VISIT


def test_what_was_only_booked_or_cancelled_is_no_taste() -> None:
    visit = build.paid()
    visit.cancel()
    world.settle_down()
    assert taste(visit.customer) is None


def test_the_switch_forgets_and_is_honoured_by_the_next_search(visit: build.Visit) -> None:
    """The row is empty with the answer; on again, it begins with nothing."""
    client = visit.customer.client
    personal = reasons(client, visit.salon)
    assert switch(visit.customer, on=False)["personalised"] is False
    assert taste(visit.customer) is None
    assert reasons(client, visit.salon) != personal
    assert client.get("/v1/me").json["personalised"] is False
    assert switch(visit.customer, on=True)["personalised"] is True
    assert reasons(client, visit.salon) != personal


def test_who_does_not_want_it_leaves_no_taste() -> None:
    customer = identity.person()
    switch(customer, on=False)
    visit = build.paid(customer=customer)
    visit.until_start()
    visit.staff_does("start")
    assert visit.staff_does("finish")["state"] == "fulfilled"
    assert taste(customer) is None


def test_a_visit_decided_before_the_switch_is_not_written_after_it() -> None:
    """Nor after it was switched on again: what was forgotten stays so."""
    customer = identity.person()
    seen = identity_service.taste_of(customer.account_id, consistent=True)
    assert seen is not None
    for on in (False, True):
        switch(customer, on=on)
        tx = Transaction()
        identity_service.keep_taste(tx, customer.account_id, seen, {"c": {}, "s": {}}, Conflict())
        with pytest.raises(Conflict):
            tx.commit()
    assert taste(customer) is None


def test_two_visits_at_one_moment_both_count() -> None:
    """Whoever meets a taste that moved decides again."""
    customer, shop = identity.person(), salons.salon(staff=2)
    slots = build.free_slots(shop)
    visits = [build.booked(shop, customer, starts_at=slots[i]["starts_at"]) for i in (0, 4)]
    for visit in visits:
        visit.pay()
    visits[1].until_start()
    for visit in visits:
        visit.staff_does("start")
    done = at_once([lambda visit=visit: visit.staff_does("finish")["state"] for visit in visits])
    assert done == ["fulfilled", "fulfilled"]
    found = taste(customer)
    assert found is not None
    assert 2 * affinity.VISIT - 1 <= found["s"][shop.shop.id][0] <= 2 * affinity.VISIT


def test_a_search_reads_a_taste_once_in_five_minutes(visit: build.Visit) -> None:
    """Half a read unit; nothing for a stranger."""
    ctx = build_shops.context(world.now())
    member = type(ctx)(now=ctx.now, ports=ctx.ports, actor=Actor("consumer", visit.customer.account_id))
    affinity._members.clear()
    costs = []
    for minutes in (0, 1, 4, 5, 6):
        with measured() as used:
            assert affinity.of_member(member.at(ctx.now.plus(minutes=minutes))) is not None
        costs.append(used.read_units)
    assert costs == [0.5, 0, 0, 0.5, 0]
    with measured() as used:
        assert affinity.of_member(ctx) is None
    assert used.read_units == 0


def test_a_process_remembers_a_bounded_number_of_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affinity, "MAX_MEMBERS", 3)
    ctx = build_shops.context(world.now())
    for _ in range(5):
        person = "acc_" + secrets.token_hex(13)
        assert affinity.of_member(type(ctx)(now=ctx.now, ports=ctx.ports, actor=Actor("consumer", person))) is None
    assert len(affinity._members) <= 3


def test_a_taste_is_no_version_of_the_account(visit: build.Visit) -> None:
    """What `GET /v1/me` shows did not change, so its mark does not either."""
    before = visit.customer.client.get("/v1/me").headers["ETag"]
    seen = tables.taste(visit.customer.account_id, consistent=True)
    assert seen is not None
    tx = Transaction()
    tables.put_taste(tx, visit.customer.account_id, seen, {"c": {}, "s": {}}, Conflict())
    tx.commit()
    assert visit.customer.client.get("/v1/me").headers["ETag"] == before
