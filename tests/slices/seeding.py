"""Seeds a fresh engine with a crash in the middle, and prints what came of it. Run by `test_seed` in a process of its
own, because an empty deployment is what it is about."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Any

from chalicelib.catalog import checks, service
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import dynamo, jobs
from chalicelib.runtime.context import Context
from chalicelib.runtime.meter import measured
from chalicelib.wiring import ports
from infra.ops import demo_city
from infra.ops.seed import SeedReport, seed_if_empty
from tests import engine

CTX = Context(now=Instant.parse("2026-11-22T04:00:00Z"), ports=ports())


class Crash(Exception):
    """The process died before this call was sent."""


def crash_at(call: int) -> None:
    """The nth transaction from now never leaves the process."""
    left = [call]
    client = dynamo.client()
    genuine = client.call

    def dying(operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "TransactWriteItems":
            left[0] -= 1
            if left[0] == 0:
                raise Crash
        return genuine(operation, arguments)

    vars(client)["call"] = dying


def heal() -> None:
    vars(dynamo.client()).pop("call")


def main() -> None:
    engine.create_tables()
    crash_at(int(sys.argv[1]))
    crashed = False
    try:
        seed_if_empty(CTX)
    except Crash:
        crashed = True
    heal()
    partial = len(list(service.shops_of_city(CTX, demo_city.CODE)))
    with measured() as used:
        report = seed_if_empty(CTX)
    before = engine.digest()
    again = seed_if_empty(CTX)
    unchanged = engine.digest() == before
    pages = [demo_city.page_of(place, number) for number, place in enumerate(demo_city.places())]
    stored = [service.whole_page(CTX, page.shop.id) for page in pages]
    wrong = [page.shop.id for page, there in zip(pages, stored, strict=True) if not same(page, there)]
    listed = list(service.shops_of_city(CTX, demo_city.CODE))
    wanted = sorted((there.listing() for there in stored), key=lambda p: p.shop.id)
    told = {
        "crashed": crashed,
        "partial": partial,
        "report": dataclasses.asdict(report),
        "calls": used.calls.total(),
        "again": dataclasses.asdict(again),
        "unchanged_by_again": unchanged,
        "wrong": wrong,
        "listed_right": listed == wanted,
        "faults": [checks.page_faults(page, demo_city.CITY) for page in pages],
        "marked": jobs.cursor("seed"),
        "nothing": dataclasses.asdict(SeedReport(seeded=False)),
    }
    sys.stdout.write(json.dumps(told) + "\n")


def same(page: Any, stored: Any) -> bool:
    """Whether a page reads back as it was made; the store keeps positions to a micro-degree."""
    made, there = page.shop.position, stored.shop.position
    kept = dataclasses.replace(page, shop=dataclasses.replace(page.shop, position=there))
    return abs(there.lat - made.lat) + abs(there.lng - made.lng) < 2e-6 and stored == kept


if __name__ == "__main__":
    main()
