"""The local HTTP server: Chalice's own, made fast, bounded, and as strict as the gateway it stands for.

Chalice's server answers a keep-alive request in 44 ms because of Nagle's algorithm, believes any Content-Length, and
sends AWS's own error bodies. Here every refusal is a problem document, as the cloud's gateway responses are.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import (
    ChaliceRequestHandler,
    LambdaContext,
    LocalChalice,
    LocalDevServer,
    LocalGateway,
    LocalGatewayException,
    ThreadedHTTPServer,
)

from chalicelib.kernel import errors
from chalicelib.kernel.errors import Problem
from infra.declare import API
from infra.local.answers import JSON, Answer, problem, problem_of_status, request_id_of
from infra.local.bodies import BadBodyError, BodyTooLargeError, declared_length, drain, read_body
from infra.local.usage import Usage

log = logging.getLogger("linli.local.http")

MAX_CONNECTIONS = 512  # each has a thread; the next one is told 503
MAX_AT_WORK = 64  # requests inside the application at once: more threads only wait for each other
IDLE_SECONDS = 60
_OURS = {"content-length", "connection", "date", "transfer-encoding"}

# Asked before the application: (method, target, headers, body) -> an answer, or None when the path is not local-only.
LocalRoutes = Callable[[str, str, Mapping[str, str], bytes | None], Answer | None]


def first_of(routes: Iterable[LocalRoutes]) -> LocalRoutes:
    """The answer of the first that has one."""
    asked = tuple(routes)

    def answer(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer | None:
        return next((found for each in asked if (found := each(method, target, headers, body)) is not None), None)

    return answer


class _ThreadLocalChalice(LocalChalice):
    """Keeps the current request and its context apart for each thread; Lambda has one request per process."""

    @property
    def lambda_context(self) -> Any:
        """The context of the request this thread works on."""
        return getattr(self._THREAD_LOCAL, "lambda_context", None)

    @lambda_context.setter
    def lambda_context(self, value: Any) -> None:
        self._THREAD_LOCAL.lambda_context = value


class _NoRouteError(Exception):
    """The application has no route for the path."""


class Gateway(LocalGateway):
    """Turns a request into Lambda's event, asks the authorizer and calls the application."""

    def __init__(self, app: Chalice, config: Config, usage: Usage) -> None:
        super().__init__(app, config)
        self._usage = usage

    def respond(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, request_id: str
    ) -> dict[str, Any]:
        """Return the application's proxy response. Raises `_NoRouteError` or `LocalGatewayException`."""
        context: LambdaContext = self._generate_lambda_context()
        try:
            event = self._generate_lambda_event(method, target, dict(headers), body)
        except ValueError as error:
            raise _NoRouteError from error
        if method == "HEAD" and not self._has(event, "HEAD"):
            method = event["requestContext"]["httpMethod"] = "GET"  # the body is left out when it is sent
        if method == "OPTIONS" and not self._has(event, "OPTIONS"):
            preflight = self._autogen_options_headers(event)
            return {"statusCode": 200, "headers": preflight, "multiValueHeaders": {}, "body": None}
        event["requestContext"] |= {"requestId": request_id, "stage": "local"}
        event, context = self._authorizer.authorize(target, event, context)
        operation = f"{event['requestContext']['httpMethod']} {event['requestContext']['resourcePath']}"
        with self._usage.invocation(API, operation):
            response: dict[str, Any] = self._app_object(event, context)
        return response

    def _has(self, event: Mapping[str, Any], method: str) -> bool:
        return method in self._app_object.routes[event["requestContext"]["resourcePath"]]


class _Server(ThreadedHTTPServer):
    """A bounded number of threads, and room for everybody who connects at the same moment."""

    request_queue_size = 512
    allow_reuse_address = True
    gateway: Gateway
    local_routes: LocalRoutes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.at_work = threading.BoundedSemaphore(MAX_AT_WORK)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address[0], self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or refuse it when all are taken."""
        if not self._connections.acquire(blocking=False):
            busy = problem(errors.Unavailable)
            head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(busy.body)}\r\nConnection: close\r\n"
            lines = "".join(f"{name}: {value}\r\n" for name, value in busy.headers.items())
            request.sendall((head + lines + "\r\n").encode() + busy.body)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is not worth a stack trace; anything else is."""
        log.debug("a connection broke", exc_info=True)


class _Handler(ChaliceRequestHandler):
    """One connection."""

    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # an answer leaves in one piece, not header by header
    timeout = IDLE_SECONDS
    server: _Server
    _started = 0.0
    _request_id = ""

    def __init__(self, request: Any, client_address: Any, server: _Server, app_object: Chalice, config: Config) -> None:
        # Chalice's own constructor would build a gateway, and sort all routes, for each connection.
        del app_object, config
        BaseHTTPRequestHandler.__init__(self, request, client_address, server)

    def handle_one_request(self) -> None:
        """Serve one request of the connection; a client that is gone or idle ends it quietly."""
        self._request_id, self._started = "", 0.0
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def parse_request(self) -> bool:
        """Read the request's head; the bare line of HTTP/0.9, which knows no status, is refused."""
        if not super().parse_request():
            return False
        if self.request_version == "HTTP/0.9":
            self.send_error(400)
            return False
        return True

    def handle_expect_100(self) -> bool:
        """Refuse a body that is too large before it is sent."""
        try:
            declared_length(self.headers)
        except (BadBodyError, BodyTooLargeError):
            return True  # `_serve` refuses it with the reason, without reading
        goes_on = bool(super().handle_expect_100())
        self.wfile.flush()
        return goes_on

    def _serve(self) -> None:
        self._started = time.monotonic()
        self._request_id = request_id_of(str(self.headers.get("X-Request-Id") or ""))
        try:
            body = read_body(self.rfile, self.headers)
        except BadBodyError as error:
            self._send(self._problem(errors.Malformed(errors=[{"field": "", "message": str(error)}]), close=True))
        except BodyTooLargeError as error:
            self._send(self._problem(errors.TooLarge(errors=[{"field": "", "message": str(error)}]), close=True))
        else:
            self._send(self._answer(body))

    # The names are those BaseHTTPRequestHandler looks for.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _answer(self, body: bytes | None) -> Answer:
        headers = {name: str(value) for name, value in self.headers.items()}
        try:
            local = self.server.local_routes(self.command, self.path, headers, body)
            if local is not None:
                return local
            with self.server.at_work:
                response = self.server.gateway.respond(self.command, self.path, headers, body, self._request_id)
            return self._from_proxy(response)
        except _NoRouteError:
            return self._problem(errors.NotFound)
        except LocalGatewayException as error:
            return self._problem(problem_of_status(error.CODE))
        except Exception:
            log.exception("%s %s failed", self.command, urlsplit(self.path).path)
            return self._problem(Problem)

    def _from_proxy(self, response: dict[str, Any]) -> Answer:
        """Turn a Lambda proxy response into an answer; Chalice's own refusals become problem documents."""
        response = self._handle_binary(response)
        content = response["body"]
        body = content.encode() if isinstance(content, str) else bytes(content or b"")
        headers: dict[str, Any] = {**response["headers"], **response["multiValueHeaders"]}
        status = int(response["statusCode"])
        if status >= 400 and _is_chalice_error(body):
            allow = {name: value for name, value in headers.items() if name.lower() == "allow"}
            return self._problem(problem_of_status(status), headers=allow)
        if not any(name.lower() == "content-type" for name in headers) and body:
            headers["Content-Type"] = JSON
        return Answer(status, body, headers)

    def _send(self, answer: Answer) -> None:
        """Write `answer`, log it, and end the connection when it says so."""
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        for name, value in answer.headers.items():
            if name.lower() in _OURS:
                continue
            for each in value if isinstance(value, list) else [value]:
                self.send_header(name, str(each).replace("\r", "").replace("\n", ""))
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        if answer.close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)
        self.wfile.flush()
        took_ms = (time.monotonic() - self._started) * 1000 if self._started else 0.0
        log.info("%s %s %d %.1f ms", self.command or "-", _path_of(self.path), answer.status, took_ms)
        if answer.close:
            drain(self.connection)

    def _problem(
        self, found: Problem | type[Problem], *, headers: Mapping[str, str] | None = None, close: bool = False
    ) -> Answer:
        language = str(self.headers.get("Accept-Language") or "")
        return problem(found, request_id=self._request_id, language=language, headers=headers, close=close)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what the standard library could not read, before there are headers to look at."""
        self.path = getattr(self, "path", "-")
        self.request_version = self.protocol_version  # it says HTTP/0.9 until a request line was understood
        allow = {"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"} if code == 501 else None
        headers = getattr(self, "headers", None) or {}
        language = str(headers.get("Accept-Language") or "")
        self._send(problem(problem_of_status(code), language=language, headers=allow, close=True))

    def log_message(self, format: str, *args: Any) -> None:
        """The access log is written by `_send`, without query strings."""


def keep_requests_apart(app: Chalice) -> None:
    """Give each thread its own current request, as Chalice's create_local_server does; twice is as once."""
    if not isinstance(app, _ThreadLocalChalice):
        app.__class__ = type("LocalApp", (_ThreadLocalChalice, app.__class__), {})


class HttpServer:
    """The application and the local-only routes on one loopback port."""

    def __init__(
        self, app: Chalice, host: str, port: int, local_routes: LocalRoutes, usage: Usage | None = None
    ) -> None:
        """Bind and listen; port 0 takes a free one. Raises `OSError` when the port is taken."""
        keep_requests_apart(app)
        config = Config.create(chalice_app=app, config_from_disk={})
        server = LocalDevServer(app, config, host, port, handler_cls=_Handler, server_cls=_Server).server
        server.gateway = Gateway(app, config, usage or Usage())
        server.local_routes = local_routes
        self._server: _Server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def start(self) -> None:
        """Serve in the background; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no further connection, and give the requests at work half a second to end."""
        self._server.shutdown()
        self._server.socket.close()
        deadline = time.monotonic() + 0.5
        for _ in range(MAX_AT_WORK):
            if not self._server.at_work.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return


def _is_chalice_error(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and set(document) == {"Code", "Message"}


def _path_of(target: str) -> str:
    """Return a request target without its query, cleaned for a log line."""
    return re.sub(r"[^\x21-\x7e]", "?", target.split("?", maxsplit=1)[0])[:200]
