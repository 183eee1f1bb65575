"""The benchmarks themselves, for a few seconds: what they say can be believed only if they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.stack import ROOT

pytestmark = pytest.mark.stack


def test_a_short_soak_has_no_error_and_the_books_agree(tmp_path: Path) -> None:
    """The load on a stack of its own, watched; its last line is its figures, its status says that all went well but
    for memory, which a start of a few seconds cannot show."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "bench", "soak", "--rate", "6", "--seconds", "5", "--pictures", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environ, text=True, capture_output=True, timeout=90, check=False)
    assert done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["bench"] == "soak"
    figures = found["figures"]
    print(json.dumps(figures))
    assert (figures["errors"], figures["differences"], figures["proofs_broken"], figures["unconfirmed"]) == (0, 0, 0, 0)
    assert figures["errors_by_code"] == {}
    assert figures["paid_bookings"] == figures["proofs"] == 3
    assert figures["matched"] >= 3
    assert figures["balances_hold"]
    assert {kind: figures["kinds"][kind]["count"] for kind in figures["kinds"]} == {
        "booking": 2,
        "search": 27,
        "webhook": 1,
    }
    assert 10 < figures["write_units_per_paid_booking"] < 20
    assert 0 < figures["usd_without_gateway"] < figures["usd_per_1000_bookings"]
    assert {"dynoxide", "linli", "stripe"} <= set(figures["slopes_by_process"])
    assert (tmp_path / "soak.svg").read_text(encoding="utf-8").startswith("<svg")


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "x"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert "load" in done.stderr
    assert "soak" in done.stderr
