"""The small files of the data directory: its lock, the generated secrets, the clock's offset."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from infra.local.processes import StartError

_clock_lock = threading.Lock()


def _random_key() -> str:
    """Return 32 random bytes in hex: what AES-256 and HMAC-SHA256 need."""
    return secrets.token_hex(32)


# A secret that is added here later is generated into existing files at the next start; the others stay as they are.
_SECRETS: dict[str, Callable[[], str]] = {
    "token_key_1": _random_key,
    "phone_key": _random_key,
    "blind_index_key": _random_key,
    "quote_key": _random_key,
    "cursor_key": _random_key,
    "stripe_secret_key": lambda: "sk_test_" + secrets.token_hex(24),
    "stripe_webhook_secret": lambda: "whsec_" + secrets.token_hex(24),
}


def lock_data(data: Path, wait_seconds: float = 2.0) -> int:
    """Create `data` if need be and take its lock; return the descriptor that holds it.

    Children inherit the descriptor, so the lock is free only when the last of them is gone. A start right after a kill
    waits `wait_seconds` for that; then `StartError`.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"{data} cannot be used for data: {error.strerror}") from error
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            os.close(descriptor)
            message = f"another `make start` is using {data}; stop it, or choose another directory with LINLI_DATA"
            raise StartError(message) from error
        return descriptor


def local_secrets(path: Path) -> dict[str, str]:
    """Return the secrets in `path`, generating those that are missing; the file is readable by its owner only.

    Raises `StartError` when the file holds something else.
    """
    known: dict[str, str] = {}
    if path.exists():
        try:
            known = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise StartError(f"{path} is not a JSON object of secrets; repair or remove it") from error
    missing = {name: make() for name, make in _SECRETS.items() if name not in known}
    if missing:
        write_atomically(path, json.dumps(known | missing, indent=2) + "\n")
    return known | missing


def clock_offset_seconds(path: Path) -> int:
    """Return by how much the local clock is ahead of the real one; 0 without the file."""
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0


def advance_clock(path: Path, seconds: int) -> int:
    """Move the local clock forward by `seconds` ≥ 0 and return the new offset; it is durable on return."""
    if seconds < 0:
        raise ValueError("time does not run backwards")
    with _clock_lock:
        offset = clock_offset_seconds(path) + seconds
        write_atomically(path, f"{offset}\n")
    return offset


def local_now(path: Path) -> datetime:
    """Return the local clock's instant, aware UTC."""
    return datetime.now(UTC) + timedelta(seconds=clock_offset_seconds(path))


def instant_text(instant: datetime) -> str:
    """Return `instant` as the API writes it: UTC, milliseconds, `Z`.

    >>> instant_text(datetime(2026, 11, 22, 9, 57, 16, 123456, tzinfo=UTC))
    '2026-11-22T09:57:16.123Z'
    """
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_atomically(path: Path, text: str) -> None:
    """Replace `path`'s content so that a reader or a crash sees the old or the new one, never a part."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            scratch.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself
    finally:
        os.close(directory)
