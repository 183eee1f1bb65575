"""Everything real, nothing to start by hand: the engine, the queues and the local Stripe come up with the tests.

The environment is set before the first import of `chalicelib`, because tables take their names at import.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from moto import mock_aws

from tests import allowed, engine, queues, world

_DATA = Path(tempfile.mkdtemp(prefix="linli-test-"))
SECRETS = {
    "token_key_1": secrets.token_hex(32),
    "phone_key": secrets.token_hex(32),
    "blind_index_key": secrets.token_hex(32),
    "quote_key": secrets.token_hex(32),
    "cursor_key": secrets.token_hex(32),
    "stripe_secret_key": "sk_test_" + secrets.token_hex(12),
    "stripe_webhook_secret": "whsec_" + secrets.token_hex(16),
}
(_DATA / "secrets.json").write_text(json.dumps(SECRETS), encoding="utf-8")

# A machine that is busy with other things says nothing about a property.
settings.register_profile("linli", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("linli")

allowed.watch()
_process, _port = engine.start()
engine.use(_port)
_aws = mock_aws()
os.environ.update(
    AWS_ENDPOINT_URL_SQS=queues.start(),
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    LINLI_STAGE="test",
    LINLI_SECRETS_FILE=str(_DATA / "secrets.json"),
    LINLI_FILES_BUCKET=str(_DATA / "files"),
    LINLI_PHOTOS_BUCKET=str(_DATA / "photos"),
    LINLI_SMS_INBOX=str(_DATA / "sms.sqlite"),
    LINLI_CLOCK_FILE=str(_DATA / "clock"),
    LINLI_STRIPE_BASE_URL=world.start(SECRETS, _DATA / "clock"),
    LINLI_RATE_ADDRESS_MINUTE="1000000",
    LINLI_RATE_ACCOUNT_MINUTE="1000000",
    LINLI_OTP_PER_ADDRESS_HOUR="1000000",
    LINLI_LOG_LEVEL="CRITICAL",
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What ran, by the folder it stands in: how many tests, and the seconds they took together."""
    ran: dict[str, list[float]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            if report.when == "call":
                for name, said in report.user_properties:
                    if name == "told":
                        terminalreporter.write_line(str(said))
                folder = "/".join(report.nodeid.split("::")[0].split("/")[1:-1])
                ran.setdefault(folder, []).append(report.duration)
    for folder, seconds in sorted(ran.items()):
        terminalreporter.write_line(f"{folder or '.':<24} {len(seconds):>5} tests {sum(seconds):>8.1f} s")


def pytest_unconfigure() -> None:
    _process.kill()
    _process.wait()
    shutil.rmtree(_DATA, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    """The tables of the whole Stack. Tests keep apart by their own ids, as tenants do."""
    from app import app
    from infra.local.resources import create_queues, queue_names

    # SQS and SNS are moto's; DynamoDB is the engine, whose address moto does not know and lets pass.
    _aws.start()
    engine.create_tables()
    create_queues(queues.admin(), queue_names(app))


@pytest.fixture(scope="module")
def alone(tables: None) -> None:
    """For a module that compares everything there is."""
    world.begin_anew()


@pytest.fixture
def sound() -> Iterator[None]:
    """Afterwards everything runs its course, and every invariant holds for the shops that the test made."""
    from tests import invariants
    from tests.builders import salons

    before = len(salons.MADE)
    yield
    world.settle_down()
    assert invariants.broken(set(salons.MADE[before:]), at_rest=True) == []
