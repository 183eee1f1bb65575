"""What `make deploy` leaves behind, and that doing it again does no harm."""

from __future__ import annotations

import pytest

from chalicelib.web.application import HTTP_SURFACES, SURFACES
from infra.names import BASE, stack_name
from tests.cloud.backstage import Gateways
from tests.cloud.deployed import STAGE, Deployed

pytestmark = pytest.mark.cloud


def test_the_stage_is_a_base_and_four_surfaces(deployed: Deployed) -> None:
    """Each stack is complete, and each surface that has an API is well."""
    cloudformation = deployed.region.client("cloudformation")
    for part in (BASE, *SURFACES):
        [found] = cloudformation.describe_stacks(StackName=stack_name(STAGE.name, part))["Stacks"]
        assert found["StackStatus"].endswith("_COMPLETE")
        assert "ROLLBACK" not in found["StackStatus"]
    api = Gateways(deployed)
    for surface in HTTP_SURFACES:
        assert api.at(surface).ask("GET", "/healthz").status == 200


def test_a_surface_does_not_serve_what_another_does(deployed: Deployed) -> None:
    """A path of the operators' API is unknown at the public one, and a webhook too."""
    api = Gateways(deployed)
    for method, path in (("GET", "/v1/operator/reconciliation/runs"), ("POST", "/webhooks/stripe")):
        assert api.at("public").ask(method, path, {}).status == 403
        assert api.ask(method, path, {}).status in (400, 401)


def test_deploying_the_same_again_changes_nothing(deployed: Deployed) -> None:
    """Every change set is empty."""
    again = deployed.deploy()
    assert {part: changes for part, changes in again.changes.items() if changes} == {}
