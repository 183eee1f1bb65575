"""The sum of our account at the provider that the night carries in its cursor, against the journal that it is of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chalicelib.kernel.instant import Instant
from chalicelib.ledger.model import Entry
from chalicelib.reconciliation.service import JOB
from chalicelib.runtime import audit, jobs
from chalicelib.runtime.audit import Act
from chalicelib.runtime.context import Context

_SUM = "psp_"
LEASE_SECONDS = 60


@dataclass
class Carried:
    """Gathers the entries of a whole reading of the journal. `until` is the cursor's: what was posted before it is at
    least a day old, so that no reading can miss any of it."""

    account: str
    until: Instant
    sums: Counter[str] = field(default_factory=Counter)

    def add(self, entry: Entry) -> None:
        if entry.at < self.until and (amount := entry.on(self.account)):
            self.sums[entry.currency] += amount


def begin(ctx: Context) -> Carried:
    """For the cursor as it stands now; one that has never run carries nothing."""
    return Carried(f"A.psp:{ctx.ports.payments.name}", Instant(int(jobs.cursor(JOB).get("until", 0))))


def wrong(carried: Carried) -> tuple[dict[str, int | str], dict[str, int | str]] | None:
    """The cursor as it stands and as the journal says, where they differ. Raises CursorMoved when the night has gone on
    since `begin`."""
    stands = jobs.cursor(JOB)
    if int(stands.get("until", 0)) != carried.until.ms:
        raise jobs.CursorMoved
    sums = {f"{_SUM}{currency}": amount for currency, amount in carried.sums.items()}
    kept = {name: int(amount) for name, amount in stands.items() if name.startswith(_SUM)}
    if all(sums.get(name, 0) == kept.get(name, 0) for name in sums.keys() | kept.keys()):
        return None
    rest = {name: value for name, value in stands.items() if not name.startswith(_SUM)}
    return stands, rest | sums


def repair(
    before: dict[str, int | str], after: dict[str, int | str], actor: str, address: str, reason: str, now: Instant
) -> None:
    """Replaces the cursor and notes it, in one transaction. Raises LeaseTaken beside a reconciliation, CursorMoved
    after one."""
    jobs.take_lease(JOB, now, LEASE_SECONDS)
    try:
        act = Act(actor, "projection.repair", "psp_carried", address, reason, audit.digest(before), audit.digest(after))
        audit.append(act, now, beside=lambda tx: jobs.repair_cursor(tx, JOB, before, after))
    finally:
        jobs.end_lease(JOB, now)
