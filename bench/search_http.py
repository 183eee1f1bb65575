"""Search through HTTP: a whole local stack that serves an invented city, against a bare route of the same stack.

`make bench NAME=search ARGS="--http --shops 1000000"`. The bare route is `GET /healthz`: the same server and router,
and nothing behind it. Searches and bare calls take turns on one connection; memory is that of the stack's process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlencode

from bench.harness import finish, progress, say
from bench.processes import OURS, Watch
from bench.samples import percentile, slope
from bench.soak import WARM_SHARE
from bench.stack import BenchError, Caller, Target, target
from infra.local.engines import ROOT

QUICK = ("--shops", "5000", "--searches", "400", "--pairs", "100")
BARE = "/healthz"
_EACH = 100  # different questions of each kind
_SERVED_M = 60_000  # of the demo's city; the invented one reaches a little further
_LOADED_WITHIN_SECONDS = 60
_PUBLISHED_WITHIN_SECONDS = 1_200


def main(arguments: list[str]) -> int:
    """Run it; the exit status is 0 when every answer was one."""
    parser = argparse.ArgumentParser(prog="python -m bench search_http", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shops", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=2_000, help="searches that are timed, each beside a bare call")
    parser.add_argument("--searches", type=int, default=100_000, help="searches over which memory is watched")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    try:
        with target(None) as stack:
            finish("search_http", _measured(stack, asked))
    except BenchError as error:
        say(f"search_http: {error}")
        return 1
    return 0


def _measured(stack: Target, asked: argparse.Namespace) -> dict[str, Any]:
    from bench._search.city import City
    from bench._search.questions import KINDS_ASKED, timed

    _publish(stack, asked.shops, asked.seed)
    city = City.of(asked.shops, asked.seed)
    questions = timed(city, _EACH, asked.seed, facets=False)
    paths = [(one.kind, _path(one.query)) for one in questions if one.page == 1 and _is_served(one.query)]
    caller = Caller(stack.url)
    _wait_loaded(caller, city)
    for _, path in paths[: 2 * len(KINDS_ASKED)]:
        caller.told(caller.get(path), 200)
    before = caller.told(caller.get("/local/usage"), 200)["operations"]["GET /v1/search"]
    searched, bare = _pairs(caller, paths, asked.pairs)
    found = _watched(stack, caller, paths, asked.searches)
    after = caller.told(caller.get("/local/usage"), 200)["operations"]["GET /v1/search"]
    count = after["invocations"] - before["invocations"]
    every = [ms for times in searched.values() for ms in times]
    for kind, times in searched.items():
        say(f"  {kind:<26}{percentile(times, 0.5):>8.2f} ms p50 {percentile(times, 0.95):>8.2f} p95")
    say(f"  {BARE:<26}{percentile(bare, 0.5):>8.2f} ms p50 {percentile(bare, 0.95):>8.2f} p95")
    return {
        "shops": asked.shops,
        "http_p50_ratio_bare": percentile(every, 0.5) / percentile(bare, 0.5),
        "http_p95_ratio_bare": percentile(every, 0.95) / percentile(bare, 0.95),
        "http_p50_ms": percentile(every, 0.5),
        "http_p95_ms": percentile(every, 0.95),
        "http_bare_p50_ms": percentile(bare, 0.5),
        **found,
        "http_read_units_per_search": (after["read_units"] - before["read_units"]) / count,
        "http_write_units_per_search": (after["write_units"] - before["write_units"]) / count,
        "http_kinds_p50_ms": {kind: percentile(times, 0.5) for kind, times in searched.items()},
    }


def _publish(stack: Target, shops: int, seed: int) -> None:
    """In a process of its own: the stack's is measured, and ours keeps its environment."""
    command = [sys.executable, "-m", "bench._search.service", str(shops), str(seed)]
    done = subprocess.run(command, cwd=ROOT, env=stack.environment(), check=False, timeout=_PUBLISHED_WITHIN_SECONDS)
    if done.returncode:
        raise BenchError("the city could not be published")


def _is_served(query: Any) -> bool:
    from bench._search.city import CENTRE
    from chalicelib.kernel.geo import distance_m

    return distance_m(CENTRE, query.origin) < _SERVED_M


def _path(query: Any) -> str:
    """The query as a URL; only what differs from the defaults of the interface."""
    asked: dict[str, Any] = {
        "lat": f"{query.origin.lat:.6f}",
        "lng": f"{query.origin.lng:.6f}",
        "datum": "wgs84",
        "radius_m": query.radius_m,
        "sort": query.sort,
        "limit": query.limit,
    }
    for name in ("q", "category", "price_min_minor", "price_max_minor"):
        if getattr(query, name):
            asked[name] = getattr(query, name)
    if query.rating_min_centi is not None:
        asked["rating_min"] = query.rating_min_centi / 100
    if query.open_now:
        asked["open_now"] = "true"
    return f"/v1/search?{urlencode(asked)}"


def _wait_loaded(caller: Caller, city: Any) -> None:
    """Until the stack finds the invented shops, and answers from memory."""
    row = city.row(0)
    path = f"/v1/search?lat={row.lat}&lng={row.lng}&datum=wgs84&radius_m=50&limit=50&sort=distance"
    deadline = time.monotonic() + _LOADED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        reply = caller.get(path)
        if reply.status == 200 and any(hit["shop_id"] == row.id for hit in reply.body["items"]):
            time.sleep(3)  # the first answers may come from the file
            return
        time.sleep(0.2)
    raise BenchError(f"the city is not served: {reply.status} {reply.body}"[:500])


def _pairs(caller: Caller, paths: list[tuple[str, str]], pairs: int) -> tuple[dict[str, list[float]], list[float]]:
    """Milliseconds of searches, by kind, and of bare calls; who begins changes."""
    searched: dict[str, list[float]] = {}
    bare: list[float] = []
    with progress("searches beside bare calls", pairs) as bar:
        for number in range(pairs):
            kind, path = paths[number % len(paths)]
            turns = ((path, searched.setdefault(kind, [])), (BARE, bare))
            for target_path, times in turns if number % 2 else reversed(turns):
                begun = time.perf_counter()
                reply = caller.get(target_path)
                times.append((time.perf_counter() - begun) * 1000)
                caller.told(reply, 200)
            bar(number + 1)
    return searched, bare


def _watched(stack: Target, caller: Caller, paths: list[tuple[str, str]], searches: int) -> dict[str, float]:
    """Searches one after the other while the process is watched. What grows is counted without the first fifth."""
    if stack.pid is None:
        raise BenchError("the memory of a stack of our own is watched")
    watch = Watch(stack.pid)
    with watch.running(), progress("searches, memory watched", searches) as bar:
        begun = time.perf_counter()
        for number in range(searches):
            caller.told(caller.get(paths[number % len(paths)][1]), 200)
            if number % 200 == 0:
                bar(number, f"{watch.samples[-1].rss_mb:.0f} MB" if watch.samples else "")
        seconds = time.perf_counter() - begun
        time.sleep(1.1)
        bar(searches)
    found: dict[str, float] = {"http_searches": searches, "http_searches_per_s": searches / seconds}
    for name, what in (("memory", "anon_mb"), ("resident", "rss_mb")):
        line = watch.line(OURS, what)
        steady = [point for point in line if point[0] >= line[-1][0] * WARM_SHARE]
        found[f"http_{name}_mb"] = line[-1][1]
        found[f"http_{name}_growth_mb"] = slope(steady) * (steady[-1][0] - steady[0][0])
        say(f"  {name}: {line[0][1]:.1f} → {line[-1][1]:.1f} MB, growth {found[f'http_{name}_growth_mb']:+.2f} MB")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
