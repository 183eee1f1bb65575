"""The photos of the local stack: a directory, and places whose policy is signed as one of S3 is.

A place is a form of the same shape as S3's: `key`, `Content-Type` and `policy`, which a signature holds together.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.providers.files.local import Directory
from chalicelib.providers.ports import PhotoPlace, Secrets, Uploaded
from chalicelib.runtime.settings import settings

UPLOADS_PATH = "/media/uploads"
_ENDINGS = ("jpeg", "png", "webp")  # of a file's name, and of its media type


class PlaceRefused(Exception):
    """What S3 answers a form with: `status`, and `code` in its words."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status


class LocalPhotos:
    """Satisfies `ports.Photos`. A place takes one photo, once."""

    def __init__(self, folder: str, secrets: Secrets) -> None:
        self._files = Directory(folder)
        self._secrets = secrets

    def place(self, image: str, content_type: str, size: int, expires_at: Instant) -> PhotoPlace:
        terms = {"expiration": str(expires_at), "image": image, "type": content_type, "most": size}
        policy = base64.b64encode(json.dumps(terms).encode()).decode()
        fields = {
            "key": f"uploads/{image}",
            "Content-Type": content_type,
            "policy": policy,
            "signature": self._signature(policy),
        }
        return PhotoPlace(settings().public_url + UPLOADS_PATH, fields, expires_at)

    def receive(self, fields: Mapping[str, str], content: bytes, now: Instant) -> None:
        """Takes a form. Raises PlaceRefused, with the status that S3 has for the case. S3 itself would take a
        second photo."""
        policy = fields.get("policy", "")
        if not hmac.compare_digest(self._signature(policy).encode(), fields.get("signature", "").encode()):
            raise PlaceRefused(403, "SignatureDoesNotMatch")
        terms = json.loads(base64.b64decode(policy))
        if now >= Instant.parse(terms["expiration"]):
            raise PlaceRefused(403, "AccessDenied: the policy has expired")
        image, content_type = terms["image"], terms["type"]
        if (fields.get("key"), fields.get("Content-Type")) != (f"uploads/{image}", content_type):
            raise PlaceRefused(403, "AccessDenied: a condition of the policy does not hold")
        if not content:
            raise PlaceRefused(400, "EntityTooSmall")
        if len(content) > terms["most"]:
            raise PlaceRefused(400, "EntityTooLarge")
        if not self._files.put_new(f"uploads/{image}.{content_type.partition('/')[2]}", content):
            raise PlaceRefused(409, "there is a photo already")

    def _signature(self, policy: str) -> str:
        """By the cursors' key, apart from every cursor by its first word."""
        key = self._secrets.get("cursor_key").encode()
        return hmac.new(key, b"photo place\0" + policy.encode(), hashlib.sha256).hexdigest()

    def fetch(self, image: str) -> Uploaded | None:
        for ending in _ENDINGS:
            try:
                return Uploaded(f"image/{ending}", self._files.get(f"uploads/{image}.{ending}"))
            except KeyError:
                continue
        return None

    def keep(self, image: str, upload: Uploaded) -> None:
        self._files.put_new(f"photos/{image}", upload.content)

    def drop(self, image: str) -> None:
        self._files.delete(f"photos/{image}")

    def kept(self, image: str) -> bytes | None:
        """What everybody may see under this name."""
        if not ids.is_id(image, "img"):
            return None
        try:
            return self._files.get(f"photos/{image}")
        except KeyError:
            return None
