"""`python -m tests.simulation --seeds 100`: plays plans and says what they broke; docs/guides/simulation.md says more.

Exits with 1 when a run failed, 2 for wrong use, 130 when it was broken off.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench.harness import Bar, progress
from tests.simulation import campaign, journeys, report, shrink
from tests.simulation.campaign import Tally
from tests.simulation.plan import Plan
from tests.simulation.workers import NotStarted, Worker

ALIKE = 1
_PLAIN_EVERY_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        if asked.replay:
            return _replay(asked.replay, asked.trace)
        if asked.shrink:
            return _shrink(asked.shrink, asked.other_seeds)
        return _campaign(asked)
    except KeyboardInterrupt:
        return 130
    except NotStarted:
        print("simulation: a worker did not start", file=sys.stderr)
        return 1


def _campaign(asked: argparse.Namespace) -> int:
    wish = campaign.Wish(
        tuple(asked.journey or journeys.names()),
        asked.seeds,
        first=asked.first,
        alike=asked.alike,
        every=asked.every if asked.exhaustive else 0,
        workers=asked.workers,
        stop_after=asked.stop_after,
    )
    with ExitStack() as shown:
        bar: Bar | None = None

        def moves(done: int, total: int, tally: Tally) -> None:
            nonlocal bar
            if bar is None:
                console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
                bar = shown.enter_context(
                    progress("simulation", total, console=console, plain_every_seconds=_PLAIN_EVERY_SECONDS)
                )
            bar(done, f"{tally.orders:,} orders  {len(tally.failed):,} failed")

        tally = campaign.run(wish, moves)
    print(*report.summary(tally), sep="\n")
    print(report.figures(tally), flush=True)
    return 130 if tally.broken_off else int(bool(tally.failed))


def _replay(plan: Plan, trace: Path | None) -> int:
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
    print(*report.outcome(played), sep="\n")
    return int(bool(played.failures))


def _shrink(plan: Plan, seeds: int) -> int:
    """The smallest plan that breaks the invariant that this one breaks first."""
    worker = Worker()
    try:
        last = worker.play(plan)
        if not last.failures:
            print(f"{plan} does not fail")
            return 0
        broken = report.names(last.failures)[0]

        def fails(smaller: Plan) -> bool:
            nonlocal last
            played = worker.play(smaller)
            if broken not in report.names(played.failures):
                return False
            last = played
            return True

        print(f"{broken}\n{plan}", flush=True)
        shrink.shrunk(plan, fails, lambda smaller: print(smaller, flush=True), seeds=seeds)
    finally:
        worker.end()
    print(*report.outcome(last), report.command(last.plan), sep="\n")
    return 1


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
        help="also each journey with one fault, at every call that changes something, in each way",
    )
    parser.add_argument(
        "--alike", type=_count, default=ALIKE, metavar="N", help="of calls that are alike break only so many; 0: all"
    )
    parser.add_argument("--every", type=_some, default=1, metavar="K", help="of these plans only each K-th")
    parser.add_argument("--stop-after", type=_count, default=0, metavar="N", help="failing runs; 0: go on to the end")
    parser.add_argument("--replay", type=_plan, metavar="PLAN", help="play one plan and print its trace")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write the trace there instead")
    parser.add_argument("--shrink", type=_plan, metavar="PLAN", help="look for a smaller plan that fails alike")
    parser.add_argument(
        "--other-seeds", action="store_const", const=shrink.SEEDS, default=0, help="with one of the first seeds, too"
    )
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
