"""The file store of a stage in the cloud: a bucket of AWS S3."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from chalicelib.providers.ports import ProviderUnavailable, checked_key

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html: 412 when the key is taken, 409 when
# somebody removes it in the same moment, and then one is to ask again.
_TAKEN, _AGAIN, _MISSING = "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"
_TRIES = 4


class Bucket:
    """Satisfies `ports.FileStore`. S3 itself refuses a second object of a key, by `If-None-Match: *`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                import boto3
                from botocore.config import Config

                config = Config(
                    connect_timeout=2,
                    read_timeout=10,
                    # The SDK's own retry of a put whose answer was lost would find its own object and call it taken.
                    retries={"total_max_attempts": 1},
                    # A stand-in for S3 has one address for all buckets; on AWS each bucket has its own.
                    s3={"addressing_style": "path" if _elsewhere() else "auto"},
                )
                self._made = boto3.client(
                    "s3", region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), config=config
                )
        return self._made

    def put_new(self, key: str, content: bytes) -> bool:
        arguments = {"Bucket": self._name, "Key": checked_key(key), "Body": content, "IfNoneMatch": "*"}
        for _ in range(_TRIES):
            refused = _refusal(lambda: self._client.put_object(**arguments))
            if refused != _AGAIN:
                return not refused
        raise ProviderUnavailable(retry_after_seconds=5)

    def get(self, key: str) -> bytes:
        found: list[bytes] = []
        arguments = {"Bucket": self._name, "Key": checked_key(key)}
        if _refusal(lambda: found.append(self._client.get_object(**arguments)["Body"].read())):
            raise KeyError(key)
        return found[0]

    def list(self, prefix: str) -> Iterator[str]:
        after: dict[str, str] = {}
        while True:
            pages: list[dict[str, Any]] = []
            arguments = {"Bucket": self._name, "Prefix": prefix, **after}
            _refusal(lambda: pages.append(self._client.list_objects_v2(**arguments)))  # noqa: B023  # called at once
            yield from (found["Key"] for found in pages[0].get("Contents", ()))
            if not pages[0].get("IsTruncated"):
                return
            after = {"ContinuationToken": pages[0]["NextContinuationToken"]}


def _refusal(call: Callable[[], object]) -> str:
    """Empty when S3 did it, or the code of an answer that is part of the port. Raises ProviderUnavailable when S3 did
    not answer or could not; what it refuses for any other reason is a bug or a wrong setting, and goes up as it is."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        call()
    except ClientError as error:
        answer: Any = error.response
        if answer["Error"]["Code"] in (_TAKEN, _AGAIN, _MISSING):
            return str(answer["Error"]["Code"])
        if answer["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise ProviderUnavailable(retry_after_seconds=5) from error
        raise
    except NoCredentialsError:
        raise
    except BotoCoreError as error:
        raise ProviderUnavailable(retry_after_seconds=5) from error
    return ""


def _elsewhere() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))
