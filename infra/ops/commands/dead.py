"""`linli dead`: messages that no consumer could handle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.ops.commands.house import (
    MISUSE,
    AsJson,
    By,
    DryRun,
    Why,
    Yes,
    ago,
    audited,
    bar,
    confirm,
    hand,
    plain_errors,
    say,
    say_rows,
    stop,
)

if TYPE_CHECKING:
    from chalicelib.runtime.resources import Queue
    from infra.ops.dead_letters import Letter

app = typer.Typer(no_args_is_help=True, help="Dead letters: list, show, and replay into the queue they came from.")

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many of each queue.")]


def _queues(name: str | None) -> list[Queue]:
    from chalicelib.runtime import resources

    known = {queue.name: queue for queue in resources.QUEUES}
    if name is not None and name not in known:
        stop(f"{name!r} is no queue: choose one of {', '.join(sorted(known))}", MISUSE)
    return [known[name]] if name else [known[each] for each in sorted(known)]


def _row(letter: Letter) -> dict[str, Any]:
    return {
        "queue": letter.queue,
        "message_id": letter.message_id,
        "event": letter.event,
        "subject": " ".join(f"{name}={value}" for name, value in letter.facts().items()),
        "age": ago(time.time_ns() // 1_000_000 - letter.sent_at.ms),
        "receives": letter.receives,
    }


@contextmanager
def _looking() -> Iterator[None]:
    with plain_errors("what was looked at is back in its queue within two minutes"):
        yield


@app.command("list")
def list_letters(
    queue: Annotated[str | None, typer.Argument(help="One queue; all without.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """Show what waits, oldest first. Exit code 1 when there is any."""
    from infra.ops import dead_letters

    rows = []
    with _looking():
        for each in _queues(queue):
            rows += [_row(letter) for letter in dead_letters.peek(each, limit)]
    say_rows("Dead letters", rows, as_json)
    raise typer.Exit(1 if rows else 0)


@app.command("show")
def show_letter(
    queue: Annotated[str, typer.Argument()],
    message_id: Annotated[str, typer.Argument()],
    limit: Limit = 1_000,
    as_json: AsJson = False,
) -> None:
    """One dead letter: its event, the ids it carries, its age and tries. Nothing that is about a person is shown."""
    from infra.ops import dead_letters

    (found,) = _queues(queue)
    with _looking():
        letter = next((one for one in dead_letters.peek(found, limit) if one.message_id == message_id), None)
    if letter is None:
        stop(f"{queue} has no dead letter {message_id}")
    shown = {**_row(letter), "news_id": str(letter.news.get("id", "")), "sent_at": str(letter.sent_at)}
    del shown["subject"]
    say("Dead letter", {**shown, **letter.facts()}, as_json)


@app.command("replay")
def replay_letters(
    queue: Annotated[str, typer.Argument()],
    message_id: Annotated[list[str] | None, typer.Option(help="This one; can be given more than once.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every dead letter of the queue.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    yes: Yes = False,
    actor: By = "",
    reason: Why = "",
) -> None:
    """Send dead letters back to their queue. Each is deleted only after the queue has acknowledged it."""
    from infra.ops import dead_letters

    (found,) = _queues(queue)
    if bool(message_id) == all_:
        stop("say either --message-id or --all", MISUSE)
    wanted = set(message_id) if message_id else None
    if dry_run:
        with _looking():
            there = dead_letters.peek(found, 10_000)
        rows = [_row(letter) for letter in there if wanted is None or letter.message_id in wanted]
        missing = sorted((wanted or set()) - {letter.message_id for letter in there})
        say_rows("Would be replayed", rows, as_json, missing=missing, dry_run=True)
        raise typer.Exit(1 if missing else 0)
    confirm(f"Replay dead letters of {queue}", yes)
    who = hand(actor, reason)
    with (
        plain_errors("run it again, it goes on with what is left"),
        bar("Replaying") as progress,
        audited("dead.replay", f"queue {queue}", who) as note,
    ):
        done = dead_letters.replay(found, wanted, progress)
        result = {"queue": queue, "replayed": len(done.sent), "left": done.left}
        note(result)
    say("Replayed", {**result, "missing": done.missing}, as_json)
    raise typer.Exit(1 if done.missing else 0)
