"""After a run: do the books still agree? The reconciliation, the proofs, and every paid order."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.harness import say
from bench.stack import BenchError, Caller
from bench.town import Person, Town, sign_in
from bench.visits import Diary, Sale
from infra.ops.seed import OPERATOR_PHONE

PROOFS = 50
LAG_SECONDS = 3 * 3600  # what one side does not show is in flight for two hours, and a difference from then on
_RUN_WITHIN_SECONDS = 60
_PARALLEL = 4


@dataclass(frozen=True)
class Findings:
    """`differences` are the open ones that were not there before; `unconfirmed` are paid orders in another state."""

    differences: int
    matched: int
    balances_hold: bool
    proofs: int
    proofs_broken: int
    paid: int
    unconfirmed: int

    @property
    def good(self) -> bool:
        looked = self.matched > 0 or self.paid == 0
        return looked and self.balances_hold and not (self.differences or self.proofs_broken or self.unconfirmed)


class Auditor:
    """Signed in as an operator before the run, so that what was open before is known."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._operator = sign_in(caller, OPERATOR_PHONE)
        self._before = set(self._open_differences())

    def audit(self, town: Town, diary: Diary, *, move_clock: bool) -> Findings:
        """`move_clock`: past the provider's lag, so that a line missing on one side counts as a difference. Without,
        such a line stays in flight. Raises BenchError."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            unconfirmed = sum(pool.map(self._is_unconfirmed, diary.sales))
            sample = random.Random(0).sample(diary.sales, min(PROOFS, len(diary.sales)))
            broken = sum(pool.map(self._is_broken, sample))
        if move_clock:
            self._caller.told(self._caller.post("/local/clock", {"advance_seconds": LAG_SECONDS}), 200)
            for person in (*town.people, self._operator):
                person.clock_moved()
        self._reconcile()
        # Two provider days: with the clock moved, midnight may lie between the payments and the reconciliation.
        runs = self._get("/v1/operator/reconciliation/runs?limit=2")["items"]
        return Findings(
            differences=len(set(self._open_differences()) - self._before),
            matched=sum(run["matched"] for run in runs),
            balances_hold=all(balance["holds"] for balance in runs[0]["balances"]),
            proofs=len(sample),
            proofs_broken=broken,
            paid=len(diary.sales),
            unconfirmed=unconfirmed,
        )

    def _reconcile(self) -> None:
        deadline = time.monotonic() + _RUN_WITHIN_SECONDS
        while self._caller.told(self._caller.post("/local/schedules/reconcile/run"), 200)["result"].get("skipped"):
            if time.monotonic() > deadline:
                raise BenchError("the reconciliation is always running already")
            time.sleep(1)

    def _open_differences(self) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = self._get(f"/v1/operator/reconciliation/differences?state=open&limit=100{cursor}")
            found += [str(one["id"]) for one in page["items"]]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def _get(self, path: str) -> Any:
        return self._caller.told(self._caller.get(path, self._operator.token()), 200)

    def _is_unconfirmed(self, sale: Sale) -> bool:
        order = self._seen_by(sale.person, f"/v1/orders/{sale.order_id}")
        return (order["state"], order["payment_state"]) != ("confirmed", "paid")

    def _is_broken(self, sale: Sale) -> bool:
        return not self._seen_by(sale.person, f"/v1/orders/{sale.order_id}/proof")["holds"]

    def _seen_by(self, person: Person, path: str) -> Any:
        return self._caller.told(self._caller.get(path, person.token()), 200)


def tell(found: Findings) -> None:
    """For the person who waits."""
    balances = "every cent at the provider is explained" if found.balances_hold else "THE PROVIDER'S BALANCE DIFFERS"
    say(
        f"integrity: {found.paid} paid orders, {found.unconfirmed} of them unconfirmed; {found.proofs} proofs, "
        f"{found.proofs_broken} broken; reconciliation: {found.matched} matched, {found.differences} differences, "
        f"{balances}"
    )
