"""`linli`: what an operator runs by hand. It works on what the environment names, as the functions do; beside a running
local stack it reads that stack's environment from its data directory, and `--stage` chooses a stage in the cloud.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.ops.commands import audit, dead, doctor, export, outbox, rebuild, search
from infra.ops.commands.house import (
    CLOUD_STAGES,
    MISUSE,
    AsJson,
    By,
    Day,
    DryRun,
    Why,
    Yes,
    bar,
    cloud_environment,
    confirm,
    context,
    data_directory,
    date_of,
    hand,
    instant_of,
    interruptible,
    local_environment,
    plain_errors,
    say,
    say_rows,
    stop,
    under_lease,
)

if TYPE_CHECKING:
    from chalicelib.kernel.instant import Instant

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Operate Linli. Exit codes: 0 good, 1 trouble found, 2 wrong use.",
)
app.add_typer(audit.app, name="audit")
app.add_typer(dead.app, name="dead")
app.add_typer(export.app, name="export")
app.add_typer(outbox.app, name="outbox")
app.add_typer(rebuild.app, name="rebuild")
app.add_typer(search.app, name="search")
app.add_typer(doctor.secrets, name="secrets")
app.command("doctor")(doctor.doctor)


@app.callback()
def _choose_place(
    stage: Annotated[
        str | None, typer.Option(envvar="LINLI_STAGE", help="A stage in the cloud: dev, staging or prod.")
    ] = None,
) -> None:
    """Operate Linli. Exit codes: 0 good, 1 trouble found, 2 wrong use."""
    if "--help" in sys.argv:
        return
    if stage in CLOUD_STAGES:
        cloud_environment(stage)
        return
    if stage and os.environ.get("LINLI_STAGE") != stage:
        stop(f"{stage!r} is no stage: choose one of {', '.join(CLOUD_STAGES)}", MISUSE)
    local_environment()
    # Without either it would go looking for an AWS account.
    if not (os.environ.get("AWS_ENDPOINT_URL_DYNAMODB") or os.environ.get("LINLI_STAGE")):
        stop(f"no stack is running with its data in {data_directory()}: run `make start`", MISUSE)


@app.command()
def settle(
    dry_run: DryRun = False, as_json: AsJson = False, yes: Yes = False, actor: By = "", reason: Why = ""
) -> None:
    """Close every statement that is due. An interrupted run goes on with the statement that it had opened."""
    from chalicelib.settlement import service

    if not dry_run:
        confirm("Close every statement that is due", yes)
    with bar("Settling accounts") as progress:
        if dry_run:
            with plain_errors():
                due = service.preview(context(), progress)
        else:
            run: Callable[[Any], dict[str, int]] = lambda ctx: service.settle(ctx, progress)  # noqa: E731
            again = "run it again, it goes on with the accounts that are left"
            done = under_lease(service.JOB, run, hand(actor, reason), again=again)
    if not dry_run:
        say("Settlement", done, as_json)
        raise typer.Exit(1 if done["failed"] else 0)
    rows = [
        {
            "merchant": found.account.merchant_id,
            "shop": found.account.shop_id,
            "currency": found.account.currency,
            "number": found.number,
            "until": str(found.period_end),
            "lines": found.line_count,
            "net_minor": found.closing_minor - found.opening_minor,
            "waiting": found.waiting_count,
        }
        for found in due
    ]
    say_rows("Statements that would be closed", rows, as_json, dry_run=True)


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
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    actor: By = "",
    reason: Why = "",
) -> None:
    """Match our books with the provider's lines, since the last run or for one day; or catch up after a restore. Exit
    code 1 while a difference is open, or after a restore while a fault is left."""
    if since is None:
        if give_back:
            stop("--give-back needs --since", MISUSE)
        act = _matching(date_of(day) if day else None, dry_run)
        title, doing, subject, trouble = "Reconciliation", "Matching provider days", day or "days", "differences"
    else:
        if day:
            stop("--since and --day do not go together", MISUSE)
        act = _replaying(instant_of(since), give_back or [], dry_run)
        title, doing, trouble = f"Facts since {since}", "Replaying facts", "faults"
        subject = " ".join([f"since {since}", *(f"give back {payment}" for payment in give_back or ())])
    if not dry_run:
        confirm("Book what the provider tells", yes)
    with bar(doing) as progress:
        run: Callable[[Any], dict[str, int]] = lambda ctx: act(ctx, progress)  # noqa: E731
        if dry_run:
            with plain_errors():
                done: dict[str, Any] = {**run(context()), "dry_run": True}
        else:
            again = "run it again, what is done changes nothing"
            whole = day is None
            done = {**under_lease("reconcile", run, hand(actor, reason), subject=subject, whole=whole, again=again)}
    say(title, done, as_json)
    raise typer.Exit(1 if done[trouble] else 0)


Act = Callable[[Any, Callable[[int, int], None]], dict[str, int]]


def _matching(only: date | None, dry_run: bool) -> Act:
    from chalicelib.reconciliation import service
    from chalicelib.reconciliation.model import provider_day
    from chalicelib.runtime import clock

    if only is not None and only > provider_day(clock.now()):
        stop(f"{only} has not begun yet", MISUSE)

    chosen = service.preview if dry_run else service.reconcile
    return lambda ctx, progress: chosen(ctx, only, progress)


def _replaying(instant: Instant, give_back: list[str], dry_run: bool) -> Act:
    from chalicelib.reconciliation import restore

    return lambda ctx, progress: restore.since(ctx, instant, dry_run=dry_run, give_back=give_back, progress=progress)


def main() -> None:
    interruptible()
    app()


if __name__ == "__main__":
    main()
