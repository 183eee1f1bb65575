"""`linli audit`: is what was written still what stands there?"""

from __future__ import annotations

from typing import Annotated

import typer

from infra.ops.commands.house import AsJson, Day, bar, context, hint, plain_errors, say_rows, window

app = typer.Typer(no_args_is_help=True, help="The audit log and the journal: verify that nothing was changed.")


@app.callback()
def _audit() -> None:
    """The audit log and the journal: verify that nothing was changed."""


@app.command("verify")
def verify(
    since: Day = None,
    until: Day = None,
    only_log: Annotated[bool, typer.Option("--only-log", help="The audit log alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the audit log's chain against the anchors in the file store, and of every order in the journal the hash
    chain and the proof. --since and --until look only at what has entries on those days; the audit log is always read
    whole. Names what is broken; exit code 1 when something is."""
    from infra.ops import verification

    start, end = window(since, until)
    seen = verification.Verified()
    try:
        with plain_errors("run it again; --since and --until cut the journal into parts"):
            ctx = context()
            verification.log(ctx, seen)
            if not only_log:
                with bar("Verifying the journal") as progress:
                    verification.journal(ctx, seen, start, end, progress)
    except typer.Exit:
        if seen.day:
            hint(f"go on with --since {seen.day}")
        raise
    rows = [{"subject": subject, "broken": failure} for subject, failure in seen.broken]
    if not seen.anchors and not as_json:
        hint("no anchor stands in the file store yet: an end that was cut off would not be seen")
    looked_at = {"audit_entries": seen.entries, "anchors": seen.anchors, "subjects": seen.subjects}
    if not rows and not as_json:
        print(f"sound: {seen.entries} audit entries, {seen.anchors} anchors, {seen.subjects} subjects of the journal")
    else:
        say_rows("Broken", rows, as_json, **looked_at)
    raise typer.Exit(1 if rows else 0)
