"""The engines below the application: dynoxide for DynamoDB, MiniStack for SQS and the other services.

Either is left out when its endpoint is already set, so that the same command can run against another DynamoDB or SQS.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.local.processes import LOOPBACK, Child, Children, StartError, accepts_connections, answers_ok, wait_ready

ROOT = Path(__file__).resolve().parents[2]
DYNAMODB_ENDPOINT = "AWS_ENDPOINT_URL_DYNAMODB"
SQS_ENDPOINT = "AWS_ENDPOINT_URL_SQS"
# What MiniStack serves besides SQS, each with the variable by which boto3 finds it.
_OTHER_SERVICES = {
    "sns": "AWS_ENDPOINT_URL_SNS",
    "s3": "AWS_ENDPOINT_URL_S3",
    "ssm": "AWS_ENDPOINT_URL_SSM",
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
}


@dataclass(frozen=True)
class EnginePlan:
    """Which engines to start and where; a port is None where that engine is not started."""

    dynoxide: Path | None
    dynamodb_port: int | None
    ministack_python: Path | None
    ministack_port: int | None
    endpoints: Mapping[str, str]
    notice: str | None = None

    @property
    def ministack_services(self) -> list[str]:
        """The services MiniStack has to load: DynamoDB only when dynoxide is not to be had."""
        services = ["sqs", *_OTHER_SERVICES]
        return services if self.dynoxide or self.dynamodb_port is None else [*services, "dynamodb"]


def plan_engines(environment: Mapping[str, str], ports: tuple[int, int], root: Path = ROOT) -> EnginePlan:
    """Decide what to start on `ports` (DynamoDB, MiniStack), given the endpoints already set in `environment`.

    Raises `StartError` when MiniStack is needed and not installed.
    """
    endpoints = {name: environment[name] for name in (DYNAMODB_ENDPOINT, SQS_ENDPOINT) if environment.get(name)}
    needs_dynamodb = DYNAMODB_ENDPOINT not in endpoints
    dynoxide = find_dynoxide(root) if needs_dynamodb else None
    falls_back = needs_dynamodb and dynoxide is None
    # Somebody who brings a queue brings the rest of his cloud too; only the fallback still needs MiniStack then.
    needs_ministack = SQS_ENDPOINT not in endpoints or falls_back
    ministack_url = f"http://{LOOPBACK}:{ports[1]}"
    dynamodb_port = ports[0] if dynoxide else ports[1]
    if needs_dynamodb:
        endpoints[DYNAMODB_ENDPOINT] = f"http://{LOOPBACK}:{dynamodb_port}"
    if SQS_ENDPOINT not in endpoints:
        endpoints[SQS_ENDPOINT] = ministack_url
        endpoints |= {name: environment.get(name) or ministack_url for name in _OTHER_SERVICES.values()}
    return EnginePlan(
        dynoxide=dynoxide,
        dynamodb_port=dynamodb_port if needs_dynamodb else None,
        ministack_python=find_ministack_python(root) if needs_ministack else None,
        ministack_port=ports[1] if needs_ministack else None,
        endpoints=endpoints,
        notice=(
            f"dynoxide has no binary here ({sys.platform} {platform.machine()}): DynamoDB is MiniStack's, which keeps "
            "its data only until it stops"
            if falls_back
            else None
        ),
    )


def find_dynoxide(root: Path = ROOT) -> Path | None:
    """Return the locked npm package's engine, or None where there is none for this machine.

    The package is one per platform, `@dynoxide/<platform>`; npm installs the one that fits and no other.
    """
    binaries = sorted((root / "node_modules" / "@dynoxide").glob("*/dynoxide"))
    return next((binary for binary in binaries if os.access(binary, os.X_OK)), None)


def find_ministack_python(root: Path = ROOT) -> Path:
    """Return the interpreter of MiniStack's own environment, or raise `StartError` with the remedy."""
    home = Path(os.environ.get("LINLI_MINISTACK_VENV") or root / ".venv" / "ministack")
    python = home / "bin" / "python"
    if not python.exists():
        raise StartError(f"MiniStack is not installed in {home}: run `make start`")
    return python


def start_dynoxide(children: Children, binary: Path, port: int, database: Path | None) -> Child:
    """Start dynoxide on `port`, storing in `database` (None: in memory). Not waited for."""
    command = [str(binary), "--host", LOOPBACK, "--port", str(port)]
    if database is not None:
        command += ["--db-path", str(database)]
    return children.start("dynoxide", command, env=_bare_environment())


def start_ministack(
    children: Children,
    python: Path,
    port: int,
    services: list[str],
    data: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    program: Sequence[str] = ("-m", "ministack"),
) -> Child:
    """Start MiniStack on `port` with only `services`, keeping its files below `data`. Its `settings` come on top of
    ours; `program` is what its Python is told to run. Not waited for.

    It would bind every address, open a second port for IoT and write below /tmp: all three are turned off here.
    """
    scratch = data / "ministack"
    scratch.mkdir(parents=True, exist_ok=True)
    env = _bare_environment() | {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": "us-east-1",
        "SERVICES": ",".join(services),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(scratch),
        "PERSIST_STATE": "1",  # an orderly stop keeps queued messages; a hard one loses them (see resources.py)
        "STATE_DIR": str(scratch / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(scratch / "s3"),
        "DOCKER_HOST": "unix:///nowhere",  # it would otherwise tidy away other people's containers
        **settings,
    }
    return children.start("ministack", [str(python), *program], env=env, cwd=scratch)


def wait_for_dynoxide(child: Child, port: int) -> None:
    """Return when dynoxide accepts connections; raises `StartError`."""
    wait_ready(child, lambda: accepts_connections(port))


def wait_for_ministack(child: Child, port: int) -> None:
    """Return when MiniStack is healthy; raises `StartError`."""
    wait_ready(child, lambda: answers_ok(f"http://{LOOPBACK}:{port}/_ministack/health"))


def _bare_environment() -> dict[str, str]:
    """Return what an engine may see of ours: nothing but where programs and the home are."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
