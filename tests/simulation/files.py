"""The file store, over a line that may fail like every other. Pieces of a file, which a cold search reads by several
threads at once, come without the line: reading changes nothing, and whoever dies there dies as if before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

from chalicelib.providers.files.local import Directory
from chalicelib.providers.ports import ProviderUnavailable
from tests.simulation import plan as faults
from tests.simulation.wire import Answer, Lost, Wire

T = TypeVar("T")
_BUSY, _BROKEN = Answer(503, b""), Answer(500, b"")


class Files(Directory):
    """Satisfies `ports.FileStore`. As in the cloud nothing is asked for a second time by the adapter itself."""

    wire: ClassVar[Callable[[], Wire]]

    def put_new(self, key: str, content: bytes) -> bool:
        return _called("put", key, lambda: super(Files, self).put_new(key, content))

    def put_file(self, key: str, path: Path) -> bool:
        return _called("put", key, lambda: super(Files, self).put_file(key, path))

    def get(self, key: str) -> bytes:
        return _called("get", key, lambda: super(Files, self).get(key))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with _called("get", key, lambda: super(Files, self).local(key)) as path:
            yield path

    def delete(self, key: str) -> None:
        _called("delete", key, lambda: super(Files, self).delete(key))

    def list(self, prefix: str) -> Iterator[str]:
        yield from _called("list", prefix, lambda: list(super(Files, self).list(prefix)))


def remove(folder: Path) -> None:
    """Takes all files away."""
    shutil.rmtree(folder, ignore_errors=True)


def _called(what: str, key: str, act: Callable[[], T]) -> T:
    """Raises ProviderUnavailable for a request, or an answer, that was lost or refused; else as `act` does."""
    found: list[T] = []
    missing: list[KeyError] = []

    def done() -> Answer:
        try:
            found.append(act())
        except KeyError as error:
            missing.append(error)
        said = found[0] if found and isinstance(found[0], bool | list) else bool(found)
        return Answer(200, json.dumps(said).encode())

    instead = {faults.THROTTLE: lambda: _BUSY, faults.BROKEN: lambda: _BROKEN}
    try:
        answer = Files.wire().call(f"Files.{what}", key.encode(), done, instead)
    except Lost as lost:
        raise ProviderUnavailable from lost
    if answer.status_code != 200:
        raise ProviderUnavailable
    if missing:
        raise missing[0]
    return found[0]
