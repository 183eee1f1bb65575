"""The night's reconciliation."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.reconciliation import service
from chalicelib.runtime import entry
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import SCHEDULES

blueprint = Blueprint("chalicelib.reconciliation.handlers")


@blueprint.schedule(SCHEDULES["reconcile"], name="reconcile")
@entry.schedule(service.JOB, lease_seconds=900)
def reconcile(ctx: Context) -> dict[str, Any]:
    """Matches the provider days since the last completed run."""
    return dict(service.reconcile(ctx))
