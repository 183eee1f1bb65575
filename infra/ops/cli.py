"""`linli`: what an operator runs by hand. It works on what the environment names, as the functions do; beside a running
local stack it reads that stack's environment from its data directory, and `--stage` chooses a stage in the cloud.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

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
    interruptible,
    local_environment,
    plain_errors,
    say,
    say_rows,
    stop,
    under_lease,
)

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
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    actor: By = "",
    reason: Why = "",
) -> None:
    """Match our books with the provider's lines, since the last run or for one day."""
    from chalicelib.reconciliation import service

    only = date_of(day) if day else None
    if not dry_run:
        confirm("Book fees and keep differences", yes)
    with bar("Matching provider days") as progress:
        if dry_run:
            with plain_errors():
                done: dict[str, Any] = {**service.preview(context(), only, progress), "dry_run": True}
        else:
            run: Callable[[Any], dict[str, int]] = lambda ctx: service.reconcile(ctx, only, progress)  # noqa: E731
            again = "run it again, days that are done change nothing"
            done = {**under_lease(service.JOB, run, hand(actor, reason), whole=only is None, again=again)}
    say("Reconciliation", done, as_json)
    raise typer.Exit(1 if done["differences"] else 0)


def main() -> None:
    interruptible()
    app()


if __name__ == "__main__":
    main()
