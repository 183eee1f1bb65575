"""Search in one process, against PostGIS, Redis and a brute force, on the same invented city in the same run.

`make bench NAME=search ARGS="--shops 1000000"`; without the peers' programs their figures are null. What is measured
and why it is fair stands in docs/guides/search-bench.md. `--http` asks a whole local stack instead, see
`bench.search_http`.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.harness import finish, progress, say
from bench.samples import percentile, slope

QUICK = ("--shops", "10000", "--queries", "1", "--exact", "40", "--searches", "1000")
_MIN_SHOPS, _MAX_SHOPS = 1_000, 2_000_000
_WARM = 0.2  # the part of the searches after which memory is watched
_SAMPLES = 50


def main(arguments: list[str]) -> int:
    """Run it; the exit status is 0 when every answer of ours is the brute force's."""
    if "--http" in arguments:
        from bench import search_http

        return search_http.main([each for each in arguments if each != "--http"])
    asked = _asked(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the peers end with us
    from infra.local.processes import Children

    with tempfile.TemporaryDirectory(prefix="linli-search-") as name:
        children = Children(Path(name) / "logs")
        try:
            found = _measured(asked, Path(name), children)
        finally:
            children.stop()
    finish("search", found)
    return 0 if found["exact_share"] == 1 else 1


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench search", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shops", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=20, help="questions of each kind, plain and with facets")
    parser.add_argument("--exact", type=int, default=1_000, help="random questions compared with the brute force")
    parser.add_argument("--searches", type=int, default=100_000, help="searches over which memory is watched")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plans", action="store_true", help="print PostgreSQL's plan of every kind, not of three")
    parser.add_argument("--alone", action="store_true", help="without PostGIS and Redis")
    asked = parser.parse_args(arguments)
    if not _MIN_SHOPS <= asked.shops <= _MAX_SHOPS:
        parser.error(f"--shops is from {_MIN_SHOPS:,} to {_MAX_SHOPS:,}")
    return asked


def _measured(asked: argparse.Namespace, folder: Path, children: Any) -> dict[str, Any]:
    from bench._search import contest, ours, questions, service
    from bench._search.brute import Brute
    from bench._search.city import City
    from bench._search.spelling import Speller
    from bench._search.vocabulary import EVERYTHING
    from chalicelib.search.readings import Readings

    city = City.of(asked.shops, asked.seed)
    say(f"search: {city.count:,} shops, seed {asked.seed}; the densest square kilometre holds {city.densest():,}")
    noted = questions.notes(city, asked.seed)
    engine = ours.build(folder, city, noted)
    brute = Brute(city, noted, Speller(Readings.of_texts([EVERYTHING]).of))
    peers: dict[str, Any] = {contest.OURS: contest.OurPeer(engine)}
    plain = questions.timed(city, asked.queries, asked.seed, facets=False)
    counted = questions.timed(city, asked.queries, asked.seed, facets=True)
    others: dict[str, Any] = {}
    with ExitStack() as stack:
        if not asked.alone:
            others = _peers(stack, folder, children, city, brute, peers)
        _tune(others, peers, city, asked)
        warm = [
            one
            for facets in (False, True)
            for one in questions.timed(city, contest.WARM * contest.ROUNDS, asked.seed + 1, facets=facets)
        ]
        times = contest.contest(peers, contest.rounds([*plain, *counted], warm, brute))
    kinds = contest.tell(times)
    share = contest.exact_share(engine, questions.random_questions(city, asked.exact, asked.seed), brute)
    own = times.all(contest.OURS, facets=False, like=contest.OURS)
    own_facets = times.all(contest.OURS, facets=True, like=contest.OURS)
    memory = _memory(engine, [*plain, *counted], asked.searches)
    counted_units = service.units(folder, children, city, engine.path, plain)
    return {
        "shops": city.count,
        "p50_ratio_postgis": times.ratio(contest.POSTGIS, facets=False),
        "p50_ratio_postgis_facets": times.ratio(contest.POSTGIS, facets=True),
        "p50_ratio_postgis_knn_whole": times.ratio(contest.NEAREST_WHOLE, facets=False),
        "p50_ratio_postgis_knn": times.ratio(contest.NEAREST, facets=False),
        "p50_ratio_postgis_best": times.ratio(contest.BEST, facets=False),
        "p50_ratio_postgis_best_facets": times.ratio(contest.BEST, facets=True),
        "p50_ratio_redis": times.ratio(contest.REDIS, facets=False),
        "exact_share": min(share, times.share_right(contest.OURS) or 0.0),
        "exact_share_postgis": times.share_right(contest.POSTGIS),
        "exact_share_postgis_knn_whole": times.share_right(contest.NEAREST_WHOLE),
        "exact_share_postgis_knn": times.share_right(contest.NEAREST),
        "exact_share_postgis_best": times.share_right(contest.BEST),
        "exact_share_redis": times.share_right(contest.REDIS),
        "read_units_per_search": getattr(counted_units, "per_search", None),
        "read_units_per_poll": getattr(counted_units, "per_poll", None),
        **_sizes(engine),
        "load_ms": engine.load_ms,
        "build_s": engine.build_s,
        "p50_ms": percentile(own, 0.5),
        "p95_ms": percentile(own, 0.95),
        "p50_facets_ms": percentile(own_facets, 0.5),
        "p95_facets_ms": percentile(own_facets, 0.95),
        "postgis_bytes_per_shop": getattr(others.get("postgis"), "bytes_per_shop", None),
        "redis_bytes_per_shop": getattr(others.get("redis"), "bytes_per_shop", None),
        **memory,
        "kinds": kinds,
    }


def _peers(
    stack: ExitStack, folder: Path, children: Any, city: Any, brute: Any, peers: dict[str, Any]
) -> dict[str, Any]:
    """Start who is installed, and say who is not."""
    from bench._search import contest, geosearch, postgis, statements

    others: dict[str, Any] = {}
    if lacking := postgis.missing():
        say(f"search: {lacking}: its figures are null")
    else:
        others["postgis"] = server = stack.enter_context(postgis.postgis(folder, children, city, brute))
        peers[contest.POSTGIS] = contest.PostgisPeer(server, statements.CIRCLE, whole=True)
        peers[contest.NEAREST] = contest.PostgisPeer(server, statements.MANUAL, whole=False)
    if lacking := geosearch.missing():
        say(f"search: {lacking}: its figures are null")
    else:
        others["redis"] = found = stack.enter_context(geosearch.geosearch(folder, children, city, brute))
        peers[contest.REDIS] = contest.RedisPeer(found)
    if "postgis" in others:  # so that no two peers of the same tables come one after the other
        peers[contest.NEAREST_WHOLE] = contest.PostgisPeer(others["postgis"], statements.WHOLE_MANUAL, whole=True)
        peers[contest.BEST] = contest.PostgisPeer(others["postgis"], statements.HANDMADE, whole=False)
    return others


def _tune(others: Mapping[str, Any], peers: dict[str, Any], city: Any, asked: argparse.Namespace) -> None:
    """With questions of its own, which everybody then answers once."""
    from bench._search import contest, questions, statements

    some = [
        one
        for facets in (False, True)
        for one in questions.timed(city, min(asked.queries, 8), asked.seed + 2, facets=facets)
    ]
    server = others.get("postgis")
    if server is not None:
        server.tune(some)
    contest.warm_up(peers, some)
    if server is None:
        return
    shown: set[tuple[str, bool]] = set()
    for one in some:
        key = (one.kind, one.query.facets)
        if key in shown or not server.can(one):
            continue
        shown.add(key)
        told = {level: server.chosen[*key, level] for level in statements.LEVELS}
        ways = "; ".join(f"{name}: {way.name}, {mode}" for name, (way, mode) in told.items())
        say(f"  PostGIS, {one.kind}{' + facets' if one.query.facets else ''}: {ways}")
        if asked.plans or key in (("near_3km", False), ("filtered_recommended_3km", False), ("recommended_3km", True)):
            for line in server.plan(one, statements.CIRCLE):
                say(f"      {line}")


def _sizes(engine: Any) -> dict[str, float]:
    """Bytes a shop, as the engine counts them. What stays in memory beside the postings are columns and calendars."""
    per_shop = engine.engine.bytes_of()["per_shop"]
    return {
        "bytes_per_shop": per_shop["columns"] + per_shop["calendars"],
        "postings_bytes_per_shop": per_shop["postings"],
        "cards_bytes_per_shop": per_shop["records"],
        "names_bytes_per_shop": per_shop["names"],
        "file_bytes_per_shop": per_shop["file"],
    }


def _memory(engine: Any, questions: list[Any], searches: int) -> dict[str, float]:
    """What this process holds while it searches on and on; growth is over the last four fifths, by least squares."""
    from bench.processes import resident_mb

    ready = [engine.ready(question) for question in questions]
    gc.collect()
    begin = resident_mb()
    points: list[tuple[float, float]] = []
    begun = time.perf_counter()
    with progress("memory", searches) as bar:
        for number in range(searches):
            engine.ask(ready[number % len(ready)])
            if number % max(1, searches // _SAMPLES) == 0:
                points.append((number / searches, resident_mb()))
                bar(number, f"{points[-1][1]:.0f} MB")
        bar(searches, f"{resident_mb():.0f} MB")
    steady = [point for point in points if point[0] >= _WARM]
    return {
        "searches": searches,
        "searches_per_s": searches / (time.perf_counter() - begun),
        "memory_before_mb": begin,
        "memory_after_mb": resident_mb(),
        "memory_growth_mb": slope(steady) * (1 - _WARM),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
