"""The night's reconciliation."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.reconciliation import service
from chalicelib.runtime import entry
from chalicelib.runtime.context import Context

blueprint = Blueprint("chalicelib.reconciliation.handlers")


@blueprint.schedule("cron(0 18 * * ? *)", name="reconcile")  # 02:00 in Shanghai
@entry.schedule(service.JOB, lease_seconds=900)
def reconcile(ctx: Context) -> dict[str, Any]:
    """Matches the provider days since the last completed run."""
    return dict(service.reconcile(ctx))
