"""Personal data at rest: AES-256-GCM with a key id and the owner as context; blind indexes to find by phone.

The format is `<key id>.<base64url of nonce, cipher text and tag>`. A sealed text opens only for the owner and the
purpose it was sealed for, so a row that is copied under another account says nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from chalicelib.providers.ports import Secrets

CURRENT_KEY = "1"
_NONCE_BYTES = 12


def _key(secrets: Secrets, key_id: str) -> bytes:
    return bytes.fromhex(secrets.get("phone_key" if key_id == "1" else f"phone_key_{key_id}"))


def _context(owner_id: str, purpose: str) -> bytes:
    return f"{purpose}|{owner_id}".encode()


def seal(secrets: Secrets, owner_id: str, purpose: str, plain: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    cipher = AESGCM(_key(secrets, CURRENT_KEY)).encrypt(nonce, plain.encode(), _context(owner_id, purpose))
    return f"{CURRENT_KEY}.{base64.urlsafe_b64encode(nonce + cipher).decode()}"


def unseal(secrets: Secrets, owner_id: str, purpose: str, sealed: str) -> str:
    """Raises cryptography's InvalidTag for a text that was changed, or sealed for somebody or something else."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key_id, _, text = sealed.partition(".")
    data = base64.urlsafe_b64decode(text)
    plain = AESGCM(_key(secrets, key_id)).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _context(owner_id, purpose))
    return plain.decode()


def keyed_hash(secrets: Secrets, label: str, *parts: str) -> str:
    """27 characters that only the holder of the key can make from the parts. Each label has a key of its own."""
    key = hmac.digest(bytes.fromhex(secrets.get("blind_index_key")), label.encode(), hashlib.sha256)
    data = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return base64.urlsafe_b64encode(hmac.digest(key, data, hashlib.sha256)[:20]).decode().rstrip("=")
