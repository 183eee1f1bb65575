"""Orders through the whole app: quoted, placed and held, listed; how they end stands in `test_ending`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import Override
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from tests import world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.orders import expect
from tests.client import Client

pytestmark = pytest.mark.usefixtures("sound")


# ---------------------------------------------------------------------------------------------- the whole way


def test_an_appointment_is_booked_paid_served_and_proven() -> None:
    """From the hold to the last proof, the timeline tells all of it."""
    visit = build.booked()
    assert (visit.order["state"], visit.order["tab"]) == ("pending_payment", "to_pay")
    assert visit.order["hold_expires_at"]
    visit.pay()
    assert (visit.order["state"], visit.order["payment_state"]) == ("confirmed", "paid")
    visit.until_start()
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    build.sweep(minutes=48 * 60 + 1)
    assert visit.read()["state"] == "completed"
    assert visit.events() == [
        "placed",
        "payment_started",
        "paid",
        "confirmed",
        "checked_in",
        "started",
        "finished",
        "completed",
    ]
    proof = visit.proof()
    assert proof["holds"]
    assert [entry["event"] for entry in proof["entries"]] == ["payment_confirmed", "earned"]
    assert proof["equation"]["merchant"] == 12_800 - 1536


# ---------------------------------------------------------------------------------------------- quotes


def test_a_quote_is_stored_nowhere_and_says_the_same_twice() -> None:
    """An equal price under a new expiry, and no row for either."""
    from tests import engine

    shop, customer = salons.salon(), identity.person()
    start = build.free_slots(shop)[0]["starts_at"]
    before = engine.digest()
    one = build.quote(shop, customer, start)
    world.advance(seconds=5)
    other = build.quote(shop, customer, start)
    assert engine.digest() == before
    assert one["total"] == other["total"]
    assert one["expires_at"] < other["expires_at"]


def test_a_quote_that_somebody_touched_is_invalid() -> None:
    """Every character of it counts, and so does whose it is."""
    shop, customer = salons.salon(), identity.person()
    made = build.quote(shop, customer, build.free_slots(shop)[0]["starts_at"])["id"]
    bad = [made[:at] + ("A" if made[at] != "A" else "B") + made[at + 1 :] for at in range(4, len(made) - 1, 37)]
    for forged in [*bad, "quo_", "quo_!!!!!", made[4:], made + "AAAA", "quo_" + "é" * 20]:
        reply = build.place(customer, forged)
        assert (reply.status, reply.code) in ((422, "quote_invalid"), (422, "invalid_request")), forged
    reply = build.place(identity.person(), made)
    assert (reply.status, reply.code) == (422, "quote_invalid")


def test_a_quote_expires_after_ten_minutes() -> None:
    """One second before it holds, at its expiry it is gone."""
    shop, customer = salons.salon(), identity.person()
    slots = build.free_slots(shop)
    made = build.quote(shop, customer, slots[0]["starts_at"])
    world.advance(minutes=9, seconds=50)
    expect(build.place(customer, made["id"]), 201)
    other = build.quote(shop, customer, slots[4]["starts_at"])
    world.advance(minutes=10)
    reply = build.place(customer, other["id"])
    assert (reply.status, reply.code) == (410, "quote_expired")


def test_a_quote_does_not_survive_a_change_of_what_it_quoted() -> None:
    """Another price is another offer version; a shop that is closed down sells nothing."""
    shop, customer = salons.salon(), identity.person()
    made = build.quote(shop, customer, build.free_slots(shop)[0]["starts_at"])
    ctx = identity.context()
    from chalicelib.kernel.money import Money

    catalog.put_offer(ctx, replace(shop.offer, price=Money(9_900, "CNY"), version=2))
    reply = build.place(customer, made["id"])
    assert (reply.status, reply.code) == (409, "quote_changed")
    again = build.quote(shop, customer, build.free_slots(shop)[0]["starts_at"])
    assert again["total"]["amount_minor"] == 9_900
    catalog.put_shop(ctx, replace(shop.shop, state="suspended", version=2))
    reply = build.place(customer, again["id"])
    assert (reply.status, reply.code) == (409, "quote_changed")
    catalog.put_shop(ctx, replace(shop.shop, version=3))


# ---------------------------------------------------------------------------------------------- placing


def test_the_same_key_is_the_same_order_even_when_its_quote_is_old_and_its_slot_gone() -> None:
    """201 again, marked as a replay, with the order as it is now; another body is refused."""
    shop, customer = salons.salon(staff=1), identity.person()
    made = build.quote(shop, customer, build.free_slots(shop)[0]["starts_at"])
    first = expect(build.place(customer, made["id"], "key-1"), 201)
    again = build.place(customer, made["id"], "key-1")
    assert (again.status, again.headers["Idempotent-Replayed"], again.json["id"]) == (201, "true", first["id"])
    other = build.place(customer, made["id"], "key-1", note="hurry")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    build.sweep(minutes=16)
    late = build.place(customer, made["id"], "key-1")
    assert (late.status, late.headers["Idempotent-Replayed"], late.json["state"]) == (201, "true", "cancelled")
    late = build.place(customer, made["id"], "key-1", note="hurry")
    assert (late.status, late.code) == (422, "idempotency_key_reused")


def test_another_person_with_the_same_key_gets_an_order_of_their_own() -> None:
    """A key belongs to its account."""
    shop = salons.salon()
    start = build.free_slots(shop)[0]["starts_at"]
    found = set()
    for _ in range(2):
        customer = identity.person()
        found.add(expect(build.place(customer, build.quote(shop, customer, start)["id"], "k"), 201)["id"])
    assert len(found) == 2


def test_a_taken_slot_is_refused_with_the_three_nearest() -> None:
    """409 slot_taken; the alternatives can be booked."""
    shop = salons.salon(staff=1)
    slots = build.free_slots(shop)
    build.booked(shop, starts_at=slots[6]["starts_at"])
    customer = identity.person()
    reply = build.place(customer, build.quote(shop, customer, slots[6]["starts_at"])["id"])
    assert (reply.status, reply.code) == (409, "slot_taken")
    offered = [one["starts_at"] for one in reply.json["alternatives"]]
    # An hour's service on a half-hour grid: its neighbours on both sides overlap it.
    assert offered == [slots[i]["starts_at"] for i in (3, 4, 8)]
    build.booked(shop, customer, starts_at=offered[2])


def test_a_start_that_is_not_offered_is_unavailable_and_not_taken() -> None:
    """Off the grid, in the past, or past the horizon."""
    shop, customer = salons.salon(), identity.person()
    start = build.free_slots(shop)[0]["starts_at"]
    for wrong in (start.replace(":00.000Z", ":07.000Z"), "2026-01-01T00:00:00.000Z", build.midnight(shop, 60)):
        reply = build.place(customer, build.quote(shop, customer, wrong)["id"])
        assert (reply.status, reply.code) == (409, "slot_unavailable"), wrong


def test_any_staff_goes_to_the_least_busy_and_ends_when_all_are_taken() -> None:
    """Two stylists: the second order goes to the other one, the third finds nobody."""
    shop = salons.salon(staff=2)
    slots = build.free_slots(shop)
    first = build.booked(shop, starts_at=slots[0]["starts_at"], staff_id=shop.staff[0].id)
    build.booked(shop, starts_at=slots[10]["starts_at"], staff_id=shop.staff[0].id)
    second = build.booked(shop, starts_at=slots[20]["starts_at"])
    assert first.order["booking"]["staff_id"] == shop.staff[0].id
    assert second.order["booking"]["staff_id"] == shop.staff[1].id
    third = build.booked(shop, starts_at=slots[20]["starts_at"])
    assert third.order["booking"]["staff_id"] == shop.staff[0].id
    customer = identity.person()
    reply = build.place(customer, build.quote(shop, customer, slots[20]["starts_at"])["id"])
    assert (reply.status, reply.code) == (409, "slot_taken")


def test_a_stylist_without_a_chair_is_no_slot() -> None:
    """Two stylists and one chair serve one customer at a time."""
    shop = salons.salon(staff=2, chairs=1)
    slots = build.free_slots(shop)
    assert {slot["remaining"] for slot in slots} == {1}
    visit = build.booked(shop, starts_at=slots[0]["starts_at"])
    assert visit.stored().lines[0].booking.chair_id == shop.shop.chairs[0].id
    customer = identity.person()
    reply = build.place(customer, build.quote(shop, customer, slots[0]["starts_at"])["id"])
    assert (reply.status, reply.code) == (409, "slot_taken")


def visit_of(shop: salons.Salon, customer: Any, *lines: tuple[str, int]) -> Any:
    """A quote of several lines, each (start, which stylist)."""
    asked = [{"offer_id": shop.offer.id, "starts_at": start, "staff_id": shop.staff[who].id} for start, who in lines]
    return expect(customer.client.post("/v1/quotes", {"lines": asked}), 201)


def test_a_visit_of_several_lines_is_held_whole_or_not_at_all() -> None:
    """The second line's slot is taken: nothing of the first is held either."""
    shop, customer = salons.salon(staff=2), identity.person()
    slots = [slot["starts_at"] for slot in build.free_slots(shop)]
    build.booked(shop, starts_at=slots[2], staff_id=shop.staff[1].id)
    before = build.taken(shop)
    made = visit_of(shop, customer, (slots[0], 0), (slots[2], 1))
    assert made["total"]["amount_minor"] == 25_600
    reply = build.place(customer, made["id"])
    assert (reply.status, reply.code) == (409, "slot_taken")
    assert build.taken(shop) == before
    order = expect(build.place(customer, visit_of(shop, customer, (slots[0], 0), (slots[2], 0))["id"]), 201)
    assert len(order["lines"]) == 2
    visit = build.Visit(shop, customer, order)
    visit.pay()
    visit.cancel()
    world.settle_down()
    assert visit.read()["refund_state"] == "full"
    assert build.taken(shop) == before


def test_a_visit_cannot_want_one_person_twice_at_once() -> None:
    """Its own lines are in each other's way like anybody's."""
    shop, customer = salons.salon(staff=2), identity.person()
    slots = [slot["starts_at"] for slot in build.free_slots(shop)]
    reply = build.place(customer, visit_of(shop, customer, (slots[4], 0), (slots[5], 0))["id"])
    assert (reply.status, reply.code) == (409, "slot_taken")
    offered = [one["starts_at"] for one in reply.json["alternatives"]]
    assert not {slots[3], slots[4], slots[5]} & set(offered)


def test_alternatives_from_the_days_around_know_the_visits_own_lines() -> None:
    """On a day with few starts left the nearest are looked for around it; what another line of the same visit wants is
    none of them."""
    shop, customer = salons.salon(staff=1, duration_minutes=720, slot_step_minutes=240), identity.person()
    slots = [slot["starts_at"] for slot in build.free_slots(shop, 3)]
    reply = build.place(customer, visit_of(shop, customer, (slots[1], 0), (slots[2], 0))["id"])
    assert (reply.status, reply.code) == (409, "slot_taken")
    own = Instant.parse(slots[1])
    away = [abs(Instant.parse(one["starts_at"]).since(own)) for one in reply.json["alternatives"]]
    assert len(away) == 3
    assert min(away) >= 12 * 3_600_000


def test_an_order_that_costs_nothing_is_confirmed_at_once_and_has_no_books() -> None:
    """No charge, no provider, no entry; it can be cancelled and served like any other."""
    shop = salons.salon(price_minor=0)
    visit = build.booked(shop)
    assert (visit.order["state"], visit.order["payment_state"], visit.order["charges"]) == ("confirmed", "paid", [])
    reply = visit.customer.client.post(f"/v1/orders/{visit.id}/payments", {"method": "card"}, key="k")
    assert (reply.status, reply.code) == (409, "already_paid")
    assert visit.cancel()["state"] == "cancelled"
    other = build.booked(shop)
    other.until_start()
    other.staff_does("start")
    assert other.staff_does("finish")["state"] == "fulfilled"
    assert other.proof()["entries"] == []
    assert other.proof()["holds"]


def test_an_order_that_costs_nothing_may_still_wait_for_the_merchant() -> None:
    """Request confirmation is about the time, not about the money."""
    visit = build.booked(price_minor=0, confirmation="request")
    assert visit.order["state"] == "paid"
    build.sweep(minutes=24 * 60 + 1)
    assert (visit.read()["state"], visit.order["cancel_reason"]) == ("declined", "timeout")


# ---------------------------------------------------------------------------------------------- reading


def test_somebody_elses_order_is_not_there() -> None:
    """For customers and for the staff of another merchant."""
    visit = build.booked()
    stranger, other = identity.person(), identity.staff()
    for path in ("", "/proof", "/cancel-quote", "/payment-methods"):
        assert stranger.client.get(f"/v1/orders/{visit.id}{path}").status == 404
    for path in ("payments", "cancel"):
        assert stranger.client.post(f"/v1/orders/{visit.id}/{path}", {"method": "card"}, key="k").status in (404, 422)
    for act in ("accept", "decline", "cancel", "check-in", "start", "finish", "no-show"):
        assert other.client.post(f"/v1/merchant/orders/{visit.id}/{act}", {}, key="k").status == 404
    assert other.client.get(f"/v1/merchant/orders/{visit.id}").status == 404


def test_lists_and_counts_tell_the_same() -> None:
    """Newest first, page by page, by tab and by state; the merchant sees its own, oldest first."""
    shop, customer = salons.salon(staff=3), identity.person()
    visits = []
    for number in range(5):
        visits.append(build.booked(shop, customer, starts_at=build.free_slots(shop)[number * 4]["starts_at"]))
        world.advance(seconds=1)
    visits[1].pay()
    visits[2].cancel()
    seen, cursor = [], ""
    for _ in range(4):
        page = expect(customer.client.get(f"/v1/orders?limit=2{cursor}"), 200)
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [visit.id for visit in reversed(visits)]
    counts = expect(customer.client.get("/v1/orders/counts"), 200)
    assert counts == {"to_pay": 3, "to_use": 1, "in_service": 0, "done": 1, "refunds": 0}
    for name, count in counts.items():
        assert len(expect(customer.client.get(f"/v1/orders?tab={name}"), 200)["items"]) == count
    assert [o["id"] for o in customer.client.get("/v1/orders?state=confirmed").json["items"]] == [visits[1].id]
    listed = expect(shop.owner.client.get("/v1/merchant/orders"), 200)["items"]
    assert [one["id"] for one in listed] == [visit.id for visit in visits]


def test_an_availability_request_that_makes_no_sense_is_refused() -> None:
    """Never a 500 for bad input."""
    shop, client = salons.salon(), identity.person().client
    base = f"/v1/offers/{shop.offer.id}/availability"
    for query, code in (
        ("from=0001-01-01&to=0001-01-02", "invalid_request"),
        ("from=9999-12-31&to=9999-12-31", "invalid_request"),
        ("from=2026-12-02&to=2026-12-01", "invalid_request"),
        ("from=2026-12-01&to=2027-02-01", "range_too_long"),
        (f"from=2026-12-01&to=2026-12-02&option_ids={ids.random_id('opt')}", "options_invalid"),
        ("from=now&to=then", "invalid_request"),
    ):
        reply = client.get(f"{base}?{query}")
        assert (reply.status, reply.code) == (422, code), query
    assert client.get(f"/v1/offers/{ids.random_id('ofr')}/availability?from=2026-12-01&to=2026-12-02").status == 404


def test_any_stylist_costs_the_offers_price_and_prefers_those_who_take_no_more() -> None:
    """The art director serves it only when nobody else is free; what each one takes is shown with the free starts."""
    ctx = identity.context()
    salon = salons.salon(staff=2)
    dear = replace(salon.staff[0], overrides={salon.offer.id: Override(price_delta_minor=6_000)}, version=2)
    catalog.put_staff(ctx, dear)
    start = build.free_slots(salon)[0]["starts_at"]
    first = build.booked(salon, starts_at=start)
    assert first.order["booking"]["staff_id"] == salon.staff[1].id
    second = build.booked(salon, starts_at=start)
    assert second.order["booking"]["staff_id"] == dear.id
    assert second.order["total"]["amount_minor"] == 12_800
    day = start[:10]
    shown = expect(Client().get(f"/v1/offers/{salon.offer.id}/availability?from={day}&to={day}T23:59:59Z"), 200)
    assert {one["staff_id"]: one["price"]["amount_minor"] for one in shown["prices"]} == {
        dear.id: 18_800,
        salon.staff[1].id: 12_800,
    }


def test_cancelling_is_quoted_only_where_it_can_be_done() -> None:
    """A promise that the cancel itself would refuse is none."""
    visit = build.booked()
    visit.cancel()
    reply = visit.customer.client.get(f"/v1/orders/{visit.id}/cancel-quote")
    assert (reply.status, reply.code) == (409, "invalid_transition")


def test_a_payer_who_has_to_act_can_always_read_how() -> None:
    """Also in the seconds after the attempt was opened, when ours is still fresh."""
    visit = build.booked()
    attempt = visit.open_payment("wechat_pay")
    found = visit.customer.client.get(f"/v1/orders/{visit.id}/payments/{attempt['attempt_id']}")
    assert expect(found, 200)["next_action"] == attempt["next_action"]
