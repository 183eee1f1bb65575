"""Movements of ours and lines of the provider's, for the match; every argument has a default."""

from __future__ import annotations

from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.ledger import service as ledger
from chalicelib.providers.ports import BalanceLine
from chalicelib.reconciliation import model, service
from chalicelib.reconciliation.model import Movement
from tests import world
from tests.builders import identity
from tests.builders.ledger import NOW


def move(
    ref: str = "ch_1", amount: int = 12_800, currency: str = "CNY", *, at: Instant = NOW, entry_id: str = ""
) -> Movement:
    """An entry's movement, ten hours before the tests' `LATER`."""
    return Movement(entry_id or f"entry:{ref}:1", f"ord_{ref}", ref, currency, amount, at)


def line(
    ref: str = "ch_1",
    amount: int = 12_800,
    currency: str = "CNY",
    *,
    fee: int = 77,
    category: str = "",
    line_id: str = "",
    at: Instant = NOW,
) -> BalanceLine:
    """The provider's line for it; the category follows from the sign."""
    return BalanceLine(
        line_id=line_id or f"txn_{ref}",
        category=category or ("charge" if amount > 0 else "refund"),
        amount=Money(amount, currency),
        fee=Money(fee, currency),
        source=ref,
        created=at,
        available_on=at.plus(days=2),
        order_id=f"ord_{ref}",
    )


def look_at_every_day() -> None:
    """Matches all days on which anything stands on either side. Tests leave payments behind that are not ours and move
    the clock by months: a night's run, which looks at the last days only, would leave them unexplained."""
    ctx = identity.context(world.now())
    begin, end = ctx.now.plus(days=-730), ctx.now.plus(days=1)
    moments = [line.created for line in ctx.ports.payments.balance_lines(begin, end)]
    moments += [entry.at for entry in ledger.posted_between(begin, end) if entry.on("A.psp:stripe")]
    for day in {model.provider_day(moment) for moment in moments}:
        service.reconcile(ctx, day)
