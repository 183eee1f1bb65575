"""Runs by provider day, and each difference once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib.kernel.instant import Instant
from chalicelib.kernel.page import Page
from chalicelib.reconciliation.model import DIFFERENCE, MISSING_HERE, ORPHAN, Difference, Found, Run
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import Transaction

_RUNS = "run"
_PAGE_ROWS = 100


class ListedIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]  # untyped in PynamoDB
    class Meta:
        index_name = "listed"
        projection = AllProjection()

    list_name = UnicodeAttribute(hash_key=True, attr_name="lp")
    list_sort = UnicodeAttribute(range_key=True, attr_name="ls")


class _ReconciliationRow(Row):
    """pk `<provider>#<day>`. `list_name` is `run`, or a difference's state; `list_sort` orders within it."""

    class Meta:
        table_name = table_name("reconciliation")

    listed = ListedIndex()
    list_name = UnicodeAttribute(attr_name="lp")
    list_sort = UnicodeAttribute(attr_name="ls")


class RunRow(_ReconciliationRow):
    """sk `-`"""

    matched = IntegerAttribute(attr_name="m")
    in_flight = IntegerAttribute(attr_name="f")
    differences = IntegerAttribute(attr_name="d")
    balance = PackedAttribute(attr_name="b")


class DifferenceRow(_ReconciliationRow):
    """sk `diff#<kind>#<ref>`. An orphan stands as `missing_here` with a mark, which release 0.1.0 can read too."""

    at = IntegerAttribute(attr_name="t")
    found_at = IntegerAttribute(attr_name="fa")
    repaired_at = IntegerAttribute(attr_name="ra", null=True)
    order_id = UnicodeAttribute(attr_name="o", null=True)
    provider_ref = UnicodeAttribute(attr_name="r", null=True)
    ours = PackedAttribute(attr_name="us", null=True)
    theirs = PackedAttribute(attr_name="th", null=True)
    effect = PackedAttribute(attr_name="e")
    orphan = IntegerAttribute(attr_name="x", null=True)


def _kind(row: DifferenceRow) -> str:
    return ORPHAN if row.orphan else str(row.sk.split("#", 2)[1])


def _pk(provider: str, day: date) -> str:
    return f"{provider}#{day:%Y%m%d}"


def _day_of(pk: str) -> date:
    return date.fromisoformat(pk.rpartition("#")[2])


def run(provider: str, day: date) -> Run | None:
    """A50 the run row of a provider day, strongly consistent."""
    for row in RunRow.query(_pk(provider, day), RunRow.sk == "-", consistent_read=True):
        return _run(row)
    return None


def _run(row: RunRow) -> Run:
    balance = {currency: (theirs, ours, explained) for currency, (theirs, ours, explained) in row.balance.items()}
    return Run(row.pk.partition("#")[0], _day_of(row.pk), row.matched, row.in_flight, row.differences, balance)


def save_run(run: Run) -> None:
    """What is known of the day now; the caller writes only what has changed."""
    RunRow(
        _pk(run.provider, run.day),
        "-",
        list_name=_RUNS,
        list_sort=f"{run.day:%Y%m%d}#{run.provider}",
        matched=run.matched,
        in_flight=run.in_flight,
        differences=run.differences,
        balance={currency: list(amounts) for currency, amounts in run.balance.items()},
    ).save()


def runs(before: str | None, limit: int) -> Page[Run]:
    """A51 runs, newest day first."""
    older = RunRow.list_sort < before if before else None
    rows = RunRow.listed.query(_RUNS, older, scan_index_forward=False, page_size=_PAGE_ROWS)
    found = list(islice(rows, limit))
    return Page([_run(row) for row in found], str(found[-1].list_sort) if len(found) == limit else None)


def _found(row: DifferenceRow) -> Found:
    difference = Difference(
        _kind(row),
        row.sk.split("#", 2)[2],
        Instant(row.at),
        order_id=row.order_id or "",
        provider_ref=row.provider_ref or "",
        ours=(row.ours[0], row.ours[1]) if row.ours else None,
        theirs=(row.theirs[0], row.theirs[1]) if row.theirs else None,
        effect=row.effect,
    )
    repaired = Instant(row.repaired_at) if row.repaired_at else None
    return Found(row.pk.partition("#")[0], difference, row.list_name, Instant(row.found_at), repaired)


def of_day(provider: str, day: date) -> list[Found]:
    """A52 every difference ever found on a provider day, strongly consistent."""
    return [_found(row) for row in query_all(DifferenceRow, _pk(provider, day), DifferenceRow.sk.startswith("diff#"))]


def place(item: Difference) -> str:
    """Where a difference is kept on its day. A line that is missing here has one place, orphan or not."""
    return f"diff#{MISSING_HERE if item.kind == ORPHAN else item.kind}#{item.ref}"


def _row(found: Found) -> DifferenceRow:
    item = found.difference
    pk, sk = _pk(found.provider, item.day), place(item)
    return DifferenceRow(
        pk,
        sk,
        list_name=found.state,
        list_sort=f"{found.found_at.ms:013d}#{pk}#{sk}",
        at=item.at.ms,
        found_at=found.found_at.ms,
        repaired_at=found.repaired_at.ms if found.repaired_at else None,
        order_id=item.order_id or None,
        provider_ref=item.provider_ref or None,
        ours=list(item.ours) if item.ours else None,
        theirs=list(item.theirs) if item.theirs else None,
        effect=dict(item.effect),
        orphan=1 if item.kind == ORPHAN else None,
    )


def put_found(tx: Transaction, found: Found) -> None:
    """Put-if-absent; one that is there is AlreadyDone."""
    tx.put_new(_row(found), lambda _: None)


def move_found(tx: Transaction, before: Found, after: Found) -> None:
    """Replaces what is kept of a difference; AlreadyDone when its state is not the expected one any more."""
    tx.put(_row(after), DifferenceRow.list_name == before.state, lambda _: None)


def listed(states: tuple[str, ...], kind: str | None, before: str | None, limit: int) -> Page[Found]:
    """A53 differences in these states, last found first; of one kind where it is named."""

    def rows(state: str) -> Iterator[DifferenceRow]:
        older = DifferenceRow.list_sort < before if before else None
        return iter(DifferenceRow.listed.query(state, older, scan_index_forward=False, page_size=_PAGE_ROWS))

    merged = heapq.merge(*map(rows, states), key=lambda row: str(row.list_sort), reverse=True)
    found = list(islice((row for row in merged if not kind or _kind(row) == kind), limit))
    return Page([_found(row) for row in found], str(found[-1].list_sort) if len(found) == limit else None)


def open_days(provider: str) -> set[date]:
    """A53 the days of a provider that have open differences."""
    rows = DifferenceRow.listed.query(DIFFERENCE.initial, page_size=_PAGE_ROWS)
    return {_day_of(row.pk) for row in rows if row.pk.startswith(f"{provider}#")}
