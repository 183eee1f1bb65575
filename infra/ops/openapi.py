"""`make openapi`: writes everything that is generated from the code and committed: the documents and `.chalice/`.

With `--check` it writes nothing, names the files that are not as the code says, and fails when there are any.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def generated() -> dict[Path, str]:
    """Every generated file and its text, the same in every environment."""
    # Before the first import of settings: what is committed must not depend on who runs this.
    for name in [name for name in os.environ if name.startswith("LINLI_")]:
        del os.environ[name]
    from infra import declare, docs, functions

    return {**docs.files(), **functions.files(declare.stack())}


def stale(files: dict[Path, str]) -> list[Path]:
    """The files that are missing or say something else, and generated policies that no function has any more."""
    policies = {path.parent for path in files if path.parent.name == "policies"}
    left = [path for folder in policies for path in folder.glob("*.json") if path not in files]
    return left + [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]


def write(files: dict[Path, str]) -> None:
    for path in stale(files):
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()


def main() -> None:
    from infra.imports import ROOT

    files = generated()
    changed = [str(path.relative_to(ROOT)) for path in stale(files)]
    if "--check" in sys.argv[1:]:
        if changed:
            raise SystemExit(f"not as the code says: {', '.join(changed)}. Run: make openapi")
        return
    write(files)
    print(f"written: {', '.join(changed)}" if changed else "everything is as the code says")


if __name__ == "__main__":
    main()
