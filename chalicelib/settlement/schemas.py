"""Answers about statements and balances."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from chalicelib.kernel.money import EXPONENTS, Money
from chalicelib.settlement.model import Line, Statement
from chalicelib.web.schema import InstantText, MoneyOut, Output, Query, id_rules


class StatementsQuery(Query):
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=500)


def _is_currency(text: str) -> str:
    if text not in EXPONENTS:
        raise ValueError("not a currency that Linli accepts")
    return text


class BalanceQuery(Query):
    currency: Annotated[str, StringConstraints(max_length=3), AfterValidator(_is_currency)] | None = Field(
        default=None, examples=["CNY"]
    )


class BalanceOut(Output):
    """`pending` is earned and not settled; `available` can be withdrawn; `owed` is what the merchant owes Linli."""

    pending: MoneyOut
    available: MoneyOut
    withdrawing: MoneyOut
    reserve: MoneyOut
    owed: MoneyOut

    @classmethod
    def of(cls, amounts: dict[str, Money]) -> BalanceOut:
        return cls(**{name: MoneyOut.of(amount) for name, amount in amounts.items()})


class StatementOut(Output):
    """One statement of a shop. opening + the net of all lines = closing; periods are half-open and leave no gap."""

    id: Annotated[str, *id_rules("stm")]
    shop_id: str
    number: int = Field(description="Counts up from 1 in each shop", examples=[7])
    period_start: InstantText
    period_end: InstantText
    state: Literal["closed"]
    opening: MoneyOut
    closing: MoneyOut
    line_count: int
    hash: str = Field(description="SHA-256 over period, opening and lines")
    closed_at: InstantText | None

    @classmethod
    def of(cls, statement: Statement) -> StatementOut:
        return cls(**_fields(statement))


class StatementLineOut(Output):
    """gross − discounts − commission = net; below zero on a reversal. The provider's fee is borne by Linli and stands
    here for information."""

    order_id: str
    event: str
    earned_at: InstantText
    kind: Literal["earning", "reversal", "adjustment"]
    gross: MoneyOut
    discounts: MoneyOut
    commission: MoneyOut
    commission_bps: int = Field(examples=[1200])
    psp_fee: MoneyOut
    net: MoneyOut

    @classmethod
    def of(cls, line: Line, currency: str) -> StatementLineOut:
        def money(amount_minor: int) -> MoneyOut:
            return MoneyOut(amount_minor=amount_minor, currency=currency)

        return cls(
            order_id=line.order_id,
            event=line.event,
            earned_at=str(line.at),
            kind=line.kind,
            gross=money(line.gross),
            discounts=money(line.discounts),
            commission=money(line.commission),
            commission_bps=line.commission_bps,
            psp_fee=money(line.psp_fee),
            net=money(line.net),
        )


class StatementWithLines(StatementOut):
    lines: list[StatementLineOut]

    @classmethod
    def with_lines(cls, statement: Statement, lines: list[Line]) -> StatementWithLines:
        currency = statement.account.currency
        return cls(**_fields(statement), lines=[StatementLineOut.of(line, currency) for line in lines])


def _fields(statement: Statement) -> dict[str, object]:
    currency = statement.account.currency
    return {
        "id": statement.id,
        "shop_id": statement.account.shop_id,
        "number": statement.number,
        "period_start": str(statement.period_start),
        "period_end": str(statement.period_end),
        "state": statement.state,
        "opening": MoneyOut(amount_minor=statement.opening_minor, currency=currency),
        "closing": MoneyOut(amount_minor=statement.closing_minor, currency=currency),
        "line_count": statement.line_count,
        "hash": statement.content_hash,
        "closed_at": str(statement.closed_at) if statement.closed_at else None,
    }
