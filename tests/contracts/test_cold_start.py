"""What the first request of a process loads. Milliseconds vary with the machine, modules do not: they are the budget.

Every library that a start may load is counted, but not the standard library, which differs between versions of Python.
`bench/cold_start.py` has the milliseconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from infra.imports import ROOT
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.client import event_of

# What is loaded by the first call that needs it and by no start.
HEAVY = {
    *("aws_lambda_powertools", "boto3", "cryptography", "fpdf", "numpy", "phonenumbers", "segno", "stripe"),
    *("botocore.client", "botocore.credentials", "botocore.loaders", "botocore.session", "chalicelib.web.openapi"),
}

_FIRST = """
import json, sys
class Context:
    aws_request_id = "1"
event = json.load(sys.stdin)
from app import app
import gc
started = gc.isenabled()
answer = app(event, Context())
libraries = [name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names]
print(json.dumps({"answer": answer, "libraries": libraries, "collects": [started, gc.isenabled()]}))
"""

_AFTERWARDS = """
import os, sys
from app import app
from chalicelib.runtime import lean
lean.load_jwt()
import boto3, cryptography, jwt
import botocore.client, botocore.config, botocore.session
assert botocore.client.ClientError is botocore.exceptions.ClientError
assert botocore.config is sys.modules["botocore.config"] and botocore.config.Config is botocore.client.Config
for service in ("ssm", "sns", "secretsmanager", "s3"):
    assert isinstance(boto3.client(service, region_name="us-east-1"), botocore.client.BaseClient)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
assert AESGCM(bytes(32)).decrypt(bytes(12), AESGCM(bytes(32)).encrypt(bytes(12), b"x", None), None) == b"x"
assert set(jwt.algorithms.get_default_algorithms()) == {"none", "HS256", "HS384", "HS512"}
print("whole")
"""

COLD = {"AWS_LAMBDA_FUNCTION_NAME": "linli-test-public-api_handler", "LINLI_SURFACE": "public"}


@dataclass(frozen=True)
class First:
    """What a fresh process answered to its first request, and the modules of libraries it had loaded by then."""

    status: int
    body: Any
    loaded: set[str]
    collects: list[bool]

    @property
    def of_ours(self) -> int:
        return len({name for name in self.loaded if name.startswith("chalicelib")})


def fresh(code: str, given: str = "") -> str:
    """The last line that a new process prints, started as Lambda starts it."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **COLD},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def first(event: dict[str, Any]) -> First:
    told = json.loads(fresh(_FIRST, json.dumps(event)))
    answer = told["answer"]
    return First(answer["statusCode"], json.loads(answer["body"]), set(told["libraries"]), told["collects"])


def test_a_first_search_loads_what_it_needs() -> None:
    """No slice but its own and the catalogue, nothing heavy, no token library."""
    shop = salons.salon().shop
    found = first(event_of("GET", f"/v1/search?city=sha&q={shop.id[-8:]}", None, {}))
    assert (found.status, [hit["shop_id"] for hit in found.body["items"]]) == (200, [shop.id])
    assert not found.loaded & (HEAVY | {"jwt"})
    assert found.of_ours <= 60
    assert len(found.loaded) <= 200


def test_a_first_order_loads_what_it_needs() -> None:
    """Nothing of paying, ending or the merchant's side; the token is read without cryptography."""
    shop, customer = salons.salon(), identity.person()
    made = build.quote(shop, customer, build.free_slots(shop)[4]["starts_at"])
    assert callable(customer.client.token)
    headers = {"Authorization": f"Bearer {customer.client.token()}", "Idempotency-Key": "first"}
    placed = first(event_of("POST", "/v1/orders", {"quote_id": made["id"]}, headers))
    assert (placed.status, placed.body["state"]) == (201, "pending_payment")
    assert not placed.loaded & HEAVY
    assert placed.of_ours <= 76
    assert len(placed.loaded) <= 226


def test_garbage_is_collected_from_the_first_answer_on() -> None:
    """Not before: what a start makes stays, and to look through it is time lost."""
    assert first(event_of("GET", "/v1/cities", None, {})).collects == [False, True]


def test_what_a_start_leaves_out_is_there_for_who_asks_later() -> None:
    """In the same process boto3 makes whole clients and cryptography encrypts; PyJWT knows shared keys alone."""
    assert fresh(_AFTERWARDS) == "whole"
