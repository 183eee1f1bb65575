"""Redis with GEOSEARCH: a server of the benchmark's own, asked over a unix socket.

Redis finds by radius and orders by distance; filters and other orders are the client's. So that it need not ask for
each shop, what they need travels in the member's name. Redis keeps positions to about half a metre, breaks no ties by
id, and takes the earth to be 0.03 % larger; the radius is widened accordingly.
"""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench._search.brute import Brute
from bench._search.city import City
from bench._search.questions import Question
from bench._search.vocabulary import TRADES
from bench.harness import progress, say
from chalicelib.search.model import SearchQuery
from infra.local.processes import Children, wait_ready

_EARTH = 6_372_797.560856 / 6_371_008.8
_BARE, _TELLING = "shops", "shops:telling"
_SOME = 1_000
_CODES = [trade.code for trade in TRADES]


def missing() -> str:
    """What is lacking here, as a sentence; empty when it can be measured."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed (apt-get install redis-server)"
    try:
        import redis  # noqa: F401
    except ImportError:
        return "the Python package redis is not installed (requirements-dev.txt)"
    return ""


class GeoSearch:
    """A server that knows the city."""

    def __init__(self, client: Any, is_open: list[bool], bytes_per_shop: float) -> None:
        self._client, self._open = client, is_open
        self.bytes_per_shop = bytes_per_shop

    def can(self, question: Question) -> bool:
        """Neither words nor counts."""
        return not question.query.q and not question.query.facets

    def ask(self, question: Question) -> list[str]:
        """The ids of the page."""
        query, first = question.query, (question.page - 1) * question.query.limit
        wanted = first + query.limit
        if query.sort == "distance" and query.category is None:
            return [member.decode() for member in self._found(_BARE, query, "ASC", "COUNT", wanted)[first:]]
        if query.sort == "distance":
            # Most often the nearest thousand hold enough that pass; all of them are asked for only when they do not.
            some = self._found(_TELLING, query, "ASC", "COUNT", _SOME)
            passing = self._passing(query, some)
            if len(passing) < wanted and len(some) == _SOME:
                passing = self._passing(query, self._found(_TELLING, query, "ASC"))
            return [parts[0].decode() for parts in passing[first:wanted]]
        if query.sort == "price":
            cheap = self._passing(query, self._found(_TELLING, query))
            return [parts[0].decode() for parts in heapq.nsmallest(wanted, cheap, key=_by_price)[first:]]
        told = self._found(_TELLING, query, "WITHDIST")
        far = {member: float(distance) / _EARTH for member, distance in told}
        kept = self._passing(query, list(far))
        scored = [(-45 * int(1_000_000 / (1_000 + far[b"|".join(p)])) - int(p[4]), p[0]) for p in kept]
        return [shop_id.decode() for _, shop_id in heapq.nsmallest(wanted, scored)[first:]]

    def _found(self, key: str, query: SearchQuery, *options: str | int) -> list[Any]:
        assert query.origin is not None  # noqa: S101
        here = ("FROMLONLAT", query.origin.lng, query.origin.lat, "BYRADIUS", query.radius_m * _EARTH, "m")
        found: list[Any] = self._client.execute_command("GEOSEARCH", key, *here, *options)
        return found

    def _passing(self, query: SearchQuery, members: list[bytes]) -> list[list[bytes]]:
        """(id, categories, price, rating, standing, hours) of those that pass the filters."""
        told = [member.split(b"|") for member in members]
        if query.category is not None:
            bit = 1 << _CODES.index(query.category)
            told = [parts for parts in told if int(parts[1]) & bit]
        if query.price_min_minor is not None and query.price_max_minor is not None:
            low, high = query.price_min_minor, query.price_max_minor
            told = [parts for parts in told if low <= int(parts[2]) <= high]
        if query.rating_min_centi is not None:
            told = [parts for parts in told if int(parts[3]) >= query.rating_min_centi]
        if query.open_now:
            told = [parts for parts in told if self._open[int(parts[5])]]
        return told


def _by_price(parts: list[bytes]) -> tuple[int, bytes]:
    return int(parts[2]), parts[0]


@contextmanager
def geosearch(folder: Path, children: Children, city: City, brute: Brute) -> Iterator[GeoSearch]:
    """A server with the city loaded, until the block ends."""
    import redis

    place = folder / "redis.socket"
    command = ["redis-server", "--port", "0", "--unixsocket", str(place), "--save", "", "--appendonly", "no"]
    child = children.start("redis", [*command, "--dir", str(folder)], env=os.environ)
    client = redis.Redis(unix_socket_path=str(place))

    def answers() -> bool:
        with suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    try:
        wait_ready(child, answers, 20)
        empty = int(client.info("memory")["used_memory"])
        _load(client, city, brute)
        used = int(client.info("memory")["used_memory"]) - empty
        say(f"Redis: loaded, {used / city.count:.0f} bytes a shop")
        yield GeoSearch(client, brute.opened.tolist(), used / city.count)
    finally:
        client.close()


def _load(client: Any, city: City, brute: Brute) -> None:
    with progress("Redis: loading", city.count) as bar:
        bare: list[Any] = []
        telling: list[Any] = []
        for number, (row, standing) in enumerate(zip(city.rows(), brute.standing.tolist(), strict=True)):
            mask = 1 << row.trade | 1 << row.second_trade
            bare += (row.lng, row.lat, row.id)
            telling += (row.lng, row.lat, f"{row.id}|{mask}|{row.price}|{row.rating}|{standing}|{row.hours}")
            if number % 2_000 == 1_999 or number == city.count - 1:
                client.execute_command("GEOADD", _BARE, *bare)
                client.execute_command("GEOADD", _TELLING, *telling)
                bare, telling = [], []
                bar(number + 1)
