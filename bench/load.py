"""An open-loop load on the local stack: latency, errors, the bill, and whether the books still agree.

`make bench NAME=load ARGS="--rate 20 --seconds 60"`. People come by a schedule that is fixed before the first request:
90 % search, 8 % book a place and pay for it, and for 2 % the provider tells of the payment twice, in disorder or late.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import picture
from bench.audit import Auditor, Findings, tell
from bench.bill import Bill, bill
from bench.harness import finish, progress, say
from bench.samples import Arrival, percentile, plan
from bench.stack import BenchError, Caller, Target, target
from bench.town import Town, settle
from bench.visits import BOOKING, LEAD_SECONDS, MIX, WEBHOOK, Diary, visit_all
from infra.local.engines import ROOT

QUICK = ("--seconds", "20")
MAX_RATE, MAX_SECONDS = 500.0, 3600
_STARTS_PER_BOOKING = 10
_BOOKINGS_PER_PERSON = 12  # below the number of messages that an account gets in a day
_WARM_RATE, _WARM_SECONDS = 5.0, 3.0
_REST_SECONDS, _REST_WITHIN_SECONDS = 2.0, 15.0


Watching = Callable[[float], AbstractContextManager[Any]]
"""Called with the seconds until the first arrival."""


@dataclass(frozen=True)
class Wish:
    """How much load; `url` None starts a stack of our own."""

    rate: float
    seconds: float
    seed: int
    url: str | None
    pictures: Path


@dataclass(frozen=True)
class Outcome:
    """What a run gave."""

    diary: Diary
    bill: Bill
    findings: Findings
    seconds: float


def wish_of(arguments: list[str], what: str, rate: float, seconds: float) -> Wish:
    """Read the options, which the soak shares. Ends the process on a bad one, as argparse does."""
    parser = argparse.ArgumentParser(prog=f"python -m bench {what}", description=__doc__)
    parser.add_argument("--rate", type=float, default=rate, help="arrivals a second")
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a running stack; without, one is started for the time of the run")
    parser.add_argument("--pictures", type=Path, default=ROOT / "build" / "bench", help="the folder of the picture")
    given = parser.parse_args(arguments)
    if not 0 < given.rate <= MAX_RATE:
        parser.error(f"--rate is above 0 and at most {MAX_RATE:g}")
    if not 1 <= given.seconds <= MAX_SECONDS:
        parser.error(f"--seconds is from 1 to {MAX_SECONDS}")
    return Wish(given.rate, given.seconds, given.seed, given.url, given.pictures)


def main(arguments: list[str]) -> int:
    """Run the load; the exit status is 0 when there was no error and the books agree."""
    wish = wish_of(arguments, "load", rate=10.0, seconds=60.0)
    try:
        with target(wish.url) as stack:
            outcome = under_load(stack, wish)
    except BenchError as error:
        say(f"load: {error}")
        return 1
    say(f"picture: {picture.draw(wish.pictures / 'load.svg', outcome.diary.visits, {})}")
    finish("load", figures(outcome))
    return 0 if outcome.findings.good and not outcome.diary.errors else 1


def under_load(stack: Target, wish: Wish, watched: Watching = lambda _: nullcontext()) -> Outcome:
    """Prepare, let everybody come while it is `watched`, and look at the books. Raises BenchError."""
    caller = Caller(stack.url)
    arrivals = plan(wish.rate, wish.seconds, MIX, wish.seed)
    auditor = Auditor(caller)
    town = prepare(caller, arrivals)
    warm_up(town, wish.seed)
    before = caller.told(caller.get("/local/usage"), 200)
    with progress("load", wish.seconds) as bar, watched(LEAD_SECONDS):
        began = time.monotonic()
        diary = visit_all(town, arrivals, wish.seed, bar)
        seconds = time.monotonic() - began
    after = at_rest(caller)
    tell_times(diary)
    billed = bill_of(before, after, diary)
    tell_bill(billed)
    findings = auditor.audit(town, diary, move_clock=stack.own)
    tell(findings)
    return Outcome(diary, billed, findings, seconds)


def prepare(caller: Caller, arrivals: list[Arrival]) -> Town:
    bookings = sum(arrival.kind in (BOOKING, WEBHOOK) for arrival in arrivals)
    people = max(4, -(-bookings // _BOOKINGS_PER_PERSON))
    town = settle(caller, people, bookings * _STARTS_PER_BOOKING)
    say(f"load: {len(arrivals)} arrivals, {len(town.people)} people signed in, {len(town.starts)} free starts")
    return town


def warm_up(town: Town, seed: int) -> None:
    """What a process does once, it does now: how long that takes is measured by the cold start's own benchmark."""
    failed = visit_all(town, plan(_WARM_RATE, _WARM_SECONDS, MIX, seed + 1), seed + 1, lambda *_: None).errors
    if failed:
        raise BenchError(f"warming up: {dict(failed)}")


def at_rest(caller: Caller) -> Any:
    """The report of usage once the queues' consumers have had nothing to do for a while."""
    seen = caller.told(caller.get("/local/usage"), 200)
    since = began = time.monotonic()
    while time.monotonic() - since < _REST_SECONDS and time.monotonic() - began < _REST_WITHIN_SECONDS:
        time.sleep(0.2)
        now = caller.told(caller.get("/local/usage"), 200)
        if now["sqs"]["requests"] != seen["sqs"]["requests"]:
            since = time.monotonic()
        seen = now
    return seen


def bill_of(before: Any, after: Any, diary: Diary) -> Bill:
    """With the memory of the functions as they are deployed."""
    from infra.declare import API, stack
    from infra.functions import ARCHITECTURE, size_of

    declared = stack()
    return bill(
        before,
        after,
        diary.confirmed,
        memory_mb={one.name: size_of(one, declared).memory_mb for one in declared.functions},
        api=API,
        schedules=[one.name for one in declared.schedules],
        architecture=ARCHITECTURE,
    )


def figures(outcome: Outcome) -> dict[str, Any]:
    """Latencies are milliseconds from the intended begin; US$ are for 1,000 paid bookings with 50 searches each."""
    diary = outcome.diary
    return {
        "errors": diary.errors.total(),
        "errors_by_code": dict(diary.errors),
        "expected_refusals": dict(diary.taken),
        **_percentiles(diary.times_ms()),
        "kinds": {
            kind: {"count": len(diary.times_ms(kind)), **_percentiles(diary.times_ms(kind))} for kind in sorted(MIX)
        },
        "arrivals": len(diary.visits),
        "seconds": outcome.seconds,
        "paid_bookings": diary.confirmed,
        "usd_per_1000_bookings": outcome.bill.usd,
        "usd_without_gateway": outcome.bill.usd_without_gateway,
        "usd_by_part": outcome.bill.usd_by_part,
        "usd_of_schedules_per_hour": outcome.bill.schedules_usd * 3600 / outcome.seconds,
        "write_units_per_paid_booking": outcome.bill.booking.write_units,
        "read_units_per_paid_booking": outcome.bill.booking.read_units,
        "read_units_per_search": outcome.bill.search.read_units,
        **{name: value for name, value in asdict(outcome.findings).items() if name != "paid"},
    }


def _percentiles(times_ms: list[float]) -> dict[str, float]:
    return {
        f"p{name}_ms": round(percentile(times_ms, share), 1)
        for name, share in (("50", 0.5), ("95", 0.95), ("99", 0.99))
    }


def tell_times(diary: Diary) -> None:
    for kind in ("", *sorted(MIX)):
        times_ms = diary.times_ms(kind)
        shown = "  ".join(f"{name[:-3]} {value:8.1f} ms" for name, value in _percentiles(times_ms).items())
        say(f"  {kind or 'all':<8} {len(times_ms):>6}  {shown}")
    for refusal, count in sorted(diary.taken.items()):
        say(f"  expected: {count} × {refusal}")
    for error, count in sorted(diary.errors.items()):
        say(f"  ERROR: {count} × {error}")


def tell_bill(billed: Bill) -> None:
    say("bill of 1,000 paid bookings with 50 searches each, without SMS, provider's fees and schedules:")
    amounts = vars(billed.total)
    for part, usd in billed.usd_by_part.items():
        say(f"  {part:<14} {amounts[part]:>12,.1f}  US$ {usd:.4f}")
    say(f"  {'together':<14} {'':>12}  US$ {billed.usd:.4f}, without API Gateway {billed.usd_without_gateway:.4f}")
    say(
        f"  one booking: {billed.booking.write_units:.1f} write and {billed.booking.read_units:.1f} read units; its "
        f"order was read {billed.looks:.1f} times to see the confirmation come, one of them is billed"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
