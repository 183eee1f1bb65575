"""What is written down is true: generated documents are current, links lead somewhere, commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from infra import docs
from infra.imports import ROOT

READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_generated_files_are_as_the_code_says() -> None:
    """In a process of its own, so that nothing that a test declares is written down."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("LINLI_")}
    run = subprocess.run(
        [sys.executable, "-m", "infra.ops.openapi", "--check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_each_access_pattern_has_a_number_of_its_own() -> None:
    """Two modules that use one number mean two things by it."""
    used: dict[str, set[str]] = defaultdict(set)
    for pattern in docs.access_patterns():
        used[pattern.name].add(pattern.module)
    assert {name: sorted(modules) for name, modules in used.items() if len(modules) > 1} == {}


@pytest.mark.parametrize(
    ("docstring", "says"),
    [
        ("A7: the offer as it is now. More of it.", "The offer as it is now"),
        ("pk the job, sk `lease`. A35.", "pk the job, sk `lease`"),
        ("What waits. A27 = rows older than a minute.", "Rows older than a minute"),
    ],
)
def test_what_a_numbered_docstring_says(docstring: str, says: str) -> None:
    """The sentence after the number; where none follows, what stands before it."""
    own = docs._NUMBER.search(docstring)
    assert own is not None
    assert docs._sentence(docstring, own) == says


def test_links_lead_somewhere() -> None:
    """A relative link names a file of the repository."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert not broken


def test_every_command_of_the_pages_exists() -> None:
    """`make something` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        for name in name
        if name
    }
    assert {name for _, name in named} >= {"start", "test"}
    assert not {(page, name) for page, name in named if name not in targets}


def test_both_readmes_say_the_same_in_their_languages() -> None:
    """The same commands, links and pictures, in the same order."""
    one, two = (page.read_text(encoding="utf-8") for page in READMES)

    def skeleton(text: str) -> list[str]:
        found = re.findall(r"^#+ |^```\w*$|`make [a-z-]+`|\]\([^)]+\)|\+86\d{11}", text, re.MULTILINE)
        return [part for part in found if "README" not in part]

    assert skeleton(one) == skeleton(two)


def test_ci_runs_the_readmes_test_command() -> None:
    """Whoever follows the README sees what CI sees."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_why(page: Path) -> None:
    """Context, decision, consequences, alternatives; the number is the file's."""
    text = page.read_text(encoding="utf-8")
    assert re.match(rf"# {page.stem[:4]} .+", text)
    sections = ["Context", "Decision", "Consequences", "Alternatives"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == sections


def test_decisions_are_numbered_without_a_gap() -> None:
    """A number once given is never given again."""
    assert [page.stem[:4] for page in DECISIONS] == [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)]
