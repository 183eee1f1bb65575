"""`python -m tests.simulation.mutants [NAME …]`: plants every mutant, or those whose names begin so, and plays.

A mutant is killed when the scan that its header names finds something broken; that a run ends in an exception is not
enough. The product without a mistake has to pass the very same plans. Exit status 1 when one survives, when only
another scan than the named one finds it, when a patch no longer fits, or when the product itself is found broken.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from bench import harness
from tests.simulation.mutants import patches
from tests.simulation.mutants.patches import Mutant, Stale

PLAYER = Path(__file__).parent / "player.py"
WORKERS = 2


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant. `broke` are the scans that found something in the plan that ended it."""

    mutant: Mutant
    outcome: str  # killed, otherwise (another scan found it), survived, stale
    plan: str = ""
    broke: tuple[str, ...] = ()
    seconds: float = 0.0
    note: str = ""

    @property
    def line(self) -> str:
        name, others = self.mutant.name, [scan for scan in self.broke if scan != self.mutant.killed_by]
        wanted = f"{self.mutant.killed_by} {self.mutant.says}".strip()
        if self.outcome == "stale":
            return f"STALE     {name}: {self.note}"
        if self.outcome == "survived":
            return f"SURVIVED  {name}  {self.note}  {self.seconds:.1f} s"
        if self.outcome == "otherwise":
            return f"OTHERWISE {name}  by {', '.join(self.broke)}, not by {wanted}  {self.plan}"
        also = f" and {len(others)} more" if others else ""
        searched = "" if self.plan in self.mutant.plans else "  (searched: record this plan)"
        return f"killed    {name}  by {wanted}{also}  {self.plan}  {self.seconds:.1f} s{searched}"


class Players:
    """Processes that play, one for each worker. `end` also breaks off what they play."""

    def __init__(self) -> None:
        self._all = [
            subprocess.Popen([sys.executable, str(PLAYER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(WORKERS)
        ]
        self._free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        for process in self._all:
            self._free.put(process)

    def play(self, **asked: Any) -> list[dict[str, Any]]:
        """Everything that a player told, its `over` last. Raises RuntimeError when it has died."""
        process = self._free.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            told: list[dict[str, Any]] = []
            for line in process.stdout:
                told.append(json.loads(line))
                if "over" in told[-1]:
                    return told
            raise RuntimeError("a player has died")
        finally:
            self._free.put(process)

    def end(self) -> None:
        for process in self._all:
            process.terminate()
        for process in self._all:
            process.wait()


@contextmanager
def working(playing: Players) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; whatever ends it early ends the players, for which its threads would wait."""
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            playing.end()
            raise


def tried(mutant: Mutant, folder: Path, playing: Players, seeds: int, seconds: int) -> Verdict:
    """Plants it and plays its plans; when they find nothing, so many random ones, and what its header says."""
    begun = time.monotonic()
    tree = folder / mutant.name
    try:
        patches.plant(mutant.path, tree)
    except Stale as stale:
        return Verdict(mutant, "stale", note=str(stale))
    told = playing.play(
        tree=str(tree),
        plans=mutant.plans,
        seeds=seeds,
        kinds=mutant.searched,
        seconds=seconds,
        scan=mutant.killed_by,
        says=mutant.says,
    )
    took = time.monotonic() - begun
    plans = [one for one in told if "plan" in one]
    ended = next((one for one in plans if one["found"]), None) or next((one for one in plans if one["broke"]), None)
    if ended is None:
        crashed = [one["failures"][0] for one in plans if one["failures"]]
        note = f"{len(plans)} plans" + (f", {len(crashed)} of them {crashed[0]}" if crashed else "")
        return Verdict(mutant, "survived", seconds=took, note=f"{note}, over {told[-1]['over']}")
    outcome = "killed" if ended["found"] else "otherwise"
    return Verdict(mutant, outcome, ended["plan"], tuple(ended["broke"]), took)


def unplanted(plans: list[str], folder: Path, playing: Players) -> tuple[dict[str, list[str]], list[str]]:
    """The product as it is, over all plans: what each broke (nothing, if all is well), and the invariants there are."""
    tree = folder / "unplanted"
    patches.plant(None, tree)
    broke: dict[str, list[str]] = {}
    scans: list[str] = []
    parts = [part for part in (plans[at::WORKERS] for at in range(WORKERS)) if part]
    with working(playing) as pool:
        for told in pool.map(
            lambda part: playing.play(tree=str(tree), plans=part, seeds=0, kinds=(), seconds=600, scan="", says=""),
            parts,
        ):
            scans = next((one["scans"] for one in told if "scans" in one), scans)
            broke |= {one["plan"]: one["failures"] for one in told if "plan" in one}
    return {plan: broke.get(plan, ["crashed: it was not played to its end"]) for plan in plans}, scans


def told_of_scans(verdicts: list[Verdict], scans: list[str]) -> Iterator[str]:
    """Which invariant killed how many, and which killed none."""
    named = Counter(verdict.mutant.killed_by for verdict in verdicts if verdict.outcome == "killed")
    fell = Counter(scan for verdict in verdicts for scan in verdict.broke)
    for scan in sorted({*scans, *fell}, key=lambda scan: (-named[scan], -fell[scan], scan)):
        yield f"{scan:44} {named[scan] or '-':>5} {fell[scan] or '-':>5}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only mutants whose names begin so")
    parser.add_argument("--seeds", type=int, default=40, help="random plans to try when a mutant's own find nothing")
    parser.add_argument("--seconds", type=int, default=180, help="at the most, for one mutant")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [one for one in patches.every() if not asked.names or one.name.startswith(tuple(asked.names))]
    playing = Players()
    try:
        with tempfile.TemporaryDirectory(prefix="linli-mutants-") as made:
            verdicts = _all_tried(wanted, Path(made), playing, asked.seeds, asked.seconds)
            plans = sorted({plan for one in wanted for plan in one.plans} | {one.plan for one in verdicts if one.plan})
            broke, scans = unplanted(plans, Path(made), playing)
    finally:
        playing.end()
    wrong = {plan: failures for plan, failures in broke.items() if failures}
    for plan, failures in wrong.items():
        harness.say(f"WITHOUT A MUTANT  {plan}\n" + "\n".join(f"    {failure}" for failure in failures[:5]))
    harness.say(f"{len(plans) - len(wrong)} of {len(plans)} plans pass without a mutant")
    if not asked.names:
        harness.say(f"{'scan':44} kills  also")
        for line in told_of_scans(verdicts, scans):
            harness.say(line)
    left = {
        name: [one.mutant.name for one in verdicts if one.outcome == name]
        for name in ("survived", "otherwise", "stale")
    }
    print(
        json.dumps(
            {
                "mutants": len(wanted),
                "killed": sum(one.outcome == "killed" for one in verdicts),
                "survivors": left["survived"],
                "otherwise": left["otherwise"],
                "stale": left["stale"],
                "broken_without": sorted(wrong),
            }
        ),
        flush=True,
    )
    return int(not wanted or bool(wrong) or any(left.values()))


def _all_tried(wanted: list[Mutant], folder: Path, playing: Players, seeds: int, seconds: int) -> list[Verdict]:
    """In order of name; each is told when it is known."""
    found = []
    with harness.progress("mutants", len(wanted)) as bar, working(playing) as pool:
        under_way = [pool.submit(tried, one, folder, playing, seeds, seconds) for one in wanted]
        for count, done in enumerate(as_completed(under_way), 1):
            found.append(done.result())
            harness.say(found[-1].line)
            bar(count, found[-1].mutant.name)
    return sorted(found, key=lambda verdict: verdict.mutant.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
