"""How orders end without their service, through the whole app: expired, cancelled, declined; and accepted ones."""

from __future__ import annotations

import pytest

from chalicelib.orders import paying
from chalicelib.orders.model import request_mark
from tests import world
from tests.builders import identity
from tests.builders import orders as build
from tests.builders.orders import expect

pytestmark = pytest.mark.usefixtures("sound")


# ---------------------------------------------------------------------------------------------- expiry


def test_a_hold_expires_and_its_intent_can_no_longer_be_paid() -> None:
    """The intent is cancelled first; then the slot is free, and somebody else takes it."""
    visit = build.booked()
    attempt = visit.open_payment()
    start = visit.order["booking"]["starts_at"]
    build.sweep(minutes=14)
    assert visit.read()["state"] == "pending_payment"
    build.sweep(minutes=1)
    assert (visit.read()["state"], visit.order["cancel_reason"]) == ("cancelled", "timeout")
    intent = next(one for one in world.book("payment_intent") if one["metadata"]["attempt_id"] == attempt["attempt_id"])
    assert intent["status"] == "canceled"
    assert visit.order["charges"][0]["state"] == "void"
    staff_id = visit.order["booking"]["staff_id"]
    again = build.booked(visit.salon, starts_at=start, staff_id=staff_id)
    assert again.order["state"] == "pending_payment"
    reply = visit.customer.client.post(f"/v1/orders/{visit.id}/payments", {"method": "card"}, key="late")
    assert (reply.status, reply.code) == (410, "hold_expired")


def test_a_hold_whose_time_is_over_cannot_be_paid_before_the_sweep_either() -> None:
    """The clock decides whether an attempt may begin; only the sweep frees the slot."""
    visit = build.booked()
    world.advance(minutes=15)
    reply = visit.customer.client.post(f"/v1/orders/{visit.id}/payments", {"method": "card"}, key="late")
    assert (reply.status, reply.code) == (410, "hold_expired")
    customer = identity.person()
    made = build.quote(visit.salon, customer, visit.order["booking"]["starts_at"], visit.order["booking"]["staff_id"])
    assert build.place(customer, made["id"]).code == "slot_taken"
    build.sweep()


def test_a_hold_waits_five_minutes_for_a_silent_provider_and_no_longer() -> None:
    """Then the place goes back all the same."""
    visit = build.booked()
    visit.open_payment()
    world.advance(minutes=15)
    with world.provider_answers(503):
        for _ in range(5):
            assert visit.read()["state"] == "pending_payment"
            assert world.run_schedule("sweep")
            world.advance(minutes=1)
        world.run_schedule("sweep")
    assert visit.read()["state"] == "cancelled"
    # Nobody could end the intent then; whoever still opens it pays, and gets the place or the money back.
    world.payer_does(visit.stored().charges[0].attempts[0].id, "succeed")
    world.settle_down()
    assert visit.read()["state"] == "confirmed"


def test_an_attempt_of_the_last_moment_is_ended_at_the_provider_before_its_hold() -> None:
    """Its request began in time, and is written down while the sweep asks the provider to end the attempt before it."""
    visit = build.booked()
    visit.open_payment()
    in_time = identity.context()
    world.advance(minutes=15)

    def opens_another() -> None:
        wanted = {"method": "card", "client": "web", "charge_id": None, "return_url": None}
        paying.open_attempt(in_time, visit.stored(), mark=request_mark("acc", "key", "body"), **wanted)

    with world.before_the_answer_to("POST", "/cancel", opens_another):
        world.run_schedule("sweep")
    assert len(visit.stored().living_attempts) == 1
    build.sweep(minutes=1)
    assert visit.read()["state"] == "cancelled"
    assert {one["status"] for one in world.book("payment_intent") if one["metadata"]["order_id"] == visit.id} == {
        "canceled"
    }


def test_an_attempt_that_stands_on_a_paid_charge_is_ended_at_the_provider() -> None:
    """It was made and never shown, because the function died; the provider's word on it is what we know it by."""
    visit = build.paid()
    stray = build.stray_intent(visit.stored(), 2)
    world.payer_does(stray, "decline")
    world.settle_down()
    assert len(visit.stored().strays) == 1
    visit.cancel()
    build.sweep(minutes=2)
    assert visit.stored().strays == ()
    assert {one["status"] for one in world.book("payment_intent") if one["metadata"]["order_id"] == visit.id} == {
        "succeeded",
        "canceled",
    }


def test_a_provider_that_refuses_to_end_an_intent_holds_nobody_for_ever() -> None:
    """An intent that it does not know any more counts as silence."""
    visit = build.booked()
    visit.open_payment()
    world.advance(minutes=20)
    with world.provider_answers(400, on="/v1/payment_intents"):
        world.run_schedule("sweep")
    assert visit.read()["state"] == "cancelled"
    assert visit.stored().terminal
    world.payer_does(visit.stored().charges[0].attempts[0].id, "succeed")
    world.settle_down()


def test_a_payment_under_way_extends_the_hold_once_and_is_released_at_half_an_hour() -> None:
    """The money that lands later revives the order, because the place is still free."""
    visit = build.booked()
    world.payer_does(visit.open_payment()["attempt_id"], "delay", seconds=3600)
    world.settle_down()
    assert build.sweep(minutes=15)["extended"] >= 1
    order = visit.read()
    assert (order["state"], order["timeline"][-1]["event"]) == ("pending_payment", "hold_extended")
    build.sweep(minutes=14)
    assert visit.read()["state"] == "pending_payment"
    build.sweep(minutes=2)
    assert visit.read()["state"] == "cancelled"
    build.sweep(minutes=30)
    assert (visit.read()["state"], visit.order["payment_state"]) == ("confirmed", "paid")


def test_a_payment_under_way_that_lands_within_the_extension_confirms() -> None:
    """What the extension is for."""
    visit = build.booked()
    world.payer_does(visit.open_payment()["attempt_id"], "delay", seconds=1000)
    world.settle_down()
    build.sweep(minutes=15)
    build.sweep(minutes=3)
    assert visit.read()["state"] == "confirmed"


def test_a_sweep_that_was_away_for_hours_forgets_nobody() -> None:
    """Extension, postponement and refunds leave marks ahead of the sweep, however late it comes."""
    visit = build.booked()
    world.payer_does(visit.open_payment()["attempt_id"], "delay", seconds=20_000)
    world.settle_down()
    build.sweep(minutes=120)
    build.sweep(minutes=1)
    assert visit.read()["state"] == "cancelled"
    build.sweep(minutes=300)
    assert visit.read()["state"] == "confirmed"


# ---------------------------------------------------------------------------------------------- cancelling


def test_cancelling_before_payment_frees_the_slot_and_ends_the_intent() -> None:
    """Nothing was paid, nothing goes back; a second cancel is the same answer."""
    visit = build.booked()
    visit.open_payment()
    order = visit.cancel()
    assert (order["state"], order["cancel_reason"], order["refunds"]) == ("cancelled", "customer", [])
    assert visit.cancel()["version"] == order["version"]


def test_cancelling_while_money_is_moving_has_to_wait() -> None:
    """409 payment_processing; when it then fails, the cancel goes through."""
    visit = build.booked()
    attempt = visit.open_payment()
    world.payer_does(attempt["attempt_id"], "delay", seconds=300)
    assert visit.cancel(409)["code"] == "payment_processing"
    world.payer_does(attempt["attempt_id"], "decline")
    assert visit.cancel()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("minutes_before", "refund", "kept"), [(121, 12_800, 0), (119, 6_400, 6_400), (-10, 0, 12_800)]
)
def test_what_is_quoted_for_a_cancel_is_what_is_given_back(minutes_before: int, refund: int, kept: int) -> None:
    """All until two hours before, half until the start, nothing after; the kept part pays commission."""
    visit = build.paid()
    visit.until_start(minutes=-minutes_before)
    quoted = expect(visit.customer.client.get(f"/v1/orders/{visit.id}/cancel-quote"), 200)
    assert (quoted["refund"]["amount_minor"], quoted["kept"]["amount_minor"]) == (refund, kept)
    visit.cancel()
    world.settle_down()
    order = visit.read()
    assert order["refund_state"] == ("full" if not kept else "partial" if refund else "none")
    assert [(one["amount"]["amount_minor"], one["state"]) for one in order["refunds"]] == (
        [(refund, "succeeded")] if refund else []
    )
    equation = visit.proof()["equation"]
    assert (equation["merchant"], equation["platform"]) == (kept - kept * 12 // 100, kept * 12 // 100)


def test_what_is_said_with_a_cancel_is_kept_for_both_sides() -> None:
    """The merchant may want to know why."""
    visit = build.booked()
    reply = visit.customer.client.post(f"/v1/orders/{visit.id}/cancel", {"reason": "rain 下雨"}, key="why-1")
    assert build.expect(reply, 200)["cancel_note"] == "rain 下雨"
    seen = visit.salon.owner.client.get(f"/v1/merchant/orders/{visit.id}")
    assert build.expect(seen, 200)["cancel_note"] == "rain 下雨"


def test_a_merchant_who_cancels_gives_everything_back() -> None:
    """Also minutes before the start; the slot is free again."""
    visit = build.paid()
    visit.until_start(minutes=-10)
    order = visit.staff_does("cancel")
    assert (order["state"], order["cancel_reason"]) == ("cancelled", "merchant")
    world.settle_down()
    assert visit.read()["refund_state"] == "full"
    assert visit.staff_does("cancel")["version"] == visit.order["version"]


def test_a_service_that_has_begun_is_not_cancelled() -> None:
    """Neither side can; what is done is done."""
    visit = build.paid()
    visit.until_start()
    visit.staff_does("start")
    assert visit.cancel(409)["code"] == "cancel_too_late"
    assert visit.staff_does("cancel", 409)["code"] == "cancel_too_late"
    visit.staff_does("finish")
    refused = visit.cancel(409)
    assert (refused["code"], refused["from"], refused["allowed"]) == ("invalid_transition", "fulfilled", ["complete"])


# ---------------------------------------------------------------------------------------------- accepting


def test_a_request_is_confirmed_by_the_merchants_accept() -> None:
    """Accepting twice is the same; a slot's worth of money waits until then."""
    visit = build.paid(confirmation="request")
    assert (visit.order["state"], visit.order["payment_state"]) == ("paid", "paid")
    order = visit.staff_does("accept")
    assert order["state"] == "confirmed"
    assert visit.staff_does("accept")["version"] == order["version"]
    assert visit.staff_does("decline", 409)["code"] == "invalid_transition"
    build.sweep(minutes=24 * 60 + 1)
    assert visit.read()["state"] == "confirmed"


def test_a_declined_request_is_refunded_whole_and_its_slot_is_free() -> None:
    """Declining twice is the same."""
    visit = build.paid(confirmation="request")
    before = build.taken(visit.salon)
    order = visit.staff_does("decline")
    assert (order["state"], order["cancel_reason"]) == ("declined", "declined")
    world.settle_down()
    assert visit.read()["refund_state"] == "full"
    assert build.taken(visit.salon) < before
    assert visit.staff_does("decline")["version"] == visit.order["version"]


def test_a_request_that_nobody_answers_is_declined_after_a_day() -> None:
    """With everything back, by the clock alone."""
    visit = build.paid(confirmation="request")
    build.sweep(minutes=24 * 60 - 5)
    assert visit.read()["state"] == "paid"
    build.sweep(minutes=6)
    order = visit.read()
    assert (order["state"], order["cancel_reason"], order["refund_state"]) == ("declined", "timeout", "full")
    assert [event["actor"] for event in order["timeline"] if event["event"] == "declined"] == ["system"]


def test_a_waiting_request_with_a_slow_refund_beside_it_is_still_declined_in_time() -> None:
    """A duplicate payment's refund moves the order's mark; the merchant's clock is not lost by it."""
    visit = build.paid(confirmation="request")
    stray = build.stray_intent(visit.stored(), 7)
    with world.slow_refunds(3 * 86_400):
        world.payer_does(stray, "succeed")
        world.settle_down()
    for minutes in (2, 5, 24 * 60):
        assert visit.read()["refunds"][0]["state"] == "processing"
        build.sweep(minutes=minutes)
    assert visit.read()["state"] == "declined"
    build.sweep(minutes=3 * 24 * 60)
