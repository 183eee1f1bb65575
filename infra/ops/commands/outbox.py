"""`linli outbox`: news that nobody has handled yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.ops.commands.house import (
    AsJson,
    By,
    DryRun,
    Why,
    Yes,
    ago,
    audited,
    bar,
    confirm,
    context,
    hand,
    plain_errors,
    say,
    say_rows,
)

if TYPE_CHECKING:
    from chalicelib.kernel.instant import Instant
    from chalicelib.runtime.outbox import Standing

app = typer.Typer(no_args_is_help=True, help="News that stands: list it, send it again, wake what rests.")

AllResting = Annotated[
    bool, typer.Option("--all-resting", help="Also what was sent so often in vain that it rests: back to the sweeper.")
]


def _row(item: Standing, now: Instant) -> dict[str, Any]:
    return {
        "news": item.news.id,
        "event": item.news.event,
        "age": ago(now.since(item.news.at)),
        "sends": item.sends,
        "resting": item.resting,
    }


@app.command("list")
def list_news(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, oldest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what stands, how old it is and how often it was sent. Exit code 1 when something rests."""
    from chalicelib.runtime import outbox

    with plain_errors():
        ctx = context()
        found = sorted(outbox.standing(), key=lambda item: item.news.at)
    resting = sum(item.resting for item in found)
    say_rows("Outbox", [_row(item, ctx.now) for item in found[:limit]], as_json, standing=len(found), resting=resting)
    raise typer.Exit(1 if resting else 0)


@app.command("send")
def send_news(
    all_resting: AllResting = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    actor: By = "",
    reason: Why = "",
) -> None:
    """Send what has stood for more than a minute, without waiting for its turn. Consumers know a repeat."""
    from chalicelib.runtime import outbox

    if not dry_run:
        confirm("Send news again", yes)
    with plain_errors():
        ctx = context()
        found = list(outbox.standing())
    due = [item for item in found if not item.resting and ctx.now.since(item.news.at) > outbox.GRACE_MS]
    resting = [item for item in found if item.resting] if all_resting else []
    if dry_run:
        say_rows("Would be sent", [_row(item, ctx.now) for item in due + resting], as_json, dry_run=True)
        return
    result = {"sent": 0, "woken": 0}
    subject = "outbox --all-resting" if all_resting else "outbox"
    with (
        plain_errors("run it again, what went twice is handled once"),
        bar("Sending") as progress,
        audited("outbox.send", subject, hand(actor, reason)) as note,
    ):
        for index, item in enumerate([*due, *resting], 1):
            if item.resting:
                result["woken"] += outbox.wake(item)
            else:
                outbox.send_again(item)
                result["sent"] += 1
            progress(index, len(due) + len(resting))
        note(result)
    say("Outbox", result, as_json)
