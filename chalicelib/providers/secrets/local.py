"""Secrets of the local stack: a generated file outside the repository."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path


class FileSecrets:
    """Satisfies `ports.Secrets` with a JSON object of names and values."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    @cached_property
    def _values(self) -> dict[str, str]:
        loaded: dict[str, str] = json.loads(self._path.read_text(encoding="utf-8"))
        return loaded

    def get(self, name: str) -> str:
        return self._values[name]
