"""`python -m tests.simulation --seeds 100`: plays plans and says what they broke; docs/guides/simulation.md explains it.

Exits with 1 when a run failed, 2 for wrong use, 130 when it was broken off.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation import campaign, journeys, report
from tests.simulation.plan import Plan
from tests.simulation.workers import Worker


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        return replay(asked.replay, asked.trace) if asked.replay else _campaign(asked)
    except KeyboardInterrupt:
        return 130


def _campaign(asked: argparse.Namespace) -> int:
    wish = campaign.Wish(
        tuple(asked.journey or journeys.names()),
        asked.seeds,
        asked.first,
        asked.every if asked.exhaustive else 0,
        asked.workers,
        asked.stop_after,
    )
    tally = campaign.run(wish)
    print(*report.summary(tally), sep="\n")
    print(report.figures(tally))
    return 130 if tally.broken_off else int(bool(tally.failed))


def replay(plan: Plan, trace: Path | None) -> int:
    """One run again, with its trace in words."""
    worker = Worker()
    try:
        played = worker.play(plan, trace=True)
    finally:
        worker.end()
    if trace:
        trace.write_text("".join(f"{line}\n" for line in played.lines), encoding="utf-8")
    else:
        print(*played.lines, sep="\n")
    for failure in played.failures:
        print(f"FAILED {failure}")
    print(f"calls {played.calls}  messages {played.messages}  orders {played.orders}  trace {played.trace_hash}")
    return int(bool(played.failures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_count, default=100, metavar="N", help="random plans")
    parser.add_argument("--first", type=_count, default=0, metavar="SEED", help="where their seeds begin")
    parser.add_argument("--journey", action="append", choices=journeys.names(), help="only this one; may be repeated")
    parser.add_argument("--workers", type=_some, default=os.cpu_count() or 1, metavar="N", help="processes")
    parser.add_argument(
        "--exhaustive",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also each journey with one fault, at every call and of every kind",
    )
    parser.add_argument("--every", type=_some, default=1, metavar="K", help="of those only each K-th")
    parser.add_argument("--stop-after", type=_count, default=0, metavar="N", help="failing runs; 0: go on")
    parser.add_argument("--replay", type=_plan, metavar="PLAN", help="play one plan and print its trace")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write the trace there instead")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 10_000_000:
        raise ValueError
    return number


def _some(text: str) -> int:
    number = _count(text)
    if number == 0:
        raise ValueError
    return number


def _plan(text: str) -> Plan:
    plan = Plan.parse(text)
    if plan.journey not in journeys.names():
        raise ValueError
    return plan


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
