"""AWS's JSON services through one thin client: what botocore does for them, without its descriptions of each service.

A request is a JSON object under the operation's name, signed by botocore and sent by botocore's HTTP session, which
keeps connections; the answer is parsed as the JSON it is. botocore's own client reads half a megabyte of descriptions
before the first call, and afterwards spends two thirds of a call's time walking them (docs/decisions/0016).

Errors are botocore's: ClientError for what the service refused, BotoCoreError for a service that was not reached.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ChecksumError, ClientError, ConnectionError, HTTPClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session
from botocore.retries.quota import RetryQuota
from botocore.utils import get_environ_proxies

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_CONNECT_SECONDS = 2.0
_BACK_OFF_SECONDS = 0.05
# What a try again costs of the process's 500, and what each success gives back: while a service is down, most calls are
# sent once (botocore's numbers).
_BROKEN_COST, _BUSY_COST = 14, 5
_TRANSIENT = {500, 502, 503, 504}
_BUSY = {
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}


@dataclass(frozen=True)
class Service:
    """`name` stands in the host name and the signature, `target` before each operation's name."""

    name: str
    target: str
    json_version: str = "1.0"

    @property
    def endpoint(self) -> str:
        """Where it answers: `AWS_ENDPOINT_URL_<NAME>`, `AWS_ENDPOINT_URL`, or the region's public address. (Other
        partitions than these two, FIPS and dual stack are told by the setting.)"""
        told = os.environ.get(f"AWS_ENDPOINT_URL_{self.name.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
        domain = "amazonaws.com.cn" if region().startswith("cn-") else "amazonaws.com"
        return f"{told.rstrip('/')}/" if told else f"https://{self.name}.{region()}.{domain}/"


DYNAMODB = Service("dynamodb", "DynamoDB_20120810")
SQS = Service("sqs", "AmazonSQS")

Listener = Callable[[str, dict[str, Any]], None]
"""Is told the operation and the answer of each call that was answered, once; of a refused one what ClientError has."""


def region() -> str:
    return os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or "us-east-1"


class _Keys(NamedTuple):
    """Credentials that stay as they are, under botocore's names."""

    access_key: str
    secret_key: str
    token: str | None

    def get_frozen_credentials(self) -> _Keys:
        return self


class Client:
    """One service. Safe for all threads; `connections` are kept open between calls.

    A call is tried three times at most: when the service is busy or failing, when the connection breaks, when the
    answer comes damaged. All tries send the same bytes. A write whose answer was lost is therefore sent again, and has
    to bear it: by its condition, or by a transaction's token.
    """

    def __init__(self, service: Service, *, read_seconds: float = 5.0, tries: int = 3, connections: int = 64) -> None:
        self.service = service
        self._url = service.endpoint
        self._region = region()
        self._tries = tries
        self.listeners: list[Listener] = []
        self._quota = RetryQuota()
        self._http = URLLib3Session(
            verify=os.environ.get("AWS_CA_BUNDLE") or True,  # type: ignore[arg-type]  # the stubs know no file name
            proxies=get_environ_proxies(self._url),
            timeout=(_CONNECT_SECONDS, read_seconds),  # type: ignore[arg-type]  # nor the pair
            max_pool_connections=connections,
            # Head and body go in two pieces; the second must not wait until the first is acknowledged.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # type: ignore[list-item]  # nor numbers
        )

    def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one operation. Raises ClientError and BotoCoreError."""
        try:
            answer = self._answer(operation, arguments)
        except ClientError as error:
            self._tell(operation, dict(error.response))
            raise
        self._tell(operation, answer)
        return answer

    def _tell(self, operation: str, answer: dict[str, Any]) -> None:
        for listener in self.listeners:
            listener(operation, answer)

    def _answer(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(arguments, separators=(",", ":")).encode()
        spent = 0
        for attempt in range(1, self._tries + 1):
            try:
                status, headers, answer = self._send(operation, body)
            except (ConnectionError, HTTPClientError, ChecksumError):
                cost = _BROKEN_COST
                if attempt == self._tries or not self._quota.acquire(cost):
                    raise
            else:
                if status < 300:
                    self._quota.release(spent or 1)
                    return answer
                failed = _error(operation, status, headers, answer, attempt - 1)
                cost = _BUSY_COST if failed.response["Error"]["Code"] in _BUSY else _BROKEN_COST
                may_pass = cost == _BUSY_COST or status in _TRANSIENT
                if not may_pass or attempt == self._tries or not self._quota.acquire(cost):
                    raise failed
            spent = cost
            # Full jitter, so that those who were refused together do not come back together.
            time.sleep(random.uniform(0, _BACK_OFF_SECONDS * 2**attempt))  # noqa: S311  # not a secret
        raise AssertionError("the last try returns or raises")

    @cached_property
    def _credentials(self) -> _Keys | Credentials:
        """Lambda's stand in the environment and outlive the process. Others are looked for as botocore does it, and
        renew themselves."""
        found = os.environ
        key_id, secret = found.get("AWS_ACCESS_KEY_ID"), found.get("AWS_SECRET_ACCESS_KEY")
        if key_id and secret and "AWS_CREDENTIAL_EXPIRATION" not in found:
            return _Keys(key_id, secret, found.get("AWS_SESSION_TOKEN"))
        from botocore.session import get_session

        credentials = get_session().get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return credentials

    def _send(self, operation: str, body: bytes) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        headers = {
            "Content-Type": f"application/x-amz-json-{self.service.json_version}",
            "X-Amz-Target": f"{self.service.target}.{operation}",
            # Nothing between here and there may change the bytes that the checksum was made of.
            "Accept-Encoding": "identity",
            "User-Agent": "linli",
        }
        trace = os.environ.get("_X_AMZN_TRACE_ID")
        if trace:
            headers["X-Amzn-Trace-Id"] = trace
        request = AWSRequest(method="POST", url=self._url, data=body, headers=headers)
        keys: Any = self._credentials.get_frozen_credentials()
        SigV4Auth(keys, self.service.name, self._region).add_auth(request)
        response: AWSResponse = self._http.send(request.prepare())
        content: bytes = response.content
        _verify(content, response.headers)
        return response.status_code, response.headers, _parse(content, response.status_code)


def _verify(content: bytes, headers: Mapping[str, str]) -> None:
    """Raises for an answer that is not whole, or not as it was sent. The client library checks neither."""
    told = headers.get("x-amz-crc32")
    if told is not None and int(told) != (found := zlib.crc32(content)):
        raise ChecksumError(checksum_type="crc32", expected_checksum=told, actual_checksum=str(found))
    length = headers.get("content-length")
    if length is not None and int(length) != len(content):
        raise HTTPClientError(error=f"{len(content)} bytes of {length} came")


def _parse(content: bytes, status: int) -> dict[str, Any]:
    """Raises for a good answer that is no JSON object; a bad one may be a proxy's page."""
    try:
        answer = json.loads(content or b"{}")
        if isinstance(answer, dict):
            return answer
    except ValueError:
        pass
    if status < 300:
        raise HTTPClientError(error="the answer is no JSON object")
    return {}


def _error(
    operation: str, status: int, headers: Mapping[str, str], answer: dict[str, Any], retries: int
) -> ClientError:
    """botocore's exception with what the service said: `CancellationReasons` and `Item` stand beside `Error`."""
    code = str(answer.pop("__type", status)).rpartition("#")[2].partition(":")[0]
    message = answer.pop("message", None) or answer.get("Message") or ""
    response: Any = {
        **answer,
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "RequestId": headers.get("x-amzn-requestid", ""),
            "HTTPStatusCode": status,
            "HTTPHeaders": {name.lower(): value for name, value in headers.items()},
            "RetryAttempts": retries,
        },
    }
    return ClientError(response, operation)
