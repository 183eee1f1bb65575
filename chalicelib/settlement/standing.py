"""What must be known of orders before their earnings settle: read from the books, and from the provider itself where
the night's reconciliation has not come by yet. Either way it is the provider's own line that says when money can be
used, and it must name our charge with our amount.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.kernel.errors import Problem
from chalicelib.kernel.instant import Instant
from chalicelib.ledger import service as ledger
from chalicelib.ledger.model import Entry, ProviderLine
from chalicelib.providers.ports import BalanceLine
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.settlement.model import Standing, moves_pending

MAX_ASKED = 200  # questions to the provider in one run; an order beyond them waits for the reconciliation
BEGINNING = Instant(0)


@dataclass
class Standings:
    """The reading of one run, with what it may still ask the provider."""

    ctx: Context
    left: int = MAX_ASKED

    def of(self, entries: Iterable[Entry], as_of: Instant) -> dict[str, Standing]:
        """The standing at an instant of each order that these entries belong to."""
        return {
            order_id: self._of_order(order_id, as_of)
            for order_id in dict.fromkeys(entry.business_id for entry in entries)
        }

    def _of_order(self, order_id: str, as_of: Instant) -> Standing:
        entries = [entry for entry in ledger.entries_of(order_id) if entry.at < as_of]
        lines = ledger.lines_of(order_id)
        known = {line.ref for line in lines}
        account = f"A.psp:{self.ctx.ports.payments.name}"
        paid = [entry for entry in entries if entry.on("A.psp:") > 0]
        for entry in paid:
            if entry.ref not in known and entry.on(account):
                lines += self._asked(entry, entry.on(account))
        usable = {line.ref for line in lines if line.available_on <= as_of}
        moves = sorted((entry for entry in entries if moves_pending(entry)), key=lambda entry: (entry.at, entry.id))
        return Standing(
            available=all(entry.ref in usable for entry in paid),
            last_moved=moves[-1].at if moves else BEGINNING,
            psp_fee=sum(line.fee_minor for line in lines),
            first_moved=moves[0].id if moves else "",
        )

    def _asked(self, entry: Entry, amount_minor: int) -> list[ProviderLine]:
        """The provider's line of what an entry moved; none when it has none, or cannot be asked now."""
        if not entry.ref or self.left <= 0:
            return []
        self.left -= 1
        try:
            found = self.ctx.ports.payments.lines_of(entry.ref)
        except Problem as problem:  # the earning waits, as it does for any line that is not there
            log.warning("the provider could not be asked for a line", ref=entry.ref, code=problem.code)
            return []
        return [
            _line(entry.business_id, line, self.ctx.now)
            for line in found
            if (line.amount.amount_minor, line.amount.currency) == (amount_minor, entry.currency)
        ][:1]


def _line(order_id: str, line: BalanceLine, now: Instant) -> ProviderLine:
    return ProviderLine(
        order_id=order_id,
        line_id=line.line_id,
        ref=line.source,
        currency=line.amount.currency,
        amount_minor=line.amount.amount_minor,
        fee_minor=line.fee.amount_minor,
        available_on=line.available_on,
        matched_at=now,
    )
