"""What a mutant is: a patch with a header, and the tree that it makes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parent
LINKED = ("infra", "tests", "node_modules")  # what no mutant touches, so that a copy costs little
_LABEL = re.compile(r"(?P<name>[A-Z][a-z-]+): (?P<value>.+)")
_LABELS = {"Breaks", "Plans", "Killed-by", "Says", "Also-search"}


class Stale(Exception):
    """The patch does not fit the tree (any more)."""


@dataclass(frozen=True)
class Mutant:
    """`mistake` in words, the promise that it `breaks`, the plans that show it, and the scan that has to find it, in
    words that contain what `says` says. `searched` are kinds of faults that are tried at every call when the plans find
    nothing any more; `crash_after@Stripe` is tried at calls of Stripe only."""

    name: str
    path: Path
    mistake: str
    breaks: str
    plans: tuple[str, ...]
    killed_by: str
    says: str
    searched: tuple[str, ...]


def every() -> list[Mutant]:
    return [read(path) for path in sorted(FOLDER.glob("*.patch"))]


def read(path: Path) -> Mutant:
    """Raises ValueError for a header that does not say everything."""
    header = path.read_text(encoding="utf-8").partition("\n--- ")[0]
    words: list[str] = []
    labels: dict[str, list[str]] = {}
    for line in filter(None, header.splitlines()):
        found = _LABEL.fullmatch(line)
        if found and found["name"] in _LABELS:
            labels.setdefault(found["name"], []).append(found["value"])
        elif labels:
            labels[list(labels)[-1]].append(line.strip())
        else:
            words.append(line)
    missing = {"Breaks", "Plans", "Killed-by"} - labels.keys()
    if missing or not words:
        raise ValueError(f"{path.name}: its header lacks {', '.join(sorted(missing)) or 'words'}")
    said = {name: " ".join(values) for name, values in labels.items()}
    return Mutant(
        path.stem,
        path,
        " ".join(words),
        said["Breaks"],
        tuple(said["Plans"].split()),
        said["Killed-by"],
        said.get("Says", ""),
        tuple(said.get("Also-search", "").split()),
    )


def plant(path: Path | None, tree: Path) -> None:
    """Makes a tree with the mistake in it, or the tree as it is. Raises Stale."""
    tree.mkdir()
    shutil.copytree(ROOT / "chalicelib", tree / "chalicelib")
    shutil.copy2(ROOT / "app.py", tree)
    for name in LINKED:
        (tree / name).symlink_to(ROOT / name)
    if path is None:
        return
    for number, name in _apply(path, tree):
        touched = tree / name
        if not name.startswith("chalicelib/") or not number:
            raise Stale(f"{name} is not of the product")
        # A compiled file counts as that of its source when size and second agree.
        for compiled in touched.parent.glob(f"__pycache__/{touched.stem}.*.pyc"):
            compiled.unlink()


def _apply(path: Path, tree: Path) -> list[tuple[int, str]]:
    """Exactly: the lines around each change must stand there. Returns the added and removed lines of each file."""
    # Without a ceiling git would look for a repository above, and skip what is not in it.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    for flag in ("--numstat", "--apply"):
        command = ["git", "apply", flag, str(path)]
        ran = subprocess.run(command, cwd=tree, env=alone, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Stale(ran.stderr.strip())
        if flag == "--numstat":
            rows = [line.split("\t") for line in ran.stdout.splitlines()]
    return [(int(added) + int(removed), name) for added, removed, name in rows]
