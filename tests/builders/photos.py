"""Photos for tests, as small as a photo can begin, and the way they go to the local stack's place for them."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chalice import Chalice

from chalicelib.providers.files.local_photos import LocalPhotos
from chalicelib.providers.secrets.local import FileSecrets
from chalicelib.runtime.settings import settings
from infra.local.http import HttpServer
from infra.local.media import Media
from tests import world
from tests.builders.orders import expect
from tests.client import Client, Reply

PHOTOS = {
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8L",
}
JPEG = "image/jpeg"


def photo(content_type: str = JPEG, size: int = 200) -> bytes:
    """Bytes that no other photo has."""
    begin = PHOTOS[content_type]
    return begin + secrets.token_bytes(size - len(begin))


@dataclass(frozen=True)
class Heard:
    status: int
    headers: dict[str, str]
    body: bytes


class Door:
    """`/media` of the local stack, on a port of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Heard:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        heard = Heard(response.status, dict(response.headers), response.read())
        connection.close()
        return heard

    def put(self, place: dict[str, Any], content: bytes, **changed: str) -> Heard:
        """The form as an app sends it, with some of its fields changed."""
        body, content_type = form(
            {**place["fields"], **{name.replace("_", "-"): v for name, v in changed.items()}}, content
        )
        return self.ask(place["method"], urlsplit(place["url"]).path, body, Content_Type=content_type)


def form(fields: dict[str, str], content: bytes) -> tuple[bytes, str]:
    """A `multipart/form-data` body with the file as its last part, and its media type."""
    boundary = secrets.token_hex(12)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    parts.append(f"--{boundary}\r\n{head}".encode() + content + f"\r\n--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


@contextmanager
def door() -> Iterator[Door]:
    photos = LocalPhotos(settings().photos_bucket, FileSecrets(settings().secrets_file))
    server = HttpServer(Chalice("none"), "127.0.0.1", 0, Media(photos, world.now).answer)
    server.start()
    yield Door(server.port)
    server.stop()


def asked(client: Client, content_type: str = JPEG, size: int = 200, key: str = "") -> Reply:
    return client.post("/v1/uploads", {"content_type": content_type, "bytes": size}, key=key)


def uploaded(client: Client, at: Door, content: bytes = b"", content_type: str = JPEG) -> str:
    """The id of an image that lies in its place."""
    content = content or photo(content_type)
    made = expect(asked(client, content_type, len(content)), 201)
    heard = at.put(made["upload"], content)
    assert heard.status == 204, heard.body
    return str(made["image"])
