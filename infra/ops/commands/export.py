"""`linli export`: data as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.ops.commands.house import MISUSE, AsJson, Day, bar, date_of, opened, plain_errors, say, stop, window

if TYPE_CHECKING:
    from chalicelib.kernel.instant import Instant
    from chalicelib.ledger.model import Entry

app = typer.Typer(no_args_is_help=True, help="Write data out.")

Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output without.")]
_NEEDS_FILE = "--json reports on the export, so the export itself needs a file: -o FILE"


@app.command("journal")
def export_journal(since: Day = None, until: Day = None, output: Output = None, as_json: AsJson = False) -> None:
    """The journal as a beancount file: [since, until) by UTC day, from the first of January to now unless said."""
    from chalicelib.reconciliation.model import day_start
    from chalicelib.runtime import clock
    from infra.ops import journal

    if as_json and output is None:
        stop(_NEEDS_FILE, MISUSE)
    with plain_errors():
        now = clock.now()
        start = day_start(
            date_of(since) if since else datetime.fromtimestamp(now.seconds, UTC).date().replace(month=1, day=1)
        )
        end = day_start(date_of(until)) if until else now.plus(ms=1)
        if start >= end:
            stop(f"nothing to export: --since {since or start} is not before --until {until or 'now'}", MISUSE)
        with bar("Exporting days") as progress, opened(output) as out:
            count = journal.write(_by_day(start, end, progress), out)
    if output is not None:
        say("Journal", {"entries": count}, as_json)


def _by_day(start: Instant, end: Instant, progress: Callable[[int, int], None]) -> Iterator[Entry]:
    """Entries of [start, end), telling after each day how far it is."""
    from chalicelib.kernel.instant import DAY_MS
    from chalicelib.ledger import service as ledger

    total = max(0, -(-end.since(start) // DAY_MS))
    for i in range(total):
        yield from ledger.posted_between(start.plus(days=i), min(start.plus(days=i + 1), end))
        progress(i + 1, total)


@app.command("audit")
def export_audit(since: Day = None, until: Day = None, output: Output = None, as_json: AsJson = False) -> None:
    """The audit log, one JSON object a line: [since, until) by UTC day, everything unless said."""
    from chalicelib.runtime import audit

    if as_json and output is None:
        stop(_NEEDS_FILE, MISUSE)
    start, end = window(since, until)
    with plain_errors(), opened(output) as out:
        count = 0
        for entry in audit.entries(start, end):
            out.write(json.dumps(entry.said(), ensure_ascii=False) + "\n")
            count += 1
    if output is not None:
        say("Audit log", {"entries": count}, as_json)
