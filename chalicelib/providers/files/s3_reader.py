"""Pieces of a file of S3, by one signed GET each, without boto3's client: it takes a quarter of a second to load, and a
search in a process that has just begun waits for these."""

from __future__ import annotations

import os
import re
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ConnectionError, HTTPClientError

from chalicelib.providers.ports import ProviderUnavailable
from chalicelib.runtime.aws import Client, Service, region

_TRIES = 3
_RANGE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")


class Reader(Client):
    """Of one bucket. Signs and connects as every client of ours."""

    def __init__(self, bucket: str) -> None:
        super().__init__(Service("s3", ""), read_seconds=10)
        told = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        # A stand-in for S3 has one address for all buckets; on AWS each bucket has its own.
        self._url = f"{self._url}{bucket}/" if told else self._url.replace("https://s3.", f"https://{bucket}.s3.")

    def read(self, key: str, begin: int, end: int) -> tuple[bytes, int]:
        """Bytes [begin, end) as far as the file goes, and its whole size. Raises KeyError and ProviderUnavailable. Who
        may not list a bucket is told 403 for what is not there."""
        for _ in range(_TRIES):
            try:
                status, headers, content = self._fetch(f"{self._url}{key}", {"Range": f"bytes={begin}-{end - 1}"})
            except (ConnectionError, HTTPClientError):
                continue
            whole = _RANGE.fullmatch(headers.get("content-range", ""))
            if status == 206 and whole:
                return content, int(whole[1])
            if status == 416 and whole:
                return b"", int(whole[1])
            if status in (403, 404):
                raise KeyError(key)
        raise ProviderUnavailable(retry_after_seconds=5)

    def _fetch(self, url: str, asked: dict[str, str]) -> tuple[int, Any, bytes]:
        request = AWSRequest(method="GET", url=url, headers={**asked, "Accept-Encoding": "identity"})
        keys: Any = self._credentials.get_frozen_credentials()
        S3SigV4Auth(keys, "s3", region()).add_auth(request)
        response: Any = self._http.send(request.prepare())
        content: bytes = response.content
        length = response.headers.get("content-length")
        if length is not None and int(length) != len(content):
            raise HTTPClientError(error=f"{len(content)} bytes of {length} came")
        return response.status_code, response.headers, content
