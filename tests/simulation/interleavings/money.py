"""Journal, balances, statements, reconciliation, and money that has no order."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial

from chalicelib.booking import model as booking_model
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as books
from chalicelib.ledger import projections
from chalicelib.ledger import service as ledger
from chalicelib.ledger import tables as ledger_tables
from chalicelib.ledger.model import Entry, Leg, ProviderLine
from chalicelib.ledger.tables import BalanceRow
from chalicelib.orders import ending, handlers, orphans, paying, saving, soundness
from chalicelib.orders import service as orders
from chalicelib.orders import tables as order_tables
from chalicelib.orders.model import Order
from chalicelib.payments import service as payments
from chalicelib.providers.ports import ProviderEvent
from chalicelib.reconciliation import carried
from chalicelib.reconciliation import service as reconciliation
from chalicelib.reconciliation import tables as reconciliation_tables
from chalicelib.reconciliation.model import DIFFERENCE, Difference, Found, provider_day
from chalicelib.runtime import audit, jobs
from chalicelib.runtime.transaction import AlreadyDone, Transaction
from chalicelib.settlement import service as settlement
from chalicelib.settlement import tables as statements
from chalicelib.settlement.model import Account
from chalicelib.settlement.standing import Standings
from tests.builders import identity
from tests.builders import settlement as earnings
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes
from tests.simulation.simulation import BEGIN

_CNY = "CNY"
# Whatever takes from a balance is still to come, so the invariant knows of statements alone.
_TAKEN = ("available_is_what_was_settled",)


# ---------------------------------------------------------------------------------------------- journal and balances


def _penalty(merchant_id: str, amount: int, at: Instant, number: int = 1) -> Entry:
    legs = (Leg(f"L.merchant_available:{merchant_id}", amount), Leg("R.commission", -amount))
    about = f"pen_{merchant_id[4:]}"
    return books.entry("penalty", about, number, at=at, currency=_CNY, legs=legs, merchant_id=merchant_id)


def _takes(entry: Entry, amount: int) -> None:
    """What a penalty, or a withdrawal, will do to a balance."""
    tx = Transaction()
    ledger.post(tx, entry)
    ledger.add_available(tx, entry.merchant_id, entry.currency, -amount)
    tx.commit()


def _credit(merchant_id: str, amount: int, at: Instant) -> None:
    legs = (Leg("R.commission", amount), Leg(f"L.merchant_available:{merchant_id}", -amount))
    tx = Transaction()
    entry = books.entry(
        "goodwill", f"gw_{merchant_id[4:]}", 1, at=at, currency=_CNY, legs=legs, merchant_id=merchant_id
    )
    ledger.post(tx, entry)
    ledger.add_available(tx, merchant_id, _CNY, amount)
    tx.commit()


@case(weight=1.5, without=_TAKEN)
def balance_is_not_overdrawn(round: Round) -> None:
    """Three take 60 of 100 that are available: one has it, two are told that it is not there, and the sum is exact."""
    merchant_id, now = ids.random_id("mch"), round.run.now
    _credit(merchant_id, 100, now)
    acts = [partial(_takes, _penalty(merchant_id, 60, now, number), 60) for number in (1, 2, 3)]
    round.same("answers", outcomes(round.race(*acts)), {"done": 1, "balance_insufficient": 2})
    round.same("available", ledger.balance(merchant_id, _CNY).available, 40)
    round.same("drifts", projections.drifts(merchant_id, _CNY, round.run.now), [])


@case(without=_TAKEN)
def entry_is_posted_once(round: Round) -> None:
    """One post sent twice and another content under its id: one of the contents stands, and moves the balance once."""
    merchant_id, now = ids.random_id("mch"), round.run.now
    _credit(merchant_id, 100, now)

    def post(amount: int) -> str:
        try:
            _takes(_penalty(merchant_id, amount, now), amount)
        except AlreadyDone:
            return "stood"
        return "posted"

    told = outcomes(round.race(partial(post, 30), partial(post, 30), partial(post, 20)))
    amount = 100 - ledger.balance(merchant_id, _CNY).available
    wanted = {"posted": 1, "stood": 1, "entry_conflict": 1} if amount == 30 else {"posted": 1, "entry_conflict": 2}
    round.same("answers", told, wanted)
    round.same("drifts", projections.drifts(merchant_id, _CNY, round.run.now), [])


@case()
def mark_of_what_is_pending(round: Round) -> None:
    """Two nights' runs move the mark of a merchant's earnings, the first time and a later one: the sum stays exact."""
    merchant_id, shop_id = ids.random_id("mch"), ids.random_id("shp")
    for days in (9, 3):
        _served(merchant_id, shop_id, round.run.now.plus(days=-days))
    pending = ledger.pending(merchant_id, _CNY, round.run.now)
    for _ in range(2):
        roll = partial(ledger.roll_pending, merchant_id, _CNY, round.run.now)
        round.race(roll, roll)
        round.same("pending", ledger.pending(merchant_id, _CNY, round.run.now), pending)
        round.later(days=2)
    mark = ledger_tables.pending_mark(merchant_id, _CNY)
    round.same("mark", (mark.amount_minor, mark.until.since(BEGIN) > 0), (pending, True))


@case(without=_TAKEN)
def projection_is_repaired(round: Round) -> None:
    """A balance and a mark that drifted are repaired by two operators while money is taken: in the end they are right,
    and the log of what operators did holds."""
    merchant_id, now = ids.random_id("mch"), round.run.now
    _credit(merchant_id, 100, now.plus(days=-3))
    _served(merchant_id, ids.random_id("shp"), now.plus(days=-3))
    ledger.roll_pending(merchant_id, _CNY, now)
    _spoil(round, merchant_id)
    found = projections.drifts(merchant_id, _CNY, round.run.now)
    round.same("drifts", len(found), 2)

    def repair() -> None:
        for drift in found:
            projections.repair(drift, "test", "", "drill", now)

    def takes() -> None:
        round.run.baton.sleep(round.seed % 3 * 30)
        _takes(_penalty(merchant_id, 10, now), 10)

    told = round.race(repair, repair, takes)
    round.same("taken", outcomes(told[2:]), {"done": 1})
    for drift in projections.drifts(merchant_id, _CNY, round.run.now):
        projections.repair(drift, "test", "", "drill", now)
    round.same("left", projections.drifts(merchant_id, _CNY, round.run.now), [])
    round.same("available", ledger.balance(merchant_id, _CNY).available, 90)
    round.same("the log", audit.failures(audit.entries(), ()), [])


def _spoil(round: Round, merchant_id: str) -> None:
    """Somebody adds to two projections past the product."""
    for sk, attribute in ((_CNY, BalanceRow.available), (f"{_CNY}#pending", BalanceRow.pending)):
        round.raw(
            "UpdateItem",
            "ledger_balances",
            Key={"pk": {"S": merchant_id}, "sk": {"S": sk}},
            UpdateExpression="ADD #a :more",
            ExpressionAttributeNames={"#a": attribute.attr_name},
            ExpressionAttributeValues={":more": {"N": "7"}},
        )


# ---------------------------------------------------------------------------------------------- statements


def _served(merchant_id: str, shop_id: str, at: Instant) -> None:
    """An earning whose money can be used, of a visit that is no order of the table."""
    visit = earnings.served(merchant_id, shop_id, at=at, matched=False, order_id=ids.random_id("vis"))
    earnings.available(visit, on=at, at=at)


@case(alone=True)
def night_is_settled_once(round: Round) -> None:
    """Two runs settle one night: each earning stands on one statement, and is available once; a run whose answers are
    lost knows its own statements again."""
    merchant_id, at = ids.random_id("mch"), round.run.now.plus(days=-6)
    accounts = [Account(merchant_id, ids.random_id("shp"), _CNY, "Asia/Shanghai") for _ in range(2)]
    for account in accounts:
        _served(merchant_id, account.shop_id, at)
        statements.note({account: at})
        if round.seed % 2:  # a run has ended after opening it
            entries = list(ledger.merchant_entries(merchant_id, at, round.run.now))
            ours = [entry for entry in entries if entry.shop_id == account.shop_id and entry.event == "earned"]
            settlement._open(Standings(round.ctx), account, None, settlement._start(None, at), ours)
    jobs.save_cursor(settlement.JOB, {"until": round.run.now.ms})
    settle = partial(lambda: settlement.settle(identity.context()))
    done = round.race(settle, settle)
    round.same("failed", [one["failed"] for one in done], [0, 0])
    found = [statements.last_of(account) for account in accounts]
    round.same("statements", [one and (one.number, one.state, one.line_count) for one in found], [(1, "closed", 1)] * 2)
    round.same("closed by", sum(one["statements"] for one in done), 2)
    round.same("pending", ledger.pending(merchant_id, _CNY, round.run.now), 0)
    round.same("drifts", projections.drifts(merchant_id, _CNY, round.run.now), [])
    round.same("available", ledger.balance(merchant_id, _CNY).available, 2 * 8_800)


@case()
def agenda_of_an_account(round: Round) -> None:
    """Two rebuilds note one account on the agenda: it stands there, as one of them found it."""
    account = Account(ids.random_id("mch"), ids.random_id("shp"), _CNY, "Asia/Shanghai")

    def note(first: Instant) -> str:
        tx = Transaction()
        settlement.note(tx, account, first)
        try:
            tx.commit()
        except AlreadyDone:
            return "stood"
        return "noted"

    times = [round.run.now, round.run.now.plus(hours=1)]
    found = round.race(*(partial(note, first) for first in times))
    round.same("answers", outcomes(found), {"noted": 1, "stood": 1})
    round.same("stands", statements.agenda()[account], times[found.index("noted")])


# ---------------------------------------------------------------------------------------------- reconciliation


@case(alone=True, weight=0.3)
def night_is_matched_once(round: Round) -> None:
    """Two runs match one night, in which an entry has no line at the provider: one difference; when its line comes, its
    fee is booked once, and the difference repaired."""
    order = scenes.paid(round)
    charge = next(entry.ref for entry in ledger.entries_of(order.id) if entry.on("A.psp:") > 0)
    book = round.run.provider._store.page("balance_transaction", limit=9).data
    (line,) = (one for one in book if one["source"] == charge)
    _provider(round, "DELETE", line["id"])
    round.later(hours=3)
    jobs.save_cursor(reconciliation.JOB, {"day": str(BEGIN)[:10], "until": BEGIN.plus(days=-1).ms})
    match = partial(reconciliation.reconcile, round.ctx)
    done = round.race(match, match)
    round.same("differences", [one["differences"] for one in done], [1, 1])
    round.same("kept", [one.state for one in _differences()], ["open"])
    _provider(round, "POST", f"{line['id']}/restore")
    match = partial(reconciliation.reconcile, round.ctx)
    done = round.race(match, match)
    round.same("differences", [one["differences"] for one in done], [0, 0])
    round.same("kept", [one.state for one in _differences()], ["repaired"])
    fees = [entry.on("E.psp_fee") for entry in ledger.entries_of(line["id"])]
    round.same("fees", fees, [line["fee"]])
    round.same("lines", len(ledger.lines_of(order.id)), 1)


def _provider(round: Round, method: str, path: str) -> None:
    answer = round.run.provider.control(method, f"/local/balance_transactions/{path}")
    assert answer.status == 200, answer


def _differences() -> list[Found]:
    return list(reconciliation_tables.listed(DIFFERENCE.states, None, None, 50).items)


@case()
def difference_is_kept_once(round: Round) -> None:
    """Runs keep what they found on a day: the same, something else, nothing any more: it is one row, in a state that
    one of them saw."""
    item = Difference("amount", f"ch_{secrets.token_hex(6)}", round.run.now, ours=(100, _CNY), theirs=(90, _CNY))
    day = provider_day(item.at)

    def keep(*found: Difference) -> int:
        return reconciliation._keep(identity.context(), day, [*_others(item), *found])

    def rows() -> list[Found]:
        return [one for one in reconciliation_tables.of_day("stripe", day) if one.difference.ref == item.ref]

    round.race(partial(keep, item), partial(keep, item))
    round.same("kept", [(one.state, one.difference) for one in rows()], [("open", item)])
    round.race(keep, keep, partial(keep, replace(item, theirs=(80, _CNY))))
    (stands,) = rows()
    keep()
    round.same("repaired", [one.state for one in rows()], ["repaired"])
    round.holds("found once", stands.found_at.since(BEGIN) < 1000)


def _others(item: Difference) -> list[Difference]:
    """What other rounds have left open on the day."""
    found = reconciliation_tables.of_day("stripe", provider_day(item.at))
    return [one.difference for one in found if one.difference.ref != item.ref and one.state == "open"]


@case(weight=0.5)
def line_is_kept_once(round: Round) -> None:
    """Two runs keep the provider's line of an order: it stands as the first of them found it."""
    at = round.run.now.plus(days=-1)
    visit = earnings.served(
        ids.random_id("mch"), ids.random_id("shp"), at=at, matched=False, order_id=ids.random_id("vis")
    )
    line = ProviderLine(visit.order_id, f"txn_{secrets.token_hex(6)}", visit.charge, _CNY, 10_000, 60, at, at)
    lines = [line, replace(line, matched_at=line.matched_at.plus(hours=1))]
    round.race(*(partial(ledger.keep_line, one) for one in lines))
    round.holds("one of them", ledger.lines_of(line.order_id) in ([one] for one in lines))


@case(weight=2)
def carried_sum_is_repaired(round: Round) -> None:
    """Two operators replace the sum that the night carries, as both found it: one does, and the log has it once."""
    before: dict[str, int | str] = {"day": "2026-11-19", "until": round.seed, f"psp_{_CNY}": 5}
    jobs.save_cursor(reconciliation.JOB, before)
    acts = [
        partial(carried.repair, before, {**before, f"psp_{_CNY}": n}, f"op{n}", "", "drill", round.run.now)
        for n in (6, 7)
    ]
    noted = len(list(audit.entries()))
    found = round.race(*acts)
    told = outcomes(found)
    round.holds(f"answers: {told}", told in ({"done": 1, "job_running": 1}, {"done": 1, "cursor_moved": 1}))
    stands = jobs.cursor(reconciliation.JOB)[f"psp_{_CNY}"]
    round.same("stands", stands, 6 if found[0] is None else 7)
    round.same("noted", len(list(audit.entries())) - noted, 1)
    round.same("the log", audit.failures(audit.entries(), ()), [])
    jobs.clear_cursor(reconciliation.JOB)


# ---------------------------------------------------------------------------------------------- facts and orphans


@case()
def fact_is_parked_once(round: Round) -> None:
    """A fact of an order that is not here is told twice, at two times: parked once, as old as its first telling."""
    order, attempt = scenes.opened(round)
    scenes.payer_does(round, attempt.intent_id)
    found = scenes.intent(attempt.intent_id)
    forgotten = round.erase("orders", *ids.split(order.id))
    event = ProviderEvent(f"evt_{secrets.token_hex(6)}", "payment_intent.succeeded", round.run.now, intent=found)
    apply = partial(lambda: paying.apply_event(identity.context(), event))
    round.same("answers", outcomes(round.race(apply, apply)), {"parked": 2})
    (fact,) = (one for one in payments.parked() if one.event_id == event.event_id)
    round.holds("its age", fact.received_at.since(BEGIN) < 200)
    round.raw("PutItem", "orders", Item=forgotten)
    retry = partial(lambda: handlers._retry_parked(identity.context()))
    round.race(retry, retry)
    round.same("state", scenes.stored(order).state, "confirmed")
    round.same("parked", [one for one in payments.parked() if one.event_id == event.event_id], [])


@case()
def parked_fact_that_grew_old(round: Round) -> None:
    """A parked fact whose row the store takes away by its age, while two sweeps look at it: neither sweep stops."""
    about = f"evt_{secrets.token_hex(6)}"
    intent = scenes.intent(scenes.opened(round)[1].intent_id)
    unknown = ProviderEvent(about, "payment_intent.succeeded", round.run.now, intent=intent)
    payments.park(round.ctx, unknown, "unknown_order")
    retry = partial(lambda: handlers._retry_parked(identity.context()))

    def ages() -> None:
        round.run.baton.sleep(round.seed % 40)
        round.erase("payments_inbox", f"stripe#{intent.intent_id}", about)

    round.race(retry, retry, ages)
    round.same("parked", [one for one in payments.parked() if one.event_id == about], [])


@case(weight=2)
def money_without_an_order(round: Round) -> None:
    """Money whose order a restore has forgotten is given back by two operators while its customer places the order
    again under the old key: it goes back, or pays the order, and never both."""
    shop = scenes.salon(round, f"own {round.seed}", staff=1)
    who, key = scenes.person(round), secrets.token_hex(8)
    quote = scenes.quoted(shop, who, scenes.starts(round))
    order, _ = scenes.places(who, quote, key)
    _, attempt = scenes.opened(round, order)
    scenes.payer_does(round, attempt.intent_id)
    (claim,) = booking_model.claims_of(saving.blocks_of(order))
    round.erase("orders", *ids.split(order.id))
    round.erase("booking_days", f"{claim.shop_id}#{claim.day:%Y%m%d}", claim.resource_id)
    round.later(seconds=5)
    money = scenes.intent(attempt.intent_id)
    give_back = partial(lambda: orphans.give_back(identity.context(), money))
    told = round.race(give_back, give_back, partial(scenes.places, who, quote, key))
    round.later(minutes=2)
    orphan = payments.orphan("stripe", money.intent_id)
    if orphan is None:
        round.same("answers", outcomes(told), {"order_is_here": 2, "done": 1})
    else:
        round.holds(f"answers: {outcomes(told)}", set(outcomes(told)) <= {"done", "order_is_here", "unavailable"})
        drive = partial(lambda one: orphans.drive(identity.context(), one), orphan)
        round.race(drive, drive)
        orphan = payments.orphan("stripe", money.intent_id)
        round.same("given back", orphan and orphan.refund and orphan.refund.state, "succeeded")
        round.same("refunds", len(round.run.provider._store.page("refund", limit=9).data), 1)
    here = order_tables.order(order.id)
    round.same("the order is here", here is not None, isinstance(told[2], tuple))
    if here is not None:
        after = scenes.told(money)
        round.same("state", after.state, "confirmed" if orphan is None else "pending_payment")


@case(weight=2)
def lost_entry_is_made_again(round: Round) -> None:
    """Two menders write an entry that a restore has lost while the customer cancels: an order that has moved is not
    mended on what it was."""
    order = scenes.paid(round)
    (entry,) = ledger.entries_of(order.id)
    lost = round.erase("ledger_journal", order.id, f"{entry.event}#{entry.n}")
    mend = partial(lambda: soundness._mend_order(identity.context(), order.id, soundness.ENTRY_MISSING))
    cancel = partial(ending.cancel, scenes.acts_as(order.account_id), order, "customer")
    first, second, cancelled = round.race(mend, mend, cancel)
    round.holds("the customer's cancel stands", isinstance(cancelled, Order))
    there = entry in ledger.entries_of(order.id)
    round.same("mended", there, first or second)
    if not there:
        round.raw("PutItem", "ledger_journal", Item=lost)
    round.same("faults", orders.faults(order.id), [])
