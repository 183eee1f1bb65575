"""`make package`: builds what is deployed, `build/package/<stage>/`: a template for the base and for each surface, and
one `deployment.zip` for all of them: the code is the same, only what it is told differs.

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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from chalicelib.web.application import SURFACES
from infra import base, cloud, functions
from infra.declare import Stack, stack
from infra.functions import ARCHITECTURE, STAGES, Stage, chalice_stage, stage_of
from infra.imports import ROOT
from infra.names import BASE

# The services that some code of ours makes a client of, and what their credentials need; a test compares.
SERVICES = frozenset({"dynamodb", "s3", "sns", "sqs", "ssm", "sts"})

UNPACKED_LIMIT_MB = 250  # Lambda's
_MB = 1_000_000
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


class PackageError(Exception):
    """The package would not run; the message is one line for the person who builds it."""


@dataclass(frozen=True)
class Package:
    """What was built for a stage, with the zip's sizes in bytes. `templates` has `base` and every surface."""

    stage: str
    architecture: str
    templates: Mapping[str, Path]
    zip_file: Path
    zipped_bytes: int
    unpacked_bytes: int


def build(
    found: Stack, stage: Stage, target: Path, *, libraries: bool = True, architecture: str = ARCHITECTURE
) -> Package:
    """Packages one stage into `target`, which is emptied first. Without `libraries` the zip holds our own code only:
    the templates are the same, and nothing is downloaded. Raises PackageError."""
    shutil.rmtree(target, ignore_errors=True)
    source = target / "source"
    _copy_source(source, found, architecture)
    templates = {BASE: target / f"{BASE}.json"}
    templates[BASE].write_text(_text(base.template(found, stage)), encoding="utf-8")
    zip_file = target / "deployment.zip"
    for surface in SURFACES:
        first = not zip_file.exists()
        _require(source, libraries=libraries and first)
        made = _run_chalice(source, found, stage, surface)
        if first:
            (made / "deployment.zip").rename(zip_file)
        templates[surface] = target / f"{surface}.json"
        (made / "sam.json").rename(templates[surface])
    shutil.rmtree(source)
    if libraries:
        _refuse_missing(zip_file)
    unpacked_bytes = _rewrite(zip_file)
    if unpacked_bytes > UNPACKED_LIMIT_MB * _MB:
        raise PackageError(f"{unpacked_bytes // _MB} MB unpacked, Lambda takes {UNPACKED_LIMIT_MB}")
    return Package(stage.name, architecture, templates, zip_file, zip_file.stat().st_size, unpacked_bytes)


def _text(template: dict[str, object]) -> str:
    return json.dumps(template, ensure_ascii=False, indent=2) + "\n"


def _copy_source(source: Path, found: Stack, architecture: str) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "chalicelib", source / "chalicelib", ignore=ignore)
    shutil.copy(ROOT / "app.py", source / "app.py")
    for path, text in functions.files(found, architecture).items():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")


def _require(source: Path, *, libraries: bool) -> None:
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8") if libraries else ""
    if libraries:
        wanted += f"-c {ROOT / 'constraints.txt'}\n"
    (source / "requirements.txt").write_text(wanted, encoding="utf-8")


def _run_chalice(source: Path, found: Stack, stage: Stage, surface: str) -> Path:
    """Returns the folder with `sam.json` and `deployment.zip`. The region decides only the partition's names; the
    template says which region it is by reference."""
    merge, made = source / f"{surface}.json", source / "made" / surface
    merge.write_text(_text(cloud.merge_template(found, stage, surface)), encoding="utf-8")
    command = ["package", "--stage", chalice_stage(stage, surface), "--merge-template", str(merge), str(made)]
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
    return made


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


def machine() -> str:
    """This machine's architecture in Lambda's words."""
    return {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


def probe(package: Package, modules: Iterable[str]) -> int | None:
    """Imports every entry from the package alone and makes a client of each service. Returns the milliseconds, or None
    where this machine is not of Lambda's kind. Raises PackageError."""
    if (platform.system(), machine()) != ("Linux", package.architecture):
        return None
    asked = json.dumps({"modules": sorted(set(modules)), "services": sorted(SERVICES)})
    with tempfile.TemporaryDirectory(prefix="linli-package-") as place:
        with ZipFile(package.zip_file) as opened:
            opened.extractall(place)
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROBE, place, asked],
            cwd=place,
            env={**functions.SETTINGS, **stage_of(package.stage).settings("all")},
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
    stage = stage_of(chosen.stage)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    found = stack()
    say(f"{stage.name}: {len(found.functions)} functions, {len(found.tables)} tables, {len(found.queues)} queues")
    say("packaging with chalice; the libraries come from the package index")
    try:
        package = build(found, stage, chosen.output / stage.name)
        say("loading every entry from the package alone")
        took_ms = probe(package, entries(found))
    except PackageError as error:
        raise SystemExit(f"linli: {error}") from error
    say("not tried: this machine is not of Lambda's kind" if took_ms is None else f"loaded in {took_ms} ms")
    say(f"{package.zip_file}: {package.zipped_bytes / _MB:.1f} MB, {package.unpacked_bytes / _MB:.1f} MB unpacked")


if __name__ == "__main__":
    main()
