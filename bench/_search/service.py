"""The invented city as a city that is served: its base in the file store and its pointer, by the product's own
functions, and what the service reads of the database while it searches.

Run as a program in the environment of a running stack, it puts a city of so many shops there: `SHOPS SEED`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench._search.city import CODE, NOW, SERVED, City
from bench._search.questions import Question
from bench.harness import Bar, progress
from infra.local import engines
from infra.local.processes import LOOPBACK, Children, free_ports

if TYPE_CHECKING:
    from chalicelib.runtime.context import Context

_SETTLE_SECONDS = 60
_POLL_MS = 2_000
_STEP_MS = 50


@dataclass(frozen=True)
class Units:
    """What the database counted: of a search between two polls, and of the poll itself. Searches were 50 ms apart."""

    per_search: float
    per_poll: float
    all_per_search: float


def publish(ctx: Context, city: City, bar: Bar, built: Path | None = None) -> None:
    """Point the city at a base of its invented shops, in the place of the base that stands; `built` is the file, if
    there is one."""
    from chalicelib.catalog import citylog
    from chalicelib.search import building, pointers, tables

    sequence = citylog.sequence(CODE, consistent=True)
    with tempfile.TemporaryDirectory(prefix="linli-base-") as folder:
        path = built
        if path is None:
            path = Path(folder) / "base"
            building.build(path, SERVED, sequence, city.entries(bar), (), ctx.now)
        # Only now: a stack's own builder, which runs when it starts, may have moved the pointer meanwhile.
        before = tables.base(CODE, consistent=True)
        version = 1 if before is None else before.version + 1
        key = pointers.new_key(CODE, version, ctx.now)
        if not ctx.ports.files.put_file(key, path):
            raise FileExistsError(key)
    pointer = pointers.Pointer(
        city=CODE,
        version=version,
        key=key,
        sequence=sequence,
        count=city.count,
        built_at=ctx.now,
        release=ctx.settings.version,
        before="" if before is None else before.key,
    )
    citylog.tell(ctx, CODE, {"base": version}, lambda tx: tables.put_base(tx, pointer))


def units(folder: Path, children: Children, city: City, built: Path, questions: Iterable[Question]) -> Units | None:
    """What searches through the service read, with the base of `built`; None where the local database is not there."""
    binary = engines.find_dynoxide()
    if binary is None:
        return None
    (port,) = free_ports(1)
    os.environ |= {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LINLI_FILES": "chalicelib.providers.files.local:Directory",
        "LINLI_FILES_BUCKET": str(folder / "files"),
    }
    engines.wait_for_dynoxide(engines.start_dynoxide(children, binary, port, None), port)
    import boto3

    from infra.local.resources import create_tables

    create_tables(boto3.client("dynamodb"))
    return _counted(city, built, list(questions))


def _counted(city: City, built: Path, questions: list[Question]) -> Units:
    from chalicelib.catalog import service as catalog
    from chalicelib.runtime.entry import system_context
    from chalicelib.runtime.meter import measured
    from chalicelib.search import service

    ctx = system_context(now=NOW)
    catalog.put_city(ctx, SERVED)
    publish(ctx, city, lambda *_: None, built)
    _warm(ctx, questions[0])
    quiet: list[float] = []
    polls: list[float] = []
    for number in range(10 * _POLL_MS // _STEP_MS):
        at = ctx.at(NOW.plus(minutes=1, ms=number * _STEP_MS))
        with measured() as meter:
            service.search(at, questions[number % len(questions)].query)
        (polls if number % (_POLL_MS // _STEP_MS) == 0 else quiet).append(meter.read_units)
    return Units(
        per_search=sum(quiet) / len(quiet),
        per_poll=sum(polls) / len(polls),
        all_per_search=(sum(quiet) + sum(polls)) / (len(quiet) + len(polls)),
    )


def _warm(ctx: Context, question: Question) -> None:
    """Search until the engine answers, which is loaded beside."""
    import time

    from chalicelib.search import cities, service

    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        service.search(ctx, question.query)
        held = cities._cities.get(CODE)
        if held is not None and held.version:
            return
        time.sleep(0.05)
    raise TimeoutError("the engine is not loaded")


def main() -> None:
    from chalicelib.runtime.entry import system_context

    shops, seed = int(sys.argv[1]), int(sys.argv[2])
    with progress("the city's base", shops) as bar:
        publish(system_context(), City.of(shops, seed), bar)


if __name__ == "__main__":
    main()
