"""Schemathesis against the whole app over HTTP, as each of the demo's three people: nothing undocumented, no 5xx.

It is fed ids, quotes and times of a real town, so that it gets behind the first 404.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.imports import ROOT
from tests import server
from tests.builders import identity, town
from tests.builders import orders as build
from tests.builders.identity import Person

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 3
SEED = 20261122
PROBABILITY = 0.8
# Each is sent where the others cannot go; who may go where is `test_authorization`'s concern.
PATHS = {"consumer": "^/(?!v1/(merchant|operator))", "owner": "^/v1/(merchant|me$)", "operator": "^/v1/(operator|me$)"}


@dataclass
class Run:
    """One person's run, under way until `wait`."""

    person: Person
    process: subprocess.Popen[str]

    def wait(self) -> str:
        """The report. Empty when everything was as documented."""
        output, _ = self.process.communicate(timeout=100)
        assert "Test cases:" in output, output[-3000:]
        return "" if self.process.returncode == 0 else output


def dictionaries(salon_visit: build.Visit) -> str:
    """Real values, in the words of schemathesis's configuration."""
    salon, customer = salon_visit.salon, salon_visit.customer
    slots = build.free_slots(salon, days_ahead=3)[:8]
    quotes = [build.quote(salon, customer, slot["starts_at"])["id"] for slot in slots]
    values = {
        "body.quote_id": quotes,
        "body.offer_id": [salon.offer.id],
        "body.lines[*].offer_id": [salon.offer.id],
        "body.lines[*].starts_at": [slot["starts_at"] for slot in slots],
        "body.shop_id": [salon.shop.id],
        "body.staff_id": [member.id for member in salon.staff],
        "body.starts_at": [slot["starts_at"] for slot in slots],
        "body.method": ["alipay"],
        "query.from": [slots[0]["starts_at"]],
        "query.to": [slots[-1]["starts_at"]],
        "header.If-Match": ["*"],
    }
    lines = []
    for index, (name, found) in enumerate(values.items()):
        lines.append(f"[dictionaries.d{index}]\nvalues = {json.dumps(found)}")
        lines.append(f'[parameters."{name}"]\ndictionary = "d{index}"\nprobability = {PROBABILITY}')
    return "\n".join(lines)


@pytest.fixture(scope="module")
def place() -> town.Town:
    return town.built()


@pytest.fixture(scope="module")
def runs(place: town.Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """All three at once: they are peers who must not disturb each other."""
    waiting = build.booked(place.visit.salon, place.customer, days_ahead=4)
    ids = {**place.ids, "order_id": waiting.id, "attempt_id": waiting.open_payment()["attempt_id"]}
    people = {"consumer": place.customer, "owner": place.visit.salon.owner, "operator": identity.operator()}
    folder = tmp_path_factory.mktemp("fuzz")
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.read_text("utf-8") + dictionaries(waiting), "utf-8")
    found = {
        name: Run(person, _start(person, server.port(), config, PATHS[name], ids)) for name, person in people.items()
    }
    yield found
    for run in found.values():
        run.process.kill()


def _start(person: Person, port: int, config: Path, paths: str, ids: dict[str, str]) -> subprocess.Popen[str]:
    token = person.client.token
    assert callable(token)
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run"]
    command += [f"http://127.0.0.1:{port}/v1/openapi.json", "--url", f"http://127.0.0.1:{port}"]
    command += ["--header", f"Authorization: Bearer {token()}", "--max-examples", str(EXAMPLES), "--seed", str(SEED)]
    command += ["--include-path-regex", paths, "--no-color", "--generation-database", "none", "--continue-on-failure"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.contracts.fuzz_hooks",
        "LINLI_FUZZ_IDS": json.dumps(ids),
    }
    return subprocess.Popen(
        command, cwd=config.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("name", ["consumer", "owner", "operator"])
def test_schemathesis_finds_nothing(runs: dict[str, Run], name: str) -> None:
    """No 5xx; no status, media type or shape that the document does not know; no header or token that is not needed."""
    report = runs[name].wait()
    assert report == "", report[-12_000:]


def test_after_all_that_the_books_still_hold(place: town.Town, runs: dict[str, Run]) -> None:
    """The orders that were fuzzed, the paid one and those that were placed on the way: each proves itself."""
    for run in runs.values():
        run.process.wait(100)
    listed = place.customer.client.get("/v1/orders?limit=100").json["items"]
    assert len(listed) >= 3
    for order in listed:
        assert place.customer.client.get(f"/v1/orders/{order['id']}/proof").json["holds"], order["id"]


def test_the_configuration_stands_beside_the_tests() -> None:
    """What the run by hand is told is what the tests are told."""
    assert CONFIG.is_file()
    assert CONFIG.is_relative_to(ROOT)
