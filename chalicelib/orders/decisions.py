"""What happens to an order, as pure functions: (order, fact, now) → Change. Nothing here reads or writes.

A Change is the order as it will be, the journal entries that go with it, the news, and whether its place is claimed or
released; `saving` writes all of it in one transaction whose condition repeats the `from` state and the version.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as ledger
from chalicelib.ledger.model import Leg
from chalicelib.orders.changes import (
    RETRY_SECONDS,
    Change,
    Clocks,
    moved,
    told,
    with_attempt,
    with_due,
    with_lines,
    with_payment_state,
    with_refund,
    with_refund_state,
)
from chalicelib.orders.model import CHARGE, Charge, Order, cancel_quote
from chalicelib.payments.model import (
    MAX_REFUND_TRIES,
    REFUND,
    Attempt,
    RefundRecord,
    advanced,
    attempt_id,
    refund_id,
    sent_back_id,
)
from chalicelib.providers.ports import CANCELED, FAILED, SUCCEEDED, Intent, Refund

SENT_BACK = ("wrong_amount", "duplicate", "late")  # reasons to return a whole payment by itself


# ---------------------------------------------------------------------------------------------- paying


def attempt_opened(order: Order, charge_id: str, attempt: Attempt, now: Instant) -> Change:
    """The intent exists at the provider; only now may anybody be shown its secret. A fact that was faster has left an
    attempt without a key: it becomes this one and keeps what it knows."""
    early = adopted(order, attempt)
    if early is not None:
        attempt = replace(early, client=attempt.client, key=attempt.key, opened_at=attempt.opened_at)
        # In its place: an attempt's id follows from where it stands.
        order = with_attempt(order, early.id, lambda _: attempt)
    else:
        charges = tuple(
            replace(charge, attempts=(*charge.attempts, attempt)) if charge.id == charge_id else charge
            for charge in order.charges
        )
        order = replace(order, charges=charges)
    return Change(told(with_payment_state(order), now, "customer", "payment_started"))


def adopted(order: Order, attempt: Attempt) -> Attempt | None:
    """The attempt of the same intent that was taken from a provider's fact because nobody had written it down."""
    found = (a for charge in order.charges for a in charge.attempts if a.intent_id == attempt.intent_id)
    return next((a for a in found if not a.key), None)


def intent_fact(order: Order, intent: Intent, now: Instant, clocks: Clocks, provider: str) -> Change | None:
    """What a provider's word on an attempt means. None: it tells nothing new."""
    order, charge, attempt = _find(order, intent)
    if intent.state == SUCCEEDED:
        if attempt.state == "succeeded":
            return None
        return _money_came(order, charge, attempt, intent, now, clocks, provider)
    after = advanced(attempt, intent.state, now)
    if after.state == attempt.state:
        return None
    changed = with_payment_state(with_attempt(order, attempt.id, lambda _: after))
    events = ("payment_failed",) if after.state == FAILED else ()
    changed = told(changed, now, "provider", *events)
    return Change(with_due(changed, now) if changed.strays else changed)


def _money_came(
    order: Order, charge: Charge, attempt: Attempt, intent: Intent, now: Instant, clocks: Clocks, provider: str
) -> Change:
    received = intent.received.amount_minor
    ref = intent.charge_ref or intent.intent_id
    order = with_payment_state(with_attempt(order, attempt.id, lambda a: advanced(a, SUCCEEDED, now, received, ref)))
    right = received == charge.amount_minor and intent.received.currency == order.currency
    if not right:
        return _sent_back(order, received, "wrong_amount", intent, now, provider, ref)
    if charge.state == "paid":
        return _sent_back(order, received, "duplicate", intent, now, provider, ref)
    if charge.state == "void":
        return _sent_back(replace(order, payment_state="late"), received, "late", intent, now, provider, ref)
    return _paid(order, charge, now, clocks, provider, ref, "pay", ("paid",))


def _paid(
    order: Order,
    charge: Charge,
    now: Instant,
    clocks: Clocks,
    provider: str,
    ref: str,
    charge_event: str,
    events: tuple[str, ...],
) -> Change:
    charges = tuple(
        replace(c, state=CHARGE.fire(c.state, charge_event)) if c.id == charge.id else c for c in order.charges
    )
    order = with_refund_state(replace(order, charges=charges, payment_state="paid", cancel_reason=""))
    order = moved(order, "revive" if order.state == "cancelled" else "paid")
    order = told(replace(order, deadline=now.plus(seconds=clocks.accept)), now, "provider", *events)
    news = ("order.paid",)
    if order.confirmation == "instant":
        order = told(moved(order, "confirm"), now, "system", "confirmed")
        news = ("order.confirmed",)
    legs = ledger.payment_confirmed(order.terms, provider)
    return Change(with_due(order, now), (("payment_confirmed", legs, ref),), news)


def revived(order: Order, intent: Intent, now: Instant, clocks: Clocks, provider: str) -> Change | None:
    """Late money on an order whose hold has run out: it lives again if its place can be taken once more.

    None when it cannot come back: somebody ended it on purpose, or its time has passed.
    """
    order, charge, attempt = _find(order, intent)
    if intent.state != SUCCEEDED or attempt.state == "succeeded":
        return None
    timely = order.starts_at is not None and order.starts_at > now
    right = intent.received.amount_minor == charge.amount_minor and intent.received.currency == order.currency
    if order.cancel_reason != "timeout" or charge.state != "void" or not (timely and right):
        return None
    ref = intent.charge_ref or intent.intent_id
    order = with_attempt(order, attempt.id, lambda a: advanced(a, SUCCEEDED, now, charge.amount_minor, ref))
    change = _paid(order, charge, now, clocks, provider, ref, "revive", ("paid", "revived"))
    return replace(change, claims=True)


def _sent_back(
    order: Order, amount_minor: int, why: str, intent: Intent, now: Instant, provider: str, ref: str
) -> Change:
    """Money that this order cannot take goes back by itself: booked as owed, refunded within minutes."""
    refund = RefundRecord(
        sent_back_id(order.id, intent.intent_id), amount_minor, "approved", why, intent.intent_id, 0, "", now
    )
    order = told(replace(order, refunds=(*order.refunds, refund)), now, "provider", f"{why}_payment", "refund_approved")
    legs = ledger.unexpected_money(amount_minor, provider)
    change = Change(with_due(order, now), ((f"{why}_payment", legs, ref),), ("order.refund_approved",))
    return replace(change, after=with_refund_state(change.after))


def refund_fact(order: Order, refund: Refund, now: Instant, provider: str) -> Change | None:
    """What a provider's word on a refund means. None: it tells nothing new."""
    own_id, _, tries = refund.refund_id.rpartition(".")
    record = next((r for r in order.refunds if r.id == own_id), None)
    # Each try is a refund of its own at the provider: what is told of an old one says nothing about the present one.
    if record is None or tries != str(record.tries):
        return None
    event = {FAILED: "failed", CANCELED: "failed"}.get(refund.state, refund.state)
    if event == "failed" and record.state == "succeeded":
        event = "return"
    if not REFUND.can(record.state, event):
        return None
    after = replace(record, state=REFUND.fire(record.state, event), provider_id=refund.provider_id)
    if event in ("failed", "return"):
        return _refund_failed(order, after, now, provider)
    order = with_refund(order, after)
    if event != "succeeded":
        return Change(with_due(order, now))
    order = told(order, now, "provider", "refunded")
    entries = (("refund_succeeded", ledger.refund_succeeded(record.amount_minor, provider), refund.provider_id),)
    return Change(with_due(order, now), entries, ("order.refunded",))


def refund_refused(order: Order, refund_id: str, tries: int, now: Instant, provider: str) -> Change | None:
    """The provider did not even take the refund: that try has failed like any other."""
    record = next((r for r in order.refunds if r.id == refund_id and r.tries == tries), None)
    if record is None or record.state != "approved":
        return None
    return _refund_failed(order, replace(record, state=REFUND.fire(record.state, "failed")), now, provider)


def _refund_failed(order: Order, record: RefundRecord, now: Instant, provider: str) -> Change:
    """Asked again under the next number; after the last try it stays open, for a person to pay it another way."""
    entries: tuple[tuple[str, tuple[Leg, ...], str], ...] = ()
    if record.state == "returned":
        entries = (("refund_returned", ledger.refund_returned(record.amount_minor, provider), record.provider_id),)
    order = told(order, now, "provider", f"refund_{record.state}")
    if record.tries + 1 < MAX_REFUND_TRIES:
        record = replace(record, state=REFUND.fire(record.state, "retry"), tries=record.tries + 1, provider_id="")
    return Change(with_due(with_refund(order, record), now), entries)


# ---------------------------------------------------------------------------------------------- ending


def expired(order: Order, now: Instant) -> Change:
    """The hold ran out. The caller has made sure that the provider cannot be paid any more, or has waited enough.

    No news: whoever left without paying needs no text about it.
    """
    order = replace(moved(order, "expire"), cancel_reason="timeout", payment_state="none")
    order = told(_void(order, now), now, "system", "expired")
    return Change(with_due(order, now), releases=True)


def extended(order: Order, now: Instant, clocks: Clocks) -> Change:
    """One automatic extension while money is moving."""
    until = order.deadline.plus(seconds=clocks.hold_extension)
    return Change(with_due(told(replace(order, deadline=until, extended=True), now, "system", "hold_extended"), now))


def postponed(order: Order, now: Instant) -> Change:
    """Nothing could be decided now: look again in a minute."""
    return Change(replace(order, due_at=now.plus(seconds=RETRY_SECONDS)))


def cancelled(order: Order, by: str, now: Instant, event: str = "cancel", mark: str = "", note: str = "") -> Change:
    """Ends an order before its service. Paid money follows the policy; the rest of it goes back. `mark` remembers the
    request."""
    quote = cancel_quote(order, now, by)
    paid = order.payment_state == "paid"
    reason = "declined" if event == "decline" and by == "merchant" else by
    order = replace(
        moved(order, event), cancel_reason=reason, kept_minor=quote.kept_minor, cancel_mark=mark, cancel_note=note
    )
    if not paid:
        order = told(replace(_void(order, now), payment_state="none"), now, by, "cancelled")
        # Who cancels what was never paid knows it; only somebody else's cancelling is news.
        return Change(with_due(order, now), news=() if by == "customer" else ("order.cancelled",), releases=True)
    order = told(order, now, by, {"decline": "declined", "no_show": "no_show"}.get(event, "cancelled"))
    change = _given_back(order, quote.refund_minor, quote.kept_minor, event, now)
    news = "order.declined" if event == "decline" else "order.cancelled"
    return replace(change, news=(news, *change.news), releases=event != "no_show")


def _given_back(order: Order, refund_minor: int, kept_minor: int, event: str, now: Instant) -> Change:
    entry_event = {"decline": "declined", "no_show": "no_show"}.get(event, "cancelled")
    legs = ledger.kept(order.terms, order.merchant_id, kept_minor)
    news: tuple[str, ...] = ()
    if kept_minor:
        order = replace(order, earned_at=now)
    if refund_minor:
        refund = RefundRecord(
            refund_id(order.id, order.version + 1), refund_minor, "approved", "cancelled", _paid_by(order), 0, "", now
        )
        order = told(replace(order, refunds=(*order.refunds, refund)), now, "system", "refund_approved")
        news = ("order.refund_approved",)
    order = with_refund_state(order)
    return Change(with_due(order, now), ((entry_event, legs, ""),) if legs else (), news)


def _paid_by(order: Order) -> str:
    """The intent whose money the order lives on: the one that was not sent back."""
    returned = {refund.intent_id for refund in order.refunds if refund.reason in SENT_BACK}
    return next(
        attempt.intent_id
        for charge in order.charges
        if charge.state == "paid"
        for attempt in charge.attempts
        if attempt.state == "succeeded" and attempt.intent_id not in returned
    )


def _void(order: Order, now: Instant) -> Order:
    charges = tuple(
        replace(
            charge,
            state=CHARGE.fire(charge.state, "void") if charge.state == "open" else charge.state,
            attempts=tuple(advanced(a, "canceled", now) if a.living else a for a in charge.attempts),
        )
        for charge in order.charges
    )
    return replace(order, charges=charges)


# ---------------------------------------------------------------------------------------------- serving


def accepted(order: Order, now: Instant) -> Change:
    order = told(moved(order, "confirm"), now, "merchant", "accepted", "confirmed")
    return Change(order, news=("order.confirmed",))


def served(order: Order, fulfilment_state: str, event: str, now: Instant, clocks: Clocks) -> Change:
    """A step of the service on every line. The last one fulfils the order and earns its money."""
    if order.state != "in_fulfilment":
        order = moved(order, "check_in")
    order = told(with_lines(order, fulfilment_state), now, "merchant", event)
    if fulfilment_state != "finished":
        return Change(order)
    order = replace(moved(order, "fulfil"), earned_at=now, deadline=now.plus(seconds=clocks.auto_complete))
    legs = ledger.earned(order.terms, order.merchant_id, order.terms.gross_minor)
    return Change(with_due(order, now), (("earned", legs, ""),) if legs else ())


def completed(order: Order, now: Instant) -> Change:
    return Change(told(moved(order, "complete"), now, "system", "completed"))


# ---------------------------------------------------------------------------------------------- small parts


def _find(order: Order, intent: Intent) -> tuple[Order, Charge, Attempt]:
    """The attempt that an intent belongs to. One that we never wrote down (a crash after the provider's answer) is
    taken from the intent's own metadata: the money on it is real."""
    for charge in order.charges:
        for attempt in charge.attempts:
            if attempt.intent_id == intent.intent_id:
                return order, charge, attempt
    charge = next((c for c in order.charges if c.id == intent.charge_id), order.charges[0])
    never = Instant(0)
    # The id follows the place in the row, as reading it back does; two intents can carry one id of ours.
    ordinal = len(charge.attempts) + 1
    own_id = attempt_id(order.id, charge.id, ordinal, intent.method)
    attempt = Attempt(own_id, ordinal, intent.method, "", "created", intent.intent_id, "", never, never)
    charge = replace(charge, attempts=(*charge.attempts, attempt))
    charges = tuple(charge if c.id == charge.id else c for c in order.charges)
    return replace(order, charges=charges), charge, attempt
