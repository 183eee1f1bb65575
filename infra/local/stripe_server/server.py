"""The HTTP face: one thread per connection, keep-alive, loopback only."""

from __future__ import annotations

import ipaddress
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from infra.local.stripe_server.engine import Answer, StripeEngine

MAX_BODY_BYTES = 1_000_000
HOST = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """Reads a request, asks the engine, writes its answer."""

    protocol_version = "HTTP/1.1"
    # Buffered writes and no Nagle: a keep-alive answer leaves in one segment at once instead of after 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 120
    engine: ClassVar[StripeEngine]
    logs_requests: ClassVar[bool] = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path.startswith("/local/") and self._from_this_machine():
            answer = self.engine.control(self.command, self.path, body)
        elif self.path.startswith("/local/"):
            answer = Answer(403, '{"message": "Only for this machine."}')
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = self.engine.handle(self.command, self.path, headers, body)
        self._send(answer)

    def _body(self) -> bytes | None:
        """The request's body; None when it cannot be read, and then the connection is closed with 400 or 413."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.close_connection = True
            self._send(Answer(400, '{"error": {"type": "invalid_request_error", "message": "Bad length."}}'))
            return None
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._send(Answer(413, '{"error": {"type": "invalid_request_error", "message": "Too large."}}'))
            return None
        return self.rfile.read(int(length))

    def _from_this_machine(self) -> bool:
        # The socket is bound to loopback; the Host check keeps a web page from reaching it by a name of its own.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        try:
            return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False

    def _send(self, answer: Answer) -> None:
        payload = answer.text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: ARG002 - the base class names it
        """One line per request; the path carries ids only, and headers are never written."""
        if self.logs_requests:
            sys.stderr.write(f"stripe: {self.command} {self.path.partition('?')[0]} {args[1] if args[1:] else ''}\n")

    def log_error(self, format: str, *args: Any) -> None:
        """A closed or silent connection is no news."""


class StripeServer(ThreadingHTTPServer):
    """The HTTP server of one engine."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, engine: StripeEngine, port: int, *, logs_requests: bool = True) -> None:
        handler = type("BoundHandler", (Handler,), {"engine": engine, "logs_requests": logs_requests})
        super().__init__((HOST, port), handler)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """A client that hangs up in the middle is its own business."""
        problem = sys.exception() if sys.version_info >= (3, 11) else sys.exc_info()[1]
        if not isinstance(problem, (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)
