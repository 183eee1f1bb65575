"""Answers about reconciliation, for the operator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.reconciliation.model import Found, Run, holds
from chalicelib.web.schema import InstantText, MoneyOut, Output, Query

Kind = Literal[
    "missing_here", "missing_there", "amount", "currency", "fee", "state", "duplicate", "unknown_category", "orphan"
]
DifferenceState = Literal["open", "repaired", "accepted"]


class RunsQuery(Query):
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=500)


class DifferencesQuery(RunsQuery):
    state: DifferenceState | None = None
    kind: Kind | None = None


class BalanceCheckOut(Output):
    """The provider's balance = our books + what is explained by lines in flight and open differences. Both `provider`
    and `holds` are null when payments came so fast that the balance could not be compared."""

    provider: MoneyOut | None = Field(description="As of what the run has seen")
    books: MoneyOut
    explained: MoneyOut
    holds: bool | None


class RunOut(Output):
    """The standing of one provider day; `balances` stand on the newest day of a run."""

    id: str = Field(examples=["rcn_0123456789abcdefghjkmnpqrs"])
    provider: str = Field(examples=["stripe"])
    day: str = Field(examples=["2026-11-22"], description="The provider's own day, UTC for Stripe")
    state: Literal["matched", "in_flight", "differences"]
    matched: int
    in_flight: int
    differences: int
    balances: list[BalanceCheckOut]

    @classmethod
    def of(cls, run: Run) -> RunOut:
        return cls.model_validate(
            {
                "id": ids.derived("rcn", run.provider, run.day.isoformat()),
                "provider": run.provider,
                "day": run.day.isoformat(),
                "state": run.state,
                "matched": run.matched,
                "in_flight": run.in_flight,
                "differences": run.differences,
                "balances": [
                    BalanceCheckOut(
                        provider=None if theirs is None else MoneyOut(amount_minor=theirs, currency=currency),
                        books=MoneyOut(amount_minor=ours, currency=currency),
                        explained=MoneyOut(amount_minor=explained, currency=currency),
                        holds=holds(theirs, ours, explained),
                    )
                    for currency, (theirs, ours, explained) in sorted(run.balance.items())
                ],
            }
        )


class DifferenceOut(Output):
    """One thing that our books and the provider, or the order, see differently."""

    id: str = Field(examples=["dif_0123456789abcdefghjkmnpqrs"])
    provider: str
    day: str
    kind: Kind
    ref: str
    order_id: str | None
    provider_ref: str | None
    ours: MoneyOut | None
    theirs: MoneyOut | None
    state: DifferenceState
    found_at: InstantText
    repaired_at: InstantText | None
    age_seconds: int = Field(description="Since it happened at the provider, or was booked here")

    @classmethod
    def of(cls, found: Found, now: Instant) -> DifferenceOut:
        item = found.difference
        return cls.model_validate(
            {
                "id": ids.derived("dif", found.provider, item.day.isoformat(), item.kind, item.ref),
                "provider": found.provider,
                "day": item.day.isoformat(),
                "kind": item.kind,
                "ref": item.ref,
                "order_id": item.order_id or None,
                "provider_ref": item.provider_ref or None,
                "ours": _money(item.ours),
                "theirs": _money(item.theirs),
                "state": found.state,
                "found_at": str(found.found_at),
                "repaired_at": str(found.repaired_at) if found.repaired_at else None,
                "age_seconds": max(0, now.since(item.at) // 1000),
            }
        )


def _money(amount: tuple[int, str] | None) -> MoneyOut | None:
    return MoneyOut(amount_minor=amount[0], currency=amount[1]) if amount else None
