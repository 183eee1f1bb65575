"""`make package`: builds what is deployed, `build/package/<stage>/{sam.json,deployment.zip}`.

Chalice packages a clean copy of the app; then the zip is written anew without what is never used, in one order and with
one date, so that the same code gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from infra import cloud, functions
from infra.declare import Stack, stack
from infra.functions import STAGES, Stage
from infra.imports import ROOT

# The services that some code of ours makes a client of, and what their credentials need; a test compares.
SERVICES = frozenset({"dynamodb", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts"})

UNPACKED_LIMIT_MB = 250  # Lambda's
_MB = 1_000_000
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


class PackageError(Exception):
    """The package would not run; the message is one line for the person who builds it."""


@dataclass(frozen=True)
class Package:
    """What was built, with its sizes in bytes."""

    template: Path
    zip_file: Path
    zipped_bytes: int
    unpacked_bytes: int


def build(found: Stack, stage: Stage, target: Path, *, libraries: bool = True) -> Package:
    """Packages one stage into `target`, which is emptied first. Without `libraries` the zip holds our own code only:
    the template is the same, and nothing is downloaded. Raises PackageError."""
    shutil.rmtree(target, ignore_errors=True)
    source = target / "source"
    _copy_source(source, found, libraries=libraries)
    merge = source / "merge.json"
    merge.write_text(json.dumps(cloud.merge_template(found, stage), ensure_ascii=False, indent=2), encoding="utf-8")
    _run_chalice(source, stage, merge, target)
    zip_file = target / "deployment.zip"
    if libraries:
        _refuse_missing(zip_file)
    unpacked_bytes = _rewrite(zip_file)
    shutil.rmtree(source)
    if unpacked_bytes > UNPACKED_LIMIT_MB * _MB:
        raise PackageError(f"{unpacked_bytes // _MB} MB unpacked, Lambda takes {UNPACKED_LIMIT_MB}")
    return Package(target / "sam.json", zip_file, zip_file.stat().st_size, unpacked_bytes)


def _copy_source(source: Path, found: Stack, *, libraries: bool) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "chalicelib", source / "chalicelib", ignore=ignore)
    shutil.copy(ROOT / "app.py", source / "app.py")
    for path, text in functions.files(found).items():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8") if libraries else ""
    if libraries:
        wanted += f"-c {ROOT / 'constraints.txt'}\n"
    (source / "requirements.txt").write_text(wanted, encoding="utf-8")


def _run_chalice(source: Path, stage: Stage, merge: Path, target: Path) -> None:
    """The region decides only the partition's names; the template says which region it is by reference."""
    command = ["package", "--stage", stage.name, "--merge-template", str(merge), str(target)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("LINLI_")}
    environment.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    run = subprocess.run(
        [sys.executable, "-c", "from chalice.cli import main; raise SystemExit(main())", *command],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # Chalice answers 0 when a library has no wheel for Lambda, and says so in its output only.
    if run.returncode or "Could not install dependencies" in run.stdout:
        raise PackageError(f"chalice package failed:\n{run.stdout}{run.stderr}")


def _refuse_missing(zip_file: Path) -> None:
    with ZipFile(zip_file) as opened:
        there = {_normal(name.partition("-")[0]) for name in opened.namelist() if ".dist-info/" in name}
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = {_normal(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    if not wanted <= there:
        raise PackageError(f"not in the package: {', '.join(sorted(wanted - there))}")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def is_used(name: str) -> bool:
    """Tells whether a file of the zip is worth shipping: botocore describes every service of AWS, 25 MB of them."""
    parts = name.split("/")
    if parts[:2] == ["botocore", "data"] and len(parts) > 3:
        return parts[2] in SERVICES
    return "__pycache__" not in parts


def _rewrite(zip_file: Path) -> int:
    """Leaves the unused out and returns the bytes that unpack."""
    smaller = zip_file.with_suffix(".new")
    unpacked_bytes = 0
    with ZipFile(zip_file) as old, ZipFile(smaller, "w", ZIP_DEFLATED, compresslevel=9) as new:
        for name in sorted(filter(is_used, old.namelist())):
            content = old.read(name)
            entry = ZipInfo(name, _DATE)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            new.writestr(entry, content)
            unpacked_bytes += len(content)
    smaller.replace(zip_file)
    return unpacked_bytes


_PROBE = """
import importlib, json, sys, time
begun = time.perf_counter()
sys.path.insert(0, sys.argv[1])
asked = json.loads(sys.argv[2])
for name in asked["modules"]:
    importlib.import_module(name)
import boto3
for name in asked["services"]:
    boto3.client(name, region_name="us-east-1")
print(round((time.perf_counter() - begun) * 1000))
"""


def probe(package: Package, modules: Iterable[str], stage: Stage) -> int | None:
    """Imports every entry from the package alone and makes a client of each service. Returns the milliseconds, or None
    where this machine is not of Lambda's kind. Raises PackageError."""
    if (platform.system(), platform.machine()) != ("Linux", functions.ARCHITECTURE):
        return None
    asked = json.dumps({"modules": sorted(set(modules)), "services": sorted(SERVICES)})
    with tempfile.TemporaryDirectory(prefix="linli-package-") as place:
        with ZipFile(package.zip_file) as opened:
            opened.extractall(place)
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROBE, place, asked],
            cwd=place,
            env={**functions.SETTINGS, **stage.settings()},
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise PackageError(f"the package does not load:\n{run.stderr}")
    return int(run.stdout)


def entries(found: Stack) -> list[str]:
    """The modules that Lambda loads, and the adapters that they load by name."""
    adapters = [text.partition(":")[0] for text in functions.SETTINGS.values() if text.startswith("chalicelib.")]
    return ["app", *(function.module for function in found.functions), *adapters]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("--stage", choices=[stage.name for stage in STAGES], default="prod")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "package")
    chosen = parser.parse_args(arguments)
    stage = next(each for each in STAGES if each.name == chosen.stage)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    found = stack()
    say(f"{stage.name}: {len(found.functions)} functions, {len(found.tables)} tables, {len(found.queues)} queues")
    say("packaging with chalice; the libraries come from the package index")
    try:
        package = build(found, stage, chosen.output / stage.name)
        say("loading every entry from the package alone")
        took_ms = probe(package, entries(found), stage)
    except PackageError as error:
        raise SystemExit(f"linli: {error}") from error
    say("not tried: this machine is not of Lambda's kind" if took_ms is None else f"loaded in {took_ms} ms")
    say(f"{package.zip_file}: {package.zipped_bytes / _MB:.1f} MB, {package.unpacked_bytes / _MB:.1f} MB unpacked")
    say(f"{package.template}")


if __name__ == "__main__":
    main()
