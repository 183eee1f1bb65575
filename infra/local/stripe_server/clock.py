"""The server's time: the system clock plus the seconds another program wrote to a small file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

Clock = Callable[[], float]


class ShiftedClock:
    """Seconds since the epoch, moved by the integer in `path` (absent or unreadable: the last known shift, at first 0).

    The file is read again only when its mtime, size or inode changed: one stat per call.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._shift = 0

    def __call__(self) -> float:
        return time.time() + self.shift()

    def shift(self) -> int:
        """The seconds added to the system clock now."""
        if self._path is None:
            return 0
        try:
            stat = os.stat(self._path)
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._shift = int(self._path.read_text(encoding="ascii").strip() or "0")
                self._seen = seen
        except (OSError, ValueError):
            # A writer that truncates before it writes must not throw time back to zero for an instant.
            return self._shift
        return self._shift
