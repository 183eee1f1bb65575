"""Money at the provider whose order is not here: it rests in suspense and goes back. Pure.

An order can only be missing when tables were restored to an instant before it was placed. Its payment is then booked
and returned by itself, under the provider's intent instead of the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chalicelib.kernel import ids
from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import model as ledger
from chalicelib.ledger.model import Entry, Legs
from chalicelib.payments.model import MAX_REFUND_TRIES, REFUND, RefundRecord
from chalicelib.providers.ports import CANCELED, FAILED, PROCESSING, SUCCEEDED, Intent, Refund


class OrderIsHere(Conflict):
    """The payment has its order: it is not given back beside it."""

    code = "order_is_here"


class RefundUnderWay(Conflict):
    """A refund that was asked for before is not decided yet: what is left over is only known afterwards."""

    code = "refund_under_way"


@dataclass(frozen=True)
class Orphan:
    """A payment without an order that is given back. `refund` None: it had gone back before. `version` counts its
    moves, `last_hash` is the hash of its newest entry."""

    provider: str
    intent_id: str
    order_id: str
    currency: str
    received_minor: int
    refund: RefundRecord | None
    version: int = 1
    last_hash: str = ""

    @property
    def settled(self) -> bool:
        """Nothing more happens by itself: it has gone back, or a person has to pay it another way."""
        return self.refund is None or not self.refund.moving


@dataclass(frozen=True)
class Step:
    """What one move writes."""

    after: Orphan
    entries: tuple[Entry, ...]


Post = tuple[str, int, Legs, str]
"""Event, number, legs, the provider's object."""


def orphan_refund_id(provider: str, intent_id: str) -> str:
    return ids.derived("ref", "orphan", provider, intent_id)


def opened(intent: Intent, refunds: Iterable[Refund], now: Instant, provider: str) -> Step:
    """The payment is booked, and what earlier refunds have left of it is owed back. Raises RefundUnderWay."""
    own_id = orphan_refund_id(provider, intent.intent_id)
    earlier = sorted((r for r in refunds if r.refund_id.rpartition(".")[0] != own_id), key=lambda r: r.provider_id)
    if any(refund.state == PROCESSING for refund in earlier):
        raise RefundUnderWay
    gone = [refund for refund in earlier if refund.state == SUCCEEDED]
    received = intent.received.amount_minor
    rest = received - sum(refund.amount.amount_minor for refund in gone)
    posts: list[Post] = [
        ("orphan_payment", 1, ledger.unmatched_money(received, provider), intent.charge_ref or intent.intent_id)
    ]
    posts += [
        ("orphan_refund", n, ledger.unmatched_money(-refund.amount.amount_minor, provider), refund.provider_id)
        for n, refund in enumerate(gone, 1)
    ]
    record = None
    if rest:
        posts.append(("orphan_refund_approved", 1, ledger.suspense_owed_back(rest), ""))
        record = RefundRecord(own_id, rest, "approved", "orphan", intent.intent_id, 0, "", now)
    made = Orphan(provider, intent.intent_id, intent.order_id, intent.amount.currency, received, record, version=0)
    return _step(made, posts, now)


def told(orphan: Orphan, refund: Refund, now: Instant) -> Step | None:
    """What the provider's word on its refund means. None: nothing new."""
    record = orphan.refund
    if record is None or refund.refund_id != f"{record.id}.{record.tries}":
        return None
    event = {FAILED: "failed", CANCELED: "failed"}.get(refund.state, refund.state)
    if event == "failed" and record.state == "succeeded":
        event = "return"
    if not REFUND.can(record.state, event):
        return None
    moved = replace(record, state=REFUND.fire(record.state, event), provider_id=refund.provider_id)
    posts: list[Post] = []
    number = orphan.version + 1
    if event == "succeeded":
        legs = ledger.refund_succeeded(record.amount_minor, orphan.provider)
        posts.append(("refund_succeeded", number, legs, refund.provider_id))
    if event == "return":
        legs = ledger.refund_returned(record.amount_minor, orphan.provider)
        posts.append(("refund_returned", number, legs, refund.provider_id))
    return _step(replace(orphan, refund=_tried_again(moved)), posts, now)


def refused(orphan: Orphan, now: Instant) -> Step | None:
    """The provider did not take the refund: that try has failed."""
    record = orphan.refund
    if record is None or record.state != "approved":
        return None
    failed = replace(record, state=REFUND.fire(record.state, "failed"))
    return _step(replace(orphan, refund=_tried_again(failed)), [], now)


def _tried_again(record: RefundRecord) -> RefundRecord:
    """A failed try is followed by the next one, five times; then it stays owed, for a person."""
    if record.state not in ("failed", "returned") or record.tries + 1 >= MAX_REFUND_TRIES:
        return record
    return replace(record, state=REFUND.fire(record.state, "retry"), tries=record.tries + 1, provider_id="")


def _step(orphan: Orphan, posts: Iterable[Post], now: Instant) -> Step:
    entries: list[Entry] = []
    last = orphan.last_hash
    for event, number, legs, ref in posts:
        made = ledger.entry(
            event,
            orphan.intent_id,
            number,
            at=now,
            currency=orphan.currency,
            legs=legs,
            ref=ref,
            meta={"order_id": orphan.order_id},
            previous_hash=last,
        )
        last = made.hash
        entries.append(made)
    return Step(replace(orphan, version=orphan.version + 1, last_hash=last), tuple(entries))
