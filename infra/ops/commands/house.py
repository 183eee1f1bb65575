"""What every command of `linli` shares: where it works, how it speaks, and that it leaves a trace.

Answers go to standard output, as a table or with `--json` as one JSON object; everything else goes to standard error.
Exit codes: 0 all is good, 1 trouble was found, 2 the command was used wrongly.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from chalicelib.kernel.instant import Instant
    from chalicelib.runtime.context import Context
    from infra.functions import Stage

GOOD, TROUBLE, MISUSE = 0, 1, 2
LEASE_SECONDS = 900

CLOUD_STAGES = ("dev", "staging", "prod")

people = Console(stderr=True)
_ROOT = Path(__file__).resolve().parents[3]

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="A day (UTC).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before changing a production stage.")]
By = Annotated[
    str,
    typer.Option("--actor", envvar="LINLI_ACTOR", help="Who does this, for the audit log; the system's user if empty."),
]
Why = Annotated[str, typer.Option("--reason", help="Why, for the audit log. No personal data: it stays for ever.")]


# ---------------------------------------------------------------------------------------------- where


def data_directory() -> Path:
    return Path(os.environ.get("LINLI_DATA") or ".linli").resolve()


def local_environment() -> None:
    """Takes what `<LINLI_DATA>/env.json` says of a running local stack for every variable that is not set."""
    path = data_directory() / "env.json"
    if path.is_file():
        for name, value in json.loads(path.read_text(encoding="utf-8")).items():
            os.environ.setdefault(name, value)


def cloud_stage() -> Stage | None:
    """The stage in the cloud that this process works on; None for a local stack or a test's. Only once the environment
    is chosen: what this imports reads it."""
    from infra.functions import STAGES

    return next((each for each in STAGES if each.name == os.environ.get("LINLI_STAGE")), None)


# Table names are made when a table's module is imported, and whatever tells the environment imports some: so a process
# of its own is asked, and this one is still fresh when it is told.
_ASK = """
import json, sys
from chalicelib.providers.secrets.names import NAMES
from chalicelib.web.application import OPERATOR
from infra.functions import SETTINGS, STAGES
told = {each.name: {**SETTINGS, **each.settings(OPERATOR)} for each in STAGES}.get(sys.argv[1])
print(json.dumps(told and {**told, "LINLI_SECRET_NAMES": ",".join(sorted(NAMES))}))
"""


def cloud_environment(stage: str) -> None:
    """What the stage's functions are told, over whatever was set: a table prefix that was left behind from somewhere
    else must not be mixed with it. One that begins as the stage's does is chosen on purpose: tables that were restored
    have another. The bucket of files carries the account's number, which only AWS knows."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LINLI_")}
    told: dict[str, str] | None = json.loads(
        subprocess.check_output([sys.executable, "-c", _ASK, stage], cwd=_ROOT, env=bare, text=True)
    )
    if told is None:
        stop(f"{stage!r} is no stage of this release", MISUSE)
    own_prefix = told["LINLI_TABLE_PREFIX"]
    if os.environ.get("LINLI_TABLE_PREFIX", "").startswith(own_prefix):
        del told["LINLI_TABLE_PREFIX"]
    os.environ.update(told)
    del os.environ["LINLI_SURFACE"]  # an operator sees the whole stage
    os.environ.setdefault("AWS_DEFAULT_REGION", os.environ.get("AWS_REGION", "us-east-1"))
    if "LINLI_FILES_BUCKET" not in os.environ:
        os.environ["LINLI_FILES_BUCKET"] = f"{own_prefix}files-{_account_number()}"


def _account_number() -> str:
    import boto3
    from botocore.config import Config

    with plain_errors():
        config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
        return str(boto3.client("sts", config=config).get_caller_identity()["Account"])


# ---------------------------------------------------------------------------------------------- speaking


def stop(message: str, code: int = TROUBLE) -> NoReturn:
    people.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def hint(message: str) -> None:
    """For people: how it stands, what to do next."""
    people.print(message, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def plain_errors(again: str = "run it again") -> Iterator[None]:
    """Trouble that an operator can understand is one line and exit code 1. `again` says how an interrupted command goes
    on."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    from chalicelib.kernel.errors import Problem
    from chalicelib.runtime.settings import SettingsError

    try:
        yield
    except KeyboardInterrupt:
        stop(f"interrupted: {again}")
    except Problem as problem:
        from chalicelib.web import problems

        title, detail = problems.catalogue("en")["problems"][problem.code]
        stop(f"{title}. {detail} ({problem.code})")
    except SettingsError as error:
        stop(str(error))
    except (BotoCoreError, ClientError, PynamoDBException) as error:
        stop(f"{_service(error)} cannot be used: {' '.join(str(error).split())}")


def _service(error: Exception) -> str:
    """Which part of AWS did not do it, as far as the error says."""
    text = str(error)
    for sign, name in (
        ("sqs", "The queue"),
        ("queue", "The queue"),
        ("s3", "The file store"),
        ("sts", "AWS"),
        ("credentials", "AWS"),
    ):
        if sign in text.lower():
            return name
    return "The database"


def interruptible() -> None:
    """TERM ends a command as Ctrl-C does: leases are given back, and it says how to go on."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


class _StandardError(io.TextIOBase):
    """Whatever standard error is at the moment of writing: a progress bar puts its own in place for a while."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_ERRORS = cast(TextIO, _StandardError())


def logs_to_people() -> None:
    """The functions log to standard output; here that belongs to the answer."""
    from chalicelib.runtime import log

    log.send_to(_ERRORS)


@contextlib.contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for people who look at it, on standard error; told how much is done, of how much."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=max(done, total))


def say(title: str, done: Mapping[str, Any], as_json: bool) -> None:
    """One answer of named values."""
    if as_json:
        print(json.dumps(done, ensure_ascii=False))
        return
    table = Table(title=title, show_header=False)
    for name, value in done.items():
        table.add_row(name.replace("_", " "), escape(str(value)))
    Console().print(table)


def say_rows(title: str, rows: Iterable[Mapping[str, Any]], as_json: bool, **more: Any) -> None:
    """One answer of many alike: `{"items": […]}` with `--json`. `more` are values beside them."""
    items = [dict(row) for row in rows]
    if as_json:
        print(json.dumps({"items": items, **more}, ensure_ascii=False))
        return
    if not items:
        print(f"{title}: nothing")
        return
    table = Table(title=title)
    for name in items[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in items:
        table.add_row(*(escape(str(value)) for value in row.values()))
    Console().print(table)


def date_of(text: str) -> date:
    """Of the years that an instant can name. Ends the command for anything else."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        stop(f"{text!r} is not a date like 2026-11-22", MISUSE)
    if not 2000 <= found.year < 2100:
        stop(f"{text} is not between the years 2000 and 2100", MISUSE)
    return found


def instant_of(text: str) -> Instant:
    from chalicelib.kernel.instant import Instant

    try:
        return Instant.parse(text)
    except ValueError:
        stop(f"{text!r} is not an instant like 2026-11-22T10:00:00Z", MISUSE)


def window(since: str | None, until: str | None) -> tuple[Instant | None, Instant | None]:
    """[since, until) by UTC day."""
    from chalicelib.reconciliation.model import day_start

    start = day_start(date_of(since)) if since else None
    end = day_start(date_of(until)) if until else None
    if start and end and start >= end:
        stop(f"--since {since} is not before --until {until}", MISUSE)
    return start, end


def ago(ms: int) -> str:
    """
    >>> ago(59_000), ago(3_600_000), ago(200_000_000)
    ('59 s', '60 min', '55 h')
    """
    seconds = max(0, ms) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
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
        stop(f"{path} cannot be written: {error.strerror}")
    finally:
        part.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------- acting


@dataclass(frozen=True)
class Hand:
    """Whose act it is, from where and why."""

    actor: str
    address: str
    reason: str


def hand(actor: str, reason: str) -> Hand:
    """An address is where the operator sits, as far as this machine knows: the other end of an SSH session, or the
    machine itself."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        user = f"uid-{os.getuid()}"
    far_end = os.environ.get("SSH_CLIENT", "").partition(" ")[0]
    return Hand(actor or user, far_end or socket.gethostname(), reason)


def confirm(what: str, yes: bool) -> None:
    """Asks before something is changed on a stage that is guarded; without a terminal nobody can answer."""
    stage = cloud_stage()
    if stage is None or not stage.guarded or yes:
        return
    if not sys.stdin.isatty():
        stop(f"this changes {stage.name}: say --yes", MISUSE)
    if not typer.confirm(f"{what} on {stage.name}?", err=True):
        stop("nothing was changed")


@contextlib.contextmanager
def audited(act: str, subject: str, who: Hand) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Notes in the audit log that an act begins, and what came of it. One that begins and is never done was
    interrupted: nothing is changed unnoted."""
    from chalicelib.runtime import audit, clock

    audit.append(audit.Act(who.actor, act, subject, who.address, who.reason), clock.now())

    def done(result: Mapping[str, Any]) -> None:
        outcome = ", ".join(f"{name} {value}" for name, value in result.items())
        after = audit.digest(dict(result))
        audit.append(audit.Act(who.actor, f"{act}.done", subject, who.address, outcome, after=after), clock.now())

    yield done


def context() -> Context:
    from chalicelib.runtime.entry import system_context

    logs_to_people()
    return system_context("linli")


def under_lease(
    job: str,
    run: Callable[[Any], dict[str, int]],
    who: Hand,
    *,
    subject: str = "job",
    whole: bool = True,
    again: str = "run it again",
) -> dict[str, int]:
    """Runs a job as its schedule would, and never beside it. `subject` is what of it, for the audit log; `whole` says
    that the schedule need not do it any more."""
    from chalicelib.runtime import jobs

    with plain_errors(again):
        ctx = context()
        jobs.take_lease(job, ctx.now, LEASE_SECONDS)
        try:
            with audited(job, subject, who) as note:
                done = run(ctx)
                note(done)
        finally:
            jobs.end_lease(job, ctx.now)
        if whole:
            jobs.note_ok(job, ctx.now)
    return done
