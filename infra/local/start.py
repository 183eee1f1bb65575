"""`make start`: the whole of Linli on this machine, until it is told to stop.

Everything listens on loopback only. One process serves HTTP, the queues and the schedules; its children are the engines
and the local payment provider.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import engines
from infra.local.files import local_now, local_secrets, lock_data, write_atomically
from infra.local.processes import (
    LOOPBACK,
    Child,
    Children,
    StartError,
    answers_ok,
    free_ports,
    require_free_port,
    wait_ready,
)

_WATCH_SECONDS = 0.25

log = logging.getLogger("linli.local.start")


@dataclass(frozen=True)
class Place:
    """Where one local stack lives."""

    port: int
    data: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Place:
        """Read LINLI_PORT (default 8000) and LINLI_DATA (default .linli). Raises `StartError`."""
        text = environment.get("LINLI_PORT") or "8000"
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise StartError(f"LINLI_PORT is not a port number: {text!r}")
        return cls(port=int(text), data=Path(environment.get("LINLI_DATA") or ".linli").resolve())

    @property
    def url(self) -> str:
        """The address people and phones' emulators use."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def clock_file(self) -> Path:
        """Holds by how many seconds the local clock is ahead."""
        return self.data / "clock"

    @property
    def environment_file(self) -> Path:
        """Holds the environment of a running stack, as a JSON object; for its owner's eyes only."""
        return self.data / "env.json"


class Stack:
    """What is running, in the order in which it was started."""

    def __init__(self, place: Place, lock: int) -> None:
        """`lock` is the descriptor that holds the data directory's lock."""
        self.place = place
        self.children = Children(place.data / "logs", keep_open=[lock])
        self._stops: list[Callable[[], None]] = []

    def start(self) -> None:
        """Start everything and return once requests are served. Raises `StartError`."""
        dynamodb_port, ministack_port, stripe_port = free_ports(3)
        plan = engines.plan_engines(os.environ, (dynamodb_port, ministack_port))
        if plan.notice:
            say(plan.notice)
        secrets = local_secrets(self.place.data / "secrets.json")
        environment = environment_for(self.place, plan.endpoints, stripe_port)
        os.environ.update(environment)
        waits = self._start_children(plan, stripe_port, secrets)
        app = _load_app()  # while the children start
        _keep_functions_log(self.place.data / "logs" / "functions.log")
        for wait in waits:
            wait()
        self._serve(app)
        # Whoever finds this file finds a stack that is up: the operators' tools and the demo run with it.
        write_atomically(self.place.environment_file, json.dumps(environment, indent=2) + "\n")
        self._stops.append(lambda: self.place.environment_file.unlink(missing_ok=True))

    def stop(self) -> None:
        """Stop everything, the last started first; nothing is left when it returns."""
        for stop in reversed(self._stops):
            stop()
        self.children.stop()

    def _start_children(
        self, plan: engines.EnginePlan, stripe_port: int, secrets: Mapping[str, str]
    ) -> list[Callable[[], None]]:
        """Start the child processes side by side; return what waits for each."""
        waits: list[Callable[[], None]] = []
        if plan.ministack_python is not None and plan.ministack_port is not None:
            port = plan.ministack_port
            ministack = engines.start_ministack(
                self.children, plan.ministack_python, port, plan.ministack_services, self.place.data
            )
            waits.append(lambda: engines.wait_for_ministack(ministack, port))
        if plan.dynoxide is not None and plan.dynamodb_port is not None:
            database, dynamodb_port = self.place.data / "dynamodb.sqlite", plan.dynamodb_port
            dynoxide = engines.start_dynoxide(self.children, plan.dynoxide, dynamodb_port, database)
            waits.append(lambda: engines.wait_for_dynoxide(dynoxide, dynamodb_port))
        stripe = self._start_stripe(stripe_port, secrets)
        waits.append(lambda: wait_ready(stripe, lambda: answers_ok(f"http://{LOOPBACK}:{stripe_port}/local/health")))
        return waits

    def _start_stripe(self, port: int, secrets: Mapping[str, str]) -> Child:
        place = self.place
        command = [sys.executable, "-m", "infra.local.stripe_server"]
        command += ["--port", str(port), "--db", str(place.data / "stripe.sqlite")]
        command += ["--secret-key", secrets["stripe_secret_key"], "--webhook-secret", secrets["stripe_webhook_secret"]]
        command += ["--webhook-url", f"{place.url}/webhooks/stripe", "--public-url", place.url]
        command += ["--clock-file", str(place.clock_file), "--parent-pid", str(os.getpid())]
        return self.children.start("stripe", command, env=os.environ)

    def _serve(self, app: Any) -> None:
        """Create the resources, seed, and start the parts of this process."""
        import boto3

        from chalicelib.runtime.resources import sqs as queue_client
        from infra.local.console import Console
        from infra.local.http import HttpServer, first_of
        from infra.local.media import Media
        from infra.local.resources import create_resources
        from infra.local.scheduler import Scheduler
        from infra.local.usage import Usage
        from infra.local.worker import Worker

        sqs = boto3.client("sqs")
        create_resources(boto3.client("dynamodb"), sqs, app)
        _seed_if_empty()
        usage = Usage()
        usage.count_sqs(sqs)
        queue_client().listeners.append(usage.count_sqs_call)
        scheduler = Scheduler(app, lambda: local_now(self.place.clock_file), usage)
        routes = [
            Media.from_environment(os.environ).answer,
            Console.from_environment(os.environ, scheduler, usage).answer,
        ]
        try:
            http = HttpServer(app, LOOPBACK, self.place.port, first_of(routes), usage)
        except OSError as error:
            raise StartError(f"port {self.place.port} cannot be used: {error.strerror}") from error
        worker = Worker(app, sqs, usage)
        for part in (http, worker, scheduler):
            self._stops.append(part.stop)
            part.start()


def environment_for(place: Place, endpoints: Mapping[str, str], stripe_port: int) -> dict[str, str]:
    """Return the variables the application and our own children run with."""
    choices = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "LINLI_SECRETS": "chalicelib.providers.secrets.local:FileSecrets",
        "LINLI_SMS": "chalicelib.providers.sms.local:Inbox",
        "LINLI_FILES": "chalicelib.providers.files.local:Directory",
        "LINLI_PHOTOS": "chalicelib.providers.files.local_photos:LocalPhotos",
        # Everybody on this machine shares one address, and people who test take phones in a row: neither is an attack.
        "LINLI_RATE_ADDRESS_MINUTE": "1000000",
        "LINLI_OTP_PER_ADDRESS_HOUR": "100000",
        "LINLI_OTP_PER_PREFIX_HOUR": "1000",
        # The functions' own lines are for machines; a person watches the access log, and sees what goes wrong.
        "LINLI_LOG_LEVEL": "WARNING",
    }
    chosen = {name: os.environ.get(name) or default for name, default in choices.items()}
    return {
        **chosen,
        "LINLI_LOG_LEVEL": chosen["LINLI_LOG_LEVEL"].upper(),
        **_credentials(),
        **endpoints,
        "LINLI_STAGE": "local",
        "LINLI_PORT": str(place.port),
        "LINLI_DATA": str(place.data),
        "LINLI_SECRETS_FILE": str(place.data / "secrets.json"),
        "LINLI_FILES_BUCKET": str(place.data / "files"),
        "LINLI_PHOTOS_BUCKET": str(place.data / "photos"),
        "LINLI_SMS_INBOX": str(place.data / "sms.sqlite"),
        "LINLI_CLOCK_FILE": str(place.clock_file),
        "LINLI_STRIPE_BASE_URL": f"http://{LOOPBACK}:{stripe_port}",
        "LINLI_PUBLIC_URL": place.url,
    }


def _credentials() -> dict[str, str]:
    """Return credentials that open nothing, and drop real ones, unless a real endpoint was asked for.

    With one, somebody's own credentials are left alone: that endpoint may need them.
    """
    brought = any(os.environ.get(name) for name in (engines.DYNAMODB_ENDPOINT, engines.SQS_ENDPOINT))
    if brought and (os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE")):
        return {}
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    return {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_EC2_METADATA_DISABLED": "true"}


def say(line: str) -> None:
    """Tell the person at the terminal; at once, also through a pipe."""
    print(line, flush=True)


class _StoppedEarly(BaseException):
    """A signal came before everything was up."""


def main(arguments: list[str] | None = None) -> int:
    """Run the stack until SIGTERM, SIGINT or the end of a child; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.start", description=__doc__)
    parser.add_argument("--with-parent", action="store_true", help="stop when the calling process is gone")
    parent = os.getppid() if parser.parse_args(arguments).with_parent else None
    _configure_logging()
    stopping = threading.Event()
    stack: Stack | None = None
    started = time.monotonic()
    try:
        _on_signals(_stop_early)
        place = Place.from_environment(os.environ)
        require_free_port(place.port)
        stack = Stack(place, lock_data(place.data))
        stack.start()
        # What is there now stays. Without it in the way, garbage in cycles, such as what the provider's SDK leaves, is
        # found after minutes and not after hours.
        gc.collect()
        gc.freeze()
        _on_signals(lambda *_: stopping.set())
        say(_welcome(place, time.monotonic() - started))
        return _watch(stack, stopping, parent)
    except _StoppedEarly:
        return 1
    except StartError as error:
        return _fail(str(error))
    except Exception as error:
        log.debug("the stack failed", exc_info=True)
        return _fail(f"{type(error).__name__}: {error}")
    finally:
        _on_signals(signal.SIG_IGN)  # a second Ctrl-C must not interrupt the stopping
        if stack is not None:
            stack.stop()


def _fail(reason: str) -> int:
    print("linli: " + " ".join(reason.split()), file=sys.stderr, flush=True)
    return 1


def _configure_logging() -> None:
    """Log to stderr. LINLI_LOG_LEVEL is also the functions' (they keep to WARNING without it); DEBUG adds the stack
    traces that are otherwise left out."""
    level = os.environ.get("LINLI_LOG_LEVEL", "INFO").upper()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    if level in logging.getLevelNamesMapping():
        logging.getLogger("linli").setLevel(level)
    for noisy in ("botocore", "boto3", "urllib3", "pynamodb", "stripe"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _keep_functions_log(path: Path) -> None:
    """Send the functions' JSON to a file; the terminal shows a line for each request, and their errors."""
    from chalicelib.runtime import log as functions

    functions.send_to(path.open("a", encoding="utf-8"))
    errors = logging.StreamHandler()
    errors.setLevel(logging.ERROR)
    errors.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S"))
    functions.logger().addHandler(errors)


def _on_signals(action: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, action)


def _stop_early(*_: Any) -> None:
    raise _StoppedEarly


def _watch(stack: Stack, stopping: threading.Event, parent: int | None) -> int:
    """Wait for a reason to stop, and return the exit status it means."""
    while not stopping.wait(_WATCH_SECONDS):
        dead = stack.children.dead()
        if dead is not None:
            raise StartError(f"{dead.name} has ended by itself (status {dead.process.returncode}); see {dead.log}")
        if parent is not None and os.getppid() != parent:
            break
    say("linli: stopping")
    return 0


def _load_app() -> Any:
    """Import the application; only now, because it reads its settings from the environment."""
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module("app").app
    except Exception as error:
        raise StartError(f"the application cannot be loaded: {type(error).__name__}: {error}") from error


def _seed_if_empty() -> None:
    """Fill empty tables with the demo city."""
    from chalicelib.runtime.entry import system_context
    from infra.ops.seed import seed_if_empty

    seed_if_empty(system_context())


def _welcome(place: Place, took_seconds: float) -> str:
    """Return what is printed once everything is up."""
    from infra.local.console import DEMO_ACCOUNTS

    rows = [
        ("API", place.url),
        ("documentation", f"{place.url}/docs"),
        ("local tools", f"{place.url}/local"),
        ("SMS inbox", f"{place.url}/local/sms"),
        ("data and logs", str(place.data)),
        ("the whole story", _in_other_terminal(place, "make demo")),
        *((f"demo {role}", phone) for role, phone in DEMO_ACCOUNTS.items()),
    ]
    table = "".join(f"  {name:<20} {value}\n" for name, value in rows)
    headline = f"Linli 邻里 is up in {took_seconds:.1f} s. Sign-in codes are in the SMS inbox; Ctrl-C stops everything."
    return f"\n{headline}\n\n{table}"


def _in_other_terminal(place: Place, command: str) -> str:
    """Return `command` with the variables it needs to find this stack."""
    usual = Place.from_environment({})
    port = [] if place.port == usual.port else [f"LINLI_PORT={place.port}"]
    data = [] if place.data == usual.data else [f"LINLI_DATA={shlex.quote(str(place.data))}"]
    return " ".join((*port, *data, command))


if __name__ == "__main__":
    sys.exit(main())
