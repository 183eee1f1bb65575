"""The app behind the local stack's HTTP server, once for all tests that need a real connection."""

from __future__ import annotations

from functools import lru_cache

from infra.local.http import HttpServer
from tests.client import _app


@lru_cache(maxsize=1)
def port() -> int:
    """Started at the first use, on a free port; it ends with the process."""
    server = HttpServer(_app(), "127.0.0.1", 0, lambda *_: None)
    server.start()
    return server.port
