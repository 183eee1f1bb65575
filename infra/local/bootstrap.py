"""Installs what the Makefile's targets need: only what is missing or outdated, side by side, in a few readable lines.

Run by the machine's own Python before anything is installed, so it imports the standard library only. Each part leaves
a stamp with a hash of its inputs; a second run with the same inputs does nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
MINISTACK = VENV / "ministack"
# With .venv activated, `python3` is the environment's own; environments are made by the one it was made by.
_BASE_PYTHON: str = getattr(sys, "_base_executable", sys.executable)
_PIP = ("install", "--quiet", "--disable-pip-version-check", "--no-input")


class InstallError(Exception):
    """A part cannot be installed; the message is one line for a person."""


@dataclass(frozen=True)
class Part:
    """One thing to install: `inputs` decide whether it is still current, `install` brings it up to date."""

    name: str
    stamp: Path
    inputs: tuple[Path, ...]
    install: Callable[[], None]

    def fingerprint(self) -> str:
        """Return a hash of the inputs."""
        digest = hashlib.sha256()
        for path in self.inputs:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def is_current(self) -> bool:
        """Tell whether the stamp says that these very inputs are installed."""
        return self.stamp.exists() and self.stamp.read_text() == self.fingerprint()


def run(name: str, command: Sequence[str]) -> None:
    """Run one step in the root directory; `InstallError` with its last line of output when it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise InstallError(f"{name}: {command[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        raise InstallError(f"{name}: {_reason(done.stdout)}")


def _reason(output: str) -> str:
    """Return the line of a tool's output that says most about why it failed."""
    if "ensurepip is not" in output:
        return "this Python has no venv module; on Debian and Ubuntu install python3-venv"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "npm error"))]
    return (errors or lines or ["it failed without a word"])[0 if errors else -1][:300]


def forget_other_python() -> None:
    """Remove the environments when another Python than this one made them: they cannot be repaired in place."""
    made_by = VENV / "made-by"
    this_python = f"{sys.base_prefix}\n{sys.version}\n"  # the same when run from the environment itself
    if made_by.exists() and made_by.read_text() == this_python:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    made_by.write_text(this_python)


def install_python(home: Path, requirements: Path, constraints: Path | None) -> None:
    """Install `requirements` into the virtual environment in `home`, making it first when it is not there."""
    python = home / "bin" / "python"
    if not python.exists():
        run("virtual environment", [_BASE_PYTHON, "-m", "venv", str(home)])
    pinned = ["-c", str(constraints)] if constraints else []
    run(requirements.name, [str(python), "-m", "pip", *_PIP, "-r", str(requirements), *pinned])


def install_project(requirements: Path, constraints: Path) -> None:
    """Install what the project needs and then the project itself, in place, for its command `linli`."""
    install_python(VENV, requirements, constraints)
    run("the linli command", [str(VENV / "bin" / "python"), "-m", "pip", *_PIP, "--no-deps", "--editable", str(ROOT)])


def install_npm() -> None:
    """Install the locked npm parts, running no script of theirs."""
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is not installed; it comes with Node.js")
    run("npm ci", [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])


def parts_for(purpose: str) -> list[Part]:
    """Return what `start` or `dev` (with the tools of tests and checks) needs."""
    requirements = [ROOT / "requirements.txt", ROOT / "requirements-local.txt"]
    if purpose == "dev":
        requirements.append(ROOT / "requirements-dev.txt")
    constraints = ROOT / "constraints.txt"
    ministack = [ROOT / "infra" / "local" / "ministack-requirements.txt"]
    if purpose == "dev":
        ministack.append(ROOT / "infra" / "local" / "ministack-cloud-requirements.txt")
    return [
        Part(
            "Python packages" if purpose == "start" else "Python packages with the test tools",
            VENV / f"installed-{purpose}",
            (*requirements, constraints, ROOT / "pyproject.toml"),
            lambda: install_project(requirements[-1], constraints),
        ),
        Part(
            "MiniStack" if purpose == "start" else "MiniStack with what deploys to it",
            MINISTACK / f"installed-{purpose}",
            tuple(ministack),
            lambda: install_python(MINISTACK, ministack[-1], None),
        ),
        Part(
            "npm packages",
            ROOT / "node_modules" / ".installed",
            (ROOT / "package.json", ROOT / "package-lock.json"),
            install_npm,
        ),
    ]


def bring_up_to_date(part: Part) -> None:
    """Install `part` and stamp it."""
    started = time.monotonic()
    part.install()
    part.stamp.parent.mkdir(parents=True, exist_ok=True)
    part.stamp.write_text(part.fingerprint())
    print(f"  {part.name}: ready after {time.monotonic() - started:.0f} s", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Install what `arguments[0]`, `start` or `dev`, needs; return the exit status."""
    forget_other_python()
    missing = [part for part in parts_for(arguments[0]) if not part.is_current()]
    if not missing:
        return 0
    print("Installing " + ", ".join(part.name for part in missing) + " …", flush=True)
    with ThreadPoolExecutor(len(missing)) as pool:
        outcomes = [pool.submit(bring_up_to_date, part) for part in missing]
        try:
            for outcome in outcomes:
                outcome.result()
        except (InstallError, OSError) as error:
            print(f"linli: cannot install {error}", file=sys.stderr, flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
