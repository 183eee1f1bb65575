"""Rate limits as a caller meets them: headers, 429 with Retry-After, and the next minute.

Settings are read once, so the limits stand in the environment of a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from functools import lru_cache
from typing import Any

import pytest

from chalicelib.web import rate
from infra.imports import ROOT
from tests import world
from tests.builders import identity
from tests.client import Client

SCRIPT = """
import json
import os
from pathlib import Path
from tests.client import Client
from tests.builders import identity
from tests import world

world._clock_file = Path(os.environ["LINLI_CLOCK_FILE"])

def seen(reply):
    names = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "Content-Type")
    body = reply.json if reply.status >= 400 else {}
    return {"status": reply.status, "body": body, **{name: reply.headers.get(name) for name in names}}

def to_the_minute():
    world.advance(seconds=60 - world.now().seconds % 60)

one, two = identity.person().client, identity.person(language="zh-CN").client
found = {}
to_the_minute()
found["account"] = [seen(one.get("/v1/me")) for _ in range(7)]
found["other_account"] = seen(two.get("/v1/me"))
found["webhook"] = [Client().request("POST", "/webhooks/stripe", b"{}").status for _ in range(15)]
found["health"] = [Client().get("/healthz").status for _ in range(15)]
to_the_minute()
found["next_minute"] = seen(one.get("/v1/me"))
to_the_minute()
found["address"] = [seen(Client(language="zh-CN").get("/v1/cities")) for _ in range(13)]
found["bad_tokens"] = seen(Client("nonsense").get("/v1/me"))
print(json.dumps(found))
"""
LIMITS = {"LINLI_RATE_ACCOUNT_MINUTE": "5", "LINLI_RATE_ADDRESS_MINUTE": "12", "LINLI_RATE_LEASE": "20"}


@lru_cache(maxsize=1)
def story() -> dict[str, Any]:
    """What a process with small limits answers, against the same engine and the same clock as ours."""
    code = textwrap.dedent(SCRIPT)
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **LIMITS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_an_account_gets_its_limit_in_a_minute_and_then_429() -> None:
    replies = story()["account"]
    assert [reply["status"] for reply in replies] == [200] * 5 + [429] * 2
    assert {reply["RateLimit-Limit"] for reply in replies} == {"5"}
    assert [reply["RateLimit-Remaining"] for reply in replies] == ["4", "3", "2", "1", "0", "0", "0"]
    assert all(1 <= int(reply["RateLimit-Reset"]) <= 60 for reply in replies)


def test_a_429_is_a_problem_document_that_says_when_to_come_back() -> None:
    refused = story()["account"][-1]
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["body"]["code"] == "rate_limited"
    assert refused["Retry-After"] == refused["RateLimit-Reset"]
    assert refused["Retry-After"] in refused["body"]["detail"]
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_another_account_has_a_limit_of_its_own() -> None:
    assert story()["other_account"]["status"] == 200
    assert story()["other_account"]["RateLimit-Remaining"] == "4"


def test_the_next_minute_begins_anew() -> None:
    assert (story()["next_minute"]["status"], story()["next_minute"]["RateLimit-Remaining"]) == (200, "4")


def test_an_address_without_a_name_is_limited_too_and_told_in_its_language() -> None:
    replies = story()["address"]
    assert [reply["status"] for reply in replies] == [200] * 12 + [429]
    assert "秒" in replies[-1]["body"]["detail"]


def test_guessing_tokens_counts_against_the_address() -> None:
    """The address is counted before the token is read."""
    assert story()["bad_tokens"]["status"] == 429


def test_a_provider_that_calls_and_a_probe_are_not_counted() -> None:
    """Webhooks prove themselves by their signature; a burst of them must not be lost."""
    assert story()["webhook"] == [400] * 15
    assert story()["health"] == [200] * 15


def test_every_answer_says_how_much_is_left() -> None:
    """A read, a refusal for its value, a refusal for its token: all carry the three headers."""
    me = identity.person().client
    for reply in (
        me.get("/v1/me"),
        me.get("/v1/orders?limit=0"),
        Client("x").get("/v1/me"),
        Client().get("/v1/cities"),
    ):
        assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} <= set(reply.headers), reply.status


@pytest.mark.parametrize(("limit", "lease"), [(1, 20), (7, 20), (100, 20), (100, 1)])
def test_the_limit_holds_over_leases(limit: int, lease: int) -> None:
    """Whatever the lease, never more than the limit passes, and hardly less."""
    from chalicelib.kernel import ids
    from chalicelib.kernel.errors import TooMany

    whom, passed = ids.random_id("acc"), 0
    now = world.now()
    for _ in range(limit + 30):
        try:
            rate.take("test", whom, limit, lease, now)
        except TooMany:
            continue
        passed += 1
    assert limit - lease < passed <= limit
