"""What happens to an order, as pure functions: (order, fact, now) → Change. Nothing here reads or writes.

A Change is the order as it will be, the journal entries that go with it, the news, and whether its place is claimed or
released; `saving` writes all of it in one transaction whose condition repeats the `from` state and the version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as ledger
from chalicelib.ledger.model import Entry, Leg
from chalicelib.orders.model import CHARGE, ORDER, Charge, Event, Order, cancel_quote
from chalicelib.payments.model import (
    MAX_REFUND_TRIES,
    REFUND,
    Attempt,
    RefundRecord,
    advanced,
    refund_id,
)
from chalicelib.providers.ports import FAILED, SUCCEEDED, Intent, Refund

MAX_TIMELINE = 60
RETRY_SECONDS = 60


@dataclass(frozen=True)
class Change:
    """`entries` are not yet chained or numbered: (event, legs, provider reference). `news` are event names."""

    after: Order
    entries: tuple[tuple[str, tuple[Leg, ...], str], ...] = ()
    news: tuple[str, ...] = ()
    claims: bool = False
    releases: bool = False


@dataclass(frozen=True)
class Clocks:
    """The settings that decisions need, in seconds."""

    hold_extension: int
    accept: int
    auto_complete: int


def _told(order: Order, now: Instant, actor: str, *events: str) -> Order:
    told = (*order.timeline, *(Event(event, now, actor) for event in events))
    # The first events say how it began, the last how it stands; an order with more is a curiosity, not a loss.
    return replace(order, timeline=told if len(told) <= MAX_TIMELINE else (*told[:20], *told[-40:]))


def _moved(order: Order, event: str) -> Order:
    return replace(order, state=ORDER.fire(order.state, event))


def _with_due(order: Order, now: Instant) -> Order:
    """When the sweep must look again. Without a reason the old mark stays: it costs nothing and is visited once."""
    times = []
    if order.state in ("pending_payment", "paid", "fulfilled"):
        times.append(order.deadline)
    if any(refund.open for refund in order.refunds):
        times.append(now.plus(seconds=RETRY_SECONDS))
    return replace(order, due_at=min(times)) if times else order


def chained(change: Change, before: Order, now: Instant) -> tuple[Order, list[Entry]]:
    """The order with its new version and last hash, and the entries chained behind the hash it had."""
    version = before.version + 1
    entries: list[Entry] = []
    last = before.last_hash
    for event, legs, ref in change.entries:
        # Only what moves the merchant's accounts carries the merchant: the index of merchants stays sparse.
        moves_merchant = any(leg.account.startswith(ledger.MERCHANT_ACCOUNTS) for leg in legs)
        made = ledger.entry(
            event,
            before.id,
            version,
            at=now,
            currency=before.currency,
            legs=legs,
            merchant_id=before.merchant_id if moves_merchant else "",
            shop_id=before.shop_id if moves_merchant else "",
            ref=ref,
            meta=_meta(change.after) if moves_merchant else {},
            previous_hash=last,
        )
        last = made.hash
        entries.append(made)
    return replace(change.after, version=version, last_hash=last), entries


def _meta(order: Order) -> dict[str, int | str]:
    """What a statement shows beside the legs."""
    return {"gross": order.terms.gross_minor, "bps": order.terms.commission_bps, "zone": order.zone}


# ---------------------------------------------------------------------------------------------- paying


def attempt_opened(order: Order, charge_id: str, attempt: Attempt, now: Instant) -> Change:
    """The intent exists at the provider; only now may anybody be shown its secret. A fact that was faster has left an
    attempt without a key: it becomes this one and keeps what it knows."""
    early = adopted(order, attempt)
    if early is not None:
        attempt = replace(early, client=attempt.client, key=attempt.key, opened_at=attempt.opened_at)
    charges = tuple(
        replace(charge, attempts=(*(a for a in charge.attempts if a != early), attempt))
        if charge.id == charge_id
        else charge
        for charge in order.charges
    )
    payment_state = "processing" if attempt.living else order.payment_state
    return Change(
        _told(replace(order, charges=charges, payment_state=payment_state), now, "customer", "payment_started")
    )


def adopted(order: Order, attempt: Attempt) -> Attempt | None:
    """The attempt of the same intent that was taken from a provider's fact because nobody had written it down."""
    found = (a for charge in order.charges for a in charge.attempts if a.intent_id == attempt.intent_id)
    return next((a for a in found if not a.key), None)


def attempt_ended(order: Order, attempt_id: str, state: str, now: Instant) -> Order:
    """The attempt in another state, everything else as it was."""
    return _with_attempt(order, attempt_id, lambda a: advanced(a, state, now))


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
    changed = _with_attempt(order, attempt.id, lambda _: after)
    if changed.payment_state == "processing" and not any(
        a.state in ("requires_action", "processing") for a in changed.living_attempts
    ):
        changed = replace(changed, payment_state="none")
    events = ("payment_failed",) if after.state == FAILED else ()
    return Change(_told(changed, now, "provider", *events))


def _money_came(
    order: Order, charge: Charge, attempt: Attempt, intent: Intent, now: Instant, clocks: Clocks, provider: str
) -> Change:
    received = intent.received.amount_minor
    ref = intent.charge_ref or intent.intent_id
    order = _with_attempt(order, attempt.id, lambda a: advanced(a, SUCCEEDED, now, received, ref))
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
    order = replace(order, charges=charges, payment_state="paid", cancel_reason="")
    order = _moved(order, "revive" if order.state == "cancelled" else "paid")
    order = _told(replace(order, deadline=now.plus(seconds=clocks.accept)), now, "provider", *events)
    news = ("order.paid",)
    if order.confirmation == "instant":
        order = _told(_moved(order, "confirm"), now, "system", "confirmed")
        news = ("order.confirmed",)
    legs = ledger.payment_confirmed(order.terms, provider)
    return Change(_with_due(order, now), (("payment_confirmed", legs, ref),), news)


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
    order = _with_attempt(order, attempt.id, lambda a: advanced(a, SUCCEEDED, now, charge.amount_minor, ref))
    change = _paid(order, charge, now, clocks, provider, ref, "revive", ("paid", "revived"))
    return replace(change, claims=True)


def _sent_back(
    order: Order, amount_minor: int, why: str, intent: Intent, now: Instant, provider: str, ref: str
) -> Change:
    """Money that this order cannot take goes back by itself: booked as owed, refunded within minutes."""
    refund = RefundRecord(
        refund_id(order.id, order.version + 1), amount_minor, "approved", why, intent.intent_id, 0, "", now
    )
    order = _told(
        replace(order, refunds=(*order.refunds, refund)), now, "provider", f"{why}_payment", "refund_approved"
    )
    legs = ledger.unexpected_money(amount_minor, provider)
    change = Change(_with_due(order, now), ((f"{why}_payment", legs, ref),), ("order.refund_approved",))
    return replace(change, after=_with_refund_state(change.after))


def refund_fact(order: Order, refund: Refund, now: Instant, provider: str) -> Change | None:
    """What a provider's word on a refund means. None: it tells nothing new."""
    own_id, _, tries = refund.refund_id.rpartition(".")
    record = next((r for r in order.refunds if r.id == own_id), None)
    if record is None or record.state == "succeeded":
        return None
    if refund.state == SUCCEEDED:
        after = replace(record, state=REFUND.fire(record.state, "succeeded"), provider_id=refund.provider_id)
        order = _told(_with_refund(order, after), now, "provider", "refunded")
        legs = ledger.refund_succeeded(record.amount_minor, provider)
        entries = (("refund_succeeded", legs, refund.provider_id),)
        return Change(_with_due(_with_refund_state(order), now), entries, ("order.refunded",))
    if int(tries or 0) != record.tries:
        # An old try's failure says nothing about the one that is under way.
        return None
    if refund.state in (FAILED, "canceled"):
        return _refund_failed(order, record, now)
    if record.state == "processing" and record.provider_id == refund.provider_id:
        return None
    after = replace(record, state=REFUND.fire(record.state, "processing"), provider_id=refund.provider_id)
    return Change(_with_due(_with_refund(order, after), now))


def _refund_failed(order: Order, record: RefundRecord, now: Instant) -> Change | None:
    if record.state == "failed":
        return None
    failed = replace(record, state=REFUND.fire(record.state, "failed"))
    if record.tries + 1 < MAX_REFUND_TRIES:
        failed = replace(failed, state=REFUND.fire("failed", "retry"), tries=record.tries + 1, provider_id="")
    return Change(_with_due(_told(_with_refund(order, failed), now, "provider", "refund_failed"), now))


# ---------------------------------------------------------------------------------------------- ending


def expired(order: Order, now: Instant) -> Change:
    """The hold ran out. The caller has made sure that the provider cannot be paid any more, or has waited enough."""
    order = replace(_moved(order, "expire"), cancel_reason="timeout", payment_state="none")
    order = _told(_void(order, now), now, "system", "expired")
    return Change(order, news=("order.cancelled",), releases=True)


def extended(order: Order, now: Instant, clocks: Clocks) -> Change:
    """One automatic extension while money is moving."""
    until = order.deadline.plus(seconds=clocks.hold_extension)
    return Change(_with_due(_told(replace(order, deadline=until, extended=True), now, "system", "hold_extended"), now))


def postponed(order: Order, now: Instant) -> Change:
    """Nothing could be decided now: look again in a minute."""
    return Change(replace(order, due_at=now.plus(seconds=RETRY_SECONDS)))


def cancelled(order: Order, by: str, now: Instant, event: str = "cancel", mark: str = "") -> Change:
    """Ends an order before its service. Paid money follows the policy; the rest of it goes back. `mark` remembers the
    request."""
    quote = cancel_quote(order, now, by)
    paid = order.payment_state == "paid"
    order = replace(_moved(order, event), cancel_reason=by, kept_minor=quote.kept_minor, cancel_mark=mark)
    if not paid:
        order = replace(_void(order, now), payment_state="none")
        return Change(_told(order, now, by, "cancelled"), news=("order.cancelled",), releases=True)
    order = _told(order, now, by, {"decline": "declined", "no_show": "no_show"}.get(event, "cancelled"))
    change = _given_back(order, quote.refund_minor, quote.kept_minor, event, now)
    told = "order.declined" if event == "decline" else "order.cancelled"
    return replace(change, news=(told, *change.news), releases=event != "no_show")


def _given_back(order: Order, refund_minor: int, kept_minor: int, event: str, now: Instant) -> Change:
    entry_event = {"decline": "declined", "no_show": "no_show"}.get(event, "cancelled")
    legs = ledger.kept(order.terms, order.merchant_id, kept_minor)
    news: tuple[str, ...] = ()
    if kept_minor:
        order = replace(order, earned_at=now)
    if refund_minor:
        paid_by = next(a for c in order.charges if c.state == "paid" for a in c.attempts if a.state == "succeeded")
        refund = RefundRecord(
            refund_id(order.id, order.version + 1), refund_minor, "approved", "cancelled", paid_by.intent_id, 0, "", now
        )
        order = _told(replace(order, refunds=(*order.refunds, refund)), now, "system", "refund_approved")
        news = ("order.refund_approved",)
    order = _with_refund_state(order)
    return Change(_with_due(order, now), ((entry_event, legs, ""),) if legs else (), news)


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
    order = _told(_moved(order, "confirm"), now, "merchant", "accepted", "confirmed")
    return Change(order, news=("order.confirmed",))


def served(order: Order, fulfilment_state: str, event: str, now: Instant, clocks: Clocks) -> Change:
    """A step of the service on every line. The last one fulfils the order and earns its money."""
    lines = tuple(replace(line, fulfilment_state=fulfilment_state) for line in order.lines)
    order = _told(replace(order, lines=lines), now, "merchant", event)
    if order.state == "confirmed":
        order = _moved(order, "check_in")
    if fulfilment_state != "finished":
        return Change(order)
    order = replace(_moved(order, "fulfil"), earned_at=now, deadline=now.plus(seconds=clocks.auto_complete))
    legs = ledger.earned(order.terms, order.merchant_id, order.terms.gross_minor)
    return Change(_with_due(order, now), (("earned", legs, ""),) if legs else ())


def completed(order: Order, now: Instant) -> Change:
    return Change(_told(_moved(order, "complete"), now, "system", "completed"))


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
    attempt = Attempt(
        intent.attempt_id, len(charge.attempts) + 1, intent.method, "", "created", intent.intent_id, "", never, never
    )
    charge = replace(charge, attempts=(*charge.attempts, attempt))
    charges = tuple(charge if c.id == charge.id else c for c in order.charges)
    return replace(order, charges=charges), charge, attempt


def _with_attempt(order: Order, attempt_id: str, change: Callable[[Attempt], Attempt]) -> Order:
    charges = tuple(
        replace(charge, attempts=tuple(change(a) if a.id == attempt_id else a for a in charge.attempts))
        for charge in order.charges
    )
    return replace(order, charges=charges)


def _with_refund(order: Order, record: RefundRecord) -> Order:
    return replace(order, refunds=tuple(record if r.id == record.id else r for r in order.refunds))


def _with_refund_state(order: Order) -> Order:
    given_back = sum(refund.amount_minor for refund in order.refunds)
    if not given_back:
        return order
    state = "full" if given_back >= order.captured_minor else "partial"
    return replace(order, refund_state=state)
