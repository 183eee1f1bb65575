"""The drill: all tables come back as of an instant, and the provider's later facts are replayed.

The clock first goes on by hours, so that the facts of other tests lie before what is replayed here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import service as ledger
from chalicelib.orders import soundness
from chalicelib.payments import service as payments
from chalicelib.reconciliation import model, restore, tables
from chalicelib.reconciliation.model import Found
from chalicelib.runtime import jobs
from tests import backups, invariants, world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.orders import Visit, expect
from tests.invariants import news
from tests.slices.commands import linli

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(autouse=True)
def quiet_hours() -> None:
    """Nothing of the provider's lies near the instants of this test."""
    world.advance(hours=2)
    world.settle_down()


@pytest.fixture
def salon() -> salons.Salon:
    return salons.salon(staff=8)


def replay(since: Instant, **how: Any) -> dict[str, int]:
    done = restore.since(identity.context(world.now()), since, **how)
    world.settle_down()
    return done


def instant() -> Instant:
    """Now, and nothing else happens in this second."""
    at = world.now()
    world.advance(seconds=1)
    return at


def disaster(copy: backups.Copy) -> None:
    """Everything that is on its way is lost, and the tables come back as they were."""
    world.settle_down()
    world.advance(hours=3)
    backups.restore(copy)


def differences(*names: str) -> list[tuple[str, str]]:
    """(kind, state) of the differences about these orders or provider's objects."""
    page = tables.listed(model.DIFFERENCE.states, None, None, 10_000)
    return sorted((one.difference.kind, one.state) for one in page.items if about(one) & set(names))


def about(found: Found) -> set[str]:
    return {found.difference.order_id, found.difference.ref}


def balanced() -> bool | None:
    run = tables.run("stripe", model.provider_day(world.now()))
    assert run is not None
    return run.balanced


def held_for(visit: Visit) -> int:
    """What the provider holds of a visit's money, minor units."""
    came = sum(int(one["amount_received"]) for one in world.book("payment_intent") if of(one) == visit.id)
    return came - sum(int(one["amount"]) for one in world.book("refund") if of(one) == visit.id)


def of(thing: dict[str, Any]) -> str:
    return str(thing["metadata"].get("order_id", ""))


def faults(since: Instant) -> list[soundness.Fault]:
    return list(soundness.faults(identity.context(world.now()), since))


def sound(salon: salons.Salon) -> list[str]:
    build.relay()
    world.settle_down()
    # A restore takes accounts and news back: it may tell somebody twice, or not know any more whom to tell.
    told = (news.told_at_most_once, news.everybody_is_told)
    return invariants.broken({salon.shop.id}, at_rest=True, without=told)


def test_the_drill(salon: salons.Salon) -> None:
    """In the midst of bookings, payments and refunds the tables go back: what is known here is paid and refunded as at
    the provider, what is not known is found, cannot be paid any more, and goes back; then nothing differs."""
    served, declined = build.paid(salon), build.paid(salon)
    pending, paid_later, cancelled_later, expired_later = (build.booked(salon) for _ in range(4))
    cancelled_later.pay()
    under_way = paid_later.open_payment()
    copy, since = backups.take(), instant()

    world.payer_does(under_way["attempt_id"], "succeed")
    pending.pay(method="card")
    expired_later.open_payment()
    declined.staff_does("cancel")
    cancelled_later.cancel()
    forgotten_paid, forgotten_open = build.booked(salon), build.booked(salon)
    forgotten_paid.pay()
    forgotten_open.open_payment()
    forgotten_refunded = build.paid(salon)
    forgotten_refunded.cancel()
    world.settle_down()
    forgotten = [forgotten_paid, forgotten_open, forgotten_refunded]
    disaster(copy)

    looked = json.loads(linli("reconcile", "--since", str(since), "--dry-run", "--json").stdout)
    assert (looked["orphans"], looked["cancelled"]) == (2, 1)
    assert pending.read()["state"] == "pending_payment"
    command = linli("reconcile", "--since", str(since), "--json")
    assert command.returncode == 0, command.stderr
    done = json.loads(command.stdout)
    world.settle_down()
    assert (done["orphans"], done["left_over"], done["cancelled"], done["parked"], done["faults"]) == (2, 2, 1, 0, 0)
    assert done["replayed"] > 0

    ended = [declined, cancelled_later]
    states({"confirmed": [served, pending, paid_later], "pending_payment": [expired_later], "cancelled": ended})
    for visit in ended:
        assert [(reason, left) for reason, _, left in visit.refunds()] == [("cancelled", "succeeded")]
    assert [visit.customer.client.get(f"/v1/orders/{visit.id}").status for visit in forgotten] == [404] * 3
    assert world.intent_status(forgotten_open.id) == "canceled"
    assert differences(forgotten_paid.id, forgotten_refunded.id) == [("orphan", "open")] * 3
    assert balanced()
    assert forgotten_paid.id in shown_to_operators()
    assert {fact.reason for fact in payments.parked()} >= {"forgotten_order"}

    again = replay(since, give_back=[restore.EVERYTHING])
    assert (again["given_back"], again["left_over"], again["replayed"]) == (2, 0, 0)
    assert [held_for(visit) for visit in forgotten] == [0, 0, 0]
    after = replay(since)
    assert (after["orphans"], after["left_over"]) == (0, 0)
    build.sweep(minutes=20)
    replay(since)
    assert [one for one in payments.parked() if one.reason == "forgotten_order"] == []
    assert {state for _, state in differences(*(visit.id for visit in forgotten))} == {"repaired"}
    assert expired_later.read()["state"] == "cancelled"
    assert balanced()
    assert suspended(forgotten_paid, forgotten_refunded) == 0
    assert sound(salon) == []


def states(wanted: dict[str, list[Visit]]) -> None:
    """Each visit is in its state, and its proof holds."""
    for state, visits in wanted.items():
        for visit in visits:
            assert visit.read()["state"] == state
            assert visit.proof()["holds"]


def shown_to_operators() -> set[str]:
    """The orders of the open orphans that an operator is shown."""
    path = "/v1/operator/reconciliation/differences?kind=orphan&state=open&limit=100"
    return {item["order_id"] for item in expect(identity.operator().client.get(path), 200)["items"]}


def suspended(*visits: Visit) -> int:
    """What rests in suspense, or is owed, for the payments of these visits."""
    intents = [str(one["id"]) for visit in visits for one in world.book("payment_intent") if of(one) == visit.id]
    entries = [entry for intent in intents for entry in ledger.entries_of(intent)]
    assert entries
    return sum(abs(sum(entry.on(account) for entry in entries)) for account in ("L.suspense", "L.refund_payable"))


def test_a_run_that_is_interrupted_goes_on_where_it_was(salon: salons.Salon) -> None:
    """The provider goes away in the middle; asked for the same instant again, only the rest is fetched."""
    early = build.booked(salon)
    copy, since = backups.take(), instant()
    early.pay()
    world.advance(minutes=40)
    late = build.booked(salon)
    late.pay()
    disaster(copy)
    steps: list[int] = []

    def fall_over(done: int, total: int) -> None:
        steps.append(done)
        if done == 2:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        replay(since, progress=fall_over)
    assert early.read()["state"] == "confirmed"
    assert jobs.cursor(restore.JOB)["since"] == since.ms
    whole: list[tuple[int, int]] = []
    replay(since, progress=lambda done, total: whole.append((done, total)))
    assert whole[-1][0] == whole[-1][1]
    assert "finished" in jobs.cursor(restore.JOB)
    repeat: list[int] = []
    replay(since, progress=lambda done, total: repeat.append(total))
    assert repeat[0] == whole[0][1] + 2


def test_a_forgotten_order_that_is_placed_again_finds_its_money(salon: salons.Salon) -> None:
    """The same key leads to the same order, and the parked payment is applied to it, once."""
    copy, since = backups.take(), instant()
    person, key = identity.person(), secrets.token_hex(8)
    quoted = build.quote(salon, person, build.free_slots(salon)[0]["starts_at"])
    first = Visit(salon, person, expect(build.place(person, quoted["id"], key), 201))
    first.pay()
    backups.restore(copy)
    assert replay(since)["orphans"] == 1
    second = Visit(salon, person, expect(build.place(person, quoted["id"], key), 201))
    assert second.id == first.id
    build.sweep()
    assert second.read()["state"] == "confirmed"
    assert held_for(second) == second.order["total"]["amount_minor"]
    assert replay(since, give_back=[restore.EVERYTHING])["given_back"] == 0
    assert {state for _, state in differences(second.id)} <= {"repaired"}
    assert sound(salon) == []


def test_money_that_went_back_pays_no_order_that_is_placed_again(salon: salons.Salon) -> None:
    """The old payment is told again to an order of the old id: it stays unpaid, and asks for a payment of its own."""
    copy, since = backups.take(), instant()
    person, key = identity.person(), secrets.token_hex(8)
    quoted = build.quote(salon, person, build.free_slots(salon)[0]["starts_at"])
    first = Visit(salon, person, expect(build.place(person, quoted["id"], key), 201))
    first.pay()
    backups.restore(copy)
    world.advance(seconds=5)
    assert replay(since, give_back=[restore.EVERYTHING])["given_back"] == 1
    second = Visit(salon, person, expect(build.place(person, quoted["id"], key), 201))
    assert replay(since)["replayed"] == 0
    build.sweep()
    assert second.read()["state"] == "pending_payment"
    assert held_for(second) == 0
    second.pay(method="card")
    assert second.read()["state"] == "confirmed"


def test_a_refund_that_the_provider_cannot_carry_out_is_tried_again(salon: salons.Salon) -> None:
    """The wallet refuses the first try of giving back; the sweep asks under the next number, and the books agree."""
    copy, since = backups.take(), instant()
    visit = build.paid(salon)
    disaster(copy)
    with world.provider_answers(400, "/v1/refunds", "POST"):
        assert replay(since, give_back=[restore.EVERYTHING])["given_back"] == 1
    assert held_for(visit) > 0
    build.sweep()
    assert held_for(visit) == 0
    replay(since)
    assert suspended(visit) == 0
    assert balanced()


# ---------------------------------------------------------------------------------------------- cut transactions


def place(salon: salons.Salon) -> Visit:
    return build.booked(salon)


def pay(visit: Visit) -> None:
    visit.pay()


def cancel(visit: Visit) -> None:
    visit.cancel()


def cancel_late(visit: Visit) -> None:
    """So late that the policy keeps a part."""
    world.advance(hours=47)
    visit.cancel()


ACTS: dict[str, tuple[str, Callable[[Visit], None]]] = {
    "pay": ("booked", pay),
    "cancel late": ("paid", cancel_late),
}


@pytest.mark.parametrize(
    ("act", "behind"),
    [
        ("pay", "orders"),
        ("pay", "ledger_journal"),
        ("cancel late", "orders"),
        ("cancel late", "ledger_journal"),
        ("cancel late", "booking_days"),
        ("cancel late", "outbox"),
    ],
)
def test_a_transaction_that_the_restore_has_cut_is_whole_again(act: str, behind: str, salon: salons.Salon) -> None:
    """One table comes back a moment earlier than the others: order, place, books and provider agree in the end."""
    begun, move = ACTS[act]
    visit = build.booked(salon) if begun == "booked" else build.paid(salon)
    world.settle_down()
    earlier = backups.take()
    since = instant()
    move(visit)
    later = backups.take()
    disaster(backups.cut(later, earlier, behind))
    replay(since)
    assert faults(since) == []
    build.sweep()
    replay(since)
    wanted = "confirmed" if act == "pay" else "cancelled"
    assert visit.read()["state"] == wanted
    assert visit.proof()["holds"]
    assert {state for _, state in differences(visit.id)} <= {"repaired"}
    assert balanced()
    assert sound(salon) == []


@pytest.mark.parametrize("behind", ["orders", "booking_days"])
def test_a_cut_placing_leaves_no_place_without_an_order_and_no_order_without_a_place(
    behind: str, salon: salons.Salon
) -> None:
    """An order whose place is missing gets it back, a place without an order is free again."""
    earlier = backups.take()
    since = instant()
    visit = build.booked(salon)
    later = backups.take()
    disaster(backups.cut(later, earlier, behind))
    kinds = [fault.kind for fault in faults(since) if visit.id in fault.subject + fault.detail]
    assert kinds == [{"orders": soundness.PLACE_UNOWNED, "booking_days": soundness.PLACE_MISSING}[behind]]
    assert replay(since)["mended"] == 1
    assert faults(since) == []
    assert (invariants.broken({salon.shop.id})) == []


def test_an_instant_that_the_provider_has_forgotten_is_refused() -> None:
    """More than thirty days back, or still to come: nothing is read and nothing is changed."""
    now = world.now()
    for at in (now.plus(days=-31), now.plus(minutes=1)):
        with pytest.raises(restore.TooLongAgo):
            replay(at)
    assert linli("reconcile", "--since", "yesterday").returncode == 2
    assert linli("reconcile", "--give-back", "all").returncode == 2
    assert wiring.ports().payments.name == "stripe"
