"""`make secrets STAGE=…`: makes the keys of a stage that are ours to make, and asks for what other services show us.

A parameter that exists is never touched. CloudFormation cannot make a SecureString, so this is a step of its own.
"""

from __future__ import annotations

import getpass
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.providers.secrets.names import GIVEN, SECRETS, Secret
from infra.names import secrets_path


@dataclass(frozen=True)
class Standing:
    """What stands in a stage after a run: names by what became of them. `missing` ones something will ask for."""

    there: tuple[str, ...]
    made: tuple[str, ...]
    missing: tuple[str, ...]


def random_key() -> str:
    """32 random bytes in hex: what AES-256 and HMAC-SHA256 need."""
    return secrets.token_hex(32)


def make_secrets(
    stage: str, client: Any, given: Mapping[str, str] | None = None, ask: Callable[[Secret], str] | None = None
) -> Standing:
    """Makes what is missing: our own keys at random, the others from `given`, or as a person answers `ask` (an empty
    answer leaves one out). `client` is boto3's of SSM."""
    path = secrets_path(stage)
    there = existing(stage, client)
    made, missing = [], []
    for secret in SECRETS:
        if secret.name in there:
            continue
        value = (given or {}).get(secret.name, "")
        if not value and secret.kind == GIVEN and ask is not None:
            value = ask(secret)
        elif not value and secret.kind != GIVEN and not secret.optional:
            value = random_key()
        if value:
            client.put_parameter(
                Name=path + secret.name, Value=value, Type="SecureString", Description=secret.says, Overwrite=False
            )
            made.append(secret.name)
        elif not secret.optional:
            missing.append(secret.name)
    return Standing(tuple(sorted(there)), tuple(made), tuple(missing))


def existing(stage: str, client: Any) -> set[str]:
    """The names that a stage has; no value is read."""
    path = secrets_path(stage)
    pages = client.get_paginator("describe_parameters").paginate(
        ParameterFilters=[{"Key": "Path", "Option": "OneLevel", "Values": [path.rstrip("/")]}]
    )
    return {each["Name"].removeprefix(path) for page in pages for each in page["Parameters"]}


def ask_person(secret: Secret) -> str:
    """Asks on the terminal, without showing what is typed."""
    note = " (optional)" if secret.optional else ""
    return getpass.getpass(f"{secret.name}{note}, from {secret.says}; empty leaves it out: ").strip()


def main() -> None:
    import argparse

    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from infra.functions import STAGES

    parser = argparse.ArgumentParser(prog="make secrets", description=__doc__)
    parser.add_argument("--stage", choices=[stage.name for stage in STAGES], required=True)
    parser.add_argument("--region", default=None, help="where, if not where the environment says")
    chosen = parser.parse_args()
    ask = ask_person if sys.stdin.isatty() else None
    try:
        standing = make_secrets(chosen.stage, boto3.client("ssm", region_name=chosen.region), ask=ask)
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"linli: AWS says: {error}") from error
    for name, found in (("there already", standing.there), ("made", standing.made), ("missing", standing.missing)):
        print(f"{name}: {', '.join(found) or 'none'}")
    for secret in SECRETS:
        if secret.name in standing.missing:
            print(f"linli: put {secrets_path(chosen.stage)}{secret.name} (SecureString): {secret.says}")


if __name__ == "__main__":
    main()
