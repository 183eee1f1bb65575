"""The local HTTP server: fast, bounded, and every refusal a problem document."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from chalice import Chalice, Response

from infra.local.answers import json_answer
from infra.local.http import HttpServer


def toy_app() -> Chalice:
    """An application with one route of each kind the server has to get right."""
    app = Chalice("toy")

    @app.route("/items/{name}", methods=["GET", "POST"])
    def items(name: str) -> dict[str, Any]:
        time.sleep(0.002)  # long enough for another thread to change what is not kept apart
        request = app.current_request
        return {"name": request.uri_params["name"], "header": request.headers.get("x-name"), "was": name}

    @app.route("/echo", methods=["POST"], content_types=["application/json", "text/plain"])
    def echo() -> dict[str, Any]:
        return {"bytes": len(app.current_request.raw_body or b"")}

    @app.route("/broken")
    def broken() -> None:
        raise RuntimeError("a secret in a stack trace")

    @app.route("/cookies")
    def cookies() -> Response:
        return Response({}, headers={"Set-Cookie": "a=1", "X-Bad": "ok"})

    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    def local(method: str, target: str, *_: Any) -> Any:
        return json_answer({"method": method}) if target.startswith("/local") else None

    server = HttpServer(toy_app(), "127.0.0.1", 0, local)
    server.start()
    yield server.port
    server.stop()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, dict(response.headers), json.loads(content) if content else None


def ask_raw(port: int, request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; return the status and the body of the answer, which must end the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_a_keep_alive_request_takes_less_than_a_few_milliseconds(port: int) -> None:
    """Nagle's algorithm would make it 44 ms."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    took = []
    for _ in range(50):
        started = time.perf_counter()
        connection.request("GET", "/local")
        connection.getresponse().read()
        took.append(time.perf_counter() - started)
    connection.close()
    assert sorted(took)[25] < 0.005


def test_300_simultaneous_connections_are_served_and_threads_do_not_mix_requests(port: int) -> None:
    wrong: list[Any] = []

    def one(number: int) -> None:
        name = f"n{number}"
        try:
            status, _, body = ask(port, "GET", f"/items/{name}", x_name=name)
            if (status, body) != (200, {"name": name, "header": name, "was": name}):
                wrong.append((status, body))
        except OSError as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/nowhere", {}, None, 404, "not_found"),
        ("GET", "/nowhere", {"Authorization": "Bearer é"}, None, 404, "not_found"),
        ("GET", "//[", {}, None, 404, "not_found"),
        ("DELETE", "/echo", {}, None, 405, "method_not_allowed"),
        ("BREW", "/echo", {}, None, 405, "method_not_allowed"),
        ("POST", "/items/a", {"Content-Type": "text/csv"}, b"a", 415, "unsupported_media_type"),
        ("GET", "/broken", {}, None, 500, "internal"),
        ("POST", "/echo", {"Content-Type": "application/json"}, b" " * 300_000, 413, "too_large"),
        ("POST", "/echo", {}, b" " * 300_000, 413, "too_large"),
        ("POST", "/echo", {"Content-Type": "text/plain"}, b" " * 11_000_000, 413, "too_large"),
    ],
)
def test_a_refusal_is_a_problem_document(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes | None, status: int, code: str
) -> None:
    """Whoever refuses, the server or Chalice, the shape is the API's and no stack trace shows."""
    got, answer_headers, document = ask(port, method, path, body, **headers)
    assert (got, document["status"], document["code"]) == (status, status, code)
    assert set(document) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert answer_headers["Content-Type"] == "application/problem+json"
    assert document["type"] == f"https://linli.dev/problems/{code}"
    assert answer_headers["X-Request-Id"] == document["request_id"]
    assert "secret" not in json.dumps(document)


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /echo HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /echo HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"GET /echo\r\n\r\n",
        b"GET /echo HTTP/9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_what_is_not_http_is_400(port: int, request_head: bytes) -> None:
    status, body = ask_raw(port, request_head)
    assert (status, json.loads(body)["code"]) == (400, "malformed")


def test_a_chunked_body_arrives_whole_and_counts_against_the_limit(port: int) -> None:
    head = b"POST /echo HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    status, body = ask_raw(port, head + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
    assert (status, json.loads(body)) == (200, {"bytes": 5})
    status, body = ask_raw(port, head + b"fffffff\r\n")
    assert (status, json.loads(body)["code"]) == (413, "too_large")


def test_a_client_that_asks_first_is_told_to_go_on_or_refused(port: int) -> None:
    head = "POST /echo HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"
    assert ask_raw(port, head.format(2).encode() + b"{}")[0] == 100
    assert ask_raw(port, head.format(2_000_000).encode())[0] == 413


def test_head_is_get_without_the_body(port: int) -> None:
    status, headers, body = ask(port, "HEAD", "/items/a")
    assert (status, body) == (200, None)
    assert int(headers["Content-Length"]) > 0


def test_405_names_the_methods_and_speaks_the_callers_language(port: int) -> None:
    _, headers, document = ask(port, "PUT", "/echo", Accept_Language="zh-CN,zh;q=0.9")
    assert headers["Allow"] == "POST"
    assert document["title"] == "不支持该方法"


def test_a_brought_request_id_is_kept_and_a_strange_one_is_not(port: int) -> None:
    assert ask(port, "GET", "/nowhere", X_Request_Id="abc-1")[2]["request_id"] == "abc-1"
    assert ask(port, "GET", "/nowhere", X_Request_Id="a b")[2]["request_id"] != "a b"


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("PUT", "/echo"), ("BREW", "/echo")])
def test_a_refusal_has_a_request_id_like_the_applications(port: int, method: str, path: str) -> None:
    assert re.fullmatch(r"req_[0-9a-z]{26}", ask(port, method, path)[2]["request_id"])
