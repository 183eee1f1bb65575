"""What each use case may write and read, counted where all traffic passes. A change that costs more says so here."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from chalicelib.booking import service as booking
from chalicelib.catalog.hours import every_day
from chalicelib.kernel.instant import Instant
from chalicelib.reviews import importing
from chalicelib.reviews.model import Scores
from chalicelib.runtime import entry
from chalicelib.runtime.meter import measured
from tests import world
from tests.builders import identity, photos, reviews, salons
from tests.builders import orders as build
from tests.builders.orders import Visit
from tests.client import Client

pytestmark = pytest.mark.usefixtures("sound")

LEASES = "rate_windows"


@dataclass
class Costs:
    """Units of each step. Leases of rate limits stand apart: one write serves many calls."""

    title: str
    writes: dict[str, float] = field(default_factory=dict)
    reads: dict[str, float] = field(default_factory=dict)
    leases: float = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        with measured() as used:
            yield
        leases = sum(units for table, units in used.by_table.items() if table.endswith(LEASES))
        self.leases += leases
        self.writes[name] = self.writes.get(name, 0.0) + used.write_units - leases
        self.reads[name] = self.reads.get(name, 0.0) + used.read_units

    def until(self, last: str) -> float:
        """Written units from the first step to this one."""
        names = list(self.writes)
        return sum(self.writes[name] for name in names[: names.index(last) + 1])

    def text(self) -> str:
        lines = [f"\n{self.title:<44}{'written':>9}{'read':>9}"]
        lines += [f"  {name:<42}{self.writes[name]:>9.1f}{self.reads[name]:>9.1f}" for name in self.writes]
        return "\n".join([*lines, f"  {'(rate-limit leases, all steps)':<42}{self.leases:>9.1f}"])


def show(capsys: pytest.CaptureFixture[str], *lines: str) -> None:
    with capsys.disabled():
        sys.stdout.write("\n".join([*lines, ""]))


def confirm(costs: Costs, shop: salons.Salon) -> Visit:
    """From the quote to the confirmed order, each step measured. The start is one that moves no day's last free one."""
    customer = identity.person()
    slots = build.free_slots(shop)
    start = slots[len(slots) // 2]["starts_at"]
    with costs.step("quote"):
        made = build.quote(shop, customer, start)
    with costs.step("place"):
        order = build.expect(
            customer.client.post("/v1/orders", {"quote_id": made["id"]}, key=secrets.token_hex(8)), 201
        )
    visit = Visit(shop, customer, order)
    with costs.step("open a payment attempt"):
        attempt = visit.open_payment()
    world.payer_does(attempt["attempt_id"], "succeed")
    paid = next(one for one in world.due_webhooks() if '"payment_intent.succeeded"' in one.payload)
    with costs.step("capture (webhook)"):
        world.send(paid)
    with costs.step("relay and notice"):
        world.run_queues()
    assert visit.read()["state"] == "confirmed"
    with costs.step("the same webhook again"):
        world.send(paid)
    return visit


def serve(costs: Costs, visit: Visit) -> None:
    visit.until_start()
    for act in ("check-in", "start", "finish"):
        with costs.step(act):
            visit.staff_does(act)
    world.advance(hours=49)
    with costs.step("complete (by the sweep)"):
        from chalicelib.orders import ending

        assert ending.sweep_one(entry.system_context(), visit.id) == "completed"


@pytest.mark.parametrize(
    ("title", "chairs", "place", "confirmed"), [("stylist", 0, 6, 16), ("stylist and chair", 1, 8, 18)]
)
def test_a_confirmed_booking_costs_what_was_agreed(
    title: str, chairs: int, place: float, confirmed: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Quote to confirmed and told: at most 16 written units with one resource, two more for each further one."""
    costs = Costs(title)
    visit = confirm(costs, salons.salon(chairs=chairs))
    booked = costs.until("relay and notice")
    serve(costs, visit)
    show(capsys, costs.text(), f"  {'quote to confirmed and told':<42}{booked:>9.1f}")
    assert costs.writes["quote"] == 0
    assert costs.writes["place"] <= place
    assert costs.writes["open a payment attempt"] <= 1
    assert costs.writes["capture (webhook)"] <= 7
    assert costs.writes["relay and notice"] <= 2
    assert costs.writes["the same webhook again"] == 0
    assert booked <= confirmed
    assert costs.writes["check-in"] <= 1
    assert costs.writes["start"] <= 1
    assert costs.writes["finish"] <= 10  # two of them: what the customer likes
    assert costs.writes["complete (by the sweep)"] <= 1


def test_a_booking_of_the_last_free_start_costs_its_note_and_a_doubt(capsys: pytest.CaptureFixture[str]) -> None:
    """Six for the note with its entry in the city's log; two that it may be lost, which the sweep removes for one."""
    shop, customer = salons.salon(staff=1, hours=every_day((600, 1200))), identity.person()
    costs, slots = Costs("the last free start of a day"), build.free_slots(shop)
    nothing_is_due()
    made = build.quote(shop, customer, slots[-1]["starts_at"])
    with costs.step("place"):
        build.expect(customer.client.post("/v1/orders", {"quote_id": made["id"]}, key="k"), 201)
    world.advance(minutes=2)
    with costs.step("look again (by the sweep)"):
        assert booking.look_again(entry.system_context()) == 1
    show(capsys, costs.text())
    assert 6 + 6 < costs.writes["place"] <= 6 + 6 + 2
    assert costs.writes["look again (by the sweep)"] <= 1


def nothing_is_due() -> None:
    """What other tests left has run out, and the days that this moved were looked at again."""
    for minutes in (20, 3, 3):
        world.advance(minutes=minutes)
        world.run_schedule("sweep")
    world.advance(minutes=3)


def sweep_one(visit: Visit, minutes: int) -> None:
    from chalicelib.orders import ending

    world.advance(minutes=minutes)
    assert ending.sweep_one(entry.system_context(), visit.id) == "expired"


def no_show(visit: Visit) -> None:
    visit.until_start(minutes=20)
    visit.staff_does("no-show")


ENDINGS: dict[str, tuple[Callable[[Visit], object], bool, float, float]] = {
    # how it ends, whether it was paid before, and what may be written for it and for what follows from it
    "hold expires (by the sweep)": (lambda visit: sweep_one(visit, minutes=16), False, 6, 2),
    "cancel before payment": (lambda visit: visit.cancel(), False, 6, 2),
    "cancel after payment": (lambda visit: visit.cancel(), True, 13, 13),
    "no-show": (no_show, True, 8, 2),
}


def test_other_endings_cost_what_was_agreed(capsys: pytest.CaptureFixture[str]) -> None:
    """The ending itself, then everything that follows: the refund at the provider, its facts, the messages."""
    found = {}
    for name, (end, paid, _, _) in ENDINGS.items():
        shop = salons.salon()
        slots = build.free_slots(shop)
        visit = build.booked(shop, starts_at=slots[len(slots) // 2]["starts_at"])
        if paid:
            visit.pay()
        costs = Costs(name)
        with costs.step("the ending"):
            end(visit)
        with costs.step("what follows"):
            world.settle_down()
        found[name] = costs
    lines = [f"\n{'endings':<34}{'written':>9}{'read':>7}{'then written':>14}{'read':>7}"]
    for name, costs in found.items():
        figures = [used[step] for step in ("the ending", "what follows") for used in (costs.writes, costs.reads)]
        lines.append("  {:<32}{:>9.1f}{:>7.1f}{:>14.1f}{:>7.1f}".format(name, *figures))
    show(capsys, *lines)
    for name, (_, _, most, most_after) in ENDINGS.items():
        assert found[name].writes["the ending"] <= most, name
        assert found[name].writes["what follows"] <= most_after, name


def test_a_refused_order_writes_nothing() -> None:
    """A taken slot, an old quote, a replay: read, and nothing else."""
    shop, customer = salons.salon(staff=1), identity.person()
    slots = build.free_slots(shop)
    made = build.quote(shop, customer, slots[4]["starts_at"])
    body = {"quote_id": made["id"]}
    build.expect(customer.client.post("/v1/orders", body, key="k"), 201)
    costs = Costs("refused")
    with costs.step("taken"):
        assert customer.client.post("/v1/orders", body, key="other").code == "slot_taken"
    with costs.step("replayed"):
        assert customer.client.post("/v1/orders", body, key="k").status == 201
    with costs.step("reused"):
        assert customer.client.post("/v1/orders", {**body, "note": "x"}, key="k").code == "idempotency_key_reused"
    with costs.step("forged"):
        assert customer.client.post("/v1/orders", {"quote_id": "quo_AAAAAAAA"}, key="x").code == "quote_invalid"
    assert set(costs.writes.values()) == {0.0}


def test_an_empty_sweep_costs_a_handful_of_units() -> None:
    """It runs every minute of the year: a lease, two cursors and a mark of life, and a few empty queries."""
    nothing_is_due()
    with measured() as used:
        world.run_schedule("sweep")
    assert used.write_units <= 6
    assert used.read_units <= 12


def test_a_watch_costs_a_handful_of_units(capsys: pytest.CaptureFixture[str]) -> None:
    """It runs every five minutes: its memory, the head of each outbox partition, the journal's shards of two days at
    most, marks of life, an index of what is parked. Each payment costs a read of its order, each refund one of its
    entries and of its place in the projection, once more in each run of the next hour."""
    world.run_schedule("watch")
    world.run_schedule("watch")
    costs = Costs("watch, every five minutes")
    with costs.step("idle"):
        world.run_schedule("watch")
    visits = [build.paid() for _ in range(4)]
    with costs.step("after 4 payments"):
        world.run_schedule("watch")
    visits[0].cancel()
    with costs.step("a refund that is owed"):
        world.run_schedule("watch")
    world.settle_down()
    with measured() as used:
        world.run_schedule("watch")
    show(capsys, costs.text())
    assert used.calls["Scan"] == 0
    assert costs.writes["idle"] <= 4
    assert costs.reads["idle"] <= 16
    assert costs.reads["after 4 payments"] <= costs.reads["idle"] + 4 * 2 + 2
    assert costs.writes["a refund that is owed"] <= costs.writes["idle"] + 1
    assert costs.reads["a refund that is owed"] <= costs.reads["after 4 payments"] + 3


def test_reviews_cost_what_was_agreed(capsys: pytest.CaptureFixture[str]) -> None:
    """The review, its place in the list and its news; then the count, which writes the rating, the page's lock and the
    shop's listing with what tells search of it. A list costs its keys, half a read a review, and the shop's page."""
    visit = reviews.served()
    shop = visit.salon.shop
    costs = Costs("reviews")
    with costs.step("write a review"):
        review = build.expect(reviews.write(visit), 201)
    with costs.step("count the shop"):
        world.run_queues()
    with costs.step("answer it"):
        reply = f"/v1/merchant/reviews/{review['id']}/reply"
        build.expect(visit.salon.owner.client.post(reply, {"text": "Thank you"}), 201)
    with costs.step("write it again"):
        build.expect(reviews.write(visit), 201)
    many = [
        importing.Imported(str(n), "Lin", Scores(5, 5, 4), "好" * 100, {"en": "Haircut"}, Instant(world.now().ms - n))
        for n in range(200)
    ]
    importing.bring(identity.context(), shop, many)
    other = reviews.served(visit.salon)
    build.expect(reviews.write(other), 201)
    with costs.step("count a shop of 200"):
        world.run_queues()
    pictured = reviews.served(visit.salon)
    with photos.door() as door:
        images = [photos.uploaded(pictured.customer.client, door) for _ in range(9)]
    with costs.step("write one with 9 photos"):
        build.expect(reviews.write(pictured, images=images), 201)
    for sort in ("newest", "lowest"):
        with costs.step(f"a page of 20, {sort}"):
            build.expect(Client().get(f"/v1/shops/{shop.id}/reviews?sort={sort}"), 200)
    show(capsys, costs.text())
    assert costs.writes["write a review"] <= 8
    # Twice for each photo, in a transaction, and for the place in the list of those with photos.
    assert costs.writes["write one with 9 photos"] <= costs.writes["write a review"] + 9 * 2 + 3
    assert costs.reads["write one with 9 photos"] <= costs.reads["write a review"] + 9
    assert costs.writes["count the shop"] <= 18
    assert costs.writes["answer it"] <= 2
    assert costs.writes["write it again"] == 0
    assert costs.writes["count a shop of 200"] <= costs.writes["count the shop"]
    assert costs.reads["count a shop of 200"] <= costs.reads["count the shop"] + 6
    assert costs.reads["a page of 20, newest"] <= 14
    assert costs.reads["a page of 20, lowest"] <= 14
