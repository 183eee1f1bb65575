"""The command behind `make deploy` and `make releases`; see `infra.ops.deploy` for what it does."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.declare import stack
from infra.functions import STAGES, stage_of
from infra.imports import ROOT
from infra.ops import package
from infra.ops.deploy import Cloud, Deployed, deploy
from infra.ops.secrets import existing
from infra.ops.stacks import DeployError, Event

_PLAIN = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--stage", choices=[stage.name for stage in STAGES], required=True)
    parser.add_argument("--region", default=None, help="where, if not where the environment says")
    parser.add_argument("--release", default="", help="the functions of an earlier version, see --list")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--list", action="store_true", help="the versions that can be deployed again")
    parser.add_argument("--tell", default="", help="NAME=value …: parameters and variables, kept until told otherwise")
    chosen = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        cloud = Cloud(boto3.Session(region_name=chosen.region))
        if chosen.list:
            for version, when in cloud.store().list(chosen.stage):
                console.print(f"{version}  {when}")
            return
        _deploy(console, cloud, chosen)
    except (DeployError, package.PackageError) as error:
        console.print(f"linli: {error}", style="red", markup=False)
        raise SystemExit(1) from error
    except (BotoCoreError, ClientError) as error:
        console.print(f"linli: AWS says: {error}", style="red", markup=False)
        raise SystemExit(1) from error


def _deploy(console: Console, cloud: Cloud, chosen: Any) -> None:
    told = parse(chosen.tell)
    # Asked first: who may not deploy need not wait for a package.
    account = cloud.client("sts").get_caller_identity()["Account"]
    console.print(f"{chosen.stage}, in account {account}")
    what: package.Package | str = chosen.release
    if not chosen.release:
        console.print(f"packaging {chosen.stage}")
        what = package.build(stack(), stage_of(chosen.stage), Path(ROOT / "build" / "package" / chosen.stage))
        console.print(f"packaged: {what.zipped_bytes / 1e6:.1f} MB zipped, {what.unpacked_bytes / 1e6:.1f} MB unpacked")
    begun = time.monotonic()

    def show(event: Event) -> None:
        """A line for what begins, ends or fails; what only goes on is left out."""
        if event.resource and event.status in _PLAIN and not event.reason:
            return
        style = "red" if event.failed else "dim" if event.resource else "bold"
        said = " ".join(part for part in (event.stack, event.resource, event.status, event.reason) if part)
        console.print(f"[{time.monotonic() - begun:6.1f} s] {said}", style=style, markup=False)

    done = deploy(chosen.stage, what, cloud, told, show, dry_run=chosen.dry_run)
    _show_changes(console, done)
    if not chosen.dry_run:
        _show_next(console, done, existing(chosen.stage, cloud.client("ssm")))


def _show_changes(console: Console, done: Deployed) -> None:
    table = Table("stack", "action", "resource", "type", "replaced")
    for part, changes in done.changes.items():
        for change in changes:
            table.add_row(part, change.action, change.resource, change.type, change.replacement)
    console.print(table if table.row_count else "nothing changes")


def _show_next(console: Console, done: Deployed, there: set[str]) -> None:
    from chalicelib.providers.secrets.names import SECRETS

    console.print(f"{done.stage} runs {done.version}", style="bold")
    for surface, url in done.urls.items():
        console.print(f"  {surface:<9} {url}")
    console.print(f"  Stripe's webhook endpoint: {done.urls['webhooks']}/webhooks/stripe")
    missing = [secret.name for secret in SECRETS if secret.name not in there and not secret.optional]
    if missing:
        console.print(f"  secrets that are missing: {', '.join(missing)}; run: make secrets STAGE={done.stage}")


def parse(text: str) -> dict[str, str]:
    """`NAME=value NAME2='two words'` as a dict; an empty value takes one back. Raises DeployError.

    >>> parse("PublicUrl=https://api.example.org LINLI_SMS_SENDER_ID=")
    {'PublicUrl': 'https://api.example.org', 'LINLI_SMS_SENDER_ID': ''}
    """
    found = {}
    for part in shlex.split(text):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise DeployError(f"told {part!r}, which is not NAME=value")
        found[name] = value
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
