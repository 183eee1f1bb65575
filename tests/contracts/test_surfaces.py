"""One code, several deployments: each serves its part, no schedule exists twice, a cold start loads one slice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.web.application import ALL, EVERYWHERE, HTTP_SURFACES, JOBS, SURFACES, surface_of
from infra.declare import route_modules
from infra.imports import ROOT

_SHOW = """
import json
from app import app
print(json.dumps({"paths": sorted(app.routes), "events": sorted(source.name for source in app.event_sources)}))
"""

_CALL = """
import json, sys
from app import app
event = {
    "requestContext": {"httpMethod": "GET", "resourcePath": sys.argv[1], "identity": {"sourceIp": "127.0.0.1"}},
    "headers": {}, "multiValueQueryStringParameters": None, "pathParameters": None, "stageVariables": None,
    "body": None, "isBase64Encoded": False,
}
class Context:
    aws_request_id = "1"
status = app(event, Context())["statusCode"]
from chalicelib.web.router import OPERATIONS
loaded = sorted({operation.module for operation in OPERATIONS})
print(json.dumps({"status": status, "loaded": loaded}))
"""


def run(code: str, *arguments: str, **environment: str) -> Any:
    """What a fresh process prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def shown() -> dict[str, dict[str, list[str]]]:
    with ThreadPoolExecutor(2) as pool:
        names = (*SURFACES, ALL)
        return dict(zip(names, pool.map(lambda name: run(_SHOW, LINLI_SURFACE=name), names), strict=True))


def test_every_path_is_served_by_one_surface(shown: dict[str, dict[str, list[str]]]) -> None:
    """Together the deployments serve what the whole serves; health is asked of each."""
    served = Counter(path for surface in HTTP_SURFACES for path in shown[surface]["paths"])
    assert sorted(served) == shown[ALL]["paths"] == sorted({name.partition(" ")[2] for name in route_modules()})
    assert {path for path, count in served.items() if count > 1} == {EVERYWHERE}
    for surface in HTTP_SURFACES:
        assert {surface_of(path) for path in shown[surface]["paths"] if path != EVERYWHERE} == {surface}
    assert shown[JOBS]["paths"] == []


def test_every_schedule_and_consumer_exists_once(shown: dict[str, dict[str, list[str]]]) -> None:
    """A schedule that two deployments have settles twice."""
    assert shown[JOBS]["events"] == shown[ALL]["events"] != []
    assert [shown[surface]["events"] for surface in HTTP_SURFACES] == [[], [], []]


def test_in_lambda_a_path_loads_its_slice_alone() -> None:
    """The first call of a cold process imports what it needs; the API document needs all."""
    cold = {"AWS_LAMBDA_FUNCTION_NAME": "linli-test-public-api_handler", "LINLI_SURFACE": "public"}
    categories = run(_CALL, "/v1/categories", **cold)
    assert categories == {"status": 200, "loaded": ["chalicelib.catalog.routes"]}
    document = run(_CALL, "/v1/openapi.json", **cold)
    assert document["status"] == 200
    assert set(document["loaded"]) == set(route_modules().values())


def test_a_surface_that_does_not_exist_stops_the_start() -> None:
    """A misspelt setting must not serve everything, or nothing."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(_SHOW, LINLI_SURFACE="pubic")
    assert "LINLI_SURFACE must be one of public, webhooks, operator, jobs, all" in failed.value.stderr
