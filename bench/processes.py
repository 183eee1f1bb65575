"""What the processes of a stack hold, second by second: memory, descriptors and threads, from /proc (Linux)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.stack import BenchError

EVERY_SECONDS = 1.0
OURS = "linli"
_PROC = Path("/proc")
# A part of the command line, and what it is called.
_NAMES = (
    ("infra.local.start", OURS),
    ("infra.local.stripe_server", "stripe"),
    ("dynoxide", "dynoxide"),
    ("ministack", "ministack"),
    ("os.killpg", "guard"),
)


@dataclass(frozen=True)
class Sample:
    """One process at one moment; `at` is seconds since people began to come. `anon_mb` is what of its memory is no
    file's; `rss_mb` counts the pages of mapped files too."""

    at: float
    name: str
    rss_mb: float
    anon_mb: float
    fds: int
    threads: int


class Watch:
    """Samples every process of a stack until it is stopped."""

    def __init__(self, pid: int) -> None:
        """`pid` is the stack's first process. Raises BenchError where there is no /proc."""
        if not (_PROC / str(pid) / "status").exists():
            raise BenchError("the soak reads /proc, which this system does not have")
        self._pid = pid
        self._stop = threading.Event()
        self._began = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.samples: list[Sample] = []

    @contextmanager
    def running(self, lead_seconds: float = 0.0) -> Iterator[None]:
        """Sample until the block ends; people begin to come `lead_seconds` from now."""
        self._began = time.monotonic() + lead_seconds
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += EVERY_SECONDS
            at = time.monotonic() - self._began
            for pid in _tree(self._pid):
                with suppress(OSError):  # it has ended since it was listed
                    self.samples.append(_sample(pid, at))

    def lines(self) -> dict[str, list[tuple[float, float]]]:
        """Resident MB over seconds: all together, then each process, the largest first."""
        by_name: dict[str, list[tuple[float, float]]] = {}
        for name in sorted({sample.name for sample in self.samples}):
            by_name[name] = self.line(name, "rss_mb")
        ordered = dict(sorted(by_name.items(), key=lambda entry: -entry[1][-1][1]))
        return {"all": self.line("", "rss_mb"), **ordered}

    def line(self, name: str, what: str) -> list[tuple[float, float]]:
        """One counter over seconds, summed over the processes of a name, or over all."""
        sums: dict[float, float] = {}
        for sample in self.samples:
            if name in ("", sample.name):
                sums[sample.at] = sums.get(sample.at, 0.0) + float(getattr(sample, what))
        return sorted(sums.items())


def _tree(root: int) -> list[int]:
    """The process and everything below it."""
    found = [root]
    for pid in found:
        with suppress(OSError):
            for task in (_PROC / str(pid) / "task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _sample(pid: int, at: float) -> Sample:
    place = _PROC / str(pid)
    command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line)
    return Sample(
        at=at,
        name=next((name for part, name in _NAMES if part in command), str(status["Name"]).strip()),
        rss_mb=_mb(status.get("VmRSS", "0 kB")),
        anon_mb=_mb(status.get("RssAnon", "0 kB")),
        fds=sum(1 for _ in (place / "fd").iterdir()),
        threads=int(status["Threads"]),
    )


def _mb(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / 1024


def resident_mb(pid: int | None = None) -> float:
    """What a process holds in memory now, by default this one; 0 where there is no /proc."""
    try:
        status = (_PROC / str(pid or "self") / "status").read_text()
    except OSError:
        return 0.0
    return _mb(next(line for line in status.splitlines() if line.startswith("VmRSS")).split(":", 1)[1])
