"""Reconciliation against the local Stripe server behind the real SDK, and the settlement that follows it.

Other tests of this session leave entries behind that no provider knows, so these look at their own orders; only the
comparison of balances is over everything, for it must be explained whatever lies around.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as books
from chalicelib.ledger import service as ledger
from chalicelib.providers.ports import BalanceLine
from chalicelib.reconciliation import model, service, tables
from chalicelib.reconciliation.model import Found
from chalicelib.runtime import jobs
from chalicelib.runtime.context import Context
from chalicelib.settlement.standing import Standings
from tests import engine, world
from tests.builders import identity
from tests.builders import orders as build
from tests.builders.ledger import post

pytestmark = pytest.mark.usefixtures("alone")


def context() -> Context:
    return identity.context(world.now())


def line_of(order_id: str) -> BalanceLine:
    """The provider's line of an order's payment."""
    (charge,) = [entry.ref for entry in ledger.entries_of(order_id) if entry.on("A.psp:stripe") > 0]
    lines = context().ports.payments.balance_lines(world.now().plus(days=-30), world.now().plus(days=1))
    return next(line for line in lines if line.source == charge)


def falsify(line_id: str, **changed: Any) -> dict[str, Any]:
    """Changes a line in the provider's own book. Returns what was there before, so that it can be put back."""
    store = world.provider()._store
    with store.transaction():
        line = store.get("balance_transaction", line_id)
        assert line is not None
        before = {name: line[name] for name in changed}
        line.update(changed)
        line["net"] = line["amount"] - line["fee"]
        store.save(line)
    return before


def told(method: str, path: str) -> None:
    """An instruction to the local provider."""
    answer = world.provider().control(method, f"/local/balance_transactions/{path}")
    assert answer.status == 200, answer.text


def about(order_id: str, *refs: str) -> list[Found]:
    """Differences of an order, in any state."""
    page = tables.listed(model.DIFFERENCE.states, None, None, 10_000)
    return [found for found in page.items if found.difference.order_id == order_id or found.difference.ref in refs]


def served() -> build.Visit:
    visit = build.booked()
    visit.pay()
    world.advance(days=2, hours=1)
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    return visit


def test_a_paid_order_is_matched_its_fee_booked_and_the_balance_explained() -> None:
    """In flight is for what has no counterpart: a line that agrees is matched at once, and once only."""
    visit = build.booked()
    visit.pay()
    service.reconcile(context())
    line = line_of(visit.id)
    (kept,) = ledger.lines_of(visit.id)
    assert (kept.line_id, kept.ref, kept.fee_minor, kept.available_on) == (
        line.line_id,
        line.source,
        line.fee.amount_minor,
        line.available_on,
    )
    (fee,) = ledger.entries_of(line.line_id)
    assert (fee.id, fee.on("E.psp_fee")) == (f"provider_fee:{line.line_id}:1", line.fee.amount_minor)
    assert fee.meta["order_id"] == visit.id
    assert about(visit.id) == []
    run = tables.run("stripe", model.provider_day(world.now()))
    assert run is not None
    assert run.balance["CNY"][0] == context().ports.payments.balance("CNY").amount_minor
    assert run.balanced, run.balance


def test_running_again_writes_nothing() -> None:
    """The second run of an hour finds everything as the first left it."""
    build.booked().pay()
    service.reconcile(context())
    before = engine.digest(without=("rate_windows", "jobs"))
    done = service.reconcile(context())
    assert done["fees_posted"] == 0
    assert engine.digest(without=("rate_windows", "jobs")) == before


def test_a_refund_is_matched_by_its_own_line() -> None:
    """Paid and cancelled in time: two lines, two matches, nothing left over."""
    visit = build.booked()
    visit.pay()
    visit.cancel()
    world.settle_down()
    service.reconcile(context())
    assert len(ledger.lines_of(visit.id)) == 2
    assert about(visit.id) == []


@pytest.mark.parametrize(("method", "lines"), [("alipay", 1), ("card", 11)])
def test_a_refund_that_fails_again_and_again_is_no_difference(method: str, lines: int) -> None:
    """A wallet's never happened, and its lines annul each other; a card's is booked, and booked back, each time."""
    visit = build.booked()
    visit.pay("refund_fails", method)
    visit.cancel()
    world.settle_down()
    for _ in range(8):
        build.sweep(minutes=2)
    assert [state for _, _, state in visit.refunds()] == ["failed" if method == "alipay" else "returned"]
    for hours in (0, 3):
        world.advance(hours=hours)
        service.reconcile(context())
    assert about(visit.id) == []
    assert len(ledger.lines_of(visit.id)) == lines
    run = tables.run("stripe", model.provider_day(world.now()))
    assert run is not None
    assert run.balanced, run.balance


def test_a_line_that_the_provider_loses_is_missing_there_and_repaired_when_it_is_back() -> None:
    """Young it is in flight, old it is a difference, found once; with the line back it turns repaired."""
    visit = build.booked()
    visit.pay()
    line = line_of(visit.id)
    told("DELETE", line.line_id)
    service.reconcile(context())
    assert about(visit.id) == []
    world.advance(hours=3)
    service.reconcile(context())
    (found,) = about(visit.id)
    assert (found.difference.kind, found.state) == ("missing_there", "open")
    world.advance(days=9)
    service.reconcile(context())
    assert about(visit.id) == [found]
    told("POST", f"{line.line_id}/restore")
    service.reconcile(context())
    (again,) = about(visit.id)
    assert (again.state, again.found_at) == ("repaired", found.found_at)
    assert again.repaired_at is not None
    assert len(ledger.lines_of(visit.id)) == 1


def test_a_payment_we_never_heard_of_is_missing_here_until_its_webhook_comes() -> None:
    """The provider has the money and we do not know: hours later that is a difference; told at last, it is repaired."""
    visit = build.booked()
    attempt = visit.open_payment()
    world.payer_does(attempt["attempt_id"], "succeed")
    service.reconcile(context())
    assert about(visit.id) == []
    world.advance(hours=3)
    service.reconcile(context())
    (found,) = about(visit.id)
    assert (found.difference.kind, found.difference.theirs, found.state) == ("missing_here", (12_800, "CNY"), "open")
    world.settle_down()
    service.reconcile(context())
    assert [item.state for item in about(visit.id)] == ["repaired"]
    assert len(ledger.lines_of(visit.id)) == 1


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"amount": 1}, "amount"),
        ({"currency": "usd"}, "currency"),
        ({"reporting_category": "something_new"}, "unknown_category"),
    ],
)
def test_a_falsified_line_is_called_by_its_kind(changed: dict[str, Any], kind: str) -> None:
    """Each lie in the provider's book is found, and the balance is still explained to the cent."""
    visit = build.booked()
    visit.pay()
    line = line_of(visit.id)
    true = falsify(line.line_id, **changed)
    service.reconcile(context())
    found = [item for item in about(visit.id, line.line_id) if item.difference.kind == kind]
    assert [item.state for item in found] == ["open"]
    run = tables.run("stripe", model.provider_day(world.now()))
    assert run is not None
    assert (run.state, run.balanced) == ("differences", True), run.balance
    falsify(line.line_id, **true)
    service.reconcile(context())
    assert [item.state for item in about(visit.id, line.line_id)] == ["repaired"]


def test_a_line_that_is_lost_or_changed_after_its_fee_was_booked_leaves_the_balance_explained() -> None:
    """Our books hold that fee already, so the difference is what came in less the fee."""
    lost, changed = build.booked(), build.booked()
    for visit in (lost, changed):
        visit.pay(method="card")
    lines = [line_of(visit.id).line_id for visit in (lost, changed)]
    service.reconcile(context())
    told("DELETE", lines[0])
    true = falsify(lines[1], amount=line_of(changed.id).amount.amount_minor + 1)
    for hours in (0, 3):
        world.advance(hours=hours)
        service.reconcile(context())
        run = tables.run("stripe", model.provider_day(world.now()))
        assert run is not None
        assert run.balanced, run.balance
    kinds = [found.difference.kind for visit in (lost, changed) for found in about(visit.id)]
    assert kinds == ["missing_there", "amount"]
    told("POST", f"{lines[0]}/restore")
    falsify(lines[1], **true)
    service.reconcile(context())
    assert {found.state for visit in (lost, changed) for found in about(visit.id)} == {"repaired"}


def test_a_fee_that_changes_after_it_was_booked_is_found() -> None:
    """The booked entry stays as it is; the difference says both."""
    visit = build.booked()
    visit.pay()
    line = line_of(visit.id)
    service.reconcile(context())
    falsify(line.line_id, fee=line.fee.amount_minor + 5)
    service.reconcile(context())
    (found,) = about(visit.id)
    assert (found.difference.kind, found.difference.ours, found.difference.theirs) == (
        "fee",
        (line.fee.amount_minor, "CNY"),
        (line.fee.amount_minor + 5, "CNY"),
    )
    assert len(ledger.entries_of(line.line_id)) == 1
    falsify(line.line_id, fee=line.fee.amount_minor)
    service.reconcile(context())


def test_an_entry_that_nobody_paid_is_a_difference_on_all_three_sides() -> None:
    """A forged capture: the provider has no such charge, and no order says that it was paid."""
    order_id = ids.random_id("ord")
    at = world.now()
    legs = books.payment_confirmed(books.Terms("CNY", 500, 0, 0, 0), "stripe")
    post(books.entry("payment_confirmed", order_id, 1, at=at, currency="CNY", legs=legs, ref=f"ch_{order_id}"))
    world.advance(hours=3)
    service.reconcile(context())
    assert {item.difference.kind for item in about(order_id)} == {"missing_there", "state"}


def test_runs_at_the_same_time_book_each_fee_once() -> None:
    """Four at once, one entry for each line."""
    visits = [build.booked() for _ in range(3)]
    for visit in visits:
        visit.pay()
    ctx = context()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda i: service.reconcile(ctx.at(ctx.now.plus(ms=i))), range(4)))
    assert sum(run["fees_posted"] for run in done) == 3
    for visit in visits:
        assert len(ledger.entries_of(line_of(visit.id).line_id)) == 1


def test_a_crash_between_the_fee_and_its_line_is_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry stands, the line was not kept: the next run keeps it and posts nothing."""
    visit = build.booked()
    visit.pay()

    class Crash(BaseException):
        pass

    def crash(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "keep_line", crash)
        with pytest.raises(Crash):
            service.reconcile(context())
    assert service.reconcile(context())["fees_posted"] == 0
    assert len(ledger.lines_of(visit.id)) == 1
    assert len(ledger.entries_of(line_of(visit.id).line_id)) == 1


def test_one_day_can_be_named() -> None:
    """It looks at that day alone and leaves the cursor where it was."""
    visit = build.booked()
    visit.pay()
    before = jobs.cursor(service.JOB)
    steps: list[tuple[int, int]] = []
    day = model.provider_day(world.now())
    assert service.reconcile(context(), day, lambda done, of: steps.append((done, of)))["days"] == 1
    assert steps == [(1, 1)]
    assert jobs.cursor(service.JOB) == before
    assert len(ledger.lines_of(visit.id)) == 1


@pytest.mark.parametrize("order_of_jobs", [("settle", "reconcile"), ("reconcile", "settle")])
def test_a_served_order_is_reconciled_and_settled_by_the_nights_schedules(order_of_jobs: tuple[str, str]) -> None:
    """The whole way of the money, whichever job comes first: paid, served, matched, on a statement, available; nothing
    before its time and nothing twice."""
    visit = served()
    owner = visit.salon.owner.client
    assert owner.get("/v1/merchant/balance").json["pending"]["amount_minor"] == 11_264
    for job in order_of_jobs:
        world.run_schedule(job)
    assert owner.get("/v1/merchant/statements").json["items"] == []
    world.advance(days=3)
    for job in (*order_of_jobs, *order_of_jobs):
        world.run_schedule(job)
    (statement,) = owner.get("/v1/merchant/statements").json["items"]
    (line,) = owner.get(f"/v1/merchant/statements/{statement['id']}").json["lines"]
    assert (line["order_id"], line["kind"], line["commission_bps"]) == (visit.id, "earning", 1200)
    amounts = {name: line[name]["amount_minor"] for name in ("gross", "discounts", "commission", "net", "psp_fee")}
    fee = line_of(visit.id).fee.amount_minor
    assert amounts == {"gross": 12_800, "discounts": 0, "commission": 1536, "net": 11_264, "psp_fee": fee}
    balance = owner.get("/v1/merchant/balance").json
    assert (balance["pending"]["amount_minor"], balance["available"]["amount_minor"]) == (0, 11_264)
    assert len(ledger.lines_of(visit.id)) == 1
    assert about(visit.id) == []
    assert visit.proof()["holds"]


def test_before_the_reconciliation_only_the_providers_own_line_makes_money_available() -> None:
    """Asked, it must name our charge with our amount, and be paid out by then; unasked, the order waits."""
    visit = build.booked()
    visit.pay()
    entries = ledger.entries_of(visit.id)
    soon, later = world.now(), world.now().plus(days=3)

    def available(as_of: Instant, left: int = 1) -> bool:
        return Standings(context(), left).of(entries, as_of)[visit.id].available

    assert [available(soon), available(later), available(later, left=0)] == [False, True, False]
    line_id = line_of(visit.id).line_id
    true = falsify(line_id, amount=1)
    assert not available(later)
    falsify(line_id, **true)
    assert available(later)


def test_an_operator_reads_runs_and_differences_page_by_page() -> None:
    """Pages follow one another to the end without a repeat; filters hold; others are refused."""
    visit = build.booked()
    visit.pay()
    line = line_of(visit.id)
    falsify(line.line_id, amount=3)
    service.reconcile(context())
    client = identity.operator().client
    runs = client.get("/v1/operator/reconciliation/runs?limit=1").json
    (newest,) = runs["items"]
    assert newest["day"] == model.provider_day(world.now()).isoformat()
    assert (newest["provider"], newest["state"]) == ("stripe", "differences")
    assert all(balance["holds"] for balance in newest["balances"])

    seen: list[str] = []
    cursor = ""
    path = "/v1/operator/reconciliation/differences?state=open&kind=amount&limit=1"
    while True:
        page = client.get(path + cursor).json
        seen += [item["id"] for item in page["items"]]
        assert all((item["state"], item["kind"]) == ("open", "amount") for item in page["items"])
        mine = [item for item in page["items"] if item["order_id"] == visit.id]
        for item in mine:
            assert (item["ours"]["amount_minor"], item["theirs"]["amount_minor"]) == (12_800, 3)
            assert item["provider_ref"] == line.source
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) >= 1
    falsify(line.line_id, amount=line.amount.amount_minor)
    service.reconcile(context())
    everything = client.get("/v1/operator/reconciliation/differences?limit=100").json["items"]
    assert next(item["state"] for item in everything if item["order_id"] == visit.id) == "repaired"
    assert client.get("/v1/operator/reconciliation/differences?kind=nonsense").status == 422
    for path in ("runs", "differences"):
        assert identity.person().client.get(f"/v1/operator/reconciliation/{path}").status == 403
        assert client.get(f"/v1/operator/reconciliation/{path}?cursor=AAAA").status == 422
