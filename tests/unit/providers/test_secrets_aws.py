"""The secret of a stage in the cloud, against moto, which the whole session stands in."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.kernel import ids
from chalicelib.providers.secrets.aws import LIFETIME_SECONDS, SecretsManager

REGION = "us-east-1"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def name() -> str:
    return ids.random_id("test")


@pytest.fixture
def manager(name: str) -> Any:
    made = boto3.client("secretsmanager", region_name=REGION)
    made.create_secret(Name=name, SecretString=json.dumps({"token_key_1": "one"}))
    return made


def put(manager: Any, name: str, **values: str) -> None:
    manager.put_secret_value(SecretId=name, SecretString=json.dumps(values))


def test_a_secret_is_read_by_name(manager: Any, name: str) -> None:
    """One JSON object holds them all; what it does not hold is a KeyError, as the port says."""
    secrets = SecretsManager(name)
    assert secrets.get("token_key_1") == "one"
    with pytest.raises(KeyError):
        secrets.get("token_key_2")


def test_a_changed_value_is_seen_after_its_lifetime(manager: Any, name: str) -> None:
    """A warm function asks AWS once in five minutes, not once a request."""
    clock = Clock()
    secrets = SecretsManager(name, clock)
    assert secrets.get("token_key_1") == "one"
    put(manager, name, token_key_1="two")
    clock.seconds += LIFETIME_SECONDS - 1
    assert secrets.get("token_key_1") == "one"
    clock.seconds += 1
    assert secrets.get("token_key_1") == "two"


def test_a_new_name_is_seen_within_seconds(manager: Any, name: str) -> None:
    """A key that another instance signs with already need not wait; made-up names do not make a call each."""
    clock = Clock()
    secrets = SecretsManager(name, clock)
    with pytest.raises(KeyError):
        secrets.get("token_key_2")
    put(manager, name, token_key_1="one", token_key_2="two")
    clock.seconds += 9
    with pytest.raises(KeyError):
        secrets.get("token_key_2")
    clock.seconds += 1
    assert secrets.get("token_key_2") == "two"


def test_what_is_known_serves_while_aws_does_not_answer(manager: Any, name: str) -> None:
    """A refused refresh keeps the values of before; a first read that fails is an error."""
    clock = Clock()
    secrets = SecretsManager(name, clock)
    assert secrets.get("token_key_1") == "one"
    manager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    clock.seconds += LIFETIME_SECONDS
    assert secrets.get("token_key_1") == "one"
    with pytest.raises(ClientError):
        SecretsManager(name).get("token_key_1")
