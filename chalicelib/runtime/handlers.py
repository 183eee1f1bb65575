"""The scheduled function that keeps the outbox's promise."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.runtime import entry, outbox
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import SCHEDULES

blueprint = Blueprint(__name__)


@blueprint.schedule(SCHEDULES["relay_outbox"], name="relay_outbox")
@entry.schedule("relay_outbox", lease_seconds=20)
def relay_outbox(ctx: Context) -> dict[str, Any]:
    """Sends the news that no inline relay has sent."""
    return {"relayed": outbox.sweep(ctx.now)}
