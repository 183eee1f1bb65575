"""The file store of the local stack: a directory."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO

from chalicelib.providers.ports import checked_key

_PART = ".part-"


class Directory:
    """Satisfies `ports.FileStore`. A file is whole and on the disk before its name is there, and a name is given once:
    linking fails where renaming would replace."""

    def __init__(self, path: str) -> None:
        self._root = Path(path)

    def put_new(self, key: str, content: bytes) -> bool:
        return self._put(key, BytesIO(content))

    def put_file(self, key: str, path: Path) -> bool:
        with path.open("rb") as content:
            return self._put(key, content)

    def _put(self, key: str, content: IO[bytes]) -> bool:
        path = self._root / checked_key(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{_PART}{secrets.token_hex(8)}")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
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
        with self._opened(key) as file:
            return file.read()

    def read(self, key: str, begin: int, end: int) -> bytes:
        with self._opened(key) as file:
            file.seek(begin)
            return file.read(max(end - begin, 0))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        self._opened(key).close()
        yield self._root / checked_key(key)

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            (self._root / checked_key(key)).unlink()

    def _opened(self, key: str) -> IO[bytes]:
        try:
            return (self._root / checked_key(key)).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise KeyError(key) from error

    def list(self, prefix: str) -> Iterator[str]:
        found = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith(_PART))
        yield from sorted(key for path in found if (key := path.relative_to(self._root).as_posix()).startswith(prefix))
