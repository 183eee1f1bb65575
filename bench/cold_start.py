"""What a cold start costs: from the start of a process to its first answer, against a bare Chalice route.

Each run is a fresh process that does what Lambda does: import the app, hand it one API Gateway event. The runs take
turns (bare, search, order, …), so that a busy machine is busy for all of them; the figures are ratios of medians of the
process's whole wall time. `answered` is the same without the process's end.

    search      GET /v1/search in a city of 22 shops: a page of 20 hits, read from the store
    order       POST /v1/orders: a slot is claimed and the order is stored; nothing goes to a queue before it is paid
    free order  the same for an offer that costs nothing: it is confirmed at once, and the relay of that news to SQS is
                part of the request

DynamoDB is the local engine in memory, SQS is MiniStack's. Neither is started in the measured time, their answers are
part of it. Secrets come from a file. Quotes and tokens were made by another process before.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import harness
from infra.local import engines
from infra.local.processes import LOOPBACK, Children, free_ports

QUICK = ("--runs", "15")
ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 2
LIMITS = {"search": 6.0, "order": 8.0, "free order": 8.0}

_BARE = """
from chalice import Chalice

app = Chalice(app_name="bare", configure_logs=False)


@app.route("/")
def index():
    return {"hello": "world"}
"""

# What Lambda's bootstrap does. The same for all, so that its own imports weigh on all alike.
_CHILD = """
import json, sys

class Context:
    aws_request_id = "00000000-0000-0000-0000-000000000000"

with open(sys.argv[2], encoding="utf-8") as file:
    event = json.load(file)
sys.path.insert(0, sys.argv[1])
from app import app
answer = app(event, Context())
sys.stdout.write("\\n" + json.dumps({"answer": answer, "modules": len(sys.modules)}) + "\\n")
sys.stdout.flush()
"""

_BARE_EVENT = {
    "headers": {},
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "body": None,
    "isBase64Encoded": False,
    "requestContext": {"httpMethod": "GET", "resourcePath": "/", "path": "/", "identity": {"sourceIp": "127.0.0.1"}},
}


@dataclass
class Kind:
    """One kind of first request, and what its runs took: milliseconds to the answer and to the process's end."""

    name: str
    root: Path
    status: int
    events: list[Path]
    answered: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    modules: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.whole)

    def ratio_to(self, bare: Kind) -> float:
        return self.median / bare.median


def run(kind: Kind, event: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds from the start of a fresh process to its answer, and to its end. Raises SystemExit unless the
    answer is the right one."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(kind.root), str(event)],
        cwd=kind.root,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    told = b""
    for line in process.stdout or ():
        if line.startswith(b'{"answer":'):
            told = line
            break
    answered = time.perf_counter()
    _, complaint = process.communicate()
    ended = time.perf_counter()
    if not told:
        raise SystemExit(f"{kind.name}: no answer\n{complaint.decode()}")
    _check(kind, json.loads(told))
    return (answered - begun) * 1000, (ended - begun) * 1000


def _check(kind: Kind, told: dict[str, Any]) -> None:
    """A refusal is quick; it must not count."""
    answer = told["answer"]
    body = json.loads(answer["body"])
    right = {
        "bare": body == {"hello": "world"},
        "search": len(body.get("items", ())) == 20,
        "order": body.get("state") == "pending_payment",
        "free order": body.get("state") == "confirmed",
    }
    if answer["statusCode"] != kind.status or not right[kind.name]:
        raise SystemExit(f"{kind.name} was answered {answer['statusCode']}: {answer['body']}")
    kind.modules = told["modules"]


@contextmanager
def stage(folder: Path) -> Iterator[dict[str, str]]:
    """The engines, and the environment by which a process finds them."""
    binary = engines.find_dynoxide()
    if binary is None:
        raise SystemExit("the local database engine is not installed: run `make start` once")
    dynamodb_port, sqs_port = free_ports(2)
    children = Children(folder)
    try:
        python = engines.find_ministack_python()
        dynoxide = engines.start_dynoxide(children, binary, dynamodb_port, None)
        ministack = engines.start_ministack(children, python, sqs_port, ["sqs"], folder)
        engines.wait_for_dynoxide(dynoxide, dynamodb_port)
        engines.wait_for_ministack(ministack, sqs_port)
        names = ("token_key_1", "phone_key", "blind_index_key", "quote_key", "cursor_key")
        kept = folder / "secrets.json"
        kept.write_text(json.dumps({name: secrets.token_hex(32) for name in names}), encoding="utf-8")
        yield {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{LOOPBACK}:{dynamodb_port}",
            "AWS_ENDPOINT_URL_SQS": f"http://{LOOPBACK}:{sqs_port}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_SESSION_TOKEN": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "LINLI_STAGE": "bench",
            "LINLI_SECRETS_FILE": str(kept),
            # Each process takes a lease of calls and uses one of them: a limit for people would end the bench.
            "LINLI_RATE_ADDRESS_MINUTE": "1000000",
            "LINLI_RATE_ACCOUNT_MINUTE": "1000000",
        }
    finally:
        children.stop()


def prepare(folder: Path, environment: Mapping[str, str], count: int) -> dict[str, Kind]:
    """Tables, queues, the city, and one event file for each request to come."""
    command = [sys.executable, "-m", "bench.cold_start_city", str(count)]
    # All of it in one process, as the local stack has it: this one is not measured.
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the city could not be seeded\n{done.stderr}")
    made = json.loads(done.stdout.splitlines()[-1])

    def files(name: str, events: list[Any]) -> list[Path]:
        paths = [folder / f"{name}-{number}.json" for number in range(len(events))]
        for path, event in zip(paths, events, strict=True):
            path.write_text(json.dumps(event), encoding="utf-8")
        return paths

    bare = folder / "bare"
    bare.mkdir()
    (bare / "app.py").write_text(_BARE, encoding="utf-8")
    kinds = (
        Kind("bare", bare, 200, files("bare", [_BARE_EVENT]) * count),
        Kind("search", ROOT, 200, files("search", [made["search"]]) * count),
        Kind("order", ROOT, 201, files("order", made["orders"])),
        Kind("free order", ROOT, 201, files("free", made["free_orders"])),
    )
    return {kind.name: kind for kind in kinds}


def imports(kind: Kind, event: Path, environment: Mapping[str, str]) -> Counter[str]:
    """Milliseconds that the imports of each library took of themselves (`-X importtime`, which slows them all)."""
    command = [sys.executable, "-X", "importtime", "-c", _CHILD, str(kind.root), str(event)]
    done = subprocess.run(command, cwd=kind.root, env=dict(environment), capture_output=True, text=True, check=True)
    sums: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            top = parts[2].strip().partition(".")[0]
            sums["(standard library)" if top in sys.stdlib_module_names else top] += int(parts[0])
    return Counter({name: round(us / 1000) for name, us in sums.items()})


def report(kinds: Mapping[str, Kind]) -> None:
    bare = kinds["bare"]
    harness.say(f"{'':<12}{'median ms':>10}{'min':>8}{'max':>8}{'ratio':>8}{'limit':>7}{'answered':>10}{'modules':>9}")
    for kind in kinds.values():
        limit = f"{LIMITS[kind.name]:.0f}" if kind.name in LIMITS else ""
        answered = statistics.median(kind.answered) / statistics.median(bare.answered)
        harness.say(
            f"{kind.name:<12}{kind.median:>10.1f}{min(kind.whole):>8.1f}{max(kind.whole):>8.1f}"
            f"{kind.ratio_to(bare):>8.2f}{limit:>7}{answered:>10.2f}{kind.modules:>9}"
        )


def where_it_goes(kinds: Mapping[str, Kind], environment: Mapping[str, str]) -> None:
    """A table of the imports, by library."""
    found = {name: imports(kind, kind.events[0], environment) for name, kind in kinds.items() if kind.events}
    names = sorted(set().union(*found.values()), key=lambda name: -max(sums[name] for sums in found.values()))
    harness.say(f"\n{'imports, ms of CPU each took itself':<38}" + "".join(f"{name:>12}" for name in found))
    for name in names[:16]:
        harness.say(f"{name:<38}" + "".join(f"{sums[name]:>12}" for sums in found.values()))
    harness.say(f"{'all':<38}" + "".join(f"{sums.total():>12}" for sums in found.values()))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench cold_start", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="measured processes of each kind")
    asked = parser.parse_args(arguments)
    total = asked.runs + WARM_UP
    with tempfile.TemporaryDirectory(prefix="linli-cold-") as name, stage(Path(name)) as environment:
        folder = Path(name)
        harness.say("cold start: seeding a city, then fresh processes in turn")
        kinds = prepare(folder, environment, total + 1)
        lambda_like = {
            **environment,
            "LINLI_SURFACE": "public",
            "AWS_LAMBDA_FUNCTION_NAME": "linli-bench-public-api_handler",
        }
        with harness.progress("cold start", total) as bar:
            for number in range(total):
                for kind in kinds.values():
                    answered, whole = run(kind, kind.events.pop(), lambda_like)
                    if number >= WARM_UP:
                        kind.answered.append(answered)
                        kind.whole.append(whole)
                bar(number + 1)
        report(kinds)
        where_it_goes(kinds, lambda_like)
    bare = kinds["bare"]
    figures: dict[str, Any] = {"runs": asked.runs, "bare_ms": bare.median}
    for kind_name, limit in LIMITS.items():
        kind = kinds[kind_name]
        short = f"first_{kind_name.replace(' ', '_')}"
        figures |= {f"{short}_ratio": kind.ratio_to(bare), f"{short}_modules": kind.modules}
        if kind.ratio_to(bare) > limit:
            harness.say(f"{kind_name}: above {limit:.0f} ×")
    harness.finish("cold_start", figures)
    return int(any(kinds[name].ratio_to(bare) > limit for name, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
