"""The night's settlement."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.runtime import entry
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import SCHEDULES
from chalicelib.settlement import service

blueprint = Blueprint("chalicelib.settlement.handlers")


@blueprint.schedule(SCHEDULES["settle"], name="settle")
@entry.schedule(service.JOB, lease_seconds=900)
def settle(ctx: Context) -> dict[str, Any]:
    """Closes every statement that is due."""
    return dict(service.settle(ctx))
