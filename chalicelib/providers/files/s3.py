"""The file store of a stage in the cloud: a bucket of AWS S3."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from chalicelib.providers.ports import ProviderUnavailable, checked_key

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html: 412 when the key is taken, 409 when
# somebody removes it in the same moment, and then one is to ask again.
_TAKEN, AGAIN, _MISSING = "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"
_TRIES = 4
_PART_BYTES = 8 << 20

if TYPE_CHECKING:
    from chalicelib.providers.files.s3_reader import Reader


class BucketClient:
    """boto3's client of S3 as ours talk to it, made at the first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def client(self) -> Any:
        with self._lock:
            if self._made is None:
                import boto3
                from botocore.config import Config

                config = Config(
                    connect_timeout=2,
                    read_timeout=10,
                    # The SDK's own retry of a put whose answer was lost would find its own object and call it taken.
                    retries={"total_max_attempts": 1},
                    # Forms would be signed in the old way, which newer regions do not know.
                    signature_version="s3v4",
                    # A stand-in for S3 has one address for all buckets; on AWS each bucket has its own.
                    s3={"addressing_style": "path" if _elsewhere() else "virtual"},
                )
                self._made = boto3.client(
                    "s3", region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), config=config
                )
        return self._made


class Bucket:
    """Satisfies `ports.FileStore`. S3 itself refuses a second object of a key, by `If-None-Match: *`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._clients = BucketClient()

    @cached_property
    def _reader(self) -> Reader:
        # Apart from boto3's client: a search that waits for a piece of a file cannot wait for that to load.
        from chalicelib.providers.files.s3_reader import Reader

        return Reader(self._name)

    def put_new(self, key: str, content: bytes) -> bool:
        return self._put(key, BytesIO(content))

    def put_file(self, key: str, path: Path) -> bool:
        """At most five gigabytes, what S3 takes at once."""
        with path.open("rb") as content:
            return self._put(key, content)

    def _put(self, key: str, content: IO[bytes]) -> bool:
        arguments = {"Bucket": self._name, "Key": checked_key(key), "Body": content, "IfNoneMatch": "*"}
        for _ in range(_TRIES):
            content.seek(0)
            refused = refusal(lambda: self._clients.client.put_object(**arguments))
            if refused != AGAIN:
                return not refused
        raise ProviderUnavailable(retry_after_seconds=5)

    def get(self, key: str) -> bytes:
        found: list[bytes] = []
        arguments = {"Bucket": self._name, "Key": checked_key(key)}
        if refusal(lambda: found.append(self._clients.client.get_object(**arguments)["Body"].read())):
            raise KeyError(key)
        return found[0]

    def read(self, key: str, begin: int, end: int) -> bytes:
        return self._reader.read(checked_key(key), begin, end)[0] if begin < end else b""

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """In the temporary folder, and gone from it after the block: what is mapped keeps its place on the disk until
        it is closed. It comes part by part, so that a function which sleeps under way only asks for one part again."""
        descriptor, name = tempfile.mkstemp(prefix="linli-file-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                at, size = 0, 1
                while at < size:
                    part, size = self._reader.read(checked_key(key), at, at + _PART_BYTES)
                    file.write(part)
                    at += len(part)
                    if not part and at < size:
                        raise ProviderUnavailable(retry_after_seconds=5)
            yield Path(name)
        finally:
            Path(name).unlink()

    def delete(self, key: str) -> None:
        arguments = {"Bucket": self._name, "Key": checked_key(key)}
        refusal(lambda: self._clients.client.delete_object(**arguments))

    def list(self, prefix: str) -> Iterator[str]:
        after: dict[str, str] = {}
        while True:
            pages: list[dict[str, Any]] = []
            arguments = {"Bucket": self._name, "Prefix": prefix, **after}
            refusal(lambda: pages.append(self._clients.client.list_objects_v2(**arguments)))  # noqa: B023  # called at once
            yield from (found["Key"] for found in pages[0].get("Contents", ()))
            if not pages[0].get("IsTruncated"):
                return
            after = {"ContinuationToken": pages[0]["NextContinuationToken"]}


def refusal(call: Callable[[], object], *, also: str = "") -> str:
    """Empty when S3 did it, or the code of an answer that is part of the port, as `also` is in this call. Raises
    ProviderUnavailable when S3 did not answer or could not; what it refuses for any other reason is a bug or a wrong
    setting, and goes up as it is."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        call()
    except ClientError as error:
        answer: Any = error.response
        if answer["Error"]["Code"] in (_TAKEN, AGAIN, _MISSING, also):
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
