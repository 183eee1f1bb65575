"""The projections of the journal that the ledger keeps, computed anew: an operator's look, also while people pay.

An index trails its table, so a sum over it may lack what was posted a moment ago. What makes the comparison safe is the
count in the balance's row: it goes up in the transaction that posts the entry. When the row was the same before and
after the reading, and the reading has as many entries as the row counts, then it has seen all of them. Fewer mean that
the index is behind, or that the journal has lost entries: either way nothing is repaired. More, or another sum, mean
that the row is wrong; that is believed when two readings say the same, and the repair is conditional on the row that
was read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.kernel.instant import HOUR_MS, Instant
from chalicelib.ledger import tables
from chalicelib.ledger.balances import BalanceMoved, Counted, MerchantBalance, PendingMark, recounted
from chalicelib.ledger.entries import Entry
from chalicelib.ledger.service import PENDING
from chalicelib.runtime import audit
from chalicelib.runtime.audit import Act
from chalicelib.runtime.transaction import Transaction

READINGS = 5
PAUSE_SECONDS = 1.0  # between two readings; the index follows its table within fractions of it
BALANCE, MARK = "balance", "pending_mark"


@dataclass(frozen=True)
class Drift:
    """A projection that says something else than the journal. `repairable` is false where the journal itself makes no
    sense: amounts below zero, or fewer entries than the row has counted."""

    kind: str
    merchant_id: str
    currency: str
    stands: dict[str, int]
    journal: dict[str, int]
    repairable: bool = True

    @property
    def subject(self) -> str:
        return f"{self.kind} {self.merchant_id} {self.currency}"


def every_entry(after: tuple[str, str] | None = None) -> Iterator[Entry]:
    """The whole journal in no order of time, from after (business id, `<event>#<n>`) on."""
    return tables.every_entry(after)


def about_how_many() -> int:
    """Of entries, roughly: how far a reader of them all is."""
    return tables.about_how_many()


def kept_keys() -> Iterator[tuple[str, str]]:
    """(merchant, currency) of whatever is kept."""
    return tables.balance_keys()


def drifts(merchant_id: str, currency: str, now: Instant) -> list[Drift]:
    """What is wrong with a merchant's projections in one currency; empty when they are right. Raises BalanceMoved for
    a merchant of whom no two readings are alike: then somebody is at it right now."""
    earlier: tuple[Counted, Counted] | None = None
    for reading in range(READINGS):
        if reading:
            time.sleep(PAUSE_SECONDS)
        before = tables.counted(merchant_id, currency)
        mark = tables.pending_mark(merchant_id, currency)
        entries = list(tables.merchant_entries(merchant_id, Instant(0), now.plus(ms=HOUR_MS)))
        says = recounted(merchant_id, currency, entries)
        if before != tables.counted(merchant_id, currency):
            earlier = None
            continue
        wrong_mark = _mark_drift(merchant_id, currency, mark, entries)
        if says == before or (says, before) == earlier:
            return [*wrong_mark, *([] if says == before else [_balance_drift(before, says)])]
        earlier = (says, before)
    raise BalanceMoved


def _balance_drift(stands: Counted, says: Counted) -> Drift:
    held = stands.balance
    return Drift(
        BALANCE,
        held.merchant_id,
        held.currency,
        stands.by_name(),
        says.by_name(),
        repairable=says.entries >= stands.entries and min(says.by_name().values()) >= 0,
    )


def _mark_drift(merchant_id: str, currency: str, mark: PendingMark, entries: list[Entry]) -> list[Drift]:
    """A mark is an hour old or more, so that everything before it can be seen."""
    amount = -sum(
        entry.on(PENDING + merchant_id) for entry in entries if entry.currency == currency and entry.at < mark.until
    )
    if amount == mark.amount_minor:
        return []
    stands = {"until": mark.until.ms, "amount": mark.amount_minor}
    return [Drift(MARK, merchant_id, currency, stands, {"until": mark.until.ms, "amount": amount})]


def repair(drift: Drift, actor: str, address: str, reason: str, now: Instant) -> None:
    """Brings a projection to what the journal says, and notes it in the audit log, in one transaction. Raises
    BalanceMoved when it is not what was looked at any more, and ValueError for a drift that is not repairable."""
    if not drift.repairable:
        raise ValueError(f"{drift.subject} cannot be repaired from the journal")
    act = Act(
        actor,
        "projection.repair",
        drift.subject,
        address,
        reason,
        before=audit.digest(drift.stands),
        after=audit.digest(drift.journal),
    )
    audit.append(act, now, beside=lambda tx: _write(tx, drift))


def _write(tx: Transaction, drift: Drift) -> None:
    if drift.kind == MARK:
        before, after = (PendingMark(Instant(d["until"]), d["amount"]) for d in (drift.stands, drift.journal))
        tables.put_mark(tx, drift.merchant_id, drift.currency, before, after)
    else:
        was, becomes = (_counted(drift, named) for named in (drift.stands, drift.journal))
        tables.put_counted(tx, was, becomes)


def _counted(drift: Drift, named: dict[str, int]) -> Counted:
    held = MerchantBalance(
        drift.merchant_id,
        drift.currency,
        named["available"],
        named["withdrawing"],
        named["reserve"],
        named["owed"],
    )
    return Counted(held, named["entries"])
