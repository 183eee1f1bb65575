"""What booking does when nobody asks: the night's look at what search was told."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.booking import service
from chalicelib.runtime import entry
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import SCHEDULES

blueprint = Blueprint(__name__)


@blueprint.schedule(SCHEDULES["repair_notes"], name="repair_notes")
@entry.schedule("repair_notes", lease_seconds=600)
def repair_notes(ctx: Context) -> dict[str, Any]:
    """Corrects what search knows of days that have bookings."""
    return {"days_of_shops": service.repair_notes(ctx)}
