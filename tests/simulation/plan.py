"""What goes wrong in a run, said in one line that can be copied, replayed and made smaller.

A run is wholly decided by its journey, its seed and its faults. The seed decides who goes on at each outside call and
how long things take; the faults are explicit, so that a shrinker can leave some out while all others stay.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

# At an outside call of a function (DynamoDB, SQS, the payment provider), counted from 0 over the whole run.
CRASH_BEFORE = "crash_before"  # the function dies before the request leaves
CRASH_AFTER = "crash_after"  # it dies after the request was applied
LOST_BEFORE = "lost_before"  # the request never arrives
LOST_AFTER = "lost_after"  # it is applied, and its answer is lost: the client library sends it again
CONFLICT = "conflict"  # a write meets another transaction on its rows
THROTTLE = "throttle"  # refused, there is too much traffic
BROKEN = "broken"  # 500, nothing applied
STALE = "stale"  # a read that is not consistent answers as of some seconds ago
PAUSE = "pause"  # the function stands still for `value` seconds before the request leaves

# At a message (an SQS message, a webhook, an answer on its way to an app), counted from 0 over the whole run.
DUPLICATE = "duplicate"  # it comes twice, the second time `value` seconds later
DELAY = "delay"  # it comes `value` seconds late
DROP = "drop"  # it does not come: a webhook, an answer; a queue keeps what it took

CALL_FAULTS = (CRASH_BEFORE, CRASH_AFTER, LOST_BEFORE, LOST_AFTER, CONFLICT, THROTTLE, BROKEN, STALE, PAUSE)
MESSAGE_FAULTS = (DUPLICATE, DELAY, DROP)
_WITH_SECONDS = {PAUSE: 40, DUPLICATE: 120, DELAY: 1_200}  # at most
_FAULT = re.compile(r"(?P<kind>[a-z_]+)@(?P<at>\d+)(?::(?P<value>\d+))?")


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that goes wrong: the `at`-th call, or the `at`-th message; a fault that does not fit what it meets
    there (a stale write) strikes the next that it fits."""

    at: int
    kind: str
    value: int = 0

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" + (f":{self.value}" if self.value else "")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Raises ValueError for what no fault says."""
        found = _FAULT.fullmatch(text)
        if found is None or found["kind"] not in CALL_FAULTS + MESSAGE_FAULTS:
            raise ValueError(f"{text!r} is no fault")
        return cls(int(found["at"]), found["kind"], int(found["value"] or 0))


@dataclass(frozen=True)
class Plan:
    """One run. Every clock of a function may differ from true time by up to `skew_ms` in either direction."""

    journey: str
    seed: int
    faults: tuple[Fault, ...] = ()
    skew_ms: int = 0

    def __str__(self) -> str:
        return f"{self.journey}/{self.seed}/{self.skew_ms}/{','.join(map(str, self.faults))}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The plan that was printed. Raises ValueError."""
        journey, seed, skew, faults = text.split("/", 3)
        parsed = tuple(Fault.parse(one) for one in faults.split(",") if one)
        return cls(journey, int(seed), parsed, int(skew))

    def of(self, kinds: tuple[str, ...]) -> list[Fault]:
        return sorted(fault for fault in self.faults if fault.kind in kinds)


def quiet(journey: str, seed: int = 0) -> Plan:
    """Nothing goes wrong."""
    return Plan(journey, seed)


def one_fault(journey: str, call: int, kind: str) -> Plan:
    """The same run as the quiet one until that call."""
    return Plan(journey, 0, (Fault(call, kind),))


def random_plan(journey: str, seed: int, calls: int, messages: int) -> Plan:
    """A plan for a journey that makes about so many calls and sends about so many messages; some are calm, most have
    a few faults, some a storm. A quarter of the messages come twice, as many late."""
    choose = random.Random(f"{journey}/{seed}")  # noqa: S311  # not a secret
    faults = [
        _random_fault(choose, choose.choice(CALL_FAULTS), choose.randrange(calls))
        for _ in range(choose.choice((0, 1, 2, 3, 5, 8, 13)))
    ]
    for number in range(messages):
        kind = choose.choices((DUPLICATE, DELAY, DROP, ""), (25, 25, 5, 45))[0]
        if kind:
            faults.append(_random_fault(choose, kind, number))
    return Plan(journey, seed, tuple(sorted(set(faults))), choose.choice((0, 0, 50, 2_000)))


def _random_fault(choose: random.Random, kind: str, at: int) -> Fault:
    longest = _WITH_SECONDS.get(kind, 0)
    # Mostly short: that is where races are. Sometimes past a deadline.
    seconds = min(longest, int(choose.expovariate(1 / (longest / 6))) + 1) if longest else 0
    return Fault(at, kind, seconds)
