"""`linli search`: what search knows."""

from __future__ import annotations

import typer

from infra.ops.commands.house import AsJson, By, Why, Yes, bar, confirm, hand, say, under_lease

app = typer.Typer(no_args_is_help=True, help="What search was told.")


@app.callback()
def _search() -> None:
    """What search was told."""


@app.command("build")
def build_search(as_json: AsJson = False, yes: Yes = False, actor: By = "", reason: Why = "") -> None:
    """Look again at every day that has bookings, and correct what search knows of it. The night does the same."""
    from chalicelib.booking import service

    confirm("Correct what search knows", yes)
    with bar("Looking at days") as progress:
        done = under_lease(
            "build_search",
            lambda ctx: {"days_of_shops": service.repair_notes(ctx, progress)},
            hand(actor, reason),
            again="run it again, notes that are right stay as they are",
        )
    say("Search", done, as_json)
