"""What a soak concludes from its samples, and how it is drawn."""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.picture import draw
from bench.processes import Sample, Watch
from bench.soak import per_minute
from bench.visits import Visit

SVG = "{http://www.w3.org/2000/svg}"


def watch_of(samples: list[Sample]) -> Watch:
    watch = Watch(os.getpid())
    watch.samples = samples
    return watch


def sample(at: float, name: str, mb: float) -> Sample:
    return Sample(at=at, name=name, rss_mb=mb, anon_mb=mb, fds=7, threads=3)


def test_the_first_fifth_of_a_run_may_grow() -> None:
    """A heap that is filled in the first two minutes of ten and stays then does not grow."""
    filled = [sample(at, "linli", min(at, 120.0)) for at in range(601)]
    assert per_minute(watch_of(filled), "linli", "rss_mb") == pytest.approx(0)
    growing = [sample(at, "linli", 100 + at / 60) for at in range(601)]
    assert per_minute(watch_of(growing), "linli", "rss_mb") == pytest.approx(1)


def test_processes_are_summed_for_all_and_told_apart_by_name() -> None:
    both = [sample(at, name, mb * at / 60) for at in range(100) for name, mb in (("linli", 0.25), ("stripe", 0.5))]
    watch = watch_of(both)
    assert per_minute(watch, "", "rss_mb") == pytest.approx(0.75)
    assert per_minute(watch, "stripe", "rss_mb") == pytest.approx(0.5)
    assert per_minute(watch, "", "fds") == pytest.approx(0)
    assert list(watch.lines()) == ["all", "stripe", "linli"]
    assert watch.line("", "threads")[-1] == (99, 6)


def test_a_watch_sees_this_process_and_what_it_holds() -> None:
    watch = Watch(os.getpid())
    with watch.running(lead_seconds=5.0):
        time.sleep(0.05)
    first = watch.samples[0]
    assert -6 < first.at < -4
    assert first.rss_mb >= first.anon_mb > 1
    assert first.fds > 0
    assert first.threads >= 2


def test_the_picture_has_a_dot_for_each_visit_and_a_line_for_each_process(tmp_path: Path) -> None:
    visits = [Visit("search", 1.0, 3.0), Visit("booking", 2.0, 90.0), Visit("search", 3.0, 50_000.0, "search 503")]
    lines = {"all": [(0.0, 150.0), (60.0, 151.0)], "linli <1>": [(0.0, 100.0), (60.0, 101.0)]}
    drawn = ET.parse(draw(tmp_path / "new" / "soak.svg", visits, lines)).getroot()  # noqa: S314  # our own file
    dots = list(drawn.iter(f"{SVG}circle"))
    assert [dot.get("r") for dot in dots] == ["1.6", "1.6", "4"]
    assert float(dots[0].get("cy", "")) > float(dots[1].get("cy", "")) > float(dots[2].get("cy", "")) == 0
    texts = [text.text for text in drawn.iter(f"{SVG}text")]
    assert "soak: 3 visits, 1 error" in texts
    assert "linli <1> 101 MB" in texts
    assert len(list(drawn.iter(f"{SVG}polyline"))) == 2 + len(lines)


def test_a_load_without_a_watch_has_no_panel_of_memory(tmp_path: Path) -> None:
    drawn = ET.parse(draw(tmp_path / "load.svg", [Visit("search", 1.0, 3.0)], {})).getroot()  # noqa: S314
    assert "resident memory" not in [text.text for text in drawn.iter(f"{SVG}text")]
