"""What a decision is made of: a Change of an order, and the small steps that every decision takes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as ledger
from chalicelib.ledger.model import Entry, Leg
from chalicelib.orders.model import ORDER, Event, Order
from chalicelib.payments.model import Attempt, RefundRecord

MAX_TIMELINE = 60
RETRY_SECONDS = 60
ASK_SECONDS = 3600  # the longest pause between two questions about a refund that takes its time

# Why an order ended names who did it, but for these two.
_ACTS_AS = {"timeout": "system", "no_show": "merchant"}


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


def told(order: Order, now: Instant, by: str, *events: str) -> Order:
    actor = _ACTS_AS.get(by, by)
    timeline = (*order.timeline, *(Event(event, now, actor) for event in events))
    if len(timeline) > MAX_TIMELINE:
        # The first events say how it began, the last how it stands; an order with more is a curiosity, not a loss.
        timeline = (*timeline[:20], *timeline[-40:])
    return replace(order, timeline=timeline)


def moved(order: Order, event: str) -> Order:
    return replace(order, state=ORDER.fire(order.state, event))


def with_due(order: Order, now: Instant) -> Order:
    """When the sweep must look again. Without a reason the old mark stays: it costs nothing and is visited once."""
    times = []
    if order.state in ("pending_payment", "paid", "fulfilled"):
        times.append(order.deadline)
    for refund in order.refunds:
        if refund.moving:
            # The longer the provider takes, the less often it is asked.
            age = now.since(refund.approved_at) // 1000 if refund.state == "processing" else 0
            times.append(now.plus(seconds=max(RETRY_SECONDS, min(age // 4, ASK_SECONDS))))
    if order.strays:
        times.append(now.plus(seconds=RETRY_SECONDS))
    if not times:
        return order
    # The sweep has passed everything up to now, so a mark that lies behind would never be met.
    wanted = max(min(times), now.plus(ms=1))
    if now < order.due_at <= wanted and wanted.since(order.due_at) <= RETRY_SECONDS * 1000:
        # Moving a mark costs two units, and looking a little early costs next to nothing.
        return order
    return replace(order, due_at=wanted)


def marked_again(order: Order, now: Instant) -> Change | None:
    """The next mark of an order that the sweep looked at and left as it was. None when it needs none."""
    after = with_due(order, now)
    return Change(after) if order.due_at <= now and after != order else None


def chained(change: Change, before: Order, now: Instant, standing: Collection[Entry] = ()) -> tuple[Order, list[Entry]]:
    """The order with its new version and last hash, and the entries chained behind the hash it had. What is `standing`
    in the journal already is followed, not written again, whatever number it has."""
    version = before.version + 1
    entries: list[Entry] = []
    last = before.last_hash
    for event, legs, ref in change.entries:
        made = entry_of(change.after, event, legs, ref, version=version, at=now, previous_hash=last)
        there = next((one for one in standing if one.previous_hash == last and _same(one, made)), None)
        if there is None:
            entries.append(made)
        else:
            version = max(version, there.n)
        last = (there or made).hash
    behind = change.after.behind and (not standing or any(one.previous_hash == last for one in standing))
    return replace(change.after, version=version, last_hash=last, behind=behind), entries


def _same(one: Entry, other: Entry) -> bool:
    return (one.event, one.legs, one.ref) == (other.event, other.legs, other.ref)


def entry_of(
    order: Order, event: str, legs: tuple[Leg, ...], ref: str, *, version: int, at: Instant, previous_hash: str
) -> Entry:
    """The entry of one event of an order."""
    # Only what moves the merchant's accounts carries the merchant: the index of merchants stays sparse.
    moves_merchant = any(leg.account.startswith(ledger.MERCHANT_ACCOUNTS) for leg in legs)
    return ledger.entry(
        event,
        order.id,
        version,
        at=at,
        currency=order.currency,
        legs=legs,
        merchant_id=order.merchant_id if moves_merchant else "",
        shop_id=order.shop_id if moves_merchant else "",
        ref=ref,
        meta=_meta(order) if moves_merchant else {},
        previous_hash=previous_hash,
    )


def _meta(order: Order) -> dict[str, int | str]:
    """What a statement shows beside the legs."""
    return {"gross": order.terms.gross_minor, "bps": order.terms.commission_bps, "zone": order.zone}


def with_attempt(order: Order, attempt_id: str, change: Callable[[Attempt], Attempt]) -> Order:
    charges = tuple(
        replace(charge, attempts=tuple(change(a) if a.id == attempt_id else a for a in charge.attempts))
        for charge in order.charges
    )
    return replace(order, charges=charges)


def with_payment_state(order: Order) -> Order:
    """`processing` while an attempt may still bring money; what is paid or came late stays so."""
    if order.payment_state not in ("none", "processing"):
        return order
    open_still = any(a.state in ("created", "requires_action", "processing") for a in order.living_attempts)
    return replace(order, payment_state="processing" if open_still else "none")


def with_refund(order: Order, record: RefundRecord) -> Order:
    return replace(order, refunds=tuple(record if r.id == record.id else r for r in order.refunds))


def with_refund_state(order: Order) -> Order:
    """Of all that came in, wanted or not: how much of it goes back?"""
    given_back = sum(refund.amount_minor for refund in order.refunds)
    if not given_back:
        return order
    state = "full" if given_back >= order.captured_minor else "partial"
    return replace(order, refund_state=state)


def with_lines(order: Order, fulfilment_state: str) -> Order:
    return replace(order, lines=tuple(replace(line, fulfilment_state=fulfilment_state) for line in order.lines))
