"""Reading a request's body without ever reading more than is allowed."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from email.message import Message
from typing import BinaryIO

MAX_JSON_BYTES = 256 * 1024  # of the API's contract
MAX_BODY_BYTES = 10 * 1024 * 1024  # of API Gateway
_MAX_CHUNK_LINE = 1024
_MAX_TRAILERS = 32
_DRAIN_SECONDS = 2.0


class BadBodyError(Exception):
    """The body is not framed as HTTP wants it; the message says how."""


class BodyTooLargeError(Exception):
    """The body is above its limit; the message names the limit."""


def limit_for(headers: Message) -> int:
    """Return how many bytes this request's body may have: JSON, said or assumed, has the smaller limit."""
    media_type = str(headers.get("Content-Type") or "application/json").split(";")[0].strip().lower()
    return MAX_JSON_BYTES if media_type == "application/json" else MAX_BODY_BYTES


def declared_length(headers: Message) -> int | None:
    """Return the declared length in bytes, 0 when there is no body, None for a chunked one.

    Raises `BadBodyError` for framing that two readers could understand differently and `BodyTooLargeError`.
    """
    coding = headers.get("Transfer-Encoding")
    lengths = set(headers.get_all("Content-Length") or [])
    if coding is not None:
        if lengths:
            raise BadBodyError("Content-Length and Transfer-Encoding exclude each other")
        if coding.strip().lower() != "chunked":
            raise BadBodyError("of the transfer codings only chunked is supported")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,18}", next(iter(lengths)), re.ASCII):
        raise BadBodyError("Content-Length is not a number of bytes")
    length = int(lengths.pop())
    _check_limit(length, limit_for(headers))
    return length


def read_body(stream: BinaryIO, headers: Message) -> bytes | None:
    """Return the whole body, None when there is none.

    Raises `BadBodyError` or `BodyTooLargeError`; the connection is of no further use then.
    """
    length = declared_length(headers)
    if length == 0:
        return None
    if length is None:
        return _read_chunks(stream, limit_for(headers))
    body = stream.read(length)
    if len(body) < length:
        raise BadBodyError("the body ended early")
    return body


def drain(connection: socket.socket) -> None:
    """Let a client finish sending what we will not read, so that it sees our answer; bounded in time and size."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    left = MAX_BODY_BYTES
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.5)
        while left > 0 and time.monotonic() < deadline:
            received = connection.recv(65536)
            if not received:
                return
            left -= len(received)


def _read_chunks(stream: BinaryIO, limit: int) -> bytes:
    """Return the content of a chunked body, RFC 9112 section 7.1; extensions and trailers are skipped."""
    content = bytearray()
    while True:
        size_text = _read_line(stream).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size_text):
            raise BadBodyError("a chunk has no proper size")
        size = int(size_text, 16)
        if size == 0:
            break
        _check_limit(len(content) + size, limit)
        chunk = stream.read(size)
        if len(chunk) < size or stream.read(2) != b"\r\n":
            raise BadBodyError("a chunk ended early")
        content += chunk
    for _ in range(_MAX_TRAILERS):
        if not _read_line(stream):
            return bytes(content)
    raise BadBodyError("too many trailers")


def _read_line(stream: BinaryIO) -> bytes:
    line = stream.readline(_MAX_CHUNK_LINE)
    if not line.endswith(b"\n"):
        raise BadBodyError("a chunk's first line is not complete")
    return line.rstrip(b"\r\n")


def _check_limit(size: int, limit: int) -> None:
    if size > limit:
        raise BodyTooLargeError(f"at most {limit} bytes are accepted here")
