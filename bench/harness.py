"""How a benchmark speaks: a line now and then, a bar while something lasts, one JSON line at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_console = Console(highlight=False, soft_wrap=True, markup=False)


class Bar(Protocol):
    """`done` counts towards the total; `text` says what stands just now."""

    def __call__(self, done: float, text: str = "") -> None: ...


def say(line: str, console: Console = _console) -> None:
    """Tell the person who waits."""
    console.print(line)
    console.file.flush()


@contextmanager
def progress(
    title: str, total: float, *, console: Console = _console, plain_every_seconds: float = 5.0
) -> Iterator[Bar]:
    """A bar on a terminal; elsewhere a plain line every few seconds, and one at the end."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}"),
        )
        with Progress(*columns, console=console) as shown:
            task = shown.add_task(title, total=total, text="")
            yield lambda done, text="": shown.update(task, completed=done, text=text)
        return
    began = said = time.monotonic()
    last: tuple[float, str] = (0.0, "")

    def plain(done: float, text: str = "") -> None:
        nonlocal said, last
        last = (done, text)
        if time.monotonic() - said >= plain_every_seconds:
            said = time.monotonic()
            say(_line(title, last, total, said - began), console)

    yield plain
    say(_line(title, last, total, time.monotonic() - began), console)


def _line(title: str, last: tuple[float, str], total: float, seconds: float) -> str:
    done, text = last
    return f"{title}: {done:g} of {total:g} after {seconds:.0f} s{'  ' + text if text else ''}"


def finish(bench: str, figures: Mapping[str, Any]) -> None:
    """The last line of a benchmark, for machines; floats with at most four decimals, small ones with four digits."""
    print(
        json.dumps({"bench": bench, "figures": {name: _figure(value) for name, value in figures.items()}}), flush=True
    )


def _figure(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _figure(each) for name, each in value.items()}
    return value
