"""Ids: a typed prefix and 26 base32 characters (130 bits), derived or random. Nothing sorts by an id."""

from __future__ import annotations

import hashlib
import re
import secrets

# Crockford's alphabet in lower case: no i, l, o or u, so that an id survives being read aloud.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}")
HALF = 13


def _base32(data: bytes, length: int) -> str:
    number = int.from_bytes(data, "big") >> (len(data) * 8 - length * 5)
    return "".join(ALPHABET[(number >> (5 * i)) & 31] for i in range(length - 1, -1, -1))


def digest(*parts: str, length: int = 26) -> str:
    """The first `length` base32 characters of SHA-256 over the parts, each prefixed by its length."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(4, "big"))
        hasher.update(data)
    return _base32(hasher.digest(), length)


def derived(prefix: str, *parts: str) -> str:
    """The id that these parts always lead to."""
    return f"{prefix}_{digest(prefix, *parts)}"


def random_id(prefix: str) -> str:
    return f"{prefix}_{_base32(secrets.token_bytes(17), 26)}"


def tag(owner_id: str) -> str:
    """Half an id that stands for an owner. Account ids are 130 random bits, so their hash needs no key."""
    return digest("tag", owner_id, length=HALF)


def owned(prefix: str, owner_id: str, *parts: str) -> str:
    """An id whose first half is its owner's tag, so that it resolves to its key without an index."""
    return f"{prefix}_{tag(owner_id)}{digest(prefix, owner_id, *parts, length=HALF)}"


def split(typed_id: str) -> tuple[str, str]:
    """(owner's tag, own half) of an id made by `owned`."""
    body = typed_id.rpartition("_")[2]
    return body[:HALF], body[HALF:]


def is_id(text: str, prefix: str) -> bool:
    return _ID.fullmatch(text) is not None and text.startswith(prefix + "_")
