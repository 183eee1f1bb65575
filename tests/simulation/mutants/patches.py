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
PRODUCT = "chalicelib"
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
    """Makes a tree with the mistake in it, or the tree as it is. Raises Stale.

    Files that the patch changes are copied, the rest is linked: a tree takes milliseconds.
    """
    touched = _touched(path) if path else set()
    for name in touched:
        if name.parts[0] != PRODUCT or not (ROOT / name).is_file():
            raise Stale(f"{name} is not of the product")
    tree.mkdir()
    for linked in ("app.py", "infra", "tests", "node_modules"):
        (tree / linked).symlink_to(ROOT / linked)
    _copy(ROOT / PRODUCT, tree / PRODUCT, {name.relative_to(PRODUCT) for name in touched})
    if path is not None:
        _git("--apply", path, tree)
        if any((tree / name).read_bytes() == (ROOT / name).read_bytes() for name in touched):
            raise Stale("it changes nothing")


def _copy(source: Path, target: Path, touched: set[Path]) -> None:
    target.mkdir()
    for entry in source.iterdir():
        inside = {Path(*path.parts[1:]) for path in touched if path.parts[0] == entry.name}
        there = target / entry.name
        if Path() in inside:
            shutil.copy2(entry, there)
        elif inside:
            _copy(entry, there, inside)
        elif entry.name == "__pycache__":
            # A folder of its own: what is compiled of a changed file must not come to stand beside the unchanged one.
            there.mkdir()
            for compiled in entry.iterdir():
                if compiled.name.partition(".")[0] not in {path.stem for path in touched}:
                    (there / compiled.name).symlink_to(compiled)
        else:
            there.symlink_to(entry)


def _touched(path: Path) -> set[Path]:
    return {Path(line.split("\t")[2]) for line in _git("--numstat", path, path.parent).splitlines()}


def _git(flag: str, path: Path, folder: Path) -> str:
    """Applies exactly: the lines around each change must stand there. Raises Stale."""
    # Without a ceiling git would look for a repository above, and skip what is not in it.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    command = ["git", "apply", flag, str(path)]
    ran = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Stale(ran.stderr.strip())
    return ran.stdout
