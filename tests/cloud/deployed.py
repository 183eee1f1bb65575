"""A stage of Linli as it is deployed: built packages, CloudFormation, secrets, the demo city, the payment provider."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chalicelib.web.application import HTTP_SURFACES, surface_of
from infra import functions
from infra.functions import Stage
from infra.local.files import local_secrets
from infra.local.processes import LOOPBACK, Children, answers_ok, free_ports, wait_ready
from infra.ops import package
from tests.cloud import deploying
from tests.cloud.region import Region

ROOT = Path(__file__).resolve().parents[2]
STAGE = next(stage for stage in functions.STAGES if stage.name == "staging")

_SEED = "from infra.ops.seed import seed_if_empty; print(seed_if_empty())"


class Deployed:
    """The stage `staging` in a region of its own, which ends with it."""

    def __init__(self, children: Children, data: Path) -> None:
        ministack_port, self._stripe_port = free_ports(2)
        self.clock_file = data / "clock"
        self.secrets = local_secrets(data / "secrets.json")
        built = build(data / "package", STAGE, self._told())
        self.region = Region(children, ministack_port, data)
        self.outputs = deploying.deploy(self.region, STAGE, built)
        deploying.put_secrets(self.region, STAGE, self.secrets)
        self._seed()
        self._start_stripe(children, data)

    def _told(self) -> dict[str, str]:
        """What the functions of this stage are told beside the package's own settings."""
        return {
            "LINLI_STRIPE_BASE_URL": self.stripe_url,
            "LINLI_CLOCK_FILE": str(self.clock_file),
        }

    @property
    def stripe_url(self) -> str:
        return f"http://{LOOPBACK}:{self._stripe_port}"

    def url(self, surface: str) -> str:
        """Where the API of a surface is called: MiniStack's address of the API Gateway stage."""
        api = deploying.api_id(self.outputs, surface)
        return f"{self.region.url}/restapis/{api}/{functions.GATEWAY_STAGE}/_user_request_"

    def function(self, name: str) -> str:
        """The full name of a function."""
        return deploying.function_name(STAGE, name)

    def role_of(self, name: str) -> str:
        """The ARN of the role that a function runs under."""
        return str(self.region.client("lambda").get_function_configuration(FunctionName=self.function(name))["Role"])

    def client_of(self, name: str, service: str) -> Any:
        """A client with the rights of a function."""
        return self.region.client(service, **self.region.keys_of(self.role_of(name)))

    def _seed(self) -> None:
        settings = {**functions.SETTINGS, **STAGE.settings()}
        done = subprocess.run(
            [sys.executable, "-c", _SEED],
            cwd=ROOT,
            env=self.region.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "seeded=True" in done.stdout, done.stdout

    def _start_stripe(self, children: Children, data: Path) -> None:
        command = [sys.executable, "-m", "infra.local.stripe_server", "--port", str(self._stripe_port), "--quiet"]
        command += ["--secret-key", self.secrets["stripe_secret_key"]]
        command += ["--webhook-secret", self.secrets["stripe_webhook_secret"]]
        command += ["--webhook-url", self.url(surface_of("/webhooks/stripe")) + "/webhooks/stripe"]
        command += ["--clock-file", str(self.clock_file), "--db", str(data / "stripe.sqlite")]
        child = children.start("stripe", command, env=self.region.environ | {"PYTHONPATH": str(ROOT)})
        wait_ready(child, lambda: answers_ok(f"{self.stripe_url}/local/health"))


def build(target: Path, stage: Stage, told: dict[str, str]) -> package.Package:
    """The package as `make package` builds it. Only the functions' environment gets more: what this place needs."""
    from infra.declare import stack

    made = package.build(stack(), stage, target)
    template = json.loads(made.template.read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["Environment"]["Variables"] |= told
    made.template.write_text(json.dumps(template), encoding="utf-8")
    return made


__all__ = ["HTTP_SURFACES", "STAGE", "Deployed"]
