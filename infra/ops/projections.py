"""Every projection of the journal, computed anew and compared, in one reading of the whole journal.

The reading goes page by page in the table's own order; a cursor keeps the place and the sums of what was read, so that
a run that was interrupted goes on. What is compared: the guarded balances and pending marks of each merchant
(`ledger.projections`), the sum of our account at the provider that the night carries (`reconciliation.carried`), and
the agenda of accounts that settlement comes by (`settlement.service.unnoted`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chalicelib.kernel.errors import Problem
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import projections
from chalicelib.ledger.balances import BalanceMoved
from chalicelib.ledger.model import Entry
from chalicelib.ledger.projections import Drift
from chalicelib.reconciliation import carried
from chalicelib.reconciliation.carried import Carried
from chalicelib.runtime import audit, jobs
from chalicelib.runtime.audit import Act
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone
from chalicelib.settlement import service as settlement
from chalicelib.settlement.model import Account, moves_pending
from infra.ops.commands.house import Hand

JOB = "rebuild_projections"
PAGE = 500  # entries between two cursors


@dataclass
class Found:
    """One projection that is wrong. `outcome` is found, repaired, moved (somebody was faster: run again) or broken
    (the journal itself makes no sense of it)."""

    what: str
    stands: dict[str, int | str]
    journal: dict[str, int | str]
    outcome: str


@dataclass
class Rebuild:
    """One run. Without `hand` nothing is written: a dry run keeps no cursor either."""

    ctx: Context
    hand: Hand | None
    progress: Callable[[int, int], None]
    found: list[Found] = field(default_factory=list)
    checked: set[tuple[str, str]] = field(default_factory=set)
    entries: int = 0
    went_on: bool = False

    def run(self) -> None:
        """Looks at everything. Interrupted, the next run goes on from the last page."""
        carry, after = self._begin()
        merchants: dict[tuple[str, str], None] = {}
        accounts: dict[Account, Instant] = {}
        total = max(projections.about_how_many(), self.entries)
        for entry in projections.every_entry(after):
            carry.add(entry)
            if entry.moves_merchant:
                merchants[entry.merchant_id, entry.currency] = None
            if moves_pending(entry):
                _note_first(accounts, entry)
            self.entries += 1
            if self.entries % PAGE == 0:
                self._page(merchants, accounts)
                self._keep_place(carry, entry)
                merchants, accounts = {}, {}
                self.progress(self.entries, total)
        self._page(merchants, accounts)
        # A row that no entry speaks of is wrong too.
        self._merchants(dict.fromkeys(projections.kept_keys()))
        self._carried(carry)
        if self.hand:
            jobs.clear_cursor(JOB)
        self.progress(self.entries, self.entries)

    def _begin(self) -> tuple[Carried, tuple[str, str] | None]:
        carry = carried.begin(self.ctx)
        place = jobs.cursor(JOB) if self.hand else {}
        # Sums up to another night's cursor are of no use: then the reading begins anew.
        if not place or int(place["until"]) != carry.until.ms:
            return carry, None
        carry.sums.update({name.removeprefix("sum_"): int(n) for name, n in place.items() if name.startswith("sum_")})
        self.entries, self.went_on = int(place["entries"]), True
        return carry, (str(place["pk"]), str(place["sk"]))

    def _keep_place(self, carry: Carried, entry: Entry) -> None:
        if self.hand:
            place: dict[str, int | str] = {"pk": entry.business_id, "sk": f"{entry.event}#{entry.n}"}
            place |= {"until": carry.until.ms, "entries": self.entries}
            jobs.save_cursor(JOB, place | {f"sum_{currency}": amount for currency, amount in carry.sums.items()})

    def _page(self, merchants: dict[tuple[str, str], None], accounts: dict[Account, Instant]) -> None:
        self._merchants(merchants)
        for account, first in settlement.unnoted(self.ctx, accounts).items():
            self._agenda(account, first)

    def _merchants(self, keys: dict[tuple[str, str], None]) -> None:
        for key in keys:
            if key in self.checked:
                continue
            self.checked.add(key)
            try:
                drifts = projections.drifts(*key, self.ctx.now)
            except BalanceMoved:
                self.found.append(Found(f"balance {key[0]} {key[1]}", {}, {}, "moved"))
                continue
            for drift in drifts:
                outcome = self._repaired(drift) if drift.repairable else "broken"
                self.found.append(Found(drift.subject, {**drift.stands}, {**drift.journal}, outcome))

    def _repaired(self, drift: Drift) -> str:
        hand = self.hand
        if hand is None:
            return "found"
        return _outcome(lambda: projections.repair(drift, hand.actor, hand.address, hand.reason, self.ctx.now))

    def _agenda(self, account: Account, first: Instant) -> None:
        subject = f"agenda {account.merchant_id} {account.shop_id} {account.currency}"
        outcome, hand = "found", self.hand
        if hand:
            act = Act(hand.actor, "projection.repair", subject, hand.address, hand.reason, after=audit.digest(first.ms))
            outcome = _outcome(
                lambda: audit.append(act, self.ctx.now, beside=lambda tx: settlement.note(tx, account, first))
            )
        self.found.append(Found(subject, {}, {"first": str(first), "zone": account.zone}, outcome))

    def _carried(self, carry: Carried) -> None:
        subject = "sum carried by the reconciliation"
        try:
            wrong = carried.wrong(carry)
        except jobs.CursorMoved:
            self.found.append(Found(subject, {}, {}, "moved"))
            return
        if wrong is None:
            return
        outcome, hand = "found", self.hand
        if hand:
            outcome = _outcome(lambda: carried.repair(*wrong, hand.actor, hand.address, hand.reason, self.ctx.now))
        self.found.append(Found(subject, *wrong, outcome))


def _note_first(accounts: dict[Account, Instant], entry: Entry) -> None:
    account = Account(entry.merchant_id, entry.shop_id, entry.currency, str(entry.meta.get("zone", "UTC")))
    accounts[account] = min(entry.at, accounts.get(account, entry.at))


def _outcome(write: Callable[[], object]) -> str:
    """A condition that fails means that somebody else moved it since it was read: nothing was written, and the next run
    looks again."""
    try:
        write()
    except (AlreadyDone, BalanceMoved, jobs.CursorMoved, jobs.LeaseTaken):
        return "moved"
    except Problem as problem:
        return problem.code
    return "repaired"
