"""The parameters of a stage in the cloud, against moto, which the whole session stands in."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from chalicelib.kernel import ids
from chalicelib.providers.secrets.aws import LIFETIME_SECONDS, ParameterStore

NAMES = ("token_key_1", "token_key_2")
_ONCE = Config(connect_timeout=1, retries={"total_max_attempts": 1})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ssm() -> Any:
    return boto3.client("ssm", region_name="us-east-1")


@pytest.fixture
def path(ssm: Any) -> str:
    made = f"/{ids.random_id('test')}/"
    put(ssm, made, token_key_1="one")
    return made


def put(ssm: Any, path: str, **values: str) -> None:
    for name, value in values.items():
        ssm.put_parameter(Name=path + name, Value=value, Type="SecureString", Overwrite=True)


def test_a_secret_is_read_by_name_and_decrypted(path: str) -> None:
    """What has no parameter is a KeyError, as the port says."""
    secrets = ParameterStore(path, NAMES)
    assert secrets.get("token_key_1") == "one"
    with pytest.raises(KeyError):
        secrets.get("token_key_2")


def test_a_name_that_the_function_may_not_read_is_not_asked_for(ssm: Any, path: str) -> None:
    """One name that a policy denies would fail the call for all; and callers make names up, as in a token's header."""
    put(ssm, path, cursor_key="there")
    secrets = ParameterStore(path, NAMES)
    with pytest.raises(KeyError):
        secrets.get("cursor_key")
    assert ParameterStore(path, ["cursor_key"]).get("cursor_key") == "there"


def test_more_names_than_one_call_takes(ssm: Any, path: str) -> None:
    """AWS takes ten names at once."""
    names = [f"key_{number}" for number in range(23)]
    put(ssm, path, **{name: f"value of {name}" for name in names})
    secrets = ParameterStore(path, names)
    assert [secrets.get(name) for name in names] == [f"value of {name}" for name in names]


def test_a_changed_value_is_seen_after_its_lifetime(ssm: Any, path: str) -> None:
    """A warm function asks AWS once in five minutes, not once a request."""
    clock = Clock()
    secrets = ParameterStore(path, NAMES, clock)
    assert secrets.get("token_key_1") == "one"
    put(ssm, path, token_key_1="two")
    clock.seconds += LIFETIME_SECONDS - 1
    assert secrets.get("token_key_1") == "one"
    clock.seconds += 1
    assert secrets.get("token_key_1") == "two"


def test_a_new_name_is_seen_within_seconds(ssm: Any, path: str) -> None:
    """A key that another instance signs with already need not wait; a missing one does not make a call each time."""
    clock = Clock()
    secrets = ParameterStore(path, NAMES, clock)
    with pytest.raises(KeyError):
        secrets.get("token_key_2")
    put(ssm, path, token_key_2="two")
    clock.seconds += 9
    with pytest.raises(KeyError):
        secrets.get("token_key_2")
    clock.seconds += 1
    assert secrets.get("token_key_2") == "two"


def test_what_is_known_serves_while_aws_does_not_answer(path: str) -> None:
    """A refresh that fails keeps the values of before; a first read that fails is an error."""
    nobody = boto3.client("ssm", region_name="us-east-1", endpoint_url="http://127.0.0.1:9", config=_ONCE)
    clock = Clock()
    secrets = ParameterStore(path, NAMES, clock)
    assert secrets.get("token_key_1") == "one"
    secrets._client = nobody
    clock.seconds += LIFETIME_SECONDS
    assert secrets.get("token_key_1") == "one"
    cold = ParameterStore(path, NAMES)
    cold._client = nobody
    with pytest.raises(BotoCoreError):
        cold.get("token_key_1")
