"""Every planted mistake is found by the scan that it names, and the product without one passes the same plans."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import patches
from tests.simulation.mutants.patches import Stale

HEADER = """One mistake.

Breaks: a promise
Plans: book_and_pay/0/0/
Killed-by: proofs_hold
"""
HUNK = """
--- a/chalicelib/kernel/page.py
+++ b/chalicelib/kernel/page.py
@@ -1 +1 @@
-{there}
+# another
"""


def test_every_mutant_is_killed_by_the_scan_that_it_names() -> None:
    """With its recorded plans, or a few more; the last line says it in JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants", "--seeds", "6", "--seconds", "60"],
        cwd=patches.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(ran.stdout.splitlines()[-1]) if ran.stdout else {}
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert told["killed"] == told["mutants"] >= 20
    assert (told["survivors"], told["stale"]) == ([], [])


def test_a_patch_that_does_not_fit_is_stale(tmp_path: Path) -> None:
    """Its lines stand nowhere, or it is about something else than the product."""
    mutant = tmp_path / "00-stale.patch"
    mutant.write_text(HEADER + HUNK.format(there="what was never there"))
    with pytest.raises(Stale):
        patches.plant(mutant, tmp_path / "stale")
    first = (patches.ROOT / "app.py").read_text().splitlines()[0]
    mutant.write_text(HEADER + HUNK.format(there=first).replace("chalicelib/kernel/page.py", "app.py"))
    with pytest.raises(Stale):
        patches.plant(mutant, tmp_path / "elsewhere")


def test_a_header_says_what_is_broken_and_who_finds_it(tmp_path: Path) -> None:
    """Without one of the three labels it is refused."""
    mutant = tmp_path / "00-short.patch"
    for label in ("Breaks", "Plans", "Killed-by"):
        mutant.write_text(HEADER.replace(f"{label}:", "Said:") + HUNK)
        with pytest.raises(ValueError, match=label):
            patches.read(mutant)
    for one in patches.every():
        assert all(plan.count("/") == 3 for plan in one.plans), one.name
