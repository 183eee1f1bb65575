"""The file of a city's index: one version of everything that is searched, read from a memory map or by ranges.

    8 bytes     magic
    4 + 4       length of the header and its CRC-32, little-endian
    header      JSON: what the file is, and where each section stands: name → [dtype, offset, bytes]
    sections    raw arrays, little-endian, each on a multiple of 64 bytes; the first one at HEADER_BYTES

A file is written beside its place and moved there when it is whole. numpy is needed for `Base.array` alone.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from chalicelib.kernel.instant import Instant
from chalicelib.search.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"LINLICTY"
FORMAT = 2
HEADER_BYTES = 65_536
_ALIGNED = 64
_LEAD = struct.Struct("<8sII")

BYTES = "|u1"


class BaseInvalid(Exception):
    """The bytes are no base file, or not a whole one, or of another format."""


@dataclass(frozen=True)
class Section:
    dtype: str
    offset: int
    size: int  # in bytes


@dataclass(frozen=True)
class Header:
    """What a base file is. `sequence` is the place in the city's log up to which it knows everything; `kinds` are the
    kinds of offers in the order of their bits; `note_days` names the days of the notes and where they begin."""

    city: str
    sequence: int
    count: int
    built_at: Instant
    size: int
    grid: Grid
    kinds: tuple[str, ...]
    note_days: tuple[tuple[str, int, int], ...]
    sections: Mapping[str, Section]

    @classmethod
    def read(cls, data: bytes) -> Header:
        """From the first HEADER_BYTES of a file. Raises BaseInvalid."""
        try:
            magic, length, checksum = _LEAD.unpack_from(data)
            packed = data[_LEAD.size : _LEAD.size + length]
            if magic != MAGIC or len(packed) != length or zlib.crc32(packed) != checksum:
                raise BaseInvalid("not a base file")
            plain = json.loads(packed)
            if plain.pop("format") != FORMAT:
                raise BaseInvalid("another format")
            return cls(
                **{
                    **plain,
                    "built_at": Instant(plain["built_at"]),
                    "grid": Grid(**plain["grid"]),
                    "kinds": tuple(plain["kinds"]),
                    "note_days": tuple((day, begin, end) for day, begin, end in plain["note_days"]),
                    "sections": {name: Section(*where) for name, where in plain["sections"].items()},
                }
            )
        except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BaseInvalid("not a base file") from error

    def packed(self) -> bytes:
        plain = {
            "format": FORMAT,
            **asdict(self),
            "built_at": self.built_at.ms,
            "sections": {name: [each.dtype, each.offset, each.size] for name, each in self.sections.items()},
        }
        packed = json.dumps(plain, separators=(",", ":")).encode()
        whole = _LEAD.pack(MAGIC, len(packed), zlib.crc32(packed)) + packed
        if len(whole) > HEADER_BYTES:
            raise ValueError("the header does not fit")
        return whole


class Writer:
    """Writes a base file section by section. Leaves no file behind unless `finish` was reached."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".part")
        self._file: IO[bytes] = self._partial.open("wb")
        self._file.seek(HEADER_BYTES)
        self.sections: dict[str, Section] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def add(self, name: str, array: NDArray[Any]) -> None:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        self.stream(name, [little.tobytes()], little.dtype.str)

    def stream(self, name: str, chunks: Iterable[bytes | memoryview], dtype: str = BYTES) -> None:
        begin = self._file.tell()
        self._file.write(b"\0" * (-begin % _ALIGNED))
        begin = self._file.tell()
        for chunk in chunks:
            self._file.write(chunk)
        self.sections[name] = Section(dtype, begin, self._file.tell() - begin)

    def finish(self, **facts: Any) -> Header:
        """`facts` are the other fields of the header. The file is in its place afterwards."""
        header = Header(**facts, size=self._file.tell(), sections=self.sections)
        self._file.seek(0)
        self._file.write(header.packed())
        self._file.truncate(max(header.size, HEADER_BYTES))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)
        return header


class Base:
    """An open base file. Its arrays are views of the memory map and cannot be written."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.header = Header.read(file.read(HEADER_BYTES))
            if os.fstat(file.fileno()).st_size < self.header.size:
                raise BaseInvalid("not a whole file")
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def array(self, name: str) -> NDArray[Any]:
        import numpy as np

        section = self.header.sections[name]
        dtype = np.dtype(section.dtype)
        return np.frombuffer(self.map, dtype, section.size // dtype.itemsize, section.offset)

    def whole(self, name: str) -> bytes:
        section = self.header.sections[name]
        return self.map[section.offset : section.offset + section.size]

    def part(self, name: str, begin: int, end: int) -> bytes:
        """The bytes of a section from `begin` up to `end`."""
        offset = self.header.sections[name].offset
        return self.map[offset + begin : offset + end]

    def named(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays whose names begin so, by the rest of their names."""
        return {name.removeprefix(prefix): self.array(name) for name in self.header.sections if name.startswith(prefix)}


def open_base(path: Path | str) -> Base:
    """Raises BaseInvalid, and OSError where there is no file."""
    return Base(Path(path))
