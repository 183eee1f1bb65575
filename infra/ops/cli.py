"""`linli`: what an operator runs by hand. It works on what the environment names, as the functions do; beside a running
local stack it reads that stack's environment from its data directory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from chalicelib.kernel.instant import Instant
    from chalicelib.ledger.model import Entry

LEASE_SECONDS = 900

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate Linli.")
export = typer.Typer(no_args_is_help=True, help="Write data out.")
app.add_typer(export, name="export")

_people = Console(stderr=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="A provider day (UTC).")]


def local_environment() -> None:
    """Takes what `<LINLI_DATA>/env.json` says of a running local stack for every variable that is not set."""
    path = _data() / "env.json"
    if path.is_file():
        for name, value in json.loads(path.read_text(encoding="utf-8")).items():
            os.environ.setdefault(name, value)


def _data() -> Path:
    return Path(os.environ.get("LINLI_DATA") or ".linli").resolve()


@app.callback()
def _needs_a_place() -> None:
    """Operate Linli."""
    # Without either it would go looking for an AWS account. Help needs none.
    chosen = os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("LINLI_STAGE")
    if not chosen and "--help" not in sys.argv:
        _stop(f"no stack is running with its data in {_data()}: run `make start`", 2)


def _logs_to_people() -> None:
    """The functions log to standard output; here that belongs to the answer."""
    from chalicelib.runtime import log

    for handler in logging.getLogger(log.logger().name).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)


def _stop(message: str, code: int = 1) -> NoReturn:
    _people.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Trouble that an operator can understand is one line and exit code 1."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    from chalicelib.kernel.errors import Problem
    from chalicelib.runtime.settings import SettingsError
    from chalicelib.web import problems

    try:
        yield
    except Problem as problem:
        title, detail = problems.catalogue("en")["problems"][problem.code]
        _stop(f"{title}. {detail} ({problem.code})")
    except SettingsError as error:
        _stop(str(error))
    except (BotoCoreError, ClientError, PynamoDBException) as error:
        _stop(f"The database cannot be used: {error}")


def _under_lease(job: str, run: Callable[[Any], dict[str, int]], *, whole: bool = True) -> dict[str, int]:
    """Runs a job as its schedule would, and never beside it."""
    from chalicelib.runtime import jobs
    from chalicelib.runtime.entry import system_context

    with _plain_errors():
        _logs_to_people()
        ctx = system_context("linli")
        jobs.take_lease(job, ctx.now, LEASE_SECONDS)
        try:
            done = run(ctx)
        finally:
            jobs.end_lease(job, ctx.now)
        if whole:
            jobs.note_ok(job, ctx.now)
    return done


@contextlib.contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for people, on standard error; told how much is done, of how much."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_people, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _say(title: str, done: dict[str, int], as_json: bool) -> None:
    if as_json:
        print(json.dumps(done))
        return
    table = Table(title=title, show_header=False)
    for name, value in done.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        _stop(f"{text!r} is not a date like 2026-11-22")


def _instant(text: str) -> Instant:
    from chalicelib.kernel.instant import Instant

    try:
        return Instant.parse(text)
    except ValueError:
        _stop(f"{text!r} is not an instant like 2026-11-22T10:00:00Z")


@app.command()
def settle(as_json: AsJson = False) -> None:
    """Close every statement that is due."""
    from chalicelib.settlement import service

    with _bar("Settling accounts") as progress:
        done = _under_lease(service.JOB, lambda ctx: service.settle(ctx, progress))
    _say("Settlement", done, as_json)


@app.command()
def reconcile(
    day: Day = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="After a restore: replay the provider's facts since then."),
    ] = None,
    give_back: Annotated[
        list[str] | None,
        typer.Option(metavar="PAYMENT", help="With --since: refund this payment without an order, or `all` of them."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --since: only say what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Match our books with the provider's lines, since the last run or for one day; or catch up after a restore."""
    from chalicelib.reconciliation import restore, service

    run: Callable[[Any], dict[str, int]]
    if since is None:
        if give_back or dry_run:
            _stop("--give-back and --dry-run need --since", 2)
        only = _date(day) if day else None
        title, bar = "Reconciliation", "Matching provider days"
        run = lambda ctx: service.reconcile(ctx, only, progress)  # noqa: E731
    else:
        if day:
            _stop("--since and --day do not go together", 2)
        only, instant = None, _instant(since)
        title, bar = "Facts since " + since + (" (dry run)" if dry_run else ""), "Replaying facts"
        run = lambda ctx: restore.since(  # noqa: E731
            ctx, instant, dry_run=dry_run, give_back=give_back or (), progress=progress
        )
    with _bar(bar) as progress:
        done = _under_lease(service.JOB, run, whole=only is None and not dry_run)
    _say(title, done, as_json)


@export.command("journal")
def export_journal(
    since: Day = None,
    until: Day = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; standard output without.")] = None,
    as_json: AsJson = False,
) -> None:
    """The journal as a beancount file: [since, until) by UTC day, from the first of January to now unless said."""
    from chalicelib.reconciliation.model import day_start
    from chalicelib.runtime import clock
    from infra.ops import journal

    if as_json and output is None:
        _stop("--json reports on the export, so the export itself needs a file: -o FILE")
    with _plain_errors():
        now = clock.now()
        start = day_start(
            _date(since) if since else datetime.fromtimestamp(now.seconds, UTC).date().replace(month=1, day=1)
        )
        end = day_start(_date(until)) if until else now.plus(ms=1)
        if start >= end:
            _stop(f"nothing to export: --since {since or start} is not before --until {until or 'now'}", 2)
        with _bar("Exporting days") as progress, _opened(output) as out:
            count = journal.write(_by_day(start, end, progress), out)
    if output is not None:
        _say("Journal", {"entries": count}, as_json)


def _by_day(start: Instant, end: Instant, progress: Callable[[int, int], None]) -> Iterator[Entry]:
    """Entries of [start, end), telling after each day how far it is."""
    from chalicelib.kernel.instant import DAY_MS
    from chalicelib.ledger import service as ledger

    total = max(0, -(-end.since(start) // DAY_MS))
    for i in range(total):
        yield from ledger.posted_between(start.plus(days=i), min(start.plus(days=i + 1), end))
        progress(i + 1, total)


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    """The file, replaced only once it is whole; or standard output."""
    if path is None:
        yield sys.stdout
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    except OSError as error:
        _stop(f"{path} cannot be written: {error.strerror}")
    finally:
        part.unlink(missing_ok=True)


def main() -> None:
    local_environment()
    app()


if __name__ == "__main__":
    main()
