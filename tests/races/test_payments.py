"""Money and time that meet: webhooks beside sweeps, cancels beside payments, two payments at once."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import pytest

from chalicelib.orders import ending, handlers, paying
from chalicelib.runtime import entry
from tests import world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.orders import Visit
from tests.races.together import at_once

pytestmark = pytest.mark.usefixtures("sound")


def attempt_of(visit: Visit) -> str:
    return str(visit.open_payment()["attempt_id"])


def sweep_orders(*visits: Visit) -> list[str]:
    """What the sweep does with these orders: the lease would let only one run of it in."""
    return [ending.sweep_one(entry.system_context(), visit.id) for visit in visits]


def test_one_event_ten_times_at_once_is_one_payment() -> None:
    """Three of its kind, each ten times, shuffled and concurrent: one entry, one confirmation."""
    visit = build.booked()
    world.payer_does(attempt_of(visit), "shuffle")
    webhooks = []
    while waiting := world.due_webhooks():
        for one in waiting:
            world.provider().webhook_sent(one, accepted=True)
            webhooks.append(one)
    assert len(webhooks) >= 3
    told = webhooks * 10
    random.Random(7).shuffle(told)  # noqa: S311  # a seed, no secret
    for start in range(0, len(told), 16):
        replies = at_once([partial(world.send, one) for one in told[start : start + 16]])
        assert {reply.status for reply in replies} == {200}
    assert visit.read()["state"] == "confirmed"
    assert [entry["event"] for entry in visit.proof()["entries"]] == ["payment_confirmed"]
    assert visit.events().count("paid") == 1


def test_a_payment_at_the_very_end_of_the_hold_is_paid_or_refunded() -> None:
    """Webhook beside sweep, forty times: either the order lives, or the intent could no longer be paid, or its money is
    on the way back. Never neither."""
    shop = salons.salon(staff=40)
    start = build.free_slots(shop)[4]["starts_at"]
    seen: Counter[str] = Counter()
    rounds = []
    for number in range(40):
        customer = identity.person()
        visit = build.booked(shop, customer, starts_at=start, staff_id=shop.staff[number].id)
        rounds.append((visit, attempt_of(visit)))
    world.advance(minutes=15)
    for number, (visit, attempt) in enumerate(rounds):

        def pay(attempt: str = attempt) -> int:
            found = world.provider().control(
                "POST", f"/local/payment_intents/{world.intent_of(attempt)}", b'{"outcome": "succeed"}'
            )
            for webhook in world.due_webhooks():
                world.send(webhook)
            return found.status

        acts = [pay, partial(sweep_orders, visit)]
        at_once(acts if number % 2 else acts[::-1])
        world.deliver_webhooks()
        order = visit.read()
        assert order["state"] in ("confirmed", "cancelled")
        seen[order["state"], bool(order["refunds"])] += 1
    assert {state for state, _ in seen} <= {"confirmed", "cancelled"}
    world.settle_down()


def test_a_payment_that_landed_and_a_sweep_that_comes_at_once() -> None:
    """The money is at the provider already, told and swept at the same moment: the order lives, every time."""
    shop = salons.salon(staff=10)
    start = build.free_slots(shop)[4]["starts_at"]
    visits = [build.booked(shop, starts_at=start, staff_id=member.id) for member in shop.staff]
    attempts = [attempt_of(visit) for visit in visits]
    world.advance(minutes=15)
    for visit, attempt in zip(visits, attempts, strict=True):
        world.payer_does(attempt, "succeed")
        webhooks = [one for one in world.due_webhooks() if "payment_intent.succeeded" in one.payload]
        at_once([partial(sweep_orders, visit), *(partial(world.send, one) for one in webhooks)])
        assert visit.read()["state"] == "confirmed"


def test_a_cancel_beside_a_payment_leaves_no_money_behind() -> None:
    """Cancelled before it was paid, or paid and refunded; twenty rounds."""
    shop = salons.salon(staff=20)
    start = build.free_slots(shop)[4]["starts_at"]
    for member in shop.staff:
        visit = build.booked(shop, starts_at=start, staff_id=member.id)
        attempt = attempt_of(visit)

        def pay(attempt: str = attempt) -> None:
            world.provider().control(
                "POST", f"/local/payment_intents/{world.intent_of(attempt)}", b'{"outcome": "succeed"}'
            )
            for webhook in world.due_webhooks():
                world.send(webhook)

        at_once([pay, partial(visit.customer.client.post, f"/v1/orders/{visit.id}/cancel", {}, key="c")])
        world.settle_down()
        order = visit.read()
        assert order["state"] == "cancelled"
        assert order["refund_state"] in ("none", "full")


def test_two_attempts_that_are_paid_at_once_are_one_payment_and_one_refund() -> None:
    """The provider took both; the order keeps one."""
    visit = build.booked()
    strays = [build.stray_intent(visit.stored(), number) for number in (1, 2)]
    for stray in strays:
        world.payer_does(stray, "succeed")
    webhooks = [one for one in world.due_webhooks() if "payment_intent.succeeded" in one.payload]
    assert len(webhooks) == 2
    at_once([partial(world.send, one) for one in webhooks])
    world.settle_down()
    assert visit.read()["state"] == "confirmed"
    assert [(one["reason"], one["state"]) for one in visit.order["refunds"]] == [("duplicate", "succeeded")]


def test_one_request_to_pay_sent_sixteen_times_is_one_attempt() -> None:
    """Every caller gets the same attempt, with what the payer needs."""
    visit = build.booked()
    path = f"/v1/orders/{visit.id}/payments"
    replies = at_once([partial(visit.customer.client.post, path, {"method": "alipay"}, key="k")] * 16)
    assert {reply.status for reply in replies} == {201}
    assert len({(r.json["attempt_id"], r.json["next_action"]["url"]) for r in replies}) == 1
    assert len(visit.stored().charges[0].attempts) == 1


def test_different_requests_to_pay_at_once_leave_one_that_can_be_paid() -> None:
    """The last one lives; the others were ended at the provider, and nobody is charged twice."""
    visit = build.booked()
    path = f"/v1/orders/{visit.id}/payments"
    acts = [
        partial(visit.customer.client.post, path, {"method": method}, key=f"k{number}")
        for number, method in enumerate(["alipay", "wechat_pay", "card", "alipay"])
    ]
    replies = at_once(acts)
    assert {reply.status for reply in replies} <= {201, 503}
    payable = {
        one["id"]
        for one in world.book("payment_intent")
        if one["metadata"]["order_id"] == visit.id and one["status"] in ("requires_payment_method", "requires_action")
    }
    assert payable == {a.intent_id for a in visit.stored().charges[0].attempts if a.living}
    assert len(payable) <= 1
    visit.cancel()


def test_a_refund_driven_by_queue_and_sweep_is_sent_once() -> None:
    """Eight drivers at the same moment: one refund at the provider."""
    visit = build.paid()
    visit.cancel()
    ctx = entry.system_context()
    later = ctx.at(ctx.now.plus(minutes=2))
    drive = partial(paying.drive_refunds, ctx, visit.id)
    at_once([drive] * 4 + [partial(ending.sweep_one, later, visit.id)] * 4)
    sent = [refund for refund in world.book("refund") if refund["metadata"]["order_id"] == visit.id]
    assert len(sent) == 1
    world.settle_down()
    assert visit.read()["refund_state"] == "full"


def test_two_sweeps_at_once_do_everything_once() -> None:
    """The lease lets one in; whatever both do is conditional by itself."""
    shop = salons.salon(staff=6)
    start = build.free_slots(shop)[4]["starts_at"]
    visits = [build.booked(shop, starts_at=start, staff_id=member.id) for member in shop.staff]
    world.advance(minutes=15)
    ctx = entry.system_context()
    at_once([partial(handlers._due, ctx)] * 4)
    assert {visit.read()["state"] for visit in visits} == {"cancelled"}
    assert all(visit.events().count("expired") == 1 for visit in visits)


def test_sweeps_at_once_extend_a_hold_once() -> None:
    """Money is under way at the end of the hold: however many look, it gets one extension."""
    visit = build.booked()
    world.payer_does(attempt_of(visit), "delay", seconds=86_400)
    world.settle_down()
    before = visit.stored().deadline
    world.advance(minutes=15)
    at_once([partial(sweep_orders, visit)] * 8)
    assert visit.events().count("hold_extended") == 1
    assert visit.stored().deadline == before.plus(minutes=15)
