"""Routing: one declaration per operation says who may call it, what goes in, what comes out and what can go wrong.

    router = Router("orders")

    @router.post("/v1/orders", allow=MEMBER, body=PlaceOrder, answers={201: OrderOut},
                 errors=(QuoteExpired, SlotTaken), idempotency="required", summary="Place an order")
    def place_order(call: Call) -> Answer: ...

The Router reads the actor, the limits and the body before the function runs, and turns every exception into a problem
document after it. The same declarations become the API document (`openapi`).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import Any, Literal

from chalice.app import Blueprint, Response
from pydantic import BaseModel, ValidationError

from chalicelib.kernel import ids
from chalicelib.kernel.errors import (
    IdempotencyKeyMalformed,
    IdempotencyKeyMissing,
    IfMatchMissing,
    Malformed,
    NotFound,
    Problem,
    Stale,
    TooLarge,
    TooMany,
    Unavailable,
    WrongMediaType,
)
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import clock, log, metrics
from chalicelib.runtime.context import Context
from chalicelib.runtime.meter import measured
from chalicelib.runtime.settings import settings
from chalicelib.web import auth, problems, rate
from chalicelib.web.application import serves
from chalicelib.web.schema import Empty

API_FUNCTION = "api_handler"
MAX_BODY_BYTES = 256 * 1024
MAX_WEBHOOK_BYTES = 1024 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_VERSION_TAG = re.compile(r'(?:W/)?"([0-9]{1,19})(?:\.(?:zh-CN|en))?"')
_SERVER_TIME = re.compile(r'"server_time":"[^"]*"')
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

Idempotency = Literal["none", "accepted", "required"]


@dataclass(frozen=True)
class Operation:
    """One method of one path, as declared."""

    method: str
    path: str
    name: str
    module: str
    tag: str
    allow: auth.Rule
    summary: str
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    errors: tuple[type[Problem], ...] = ()
    idempotency: Idempotency = "none"
    if_match: bool = False
    limited: bool = True
    media_type: str = "application/json"
    example: dict[str, Any] | None = None
    description: str = ""


OPERATIONS: list[Operation] = []


@dataclass(frozen=True)
class Call:
    """One request: `body` and `query` are instances of the declared models, `path` the decoded path parameters."""

    ctx: Context
    path: Mapping[str, str]
    body: Any
    query: Any
    headers: Mapping[str, str]
    raw: bytes = b""
    key: str = ""
    if_match: str = ""

    @property
    def account_id(self) -> str:
        return self.ctx.actor.account_id

    @property
    def body_hash(self) -> str:
        """The same for equal bodies, whatever the order of their fields."""
        return ids.digest(self.body.model_dump_json() if self.body else "")

    def id(self, name: str, prefix: str) -> str:
        """A path parameter that must be an id of this kind; anything else names nothing, so it is NotFound."""
        value = self.path[name]
        if not ids.is_id(value, prefix):
            raise NotFound
        return value

    def require_version(self, version: int) -> None:
        """Raises Stale unless If-Match names this version, in whatever language it was read."""
        named = _VERSION_TAG.fullmatch(self.if_match)
        if self.if_match != "*" and (named is None or named[1] != str(version)):
            raise Stale


@dataclass(frozen=True)
class Answer:
    """`body` is a model, or None for 204. `version` makes the ETag; without it the content's hash does."""

    body: BaseModel | None = None
    status: int = 200
    version: int | None = None
    location: str = ""
    replayed: bool = False
    text: str | None = None
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Router:
    """A Blueprint whose routes are Operations."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.blueprint = Blueprint(f"chalicelib.{tag}.routes")

    def get(self, path: str, **declared: Any) -> Callable[[Callable[[Call], Answer]], Callable[..., Response]]:
        return self._route("GET", path, declared)

    def post(self, path: str, **declared: Any) -> Callable[[Callable[[Call], Answer]], Callable[..., Response]]:
        return self._route("POST", path, declared)

    def patch(self, path: str, **declared: Any) -> Callable[[Callable[[Call], Answer]], Callable[..., Response]]:
        return self._route("PATCH", path, declared)

    def put(self, path: str, **declared: Any) -> Callable[[Callable[[Call], Answer]], Callable[..., Response]]:
        return self._route("PUT", path, declared)

    def delete(self, path: str, **declared: Any) -> Callable[[Callable[[Call], Answer]], Callable[..., Response]]:
        return self._route("DELETE", path, declared)

    def _route(
        self, method: str, path: str, declared: dict[str, Any]
    ) -> Callable[[Callable[[Call], Answer]], Callable[..., Response]]:
        if not isinstance(declared.get("allow"), auth.Rule):
            raise TypeError(f"{method} {path} declares no permission")

        def decorate(view: Callable[[Call], Answer]) -> Callable[..., Response]:
            operation = Operation(method, path, view.__name__, view.__module__, self.tag, **declared)
            OPERATIONS.append(operation)

            @wraps(view)
            def run(**path_parameters: str) -> Response:
                return _serve(operation, view, self.blueprint.current_request, path_parameters)

            del run.__wrapped__  # Chalice reads the signature; ours takes any parameters
            if not serves(settings().surface, path):
                return run
            # Chalice would refuse other media types with a body of its own; ours is told in a problem document.
            self.blueprint.route(path, methods=[method], name=view.__name__, content_types=["*/*"])(run)
            return run

        return decorate


def _serve(operation: Operation, view: Callable[[Call], Answer], request: Any, path: dict[str, str]) -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    locale = problems.choose_language(headers.get("accept-language", ""))
    asked_id = headers.get("x-request-id", "")
    request_id = asked_id if _REQUEST_ID.fullmatch(asked_id) else ids.random_id("req")
    common = {"X-Request-Id": request_id, "Content-Language": locale, "Vary": "Accept-Language, Authorization"}
    limits: dict[str, str] = {}
    begun = time.perf_counter()
    where = log.of_lambda(request.lambda_context, API_FUNCTION)
    with log.bound(request_id=request_id, operation=operation.name, order_id=_order_id(path), **where):
        with measured() as used:
            try:
                answer = _answer(
                    operation, view, request, path, headers=headers, locale=locale, request_id=request_id, limits=limits
                )
                log.bind(order_id=_order_of(answer))
                response = _present(answer, headers, operation, locale)
            except Exception as error:  # whatever happens, the caller gets a problem document
                response = _failed(error, locale, request_id)
        response.headers.update(limits)
        response.headers.update(common)
        log.info("served", status=response.status_code, ms=log.since_ms(begun), **used.fields())
        if response.status_code >= 500:
            metrics.count(metrics.REQUEST_FAILURES)
    return response


def _order_id(path: dict[str, str]) -> str:
    """The order that a path names; what is no id is the caller's text and stays out of the log."""
    named = path.get("order_id", "")
    return named if ids.is_id(named, "ord") else ""


def _order_of(answer: Answer) -> str:
    """The order that an answer is."""
    found = getattr(answer.body, "id", "")
    return found if isinstance(found, str) and ids.is_id(found, "ord") else ""


def _answer(
    operation: Operation,
    view: Callable[[Call], Answer],
    request: Any,
    path: dict[str, str],
    *,
    headers: dict[str, str],
    locale: str,
    request_id: str,
    limits: dict[str, str],
) -> Answer:
    """`limits` receives the RateLimit headers, which refusals carry too."""
    from chalicelib import wiring

    now = clock.now()
    address = _address(request)
    if operation.limited:
        _limit("address", address, settings().rate_address_minute, now, limits)
    actor = auth.actor_for(operation.allow, headers, now)
    log.bind(account_id=actor.account_id)
    if operation.limited and actor.account_id:
        _limit("account", actor.account_id, settings().rate_account_minute, now, limits)
    ctx = Context(now=now, ports=wiring.ports(), actor=actor, request_id=request_id, locale=locale, address=address)
    raw = _raw_body(operation, request, headers)
    call = Call(
        ctx=ctx,
        path=path,
        body=_parse_body(operation, raw),
        query=_parse_query(operation, request),
        headers=headers,
        raw=raw,
        key=_idempotency_key(operation, headers),
        if_match=headers.get("if-match", ""),
    )
    if operation.if_match and not call.if_match:
        raise IfMatchMissing
    return view(call)


def _address(request: Any) -> str:
    """API Gateway's own word for the peer. A forwarded header is the caller's claim and is not believed."""
    identity = request.context.get("identity") or {}
    return str(identity.get("sourceIp") or "unknown")


def _limit(scope: str, whom: str, limit: int, now: Instant, limits: dict[str, str]) -> None:
    try:
        limits.update(rate.take(scope, whom, limit, settings().rate_lease, now).headers())
    except TooMany as refused:
        limits.update(rate.Standing(limit, 0, refused.retry_after_seconds or 1).headers())
        raise


def _raw_body(operation: Operation, request: Any, headers: dict[str, str]) -> bytes:
    raw: bytes = request.raw_body or b""
    if len(raw) > (MAX_WEBHOOK_BYTES if operation.allow.kind == "signed" else MAX_BODY_BYTES):
        raise TooLarge
    if operation.body is not None and raw:
        media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise WrongMediaType
    return raw


def _parse_body(operation: Operation, raw: bytes) -> BaseModel | None:
    if operation.body is None:
        return None
    if not raw and issubclass(operation.body, Empty):
        return operation.body()
    try:
        # Checked apart from the model, so that a body which is no JSON at all is 400 and never 422.
        json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed from error
    try:
        return operation.body.model_validate_json(raw)
    except ValidationError as error:
        raise problems.from_validation(error) from error


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are Python's own words, not JSON's."""
    raise ValueError(name)


def _parse_query(operation: Operation, request: Any) -> BaseModel | None:
    if operation.query is None:
        return None
    given: Any = request.query_params or {}
    lists = _lists_of(operation.query)
    values: dict[str, Any] = {}
    for name in given:
        values[name] = tuple(given.getlist(name)) if name in lists else given[name]
    try:
        return operation.query.model_validate(values)
    except ValidationError as error:
        raise problems.from_validation(error) from error


@cache
def _lists_of(model: type[BaseModel]) -> frozenset[str]:
    """The fields that may be given several times."""
    return frozenset(name for name, declared in model.model_fields.items() if "tuple" in str(declared.annotation))


def _idempotency_key(operation: Operation, headers: dict[str, str]) -> str:
    key = headers.get("idempotency-key")
    if operation.idempotency == "none":
        return ""
    if key is None:
        if operation.idempotency == "required":
            raise IdempotencyKeyMissing
        return ""
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyMalformed
    return key


def _present(answer: Answer, headers: dict[str, str], operation: Operation, locale: str) -> Response:
    sent: dict[str, str | list[str]] = dict(answer.headers)
    if answer.location:
        sent["Location"] = answer.location
    if answer.replayed:
        sent["Idempotent-Replayed"] = "true"
    text, media_type = answer.text, answer.media_type
    if text is None:
        if answer.body is None:
            return Response("", sent, answer.status)
        text = answer.body.model_dump_json()
    if operation.method == "GET" or answer.version is not None:
        # The same version has other words in another language, and must not pass for it in a cache.
        mark = f"{answer.version}.{locale}" if answer.version is not None else _content_mark(text)
        sent["ETag"] = f'"{mark}"'
        if operation.method == "GET" and answer.status == 200 and _matches(headers.get("if-none-match", ""), mark):
            return Response("", sent, 304)
    return Response(text, {**sent, "Content-Type": media_type}, answer.status)


def _content_mark(text: str) -> str:
    """The same as long as the content is; the time of the answer, which may stand in each item too, is no content."""
    return hashlib.sha256(_SERVER_TIME.sub("", text).encode()).hexdigest()[:20]


def _matches(if_none_match: str, mark: str) -> bool:
    """The weak comparison of RFC 9110, section 13.1.2."""
    asked = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return f'"{mark}"' in asked or asked == ["*"]


def _failed(error: Exception, locale: str, request_id: str) -> Response:
    problem = error if isinstance(error, Problem) else _unexpected(error)
    log.bind(code=problem.code)
    headers: dict[str, str | list[str]] = {"Content-Type": problems.MEDIA_TYPE}
    if problem.retry_after_seconds is not None or problem.status in (429, 503):
        headers["Retry-After"] = str(problem.retry_after_seconds or 1)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps(problems.document(problem, locale, request_id), ensure_ascii=False)
    return Response(body, headers, problem.status)


def _unexpected(error: Exception) -> Problem:
    """Trouble below us is 503 and may be tried again; anything else is a bug of ours, logged with its trace."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    log.error("request failed", error)
    if isinstance(error, BotoCoreError | ClientError | PynamoDBException):
        return Unavailable(retry_after_seconds=1)
    return Problem()
