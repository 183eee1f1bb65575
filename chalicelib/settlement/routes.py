"""What a merchant sees of its money: balance and statements."""

from __future__ import annotations

from chalicelib.kernel.errors import CursorInvalid, NotFound
from chalicelib.runtime.settings import settings
from chalicelib.settlement import service
from chalicelib.settlement.schemas import (
    BalanceOut,
    BalanceQuery,
    StatementOut,
    StatementsQuery,
    StatementWithLines,
)
from chalicelib.web.auth import staff
from chalicelib.web.cursor import open_cursor, seal
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import page_of

router = Router("settlement")
StatementPage = page_of(StatementOut)


@router.get(
    "/v1/merchant/balance",
    allow=staff("balance.read"),
    query=BalanceQuery,
    answers={200: BalanceOut},
    summary="What the merchant has earned, can withdraw, and owes",
)
def get_balance(call: Call) -> Answer:
    currency = call.query.currency or settings().currency
    return Answer(BalanceOut.of(service.balance(call.ctx.actor.merchant_id, currency, call.ctx.now)))


@router.get(
    "/v1/merchant/statements",
    allow=staff("statements.read"),
    query=StatementsQuery,
    answers={200: StatementPage},
    errors=(CursorInvalid,),
    summary="Statements of the merchant's shops, newest first",
)
def list_statements(call: Call) -> Answer:
    scope = f"statements:{call.account_id}:{call.ctx.actor.merchant_id}"
    after = open_cursor(scope, call.query.cursor)
    page = service.statements_of(call.ctx.actor, after, call.query.limit)
    items = [StatementOut.of(statement) for statement in page.items]
    return Answer(StatementPage(items=items, next_cursor=seal(scope, page.next_key)))


@router.get(
    "/v1/merchant/statements/{statement_id}",
    allow=staff("statements.read"),
    answers={200: StatementWithLines},
    errors=(NotFound,),
    summary="One statement with its lines",
)
def get_statement(call: Call) -> Answer:
    statement, lines = service.statement(call.ctx.actor, call.id("statement_id", "stm"))
    return Answer(StatementWithLines.with_lines(statement, lines))
