"""The file store of the local stack: a directory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from chalicelib.providers.ports import checked_key

_PART = ".part-"


class Directory:
    """Satisfies `ports.FileStore`. A file is whole and on the disk before its name is there, and a name is given once:
    linking fails where renaming would replace."""

    def __init__(self, path: str) -> None:
        self._root = Path(path)

    def put_new(self, key: str, content: bytes) -> bool:
        path = self._root / checked_key(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{_PART}{secrets.token_hex(8)}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(part, path)
            except FileExistsError:
                return False
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        self._settle(path.parent)
        return True

    def _settle(self, folder: Path) -> None:
        """The names themselves must outlive a power cut: those of the file and of every folder above it."""
        for each in (folder, *folder.parents):
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if each == self._root:
                return

    def get(self, key: str) -> bytes:
        try:
            return (self._root / checked_key(key)).read_bytes()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise KeyError(key) from error

    def list(self, prefix: str) -> Iterator[str]:
        found = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(_PART))
        yield from sorted(key for path in found if (key := path.relative_to(self._root).as_posix()).startswith(prefix))
