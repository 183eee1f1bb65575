"""`linli search`: what search knows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from infra.ops.commands.house import AsJson, By, Why, Yes, bar, confirm, hand, say, under_lease

app = typer.Typer(no_args_is_help=True, help="What search was told.")

Everything = Annotated[bool, typer.Option("--all", help="Every city, also those whose base is new enough.")]


@app.callback()
def _search() -> None:
    """What search was told."""


@app.command("build")
def build_search(
    everything: Everything = False, as_json: AsJson = False, yes: Yes = False, actor: By = "", reason: Why = ""
) -> None:
    """Build the base of each city that has changed enough. The schedule does the same every ten minutes."""
    from chalicelib.search import bases

    confirm("Build what search answers from", yes)
    with bar("Reading shops") as progress:
        done = under_lease(
            "build_search",
            lambda ctx: asdict(bases.build_due(ctx, everything=everything, progress=progress)),
            hand(actor, reason),
            again="run it again, the base that stands serves until there is another",
        )
    say("Search", done, as_json)


@app.command("notes")
def repair_notes(as_json: AsJson = False, yes: Yes = False, actor: By = "", reason: Why = "") -> None:
    """Look again at every day that has bookings, and correct what search knows of it. The night does the same."""
    from chalicelib.booking import service

    confirm("Correct what search knows", yes)
    with bar("Looking at days") as progress:
        done = under_lease(
            "repair_notes",
            lambda ctx: {"days_of_shops": service.repair_notes(ctx, progress)},
            hand(actor, reason),
            again="run it again, notes that are right stay as they are",
        )
    say("Notes", done, as_json)
