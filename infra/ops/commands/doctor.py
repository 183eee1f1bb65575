"""`linli doctor` and `linli secrets`: is everything there that the code relies on, and does it work?"""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.ops.commands.house import AsJson, bar, cloud_stage, context, plain_errors, say, say_rows

secrets = typer.Typer(no_args_is_help=True, help="Named secrets of the stage.")

_COLOURS = {"green": "green", "yellow": "yellow", "red": "bold red"}


@secrets.callback()
def _secrets() -> None:
    """Named secrets of the stage."""


@secrets.command("missing")
def missing(as_json: AsJson = False) -> None:
    """Which secrets the stage lacks, and where each comes from. Exit code 1 when one is missing."""
    from infra.ops import health

    with plain_errors():
        checks = health.doctor(context(), cloud_stage()).examine("secrets")
    rows = [{"secret": check.name, "says": check.says} for check in checks if check.status == health.RED]
    say_rows("Missing secrets", rows, as_json)
    raise typer.Exit(1 if rows else 0)


def doctor(as_json: AsJson = False) -> None:
    """Look at settings, tables, queues, dead letters, news, schedules, the clock, secrets, the payment provider and the
    audit log. Changes nothing. Exit code 1 when something is red."""
    from infra.ops import health

    checks = []
    with plain_errors(), bar("Looking") as progress:
        stage = cloud_stage()
        found = health.doctor(context(), stage)
        areas = list(found.areas())
        for index, area in enumerate(areas, 1):
            checks += found.examine(area)
            progress(index, len(areas))
    status = health.worst(checks)
    where = health.whereabouts(stage)
    if as_json:
        say("Doctor", {"stage": where, "status": status, "checks": [asdict(check) for check in checks]}, as_json)
    else:
        table = Table(title=f"{where}: {status}")
        for name in ("area", "what", "", "says"):
            table.add_column(name, overflow="fold")
        for check in checks:
            colour = _COLOURS[check.status]
            table.add_row(check.area, check.name, f"[{colour}]{check.status}[/]", escape(check.says))
        Console().print(table)
    raise typer.Exit(1 if status == health.RED else 0)
