"""The one place that reads the clock. Everything behind it is given `now`.

The local stack can move its clock forward: `LINLI_CLOCK_FILE` holds a whole number of seconds to add, so that a
demo can reach next week's settlement. In the cloud the setting is empty.
"""

from __future__ import annotations

import os
import time

from chalicelib.kernel.instant import Instant
from chalicelib.runtime.settings import settings

_offset: tuple[int, int] = (-1, 0)  # (mtime in ns of the file that was read, seconds)


def _offset_seconds(path: str) -> int:
    global _offset  # noqa: PLW0603  # a cache of one small file, keyed by its modification time
    try:
        modified = os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
    if modified != _offset[0]:
        with open(path, encoding="ascii") as file:
            _offset = (modified, int(file.read().strip() or "0"))
    return _offset[1]


def machine_now() -> Instant:
    """What the machine's own clock says, however far the local stack's clock was moved: for what others compare."""
    return Instant(time.time_ns() // 1_000_000)


def now() -> Instant:
    path = settings().clock_file
    return machine_now().plus(seconds=_offset_seconds(path) if path else 0)
