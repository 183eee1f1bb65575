"""`linli rebuild`: what can be computed anew from the journal."""

from __future__ import annotations

import typer

from infra.ops.commands.house import (
    LEASE_SECONDS,
    AsJson,
    By,
    DryRun,
    Why,
    Yes,
    audited,
    bar,
    confirm,
    context,
    hand,
    hint,
    plain_errors,
    say_rows,
)

app = typer.Typer(no_args_is_help=True, help="Compute anew what the journal says, and repair what says otherwise.")


@app.callback()
def _rebuild() -> None:
    """Compute anew what the journal says, and repair what says otherwise."""


@app.command("projections")
def rebuild_projections(
    dry_run: DryRun = False, as_json: AsJson = False, yes: Yes = False, actor: By = "", reason: Why = ""
) -> None:
    """Compare every projection with the journal: balances, pending marks, the sum carried by the reconciliation, the
    settlement's agenda. Wrong ones are repaired by a conditional write that stands together with its entry in the audit
    log, so it may run beside live traffic: what somebody moves at that moment is left, and named. Exit code 1 when
    anything is wrong and was not repaired."""
    from chalicelib.runtime import jobs
    from infra.ops import projections

    again = "run it again, it goes on from the last page" if not dry_run else "a dry run begins anew"
    if not dry_run:
        confirm("Repair projections", yes)
    with plain_errors(again), bar("Reading the journal") as progress:
        ctx, who = context(), hand(actor, reason)
        run = projections.Rebuild(ctx, None if dry_run else who, progress)
        if dry_run:
            run.run()
        else:
            jobs.take_lease(projections.JOB, ctx.now, LEASE_SECONDS)
            try:
                with audited("rebuild.projections", "journal", who) as note:
                    run.run()
                    note({"entries": run.entries, "wrong": len(run.found)})
            finally:
                jobs.end_lease(projections.JOB, ctx.now)
    rows = [
        {
            "projection": found.what,
            "stands": found.stands if as_json else _short(found.stands),
            "journal": found.journal if as_json else _short(found.journal),
            "outcome": found.outcome,
        }
        for found in run.found
    ]
    left = sum(found.outcome != "repaired" for found in run.found)
    totals = {"entries": run.entries, "merchants": len(run.checked), "wrong": len(rows), "left": left}
    if rows or as_json:
        say_rows("Projections that were wrong", rows, as_json, **totals, went_on=run.went_on, dry_run=dry_run)
    if not as_json:
        hint(f"{run.entries} entries, {len(run.checked)} balances: {len(rows)} wrong, {left} left")
    raise typer.Exit(1 if left else 0)


def _short(values: dict[str, int | str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
