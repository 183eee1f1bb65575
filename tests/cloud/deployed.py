"""A stage of Linli as it is deployed: built packages, CloudFormation, secrets, the demo city, the payment provider."""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from chalicelib.web.application import ALL, surface_of
from infra import functions
from infra.declare import stack
from infra.functions import stage_of
from infra.local.files import local_secrets
from infra.local.processes import LOOPBACK, Children, answers_ok, free_ports, wait_ready
from infra.names import secrets_path
from infra.ops import package
from infra.ops.deploy import Cloud, deploy
from infra.ops.deploy import Deployed as Made
from infra.ops.secrets import make_secrets
from tests.cloud.region import Region

ROOT = Path(__file__).resolve().parents[2]
STAGE = stage_of("staging")
ARCHITECTURE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
"""The functions run here, whatever the cloud's are."""
RUNS_HERE = platform.system() == "Linux"
"""Lambda is Linux, and so are the libraries in the package. Elsewhere the functions find those of the tests."""

_SEED = "from infra.ops.seed import seed_if_empty; print(seed_if_empty())"


class Deployed:
    """The stage `staging` in a region of its own, which ends with it."""

    def __init__(self, children: Children, data: Path) -> None:
        ministack_port, self._stripe_port = free_ports(2)
        self.clock_file = data / "clock"
        self.secrets = local_secrets(data / "secrets.json")
        self.package = package.build(stack(), STAGE, data / "package", libraries=RUNS_HERE, architecture=ARCHITECTURE)
        self.region = Region(children, ministack_port, data)
        self.made = self.deploy()
        made = make_secrets(STAGE.name, self.region.client("ssm"), self.secrets)
        assert not made.missing, made
        self._seed()
        self._start_stripe(children, data)

    def deploy(self) -> Made:
        """As `make deploy` does it."""
        cloud = Cloud(self.region.session, self.region.url, poll_seconds=0.1)
        return deploy(STAGE.name, self.package, cloud, self._told())

    def _told(self) -> dict[str, str]:
        """What a person who deploys would say: the address of the API, and what this place needs."""
        return {
            "PublicUrl": "https://linli.example",
            "LINLI_STRIPE_BASE_URL": self.stripe_url,
            "LINLI_CLOCK_FILE": str(self.clock_file),
            **({} if RUNS_HERE else {"PYTHONPATH": sysconfig.get_path("purelib")}),
        }

    @property
    def stripe_url(self) -> str:
        return f"http://{LOOPBACK}:{self._stripe_port}"

    def url(self, surface: str) -> str:
        """Where the API of a surface is called: MiniStack's address of the API Gateway stage."""
        api = self.made.outputs[surface]["RestAPIId"]
        return f"{self.region.url}/restapis/{api}/{functions.GATEWAY_STAGE}/_user_request_"

    def functions(self) -> list[str]:
        """The names of all deployed functions, without the stage's prefix."""
        pages = self.region.client("lambda").get_paginator("list_functions").paginate()
        names = [one["FunctionName"] for page in pages for one in page["Functions"]]
        return sorted(name.removeprefix(STAGE.prefix) for name in names)

    def parameters(self) -> list[str]:
        """The paths of all secrets that there are."""
        pages = (
            self.region.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=secrets_path(STAGE.name))
        )
        return sorted(one["Name"] for page in pages for one in page["Parameters"])

    def topics(self) -> dict[str, str]:
        """The ARNs of all topics, and the policy of each."""
        sns = self.region.client("sns")
        arns = [one["TopicArn"] for one in sns.list_topics()["Topics"]]
        return {arn: sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"] for arn in arns}

    def trouble(self) -> str:
        """The last lines of each function that are no information, and the last of MiniStack: for a test that fails."""
        found = []
        for name in self.functions():
            lines = [
                line for line in self.region.printed(STAGE.prefix + name) if line.get("level") in ("WARNING", "ERROR")
            ]
            found += [f"{name}: {line}" for line in lines[-3:]]
        return "\n".join([*found, self.region.log.read_text(errors="replace")[-3000:]])

    def role_of(self, function: str) -> str:
        """The ARN of the role that a function runs under."""
        client = self.region.client("lambda")
        return str(client.get_function_configuration(FunctionName=STAGE.prefix + function)["Role"])

    def client_of(self, function: str, service: str) -> Any:
        """A client with the rights of a function."""
        return self.region.client(service, **self.region.keys_of(self.role_of(function)))

    def _seed(self) -> None:
        settings = {**functions.SETTINGS, **STAGE.settings(ALL), "LINLI_SECRET_NAMES": ",".join(self.secrets)}
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
