"""A photo that somebody brings: whose it is, and what it must be. Nothing here is stored: an image's id says by itself
whose it is, to whoever knows the account."""

from __future__ import annotations

from chalicelib.kernel import ids
from chalicelib.kernel.errors import Invalid
from chalicelib.providers.ports import Uploaded

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
MAX_BYTES = 5 * 1024 * 1024
PLACE_SECONDS = 600


class ImageUnknown(Invalid):
    """An image that is no upload of the caller's, or stands elsewhere already."""

    code = "image_unknown"


class ImageRefused(Invalid):
    """What was uploaded does not begin as a photo of the type that it was said to be, or is too large."""

    code = "image_refused"


def image_id(account_id: str, nonce: str) -> str:
    """The id of an account's image. Its second half proves the account to whoever knows it, and tells others nothing:
    two images of one person have no part in common, so that an anonymous review stays apart from her others.

    `nonce` is any text that only this image has. Account ids are 130 random bits, so their hash needs no key.
    """
    first = ids.digest("image", account_id, nonce, length=ids.HALF)
    return f"img_{first}{_proof(account_id, first)}"


def is_of(image: str, account_id: str) -> bool:
    first, proof = ids.split(image)
    return proof == _proof(account_id, first)


def _proof(account_id: str, first: str) -> str:
    return ids.digest("image of", account_id, first, length=ids.HALF)


def type_of(content: bytes) -> str | None:
    """The type that the first bytes say, or None for anything that is none of the three.

    JPEG: ITU-T T.81, B.1.1.3; PNG: RFC 2083, 3.1; WebP: RFC 9649, 2.4.

    >>> type_of(b"RIFF\\x04\\x00\\x00\\x00WEBPVP8 "), type_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    ('image/webp', None)
    """
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WEBP
    return None


def fault_of(upload: Uploaded) -> str:
    """Why it is no photo, in words for a developer; empty for one that is."""
    if len(upload.content) > MAX_BYTES:
        return f"more than {MAX_BYTES} bytes"
    found = type_of(upload.content)
    if found is None:
        return "neither JPEG nor PNG nor WebP"
    return "" if found == upload.content_type else f"{found}, and not {upload.content_type}"
