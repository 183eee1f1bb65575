"""The load for ten minutes, watched: does anything grow, does anything fail, do the books agree at the end?

`make bench NAME=soak`; `ARGS="--seconds 120"` for a try. Slopes are least squares over the last four fifths of the run:
a start fills caches, opens connections and grows its heap once.
"""

from __future__ import annotations

import sys
from typing import Any

from bench import picture
from bench.harness import finish, say
from bench.load import Outcome, under_load, wish_of
from bench.load import figures as load_figures
from bench.processes import OURS, Watch
from bench.samples import slope
from bench.stack import BenchError, target

RATE, SECONDS = 6.0, 600.0
WARM_SHARE = 0.2
MOST_MB_PER_MINUTE = 1.0


def main(arguments: list[str]) -> int:
    """Run the soak; the exit status is 0 when memory stays, nothing failed and the books agree."""
    wish = wish_of(arguments, "soak", rate=RATE, seconds=SECONDS)
    try:
        with target(wish.url) as stack:
            if stack.pid is None:
                raise BenchError("the soak watches the processes of a stack of its own: leave --url out")
            watch = Watch(stack.pid)
            outcome = under_load(stack, wish, watch.running)
    except BenchError as error:
        say(f"soak: {error}")
        return 1
    diary = outcome.diary
    say(f"picture: {picture.draw(wish.pictures / 'soak.svg', diary.visits, watch.lines())}")
    found = figures(outcome, watch)
    finish("soak", found)
    steady = found["memory_slope_mb_per_minute"] < MOST_MB_PER_MINUTE
    return 0 if steady and outcome.findings.good and not diary.errors else 1


def figures(outcome: Outcome, watch: Watch) -> dict[str, Any]:
    """Slopes are a minute's; `own` is our own process, the others are by the name of the process."""
    names = sorted({sample.name for sample in watch.samples})
    load = load_figures(outcome)
    found = {
        "memory_slope_mb_per_minute": per_minute(watch, "", "rss_mb"),
        "own_memory_slope_mb_per_minute": per_minute(watch, OURS, "rss_mb"),
        "slopes_by_process": {name: per_minute(watch, name, "rss_mb") for name in names},
        "memory_mb_by_process": {name: watch.line(name, "rss_mb")[-1][1] for name in names},
        "errors": load["errors"],
        "differences": load["differences"],
        "fd_slope": per_minute(watch, "", "fds"),
        "thread_slope": per_minute(watch, "", "threads"),
        "fds": watch.line("", "fds")[-1][1],
        "threads": watch.line("", "threads")[-1][1],
    }
    for name in names:
        line = watch.line(name, "rss_mb")
        middle = line[len(line) // 2][1]
        grows = found["slopes_by_process"][name]
        say(f"  {name:<10} {line[0][1]:7.1f} MB → {middle:7.1f} → {line[-1][1]:7.1f}   {grows:+.3f} MB a minute")
    return found | {name: value for name, value in load.items() if name not in found}


def per_minute(watch: Watch, name: str, what: str) -> float:
    """By how much a counter grows in a minute, without the first fifth of the run."""
    line = watch.line(name, what)
    warm_at = line[-1][0] * WARM_SHARE if line else 0.0
    return 60 * slope([point for point in line if point[0] >= warm_at])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
