"""The scheduled function that anchors the audit log outside the database. A module of its own, so that no other
function is granted the log and the file store for it."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.runtime import audit, entry
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import SCHEDULES

blueprint = Blueprint(__name__)


@blueprint.schedule(SCHEDULES["anchor_audit"], name="anchor_audit")
@entry.schedule("anchor_audit", lease_seconds=60)
def anchor_audit(ctx: Context) -> dict[str, Any]:
    """Writes the head of the audit log into the file store."""
    return dict(audit.anchor(ctx.ports.files, ctx.now))
