"""The conditional writes of the product, each met by workers who overtake each other at every outside call."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.simulation.interleavings import guards
from tests.simulation.interleavings.guards import Place
from tests.simulation.workers import ROOT

SEEDS = 10  # of an ordinary case; the command plays 60


def test_every_guard_holds_and_was_seen_to_refuse() -> None:
    """Of every conditional write some case has seen it passing and refused, but for those that are explained; what each
    case promises holds, and the invariants do. Workers who write without a condition oversell, and are found."""
    command = [sys.executable, "-m", "tests.simulation.interleavings", "--seeds", str(SEEDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["failures"] == 0
    assert said["cases"] >= 60
    assert said["guards"] >= 60
    assert said["unguarded_oversold"] >= 50  # of 100 rounds


def test_a_conditional_write_that_no_case_meets_is_named() -> None:
    """They are found in the product's text, so that a new one is missed from its first day on."""
    known = set(guards.written())
    assert len(known) >= 50
    assert list(guards.unseen(known)) == []
    forgotten = next(place for place in known if place.file.match("booking/tables.py"))
    assert list(guards.unseen(known - {forgotten})) == [forgotten]
    inside = Place(forgotten.file, guards.written()[forgotten])
    assert list(guards.unseen((known - {forgotten}) | {inside})) == []
