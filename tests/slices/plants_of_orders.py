"""Rows that are wrong in an order's money, its refunds, and against the provider's book. See `plants`."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.kernel.instant import Instant
from chalicelib.ledger.entries import Entry, Leg
from chalicelib.payments.model import Parked
from tests.invariants.ledger import own_hash
from tests.invariants.reading import Seen
from tests.slices.plants import (
    ACCOUNT,
    breaks,
    changed_at,
    entry_of,
    legs_of,
    order_in,
    rebooked,
    refund_of,
    renamed,
    whole_refund,
    with_attempt,
    with_charge,
    with_order,
    with_refund,
)

# ---------------------------------------------------------------------------------------------- orders

CAME_IN = ("came_in_is_booked", "proofs_hold")
AT_PROVIDER = ("provider_lines_are_booked", "our_account_is_the_providers_balance")


@breaks(*CAME_IN, "escrow_is_what_lives", *AT_PROVIDER)
def more_is_booked_than_came(seen: Seen) -> Seen:
    paid = entry_of(seen, "payment_confirmed", order_in(seen, "confirmed").id)
    return rebooked(seen, paid, legs=legs_of(paid, A_psp=100, L_escrow=-100))


@breaks("proofs_hold", "escrow_is_what_lives", "nothing_rests_in_suspense")
def the_equation_does_not_hold(seen: Seen) -> Seen:
    paid = entry_of(seen, "payment_confirmed", order_in(seen, "confirmed").id)
    return rebooked(seen, paid, legs=renamed(paid, "L.escrow", "L.suspense"))


@breaks("escrow_is_what_lives", "proofs_hold", "a_whole_refund_restores_every_balance")
def escrow_is_left_of_an_ended_order(seen: Seen) -> Seen:
    ended = entry_of(seen, "cancelled", whole_refund(seen).id)
    legs = (*legs_of(ended, L_escrow=-7), Leg("E.coupon_subsidy", 7))
    return rebooked(seen, ended, legs=legs)


@breaks("owed_back_is_what_is_open", "proofs_hold", "a_whole_refund_restores_every_balance")
def more_is_owed_than_goes_back(seen: Seen) -> Seen:
    ended = entry_of(seen, "cancelled", whole_refund(seen).id)
    legs = (*legs_of(ended, L_refund_payable=-7), Leg("E.coupon_subsidy", 7))
    return rebooked(seen, ended, legs=legs)


@breaks("commission_is_the_rate_on_the_net", "proofs_hold", "each_earning_is_settled_once", "pending_marks_are_sums")
def a_cent_too_much_is_taken(seen: Seen) -> Seen:
    earned = entry_of(seen, "earned")
    return rebooked(seen, earned, legs=legs_of(earned, L_merchant_pending=1, R_commission=-1))


@breaks("earned_is_dated", "proofs_hold")
def an_earning_has_no_date(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "completed"), earned_at=None))


@breaks("kept_follows_the_policy")
def more_was_kept_than_the_policy_says(seen: Seen) -> Seen:
    kept = next(o for o in seen.orders.values() if o.kept_minor and o.cancel_reason == "customer")
    return with_order(seen, replace(kept, policy=((0, 10_000),)))


@breaks("what_is_not_kept_goes_back")
def nothing_goes_back_for_the_end(seen: Seen) -> Seen:
    return with_order(seen, with_refund(whole_refund(seen), reason="goodwill"))


@breaks("a_whole_refund_restores_every_balance")
def a_funder_does_not_get_his_part_back(seen: Seen) -> Seen:
    ended = entry_of(seen, "cancelled", whole_refund(seen).id)
    return rebooked(seen, ended, legs=(*ended.legs, Leg("L.points", 7), Leg("E.coupon_subsidy", -7)))


@breaks("ids_follow_their_owners")
def an_order_has_forgotten_its_request(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "completed"), request_hash=""))


@breaks("ids_follow_their_owners", "told_at_most_once")
def an_order_is_another_persons(seen: Seen) -> Seen:
    other = order_in(seen, "completed").account_id
    order = order_in(seen, "declined")
    return with_order(seen, replace(order, account_id="acc_other" if order.account_id == other else other))


@breaks("nobody_is_forgotten")
def a_mark_lies_behind_the_sweep(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "pending_payment"), due_at=Instant(0)))


@breaks("nothing_is_overdue")
def a_hold_is_long_over(seen: Seen) -> Seen:
    return with_order(seen, replace(order_in(seen, "pending_payment"), deadline=Instant(0)))


@breaks("one_order_per_request")
def one_request_made_two_orders(seen: Seen) -> Seen:
    one = order_in(seen, "pending_payment")
    other = next(o for o in seen.orders.values() if o.account_id == one.account_id and o.id != one.id)
    return with_order(seen, replace(other, request_hash=one.request_hash))


# ---------------------------------------------------------------------------------------------- refunds


@breaks("refunds_within_what_came", "provider_refunds_once", "no_money_is_imagined")
def the_provider_gives_back_more_than_came(seen: Seen) -> Seen:
    order = whole_refund(seen)
    more = changed_at(seen.refunds, refund_of(seen, order), lambda one: {**one, "amount": one["amount"] + 1})
    return replace(seen, refunds=more)


@breaks(
    "refunds_within_what_came",
    "provider_refunds_once",
    "proofs_hold",
    "came_in_is_booked",
    "paid_or_refunded",
    "what_is_not_kept_goes_back",
    "refunds_are_booked_once",
    "no_money_is_imagined",
)
def more_goes_back_than_came(seen: Seen) -> Seen:
    order = whole_refund(seen)
    return with_order(seen, with_refund(order, amount_minor=order.captured_minor + 1))


@breaks("provider_refunds_once", "refunds_within_what_came")
def a_refund_was_sent_twice(seen: Seen) -> Seen:
    first = next(filter(refund_of(seen, whole_refund(seen)), seen.refunds))
    return replace(seen, refunds=(*seen.refunds, {**first, "id": "re_again"}))


@breaks("provider_refunds_once")
def a_refund_that_nobody_decided(seen: Seen) -> Seen:
    first = next(filter(refund_of(seen, whole_refund(seen)), seen.refunds))
    stranger = {**first, "id": "re_stranger", "status": "failed", "metadata": {"refund_id": "ref_unknown.0"}}
    return replace(seen, refunds=(*seen.refunds, stranger))


@breaks("refunds_are_booked_once", "no_money_is_imagined")
def a_refund_is_booked_under_another_name(seen: Seen) -> Seen:
    return with_order(seen, with_refund(whole_refund(seen), provider_id="re_another"))


@breaks("open_refunds_move", "refunds_are_as_the_provider_says")
def a_refund_was_tried_too_often(seen: Seen) -> Seen:
    return with_order(seen, with_refund(whole_refund(seen), tries=9))


@breaks(
    "open_refunds_move",
    "owed_back_is_what_is_open",
    "proofs_hold",
    "came_in_is_booked",
    "refunds_are_booked_once",
    "refunds_are_as_the_provider_says",
)
def a_refund_was_given_up(seen: Seen) -> Seen:
    return with_order(seen, with_refund(whole_refund(seen), state="failed"))


@breaks("refunds_are_as_the_provider_says", "no_money_is_imagined")
def the_provider_knows_no_success(seen: Seen) -> Seen:
    failed = changed_at(seen.refunds, refund_of(seen, whole_refund(seen)), lambda one: {**one, "status": "pending"})
    return replace(seen, refunds=failed)


# ---------------------------------------------------------------------------------------------- provider


@breaks("one_attempt_pays_a_charge", "payment_fits_its_order")
def a_charge_is_open_that_was_paid(seen: Seen) -> Seen:
    return with_order(seen, with_charge(order_in(seen, "confirmed"), state="open"))


@breaks("one_attempt_pays_a_charge")
def a_charge_is_paid_with_another_amount(seen: Seen) -> Seen:
    return with_order(seen, with_charge(order_in(seen, "confirmed"), amount_minor=1))


@breaks("provider_lines_are_booked_once", "provider_lines_are_booked")
def two_orders_are_paid_by_one_charge(seen: Seen) -> Seen:
    other = entry_of(seen, "payment_confirmed", order_in(seen, "completed").id)
    return rebooked(seen, entry_of(seen, "payment_confirmed", order_in(seen, "confirmed").id), ref=other.ref)


@breaks("fees_are_booked_once", *ACCOUNT)
def a_fee_is_booked_with_another_amount(seen: Seen) -> Seen:
    fee = entry_of(seen, "provider_fee")
    return rebooked(seen, fee, legs=legs_of(fee, E_psp_fee=1, A_psp=-1))


@breaks("no_money_is_imagined", "money_at_the_provider_is_known")
def the_provider_has_no_such_money(seen: Seen) -> Seen:
    paid = order_in(seen, "confirmed")
    gone = changed_at(seen.intents, refund_of(seen, paid), lambda one: {**one, "status": "canceled"})
    return replace(seen, intents=gone)


@breaks("money_at_the_provider_is_known")
def money_came_for_nobody(seen: Seen) -> Seen:
    stray = {**seen.intents[0], "id": "pi_stray", "status": "succeeded", "metadata": {"order_id": "ord_unknown"}}
    return replace(seen, intents=(*seen.intents, stray))


@breaks(
    "paid_or_refunded",
    "money_at_the_provider_is_known",
    "came_in_is_booked",
    "proofs_hold",
    "one_attempt_pays_a_charge",
    "refund_state_is_the_sum",
    "no_money_is_imagined",
)
def money_is_here_of_an_order_that_is_over(seen: Seen) -> Seen:
    order = whole_refund(seen)
    return with_order(seen, with_attempt(order, received_minor=order.captured_minor + 100))


@breaks("dead_orders_cannot_be_paid")
def a_dead_order_can_be_paid(seen: Seen) -> Seen:
    expired = refund_of(seen, order_in(seen, "cancelled", "timeout"))
    alive = changed_at(seen.intents, expired, lambda one: {**one, "status": "requires_action"})
    return replace(seen, intents=alive)


@breaks("provider_lines_are_booked", "our_account_is_the_providers_balance")
def a_line_has_another_amount(seen: Seen) -> Seen:
    more = {"amount": seen.lines[0]["amount"] + 1, "net": seen.lines[0]["net"] + 1}
    return replace(seen, lines=({**seen.lines[0], **more}, *seen.lines[1:]))


@breaks("our_account_is_the_providers_balance")
def the_provider_holds_less(seen: Seen) -> Seen:
    less = {"net": seen.lines[0]["net"] - 1}
    return replace(seen, lines=({**seen.lines[0], **less}, *seen.lines[1:]))


@breaks("nothing_rests_in_suspense")
def something_rests(seen: Seen) -> Seen:
    legs = (Leg("A.bank", 7), Leg("L.suspense", -7))
    entry = Entry("found", "po_1", 1, seen.now, "CNY", legs)
    return replace(seen, journal=(*seen.journal, replace(entry, hash=own_hash(entry))))


@breaks("parked_facts_are_applied")
def a_fact_of_a_known_order_is_parked(seen: Seen) -> Seen:
    ended = next(intent for intent in seen.intents if intent["status"] == "canceled")
    fact = Parked("stripe", "intent", ended["id"], "evt_1", "failed", seen.now)
    return replace(seen, facts=((fact, True),))


@breaks("parked_facts_are_applied")
def a_fact_is_parked_for_ever(seen: Seen) -> Seen:
    fact = Parked("stripe", "intent", "pi_unknown", "evt_1", "unknown_order", seen.now.plus(days=-4))
    return replace(seen, facts=((fact, True),))


@breaks("one_intent_per_attempt")
def an_attempt_is_two_intents(seen: Seen) -> Seen:
    ended = next(intent for intent in seen.intents if intent["status"] == "canceled")
    return replace(seen, intents=(*seen.intents, {**ended, "id": "pi_again"}))
