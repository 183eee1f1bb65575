"""Secrets of a stage in the cloud: one secret in AWS Secrets Manager, a JSON object of names and values."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from chalicelib.runtime import log

LIFETIME_SECONDS = 300
_MISS_SECONDS = 10  # a name that is not there is looked for again, but not at every request that asks for it


class SecretsManager:
    """Satisfies `ports.Secrets`. A new value is seen after five minutes at most, a new name after ten seconds.

    While AWS does not answer, the values of before are still good; without any, botocore's error goes up.
    """

    def __init__(self, secret_name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret_name = secret_name
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._read_at = float("-inf")
        self._client: Any = None

    def get(self, name: str) -> str:
        """Raises KeyError for a name that the secret does not hold."""
        with self._lock:
            lifetime_seconds = LIFETIME_SECONDS if name in self._values else _MISS_SECONDS
            if self._clock() - self._read_at >= lifetime_seconds:
                self._refresh()
            return self._values[name]

    def _refresh(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._values = self._read()
        except (BotoCoreError, ClientError) as error:
            if not self._values:
                raise
            log.warning("secrets not refreshed, the ones of before are used", error=str(error))
        self._read_at = self._clock()

    def _read(self) -> dict[str, str]:
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
            region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
            self._client = boto3.client("secretsmanager", region_name=region, config=config)
        answer = self._client.get_secret_value(SecretId=self._secret_name)
        values: dict[str, str] = json.loads(answer["SecretString"])
        return values
