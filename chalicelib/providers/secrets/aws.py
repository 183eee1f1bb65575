"""Secrets of a stage in the cloud: SecureString parameters of AWS Systems Manager, `/linli/<stage>/<name>`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chalicelib.runtime import log
from chalicelib.runtime.settings import settings

LIFETIME_SECONDS = 300
_MISS_SECONDS = 10  # a name that is not there is looked for again, but not at every request that asks for it
_AT_ONCE = 10  # GetParameters takes no more


class ParameterStore:
    """Satisfies `ports.Secrets`. A new value is seen after five minutes at most, a new name after ten seconds.

    A function asks for all names that it may read in one go, `LINLI_SECRET_NAMES`: AWS takes 40 such calls a second
    from a whole account, and many functions may start at once. For any other name AWS is not asked at all.

    While AWS does not answer, the values of before are still good; without any, botocore's error goes up.
    """

    def __init__(
        self, path: str, names: Iterable[str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._names = sorted(settings().secret_names.split(",") if names is None else names)
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._read_at = float("-inf")
        self._client: Any = None

    def get(self, name: str) -> str:
        """Raises KeyError for a name that has no parameter, or that this function may not read."""
        with self._lock:
            if name not in self._names:
                raise KeyError(name)
            lifetime_seconds = LIFETIME_SECONDS if name in self._values else _MISS_SECONDS
            if self._clock() - self._read_at >= lifetime_seconds:
                self._refresh()
            return self._values[name]

    def _refresh(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._values = dict(self._read())
        except (BotoCoreError, ClientError) as error:
            if not self._values:
                raise
            log.warning("secrets not refreshed, the ones of before are used", error=str(error))
        self._read_at = self._clock()

    def _read(self) -> Iterator[tuple[str, str]]:
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3})
            region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
            self._client = boto3.client("ssm", region_name=region, config=config)
        for begin in range(0, len(self._names), _AT_ONCE):
            asked = [self._path + name for name in self._names[begin : begin + _AT_ONCE]]
            for found in self._client.get_parameters(Names=asked, WithDecryption=True)["Parameters"]:
                yield found["Name"].removeprefix(self._path), found["Value"]
