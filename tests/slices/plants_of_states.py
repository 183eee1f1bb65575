"""Rows that are wrong in their states, on statements, in the nights' work and in what was told. See `plants`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.notifications.model import Receipt
from chalicelib.orders.model import Event
from chalicelib.orders.tables import OrderRow
from chalicelib.reconciliation.model import Difference, Found
from chalicelib.runtime.outbox import News, Standing
from tests.invariants.reading import OnPaper, Seen
from tests.slices.plants import (
    breaks,
    changed_at,
    entry_of,
    order_in,
    whole_refund,
    with_attempt,
    with_item,
    with_line,
    with_order,
)

# ---------------------------------------------------------------------------------------------- states


@breaks("states_are_of_their_tables")
def a_state_that_there_is_not(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "completed"), dispute_state="open"))


@breaks("timelines_are_paths")
def a_step_is_missing(seen: Seen) -> Seen:
    order = order_in(seen, "confirmed")
    return with_order(seen, replace(order, timeline=tuple(e for e in order.timeline if e.event != "paid")))


@breaks("timelines_are_paths")
def it_went_on_after_its_end(seen: Seen) -> Seen:
    order = order_in(seen, "declined")
    again = Event("paid", order.timeline[-1].at, "provider")
    return with_order(seen, replace(order, timeline=(*order.timeline, again)))


@breaks("timelines_are_paths")
def what_was_ended_on_purpose_lives_again(seen: Seen) -> Seen:
    order = whole_refund(seen)
    at = order.timeline[-1].at
    again = (Event("paid", at, "provider"), Event("cancelled", at, "customer"))
    return with_order(seen, replace(order, timeline=(*order.timeline, *again)))


@breaks("timelines_are_paths")
def it_leads_elsewhere(seen: Seen) -> Seen:
    order = order_in(seen, "completed")
    return with_order(seen, replace(order, timeline=order.timeline[:-1]))


@breaks("versions_count_the_moves", "entries_are_numbered_by_their_rows")
def a_version_was_not_counted(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "completed"), version=2))


@breaks("nothing_ends_before_its_time")
def a_hold_ended_too_early(seen: Seen) -> Seen:
    order = order_in(seen, "cancelled", "timeout")
    return with_order(seen, replace(order, deadline=order.deadline.plus(hours=1)))


@breaks("fulfilment_fits_its_order")
def a_service_stands_elsewhere(seen: Seen) -> Seen:
    return with_order(seen, with_line(order_in(seen, "completed"), fulfilment_state="in_service"))


@breaks("payment_fits_its_order")
def an_order_lives_although_it_was_ended(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "confirmed"), cancel_reason="customer"))


@breaks("payment_fits_its_order", "escrow_is_what_lives", "paid_or_refunded")
def an_order_goes_on_unpaid(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "confirmed"), payment_state="none"))


@breaks("refund_state_is_the_sum")
def an_order_seems_to_be_refunded(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "confirmed"), refund_state="partial"))


@breaks("attempts_count_up")
def an_attempt_has_another_number(seen: Seen) -> Seen:
    return with_order(seen, with_attempt(order_in(seen, "confirmed"), ordinal=3))


@breaks("no_stray_attempt_lives")
def an_attempt_lives_on_a_dead_order(seen: Seen) -> Seen:
    return with_order(seen, with_attempt(order_in(seen, "cancelled", "timeout"), state="requires_action"))


# ---------------------------------------------------------------------------------------------- settlement


def with_statement(seen: Seen, place: int, *, lines: Any = None, **changed: Any) -> Seen:
    place %= len(seen.statements)
    paper = seen.statements[place]
    made = OnPaper(replace(paper.statement, **changed), paper.lines if lines is None else lines, paper.waiting)
    return replace(seen, statements=(*seen.statements[:place], made, *seen.statements[place + 1 :]))


@breaks(
    "each_earning_is_settled_once",
    "statements_add_up",
    "statements_are_booked_once",
    "available_is_what_was_settled",
)
def an_earning_is_on_two_statements(seen: Seen) -> Seen:
    return with_statement(seen, -1, lines=(*seen.statements[-1].lines, seen.statements[0].lines[0]))


@breaks("each_earning_is_settled_once", "no_earning_is_passed_over", "statements_add_up")
def a_line_is_of_no_earning(seen: Seen) -> Seen:
    first, *rest = seen.statements[0].lines
    return with_statement(seen, 0, lines=(replace(first, n=first.n + 1), *rest))


@breaks(
    "no_earning_is_passed_over",
    "statements_add_up",
    "statements_are_booked_once",
    "available_is_what_was_settled",
)
def an_earning_is_on_no_statement(seen: Seen) -> Seen:
    return with_statement(seen, 0, lines=seen.statements[0].lines[1:])


@breaks("statements_add_up")
def a_statement_closes_with_another_amount(seen: Seen) -> Seen:
    return with_statement(seen, -1, closing_minor=seen.statements[-1].statement.closing_minor + 1)


@breaks("statements_add_up")
def a_statement_was_written_over(seen: Seen) -> Seen:
    first, *rest = seen.statements[-1].lines
    return with_statement(seen, -1, lines=(replace(first, psp_fee=first.psp_fee + 1), *rest))


@breaks("statements_add_up")
def a_number_is_left_out(seen: Seen) -> Seen:
    return with_statement(seen, -1, number=9)


@breaks("statements_are_booked_once", "balances_are_rebuilt", "pending_marks_are_sums")
def a_statement_is_not_booked(seen: Seen) -> Seen:
    settled = entry_of(seen, "settled")
    return replace(seen, journal=tuple(entry for entry in seen.journal if entry is not settled))


@breaks("available_is_what_was_settled", "balances_are_rebuilt")
def a_merchant_has_no_balance(seen: Seen) -> Seen:
    return replace(seen, balances={})


@breaks("nothing_is_settled_too_early")
def a_statement_was_opened_in_its_own_period(seen: Seen) -> Seen:
    return with_statement(seen, -1, opened_at=seen.statements[-1].statement.period_end.plus(hours=1))


@breaks("nothing_is_settled_too_early")
def money_was_settled_that_is_not_there_yet(seen: Seen) -> Seen:
    order_id = seen.statements[0].lines[0].order_id
    ref = entry_of(seen, "payment_confirmed", order_id).ref
    later = changed_at(
        seen.lines, lambda one: one["source"] == ref, lambda one: {**one, "available_on": seen.now.seconds}
    )
    return replace(seen, lines=later)


@breaks("no_statement_stays_open", "available_is_what_was_settled")
def a_statement_is_still_open(seen: Seen) -> Seen:
    return with_statement(seen, -1, state="closing")


# ---------------------------------------------------------------------------------------------- reconciliation


@breaks("each_line_is_matched_once")
def a_line_is_matched_twice(seen: Seen) -> Seen:
    return replace(seen, kept=(*seen.kept, seen.kept[0]))


@breaks("each_line_is_matched_once")
def a_line_is_matched_with_another_amount(seen: Seen) -> Seen:
    first = replace(seen.kept[0], amount_minor=seen.kept[0].amount_minor + 1)
    return replace(seen, kept=(first, *seen.kept[1:]))


@breaks("no_line_is_dropped")
def a_line_is_neither_matched_nor_named(seen: Seen) -> Seen:
    return replace(seen, kept=seen.kept[1:])


def difference(seen: Seen, **changed: Any) -> Found:
    line = next(one for one in seen.kept if one.amount_minor > 0)
    found = Difference("missing_here", line.line_id, line.matched_at, provider_ref=line.ref, **changed)
    return Found("stripe", found, "open", line.matched_at)


@breaks("open_differences_have_a_reason", "nothing_differs")
def a_difference_is_open_and_nothing_is_wrong(seen: Seen) -> Seen:
    found = difference(seen)
    runs = tuple(replace(one, differences=int(one.day == found.difference.day)) for one in seen.runs)
    return replace(seen, differences=(found,), runs=runs)


@breaks("nothing_differs", "provider_lines_are_booked", "our_account_is_the_providers_balance")
def something_differs(seen: Seen) -> Seen:
    found = difference(seen)
    runs = tuple(replace(one, differences=int(one.day == found.difference.day)) for one in seen.runs)
    lines = changed_at(
        seen.lines,
        lambda one: one["id"] == found.difference.ref,
        lambda one: {**one, "amount": one["amount"] + 5, "net": one["net"] + 5},
    )
    return replace(seen, differences=(found,), runs=runs, lines=lines)


@breaks("the_night_explains_every_cent")
def a_cent_is_not_explained(seen: Seen) -> Seen:
    newest = max((run for run in seen.runs if run.balance), key=lambda run: run.day)
    theirs, ours, explained = newest.balance["CNY"]
    wrong = replace(newest, balance={"CNY": (theirs, ours + 1, explained)})
    return replace(seen, runs=changed_at(seen.runs, lambda one: one is newest, lambda _: wrong))


@breaks("runs_count_their_differences")
def a_run_counts_what_is_not_there(seen: Seen) -> Seen:
    return replace(seen, runs=(replace(seen.runs[0], differences=1), *seen.runs[1:]))


@breaks("the_night_ended_well")
def a_night_never_ended(seen: Seen) -> Seen:
    return replace(seen, last_ok={name: at for name, at in seen.last_ok.items() if name != "settle"})


# ---------------------------------------------------------------------------------------------- news


@breaks("told_at_most_once")
def somebody_is_told_twice(seen: Seen) -> Seen:
    order = order_in(seen, "confirmed")
    again = Receipt(order.account_id, f"order.confirmed:{order.id}:99#order.confirmed", "message", seen.now)
    sent = seen.sent | {f"{again.recipient}#{again.id}"}
    return replace(seen, receipts=(*seen.receipts, again), sent=sent)


@breaks("no_news_is_left")
def news_are_left(seen: Seen) -> Seen:
    news = News("order.paid:ord_1:2", "order.paid", seen.now, {})
    return replace(seen, news=(Standing(news, 1, resting=False),))


@breaks("everybody_is_told")
def somebody_is_not_told(seen: Seen) -> Seen:
    order = order_in(seen, "confirmed")
    return replace(seen, receipts=tuple(one for one in seen.receipts if order.id not in one.id))


@breaks("everybody_is_told")
def somebody_is_not_told_of_a_refund(seen: Seen) -> Seen:
    mine = f"order.refunded:{whole_refund(seen).id}"
    return replace(seen, receipts=tuple(one for one in seen.receipts if not one.id.startswith(mine)))


@breaks("every_marker_has_its_message")
def a_message_never_left(seen: Seen) -> Seen:
    one = seen.receipts[0]
    return replace(seen, sent=seen.sent - {f"{one.recipient}#{one.id}"})


# ---------------------------------------------------------------------------------------------- numbers


@breaks("numbers_are_whole")
def a_fraction_is_stored(seen: Seen) -> Seen:
    return with_item(seen, OrderRow.Meta.table_name, lambda item: {**item, "v": {"N": "1.5"}})


@breaks("numbers_are_whole")
def a_fraction_is_packed(seen: Seen) -> Seen:
    packed = {"S": '{"t":[85.5,10]}'}
    return with_item(seen, OrderRow.Meta.table_name, lambda item: {**item, "d": packed})
