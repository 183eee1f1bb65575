"""Cursors: opaque, and signed together with what they belong to, so that one cannot be made or moved elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache

from chalicelib.kernel.errors import CursorInvalid

_MAC_BYTES = 12


@lru_cache(maxsize=1)
def _key() -> bytes:
    from chalicelib import wiring

    return wiring.ports().secrets.get("cursor_key").encode()


def _mac(scope: str, key: bytes) -> bytes:
    return hmac.new(_key(), scope.encode() + b"\0" + key, hashlib.sha256).digest()[:_MAC_BYTES]


def seal(scope: str, key: str | None) -> str | None:
    """The cursor for going on after `key` within `scope` (the operation and its filters); None stays None."""
    if key is None:
        return None
    data = key.encode()
    return base64.urlsafe_b64encode(_mac(scope, data) + data).decode().rstrip("=")


def open_cursor(scope: str, cursor: str | None) -> str | None:
    """The key inside. Raises CursorInvalid for a cursor that is forged or belongs to another list."""
    if not cursor:
        return None
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mac, key = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(scope, key)):
            raise CursorInvalid
        return key.decode()
    except (ValueError, UnicodeError) as error:
        raise CursorInvalid from error
