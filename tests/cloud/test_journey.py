"""The story of `make demo`, played against the deployed functions."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from infra.ops import demo
from infra.ops.demo_stage import DemoFailed
from tests.cloud import backstage
from tests.cloud.deployed import STAGE, Deployed

pytestmark = pytest.mark.cloud


def test_the_whole_story_runs_in_the_cloud(deployed: Deployed) -> None:
    """Found, booked, paid, told, served, settled, reconciled: each call through API Gateway, under IAM."""
    told = io.StringIO()
    try:
        figures = demo.play(backstage.stage(deployed, Console(file=told, width=140)))
    except DemoFailed as failure:
        pytest.fail(f"{told.getvalue()[-3000:]}\n{failure}\n{failure.document}\n{deployed.trouble()}")
    assert figures["proofs_hold"] == figures["orders"] == 3
    assert (figures["differences_found"], figures["differences_open"]) == (2, 0)
    printed = deployed.region.printed(f"{STAGE.prefix}jobs-notify")
    consumed = [line for line in printed if line["message"] == "consumed"]
    assert len(consumed) >= 4
