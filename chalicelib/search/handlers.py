"""What search does when nobody asks: the bases of its cities."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from chalice.app import Blueprint

from chalicelib.runtime import entry
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import SCHEDULES
from chalicelib.search import bases

blueprint = Blueprint(__name__)


@blueprint.schedule(SCHEDULES["build_search"], name="build_search")
@entry.schedule("build_search", lease_seconds=900)
def build_search(ctx: Context) -> dict[str, Any]:
    """Builds the base of each city that has changed enough, and removes files that nobody needs any more."""
    return asdict(bases.build_due(ctx))
