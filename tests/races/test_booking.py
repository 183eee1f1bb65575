"""One place and many who want it."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from functools import partial
from typing import Any

import pytest

from tests import invariants, world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.identity import Person
from tests.races.together import at_once, in_crowd

pytestmark = pytest.mark.usefixtures("sound")


def place(customer: Person, quote_id: str, key: str = "", **body: Any) -> Any:
    return customer.client.post("/v1/orders", {"quote_id": quote_id, **body}, key=key or secrets.token_hex(8))


def outcomes(replies: list[Any]) -> Counter[Any]:
    return Counter((reply.status, "" if reply.status == 201 else reply.code) for reply in replies)


def test_two_hundred_buyers_and_one_of_them_gets_it() -> None:
    """Two hundred people at the same moment; everybody else is told what is free, nearest first."""
    shop = salons.salon(staff=1)
    start = build.free_slots(shop)[4]["starts_at"]
    buyers = [identity.person() for _ in range(200)]
    quotes = [(buyer, build.quote(shop, buyer, start)["id"]) for buyer in buyers]
    replies = at_once([partial(place, *quoted) for quoted in quotes])
    assert outcomes(replies) == {(201, ""): 1, (409, "slot_taken"): 199}
    offered = {tuple(one["starts_at"] for one in r.json["alternatives"]) for r in replies if r.status == 409}
    assert all(len(three) == 3 and start not in three for three in offered)


def test_eight_stylists_one_chair_and_sixty_four_buyers_make_one_visit() -> None:
    """The seven other stylists are untouched: chair and person are taken together or not at all."""
    shop = salons.salon(staff=8, chairs=1)
    start = build.free_slots(shop)[4]["starts_at"]
    buyers = [identity.person() for _ in range(8)]
    quotes = [
        (buyer, build.quote(shop, buyer, start, staff.id)["id"]) for buyer in buyers[:8] for staff in shop.staff[:8]
    ]
    replies = in_crowd([partial(place, buyer, quote) for buyer, quote in quotes], threads=64)
    assert outcomes(replies) == {(201, ""): 1, (409, "slot_taken"): 63}
    seen = invariants.read(shops={shop.shop.id})
    assert sorted(resource[:3] for (_, _, resource) in seen.quanta) == ["chr", "stf"]


def test_any_staff_serves_as_many_as_there_are() -> None:
    """Three stylists, thirty buyers who do not care whom they get: three visits, three stylists."""
    shop = salons.salon(staff=3)
    start = build.free_slots(shop)[4]["starts_at"]
    buyers = [identity.person() for _ in range(10)]
    quotes = [(buyer, build.quote(shop, buyer, start)["id"]) for buyer in buyers] * 3
    replies = in_crowd([partial(place, *one) for one in quotes], threads=30)
    assert outcomes(replies) == {(201, ""): 3, (409, "slot_taken"): 27}
    assert len({r.json["booking"]["staff_id"] for r in replies if r.status == 201}) == 3


def test_one_key_is_one_order_whatever_its_bodies() -> None:
    """Thirty-two threads with one body, thirty-two with another: one of the bodies wins everywhere."""
    shop, buyer = salons.salon(staff=4), identity.person()
    made = build.quote(shop, buyer, build.free_slots(shop)[4]["starts_at"])["id"]
    acts = [partial(place, buyer, made, "the-key", note=note) for note in ("one", "two") * 32]
    replies = at_once(acts)
    found = outcomes(replies)
    assert found == {(201, ""): 32, (422, "idempotency_key_reused"): 32}
    placed = [reply for reply in replies if reply.status == 201]
    assert len({reply.json["id"] for reply in placed}) == 1
    assert len({reply.json["note"] for reply in placed}) == 1
    assert sum("Idempotent-Replayed" not in reply.headers for reply in placed) == 1
    assert len(invariants.read(shops={shop.shop.id}).orders) == 1


def test_overlapping_wishes_and_endings_never_overlap() -> None:
    """Random starts, two people and a chair, cancels in between: afterwards the calendar is what the orders hold."""
    chance = random.Random(20261122)  # noqa: S311  # a seed, no secret
    shop = salons.salon(staff=3, chairs=2)
    starts = [slot["starts_at"] for slot in build.free_slots(shop)[:8]]
    buyers = [identity.person() for _ in range(12)]

    def come_and_go(buyer: Person) -> int:
        kept = 0
        for _ in range(4):
            made = build.quote(shop, buyer, chance.choice(starts))
            reply = place(buyer, made["id"])
            assert reply.status in (201, 409)
            if reply.status == 201 and chance.random() < 0.6:
                visit = build.Visit(shop, buyer, reply.json)
                assert visit.cancel()["state"] == "cancelled"
            else:
                kept += reply.status == 201
        return kept

    kept = in_crowd([partial(come_and_go, buyer) for buyer in buyers], threads=12)
    assert invariants.broken({shop.shop.id}) == []
    assert sum(kept) == sum(
        order.state == "pending_payment" for order in invariants.read(shops={shop.shop.id}).orders.values()
    )


def test_a_slot_that_is_freed_goes_to_exactly_one_of_those_who_wait() -> None:
    """A cancel and twenty buyers at the same moment."""
    shop = salons.salon(staff=1)
    start = build.free_slots(shop)[4]["starts_at"]
    holder = build.booked(shop, starts_at=start)
    buyers = [identity.person() for _ in range(20)]
    quotes = [(buyer, build.quote(shop, buyer, start)["id"]) for buyer in buyers]
    replies = at_once([holder.cancel, *(partial(place, *one) for one in quotes)])[1:]
    assert set(outcomes(replies)) <= {(201, ""), (409, "slot_taken")}
    assert outcomes(replies)[201, ""] <= 1
    late = place(buyers[0], build.quote(shop, buyers[0], start)["id"])
    assert outcomes([*replies, late])[201, ""] == 1
    world.settle_down()
