"""What an operator sees of the reconciliation."""

from __future__ import annotations

from chalicelib.kernel.errors import CursorInvalid
from chalicelib.reconciliation import service
from chalicelib.reconciliation.schemas import DifferenceOut, DifferencesQuery, RunOut, RunsQuery
from chalicelib.web.auth import OPERATORS
from chalicelib.web.cursor import open_cursor, seal
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import page_of

router = Router("reconciliation")
RunPage = page_of(RunOut)
DifferencePage = page_of(DifferenceOut)


@router.get(
    "/v1/operator/reconciliation/runs",
    allow=OPERATORS,
    query=RunsQuery,
    answers={200: RunPage},
    errors=(CursorInvalid,),
    summary="Provider days and how they stand, newest first",
)
def list_reconciliation_runs(call: Call) -> Answer:
    scope = f"reconciliation_runs:{call.account_id}"
    page = service.runs(open_cursor(scope, call.query.cursor), call.query.limit)
    items = [RunOut.of(run) for run in page.items]
    return Answer(RunPage(items=items, next_cursor=seal(scope, page.next_key)))


@router.get(
    "/v1/operator/reconciliation/differences",
    allow=OPERATORS,
    query=DifferencesQuery,
    answers={200: DifferencePage},
    errors=(CursorInvalid,),
    summary="What our books and the provider see differently, last found first",
)
def list_reconciliation_differences(call: Call) -> Answer:
    query = call.query
    scope = f"reconciliation_differences:{call.account_id}:{query.state}:{query.kind}"
    page = service.differences(query.state, query.kind, open_cursor(scope, query.cursor), query.limit)
    items = [DifferenceOut.of(found, call.ctx.now) for found in page.items]
    return Answer(DifferencePage(items=items, next_cursor=seal(scope, page.next_key)))
