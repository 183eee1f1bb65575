"""What people and machines are told of a campaign."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from tests.simulation import campaign
from tests.simulation.campaign import Tally
from tests.simulation.plan import CRASH_AFTER, CRASH_BEFORE, DUPLICATE
from tests.simulation.workers import Played

SHOWN = 20  # failing plans


def command(plan: str) -> str:
    """What to copy and paste to see a run again."""
    return f"make simulate PLAN='{plan}'"


def summary(tally: Tally) -> Iterator[str]:
    """Lines for people."""
    journeys = sorted({journey for journey, _ in tally.runs})
    width = max(map(len, journeys), default=0)
    yield f"{'journey':<{width}}  one fault  random"
    for journey in journeys:
        exhaustive, chosen = (tally.runs[journey, kind] for kind in (campaign.EXHAUSTIVE, campaign.RANDOM))
        yield f"{journey:<{width}}  {exhaustive:>9,}  {chosen:>6,}"
    yield "faults  " + ("  ".join(f"{kind} {count:,}" for kind, count in sorted(tally.faults.items())) or "none")
    yield (
        f"orders {tally.orders:,}  calls {tally.calls:,}  messages {tally.messages:,}  reorders {tally.reorders:,}  "
        f"seconds {tally.seconds:.1f}"
    )
    if tally.broken_off:
        yield "broken off"
    yield from failures(tally.failed)


def failures(failed: list[Played]) -> Iterator[str]:
    """Under each invariant the plans that break it, with a command for each."""
    by_invariant: dict[str, list[Played]] = defaultdict(list)
    for played in failed:
        by_invariant[names(played.failures)[0]].append(played)
    shown = 0
    for invariant, plans in sorted(by_invariant.items()):
        yield f"FAILED {invariant}: {len(plans)} runs"
        for played in plans[: max(1, SHOWN - shown)]:
            shown += 1
            yield f"  {played.failures[0]}"
            yield f"  {command(played.plan)}"
    if len(failed) > shown:
        yield f"and {len(failed) - shown} more"


def outcome(played: Played) -> Iterator[str]:
    """One run."""
    for failure in played.failures:
        yield f"FAILED {failure}"
    faults = "  ".join(f"{kind} {count}" for kind, count in sorted(played.faults.items()))
    yield f"calls {played.calls}  messages {played.messages}  orders {played.orders}  {faults or 'no faults'}"
    yield f"trace {played.trace_hash}"


def names(told: tuple[str, ...]) -> list[str]:
    """The invariants that were broken, each once, in the order in which they were found broken."""
    return list(dict.fromkeys(failure.partition(":")[0] for failure in told))


def figures(tally: Tally) -> str:
    """One JSON object for machines."""
    return json.dumps(
        {
            "seeds": tally.of(campaign.RANDOM),
            "exhaustive": tally.of(campaign.EXHAUSTIVE),
            "orders": tally.orders,
            "crashes": tally.faults[CRASH_BEFORE] + tally.faults[CRASH_AFTER],
            "duplicates": tally.faults[DUPLICATE],
            "reorders": tally.reorders,
            "failures": len(tally.failed),
            "trace_hash": tally.trace_hash,
            "calls": tally.calls,
            "messages": tally.messages,
            "faults": dict(sorted(tally.faults.items())),
            "seconds": round(tally.seconds, 1),
        }
    )
