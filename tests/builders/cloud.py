"""What is deployed, built once for a whole run of tests."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from infra import declare
from infra.declare import Stack
from infra.functions import Stage, stage_of
from infra.ops import package
from infra.ops.package import Package

STAGING, PROD = stage_of("staging"), stage_of("prod")


@lru_cache(maxsize=1)
def stack() -> Stack:
    return declare.stack()


def load(built: Package, part: str) -> dict[str, Any]:
    """A built template of one part: `base` or a surface."""
    loaded: dict[str, Any] = json.loads(built.templates[part].read_text(encoding="utf-8"))
    return loaded


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def build(stage: Stage, place: Path | None = None) -> Package:
    """What `make package` makes of us for a stage, without the libraries."""
    return package.build(stack(), stage, place or Path(mkdtemp(prefix="linli-package-")), libraries=False)
