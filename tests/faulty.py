"""The engine behind a bad line: a server that passes calls on and, when told to, loses, spoils or refuses them."""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TABLES = b"linli-"
BUSY = "ProvisionedThroughputExceededException"


class Line:
    """`faults` are taken one a call, first in first out; when none is left, calls pass.

    pass    the engine's answer, with its checksum as AWS sends it
    lose    the engine applies it, and the connection ends without an answer
    busy    refused as throttled
    fail    500
    page    502 with a proxy's page
    spoil   the answer reads as JSON, and names another table
    cut     the second half of the answer does not come
    words   200 and no JSON
    close   the answer, and then the connection is closed without a word
    """

    def __init__(self, engine: str) -> None:
        self.engine = urlsplit(engine).netloc
        self.faults: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        line = self

        class Handler(_Handler):
            def setup(self) -> None:
                super().setup()
                self.line = line
                line.connections += 1

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    line: Line

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.line.bodies.append(json.loads(body))
        self.line.headers.append({name.lower(): value for name, value in self.headers.items()})
        fault = self.line.faults.pop(0) if self.line.faults else "pass"
        if fault in ("busy", "fail", "page", "words"):
            self._answer(*_refusal(fault))
            return
        status, content = self._forward(body)
        if fault == "lose":
            self.close_connection = True
            return
        checksum = str(zlib.crc32(content))
        if fault == "spoil":
            content = content.replace(TABLES, TABLES.upper(), 1)
        length = len(content)
        if fault == "cut":
            content, checksum = content[: length // 2], ""
        self._answer(status, content, checksum, length)
        self.close_connection = fault in ("cut", "close")

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        engine = HTTPConnection(self.line.engine)
        named = ("Authorization", "Content-Type", "X-Amz-Date", "X-Amz-Target")
        engine.request("POST", "/", body, {name: self.headers[name] for name in named})
        answer = engine.getresponse()
        content = answer.read()
        engine.close()
        return answer.status, content

    def _answer(self, status: int, content: bytes, checksum: str = "", length: int | None = None) -> None:
        self.send_response(status)
        if checksum:
            self.send_header("x-amz-crc32", checksum)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        with suppress(ConnectionError):  # a caller who gave up
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _refusal(fault: str) -> tuple[int, bytes]:
    busy = {"__type": f"com.amazonaws.dynamodb.v20120810#{BUSY}", "message": "Too many."}
    broken = {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "Oh."}
    return {
        "busy": (400, json.dumps(busy).encode()),
        "fail": (500, json.dumps(broken).encode()),
        "page": (502, b"<html>Bad gateway</html>"),
        "words": (200, b"OK"),
    }[fault]


@contextmanager
def line() -> Iterator[Line]:
    """A line to the tests' engine."""
    made = Line(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
