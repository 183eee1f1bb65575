"""The demo's stage in the cloud: its API in parts, a moving clock, and messages that SNS was asked to send."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from chalicelib.runtime import messages
from chalicelib.web.application import HTTP_SURFACES, JOBS, surface_of
from infra.local.files import advance_clock, clock_offset_seconds
from infra.local.stripe_control import StripeControl
from infra.ops.demo_stage import DemoFailed, Http, Reply, Stage
from tests.cloud.deployed import STAGE, Deployed

# What EventBridge gives a scheduled function.
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "000000000000",
    "time": "2026-11-22T00:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:000000000000:rule/by-hand"],
    "detail": {},
}


class Gateways:
    """Satisfies `demo_stage.Api`: each path at the API Gateway of the deployment that serves it."""

    def __init__(self, deployed: Deployed) -> None:
        self._by_surface = {surface: Http(deployed.url(surface)) for surface in HTTP_SURFACES}

    @property
    def calls(self) -> int:
        return sum(http.calls for http in self._by_surface.values())

    def at(self, surface: str) -> Http:
        """The API of one surface, whatever the path."""
        return self._by_surface[surface]

    def ask(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        return self._by_surface[surface_of(target.partition("?")[0])].ask(method, target, body, headers)


class CloudTools:
    """Satisfies `demo_stage.Backstage`."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._stripe = StripeControl(deployed.stripe_url)
        self._lambda = deployed.region.client("lambda")

    def offset_seconds(self) -> int:
        return clock_offset_seconds(self._deployed.clock_file)

    def advance(self, seconds: int) -> int:
        return advance_clock(self._deployed.clock_file, seconds)

    def pay(self, attempt_id: str) -> None:
        self._stripe.decide(self._stripe.intents_of_attempt(attempt_id)[0]["id"], {"outcome": "succeed"})

    def run(self, schedule: str) -> dict[str, Any]:
        name = f"{STAGE.prefix}{JOBS}-{schedule}"
        try:
            answer = self._lambda.invoke(FunctionName=name, Payload=json.dumps(SCHEDULED).encode())
        except ClientError as error:
            # Its one place is taken: the rule runs it just now.
            if error.response["Error"]["Code"] == "TooManyRequestsException":
                return {"skipped": True}
            raise
        result = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise DemoFailed(f"the function {schedule} failed", result)
        return dict(result)

    def mark(self) -> Any:
        return {phone: len(texts) for phone, texts in self._deployed.region.sms().items()}

    def heard(self, phone: str, template: str, since: Any) -> str:
        texts = self._deployed.region.sms(phone)[phone][since.get(phone, 0) :]
        return next((text for text in reversed(texts) if _is_of(text, template)), "")


def _is_of(text: str, template: str) -> bool:
    """SNS knows no templates: a text is of a kind when a message of that kind could read so."""
    known = messages.catalogue("zh-CN")["sms"]
    patterns = ("".join(_as_pattern(known[name])) for name in known if name.startswith(template))
    return any(re.fullmatch(pattern, text) for pattern in patterns)


def _as_pattern(message: str) -> str:
    return ".+".join(re.escape(part) for part in re.split(r"\{\w+\}", message))


def stage(deployed: Deployed, console: Console) -> Stage:
    """Where the demo's acts can be played."""
    provider = Http(deployed.stripe_url)
    key = deployed.secrets["stripe_secret_key"]
    # A function that is called for the first time has to start, and on a busy machine that takes seconds.
    return Stage(Gateways(deployed), provider, key, CloudTools(deployed), console, patience_seconds=60.0)
