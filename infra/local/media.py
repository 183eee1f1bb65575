"""`/media`: what S3 and a CDN do for photos in the cloud. A form puts one where the application has made a place for
it, with S3's own statuses; a photo that was kept is shown to everybody, as an image and as nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from chalicelib.kernel import errors
from chalicelib.kernel.errors import Problem
from chalicelib.kernel.instant import Instant
from chalicelib.providers.files.local_photos import UPLOADS_PATH, LocalPhotos, PlaceRefused
from chalicelib.providers.secrets.local import FileSecrets
from chalicelib.uploads.model import type_of
from infra.local.answers import Answer, problem, problem_of_status, request_id_of
from infra.local.files import local_now

_PHOTOS_PATH = "/media/photos/"
_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?', re.IGNORECASE)
_FIELD = re.compile(rb'content-disposition:\s*form-data\s*;.*?name="([^"\r\n]{1,100})"', re.IGNORECASE)
_MAX_FIELDS = 20
_MAX_FIELD_BYTES = 20_000  # what S3 allows for all fields but the file
_ANYBODY = {"Access-Control-Allow-Origin": "*"}
_AS_AN_IMAGE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "public, max-age=31536000, immutable",
}


class _FormError(Exception):
    """The body is no form, or not one that has a file."""


class Media:
    """Answers `/media/…`; everything else is another's."""

    def __init__(self, photos: LocalPhotos, now: Callable[[], Instant]) -> None:
        self._photos = photos
        self._now = now

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Media:
        """Build it from the variables `start.py` exports."""
        photos = LocalPhotos(environment["LINLI_PHOTOS_BUCKET"], FileSecrets(environment["LINLI_SECRETS_FILE"]))
        clock_file = Path(environment["LINLI_CLOCK_FILE"])
        return cls(photos, lambda: Instant.of(local_now(clock_file)))

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer | None:
        path = target.partition("?")[0]
        if not path.startswith("/media/"):
            return None
        request = {name.lower(): value for name, value in headers.items()}

        def refused(found: Problem | type[Problem], more: Mapping[str, str] | None = None) -> Answer:
            language, asked = request.get("accept-language", ""), request_id_of(request.get("x-request-id", ""))
            return problem(found, request_id=asked, language=language, headers={**_ANYBODY, **(more or {})})

        if path == UPLOADS_PATH:
            if method == "OPTIONS":
                allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "*"}
                return Answer(204, headers={**_ANYBODY, **allowed})
            if method != "POST":
                return refused(errors.MethodNotAllowed, {"Allow": "POST, OPTIONS"})
            return self._receive(request.get("content-type", ""), body or b"", refused)
        photo = self._photos.kept(path.removeprefix(_PHOTOS_PATH)) if path.startswith(_PHOTOS_PATH) else None
        if photo is None:
            return refused(errors.NotFound)
        if method not in ("GET", "HEAD"):
            return refused(errors.MethodNotAllowed, {"Allow": "GET, HEAD"})
        return Answer(200, photo, {**_AS_AN_IMAGE, "Content-Type": type_of(photo) or "application/octet-stream"})

    def _receive(self, content_type: str, body: bytes, refused: Callable[[Problem], Answer]) -> Answer:
        try:
            fields, file = form_of(content_type, body)
            self._photos.receive(fields, file, self._now())
        except _FormError as error:
            return refused(errors.Malformed(errors=[{"field": "", "message": str(error)}]))
        except PlaceRefused as error:
            return refused(problem_of_status(error.status)(errors=[{"field": "file", "message": str(error)}]))
        return Answer(204, headers=_ANYBODY)


def form_of(content_type: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """The fields before `file`, and the file; what comes after it is ignored, as S3 does. RFC 7578.

    Raises _FormError.
    """
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise _FormError("not multipart/form-data")
    delimiter = b"\r\n--" + found[1].encode()
    fields: dict[str, str] = {}
    taken = 0
    for part in (b"\r\n" + body).split(delimiter, _MAX_FIELDS + 1)[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        name = _FIELD.search(head)
        if part.startswith(b"--") or not blank or name is None or len(fields) >= _MAX_FIELDS:
            break
        if name[1] == b"file":
            return fields, content
        taken += len(part)
        if taken > _MAX_FIELD_BYTES:
            break
        fields[name[1].decode("utf-8", "replace")] = content.decode("utf-8", "replace")
    raise _FormError("no form with a file")
