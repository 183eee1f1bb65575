"""Latency and memory over time as one SVG, drawn by hand."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from bench.samples import percentile
from bench.visits import Visit

Point = tuple[float, float]

_WIDTH, _LEFT, _RIGHT, _PANEL, _GAP = 1000, 70, 150, 300, 70
_WINDOWS = 60
_COLOURS = ("#0a7a55", "#d1772a", "#6a4fb3", "#2874b8", "#a23b5c", "#707a75")
_BAD = "#c62828"
_DECADES_MS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)


def draw(path: Path, visits: Sequence[Visit], memory_mb: Mapping[str, Sequence[Point]]) -> Path:
    """Write the picture to `path` and return it. `memory_mb` are lines over seconds, by process; without any of them
    that panel is left out."""
    end = max([1.0, *(visit.at for visit in visits), *(x for line in memory_mb.values() for x, _ in line)])
    panels = [_latency(visits, end)]
    if memory_mb:
        panels.append(_memory(memory_mb, end))
    height = _GAP + len(panels) * (_PANEL + _GAP)
    errors = sum(bool(visit.error) for visit in visits)
    title = f"{path.stem}: {len(visits)} visits, {errors} error{'' if errors == 1 else 's'}"
    body = "".join(
        f'<g transform="translate({_LEFT} {_GAP + position * (_PANEL + _GAP)})">{panel}</g>'
        for position, panel in enumerate(panels)
    )
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#1d2320">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="{_LEFT}" y="30" font-size="18" font-weight="600">{escape(title)}</text>{body}</svg>\n'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _latency(visits: Sequence[Visit], end: float) -> str:
    """A dot a visit on a logarithmic scale, and the median and the 99th percentile of each window."""
    highest = max([_DECADES_MS[2], *(visit.ms for visit in visits)])
    decades = [one for one in _DECADES_MS if one < highest * 10]

    def y(ms: float) -> float:
        return _PANEL * (1 - math.log10(min(max(ms, decades[0]), decades[-1])) / math.log10(decades[-1]))

    kinds = sorted({visit.kind for visit in visits})
    parts = [_frame("latency from the intended begin", end, [(y(ms), f"{ms:g} ms") for ms in decades])]
    for visit in visits:
        colour = _BAD if visit.error else _COLOURS[kinds.index(visit.kind)]
        size = 4 if visit.error else 1.6
        parts.append(f'<circle cx="{_x(visit.at, end):.1f}" cy="{y(visit.ms):.1f}" r="{size}" fill="{colour}"/>')
    for share, dash in ((0.5, ""), (0.99, "5 3")):
        line = [(at, y(percentile(times_ms, share))) for at, times_ms in _windows(visits, end)]
        parts.append(_line(line, end, "#1d2320", dash))
    legend = [(kind, _COLOURS[number]) for number, kind in enumerate(kinds)]
    parts.append(_legend([*legend, ("error", _BAD), ("— p50  - - p99", "#1d2320")]))
    return "".join(parts)


def _windows(visits: Sequence[Visit], end: float) -> list[tuple[float, list[float]]]:
    width = end / _WINDOWS
    found: dict[int, list[float]] = defaultdict(list)
    for visit in visits:
        found[int(visit.at / width)].append(visit.ms)
    return [((number + 0.5) * width, times_ms) for number, times_ms in sorted(found.items())]


def _memory(memory_mb: Mapping[str, Sequence[Point]], end: float) -> str:
    highest = max(mb for line in memory_mb.values() for _, mb in line)
    step = 10.0 ** math.floor(math.log10(highest))
    step = step / 2 if highest / step < 3 else step
    top = step * math.ceil(highest / step)
    marks = [step * number for number in range(round(top / step) + 1)]
    parts = [_frame("resident memory", end, [(_PANEL * (1 - mb / top), f"{mb:g} MB") for mb in marks])]
    for number, (_, line) in enumerate(memory_mb.items()):
        points = [(at, _PANEL * (1 - mb / top)) for at, mb in line if at >= 0]
        parts.append(_line(points, end, _COLOURS[number % len(_COLOURS)]))
    names = [
        (f"{name} {line[-1][1]:.0f} MB", _COLOURS[n % len(_COLOURS)])
        for n, (name, line) in enumerate(memory_mb.items())
    ]
    parts.append(_legend(names))
    return "".join(parts)


def _x(at: float, end: float) -> float:
    return (_WIDTH - _LEFT - _RIGHT) * at / end


def _line(points: Iterable[Point], end: float, colour: str, dash: str = "") -> str:
    path = " ".join(f"{_x(at, end):.1f},{y:.1f}" for at, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dash}"/>'


def _frame(title: str, end: float, marks: Sequence[tuple[float, str]]) -> str:
    """Title, grid and the axis of time."""
    width = _x(end, end)
    parts = [f'<text y="-12" font-weight="600">{escape(title)}</text>']
    for y, label in marks:
        parts.append(f'<line x2="{width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e6e3"/>')
        parts.append(f'<text x="-8" y="{y + 4:.1f}" text-anchor="end" fill="#66706b">{escape(label)}</text>')
    for part in range(7):
        at = end * part / 6
        text = f"{at:.0f} s" if end < 120 else f"{at / 60:.1f} min"
        parts.append(f'<text x="{_x(at, end):.1f}" y="{_PANEL + 18}" text-anchor="middle" fill="#66706b">{text}</text>')
    return "".join(parts)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    x = _x(1, 1) + 14
    return "".join(
        f'<text x="{x}" y="{14 + 18 * number}" fill="{colour}">{escape(text)}</text>'
        for number, (text, colour) in enumerate(entries)
    )
