"""The statements with which PostGIS is asked: for each kind of question every way we know, of which the quickest is
chosen by trying.

Shops lie in the plane of a stereographic projection of the sphere about the city's centre: it is conformal, so that
with the scale at the asker's place a circle of metres is a circle of the plane, to some millimetres in three
kilometres.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from bench._search.city import CENTRE, KINDS, Array
from bench._search.questions import Question
from bench._search.vocabulary import TRADES
from chalicelib.kernel.geo import Point
from chalicelib.search.model import SearchQuery

_RADIUS_M = 6_371_008.8
_INDEXED = ("price", "rating", "sales")
_CODES = [trade.code for trade in TRADES]

TABLES = """
CREATE TABLE shop AS SELECT x, y, mask, ST_MakePoint(x, y) AS geom, n, price, standing, sales, rating, kinds, hours, id,
    categories FROM raw ORDER BY ST_MakePoint(x, y);
CREATE TABLE wide AS SELECT x, y, mask, ST_MakePoint(x, y) AS geom, n, price, standing, sales, rating, kinds, hours, id,
    categories, names FROM raw ORDER BY ST_MakePoint(x, y);
CREATE TABLE listing AS SELECT category::int2 AS category, shop.* FROM shop,
    LATERAL (SELECT c FROM generate_series(0, 62) AS c WHERE mask >> c & 1 = 1) AS each(category)
    ORDER BY category, geom;
CREATE INDEX ON shop USING gist (geom);
CREATE INDEX ON shop USING gist (geom, price, rating);
CREATE INDEX ON shop USING gin (categories, price, rating);
CREATE INDEX ON wide USING gist (geom);
CREATE INDEX ON wide USING gin (names gin_trgm_ops);
CREATE INDEX ON listing USING gist (category, geom);
CREATE INDEX ON listing USING gist (category, geom, price, rating);
CREATE INDEX ON shop (price, id);
CREATE INDEX ON shop (rating DESC, id);
CREATE INDEX ON shop (sales DESC, id);
CREATE INDEX ON listing (category, price, id);
DROP TABLE raw;
VACUUM (ANALYZE, FREEZE);
"""
"""`ORDER BY` a geometry is along a Hilbert curve: neighbours lie on the same pages. `listing` has a row for each
category of a shop."""


def projected(lat: Array, lng: Array) -> tuple[Array, Array, Array]:
    """Metres east and north of the centre, and the scale, of degrees."""
    here, there, turn = math.radians(CENTRE.lat), np.radians(lat), np.radians(lng - CENTRE.lng)
    sin, cos = math.sin(here), math.cos(here)
    scale = 2 / (1 + sin * np.sin(there) + cos * np.cos(there) * np.cos(turn))
    x = scale * _RADIUS_M * np.cos(there) * np.sin(turn)
    y = scale * _RADIUS_M * (cos * np.sin(there) - sin * np.cos(there) * np.cos(turn))
    return x, y, scale


@dataclass
class _Values:
    """Collects what the placeholders of a statement stand for."""

    sent: list[bytes] = field(default_factory=list)

    def add(self, value: object, kind: str) -> str:
        self.sent.append(value if isinstance(value, bytes) else str(value).encode())
        return f"${len(self.sent)}::{kind}"


CIRCLE, MANUAL, HANDMADE = "circle", "manual", "handmade"
TUNINGS = (CIRCLE, MANUAL, HANDMADE)
"""How far PostGIS is tuned, each with all ways of those before it: one table, its indexes and `ST_DWithin`; what else
its manual tells, the nearest first by `<->`; tables and statements made by hand for one kind of question."""


@dataclass(frozen=True)
class Way:
    """One way to ask: in which table, how the circle is looked for, how the distance is reckoned."""

    name: str
    table: str
    circle: str  # `dwithin`, `box`: in the index of the geometry; `plain`: only by arithmetic; `knn`: nearest first
    distance: str  # `knn`: PostGIS's operator; `plain`: arithmetic
    tuning: str  # of TUNINGS, the first to which it belongs


WAYS = (
    Way("ST_DWithin", "shop", "dwithin", "knn", CIRCLE),
    Way("nearest first", "shop", "knn", "knn", MANUAL),
    Way("ST_DWithin, names in the same row", "wide", "dwithin", "knn", CIRCLE),
    Way("ST_DWithin, plain distance", "shop", "dwithin", "plain", HANDMADE),
    Way("box and plain distance", "shop", "box", "plain", HANDMADE),
    Way("in the order of an index", "shop", "plain", "plain", HANDMADE),
    Way("category's listing, nearest first", "listing", "knn", "knn", HANDMADE),
    Way("category's listing, ST_DWithin", "listing", "dwithin", "knn", HANDMADE),
    Way("category's listing, box", "listing", "box", "plain", HANDMADE),
    Way("category's listing in order", "listing", "plain", "plain", HANDMADE),
    Way("names in the same row, box", "wide", "box", "plain", HANDMADE),
)


def ways_for(query: SearchQuery) -> list[Way]:
    """Those that can answer it. The order of an index helps only where the order has one."""
    tables = {"wide"} if query.q else {"shop", "listing"} if query.category and not query.facets else {"shop"}
    circles = {"dwithin", "box"}
    if not query.facets:
        circles |= {"knn"} if query.sort == "distance" else {"plain"} if query.sort in _INDEXED else set()
    return [way for way in WAYS if way.table in tables and way.circle in circles]


Statement = tuple[str, list[bytes]]


def statement(way: Way, question: Question, open_bits: bytes) -> Statement:
    """SQL with its values. Rows are (id); with facets one row of (ids, categories, other counts)."""
    query, values = question.query, _Values()
    assert query.origin is not None  # noqa: S101
    measured = query.sort in ("distance", "recommended")
    circle, distance = _geometry(way, query.origin, query.radius_m, values, measured)
    hard = [circle, *_keyword(query, values)]
    soft = _filters(way, query, values, open_bits)
    key = _key(query, distance)
    page = f"LIMIT {query.limit} OFFSET {(question.page - 1) * query.limit}"
    if not query.facets:
        passing = " AND ".join([*hard, *(each for each in soft.values() if each != "true")])
        if way.circle == "knn":
            return _nearest(way, passing, distance, question, values), values.sent
        return f"SELECT s.id FROM {way.table} s WHERE {passing} ORDER BY {key}, s.id {page}", values.sent
    return _with_facets(way, hard, soft, key, page, values, open_bits), values.sent


def _nearest(way: Way, passing: str, distance: str, question: Question, values: _Values) -> str:
    """The index of the geometry gives the nearest first. With ties, because of a mall's shops the first by id count;
    and within the box of the circle, so that a rare category is not looked for in the whole city."""
    wanted = question.page * question.query.limit
    reach = values.add(repr(_reach(question.query)), "float8")
    return f"""
        SELECT id FROM (
            SELECT s.id, {distance} AS d FROM {way.table} s WHERE {passing}
            ORDER BY {distance} FETCH FIRST {wanted} ROWS WITH TIES
        ) nearest WHERE d <= {reach} ORDER BY d, id LIMIT {question.query.limit} OFFSET {wanted - question.query.limit}
    """


def _reach(query: SearchQuery) -> float:
    assert query.origin is not None  # noqa: S101
    return float(query.radius_m * projected(np.array(query.origin.lat), np.array(query.origin.lng))[2])


def _geometry(way: Way, origin: Point, radius_m: int, values: _Values, measured: bool) -> tuple[str, str]:
    """The circle's condition, and the distance in metres where it is `measured`."""
    x, y, scale = (float(each) for each in projected(np.array(origin.lat), np.array(origin.lng)))
    reach = radius_m * scale
    point = ""
    if way.circle == "dwithin" or (measured and way.distance == "knn"):
        point = values.add(struct.pack("<BIdd", 1, 1, x, y).hex(), "geometry")
    plain = ""
    if way.circle in ("box", "plain") or (measured and way.distance == "plain"):
        east, north = values.add(repr(x), "float8"), values.add(repr(y), "float8")
        plain = f"((s.x - {east}) * (s.x - {east}) + (s.y - {north}) * (s.y - {north}))"
    if way.circle == "knn":
        circle = f"s.geom && {values.add(_box(x, y, reach), 'geometry')}"
    elif way.circle == "dwithin":
        circle = f"ST_DWithin(s.geom, {point}, {values.add(repr(reach), 'float8')})"
    else:
        circle = f"{plain} <= {values.add(repr(reach * reach), 'float8')}"
        if way.circle == "box":
            circle = f"s.geom && {values.add(_box(x, y, reach), 'geometry')} AND {circle}"
    if way.distance == "knn":
        return circle, f"s.geom <-> {point}"
    return circle, f"sqrt({plain})"


def _box(x: float, y: float, reach: float) -> str:
    corners = ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))
    ring = b"".join(struct.pack("<dd", x + east * reach, y + north * reach) for east, north in corners)
    return (struct.pack("<BIII", 1, 3, 1, 5) + ring).hex()


def _keyword(query: SearchQuery, values: _Values) -> list[str]:
    return [f"s.names LIKE {values.add(f'%{query.q}%', 'text')}"] if query.q else []


def _filters(way: Way, query: SearchQuery, values: _Values, open_bits: bytes) -> dict[str, str]:
    found = dict.fromkeys(("category", "kind", "price", "rating", "open_now"), "true")
    if query.category is not None:
        code = _CODES.index(query.category)
        if way.table == "listing":
            found["category"] = f"s.category = {values.add(code, 'int2')}"
        elif way.tuning != HANDMADE:
            found["category"] = f"s.categories @> ARRAY[{values.add(code, 'int2')}]"
        else:
            found["category"] = f"s.mask & {values.add(1 << code, 'int8')} <> 0"
    if query.price_min_minor is not None and query.price_max_minor is not None:
        low, high = values.add(query.price_min_minor, "int4"), values.add(query.price_max_minor, "int4")
        found["price"] = f"s.price BETWEEN {low} AND {high}"
    if query.rating_min_centi is not None:
        found["rating"] = f"s.rating >= {values.add(query.rating_min_centi, 'int2')}"
    if query.open_now:
        found["open_now"] = _is_open(values, open_bits)
    return found


def _is_open(values: _Values, open_bits: bytes) -> str:
    """By one bit for each of the different opening hours, which the client knows: cheaper than any join."""
    bits = values.add("\\x" + open_bits.hex(), "bytea")
    return f"get_bit({bits}, s.hours) = 1"


def _key(query: SearchQuery, distance: str) -> str:
    keys: dict[str, str] = {
        "price": "s.price",
        "rating": "s.rating DESC",
        "sales": "s.sales DESC",
        "distance": distance,
    }
    return keys.get(query.sort, f"45 * floor(1000000 / (1000 + ({distance}))) + s.standing DESC")


def _with_facets(
    way: Way, hard: list[str], soft: dict[str, str], key: str, page: str, values: _Values, open_bits: bytes
) -> str:
    """One pass over the circle; the page and all counts from what it has kept."""
    given = {name: condition for name, condition in soft.items() if condition != "true"}
    direction = " DESC" if key.endswith(" DESC") else ""
    is_open = given.get("open_now") or _is_open(values, open_bits)
    flags = "".join(f", {condition} AS f_{name}" for name, condition in given.items())
    one = f"({' + '.join(f'(NOT f_{name})::int' for name in given)}) <= 1" if given else "true"

    def but(own: str) -> str:
        return " AND ".join(f"f_{name}" for name in given if name != own) or "true"

    counts = [f"count(*) FILTER (WHERE {but('')})"]
    counts += [f"count(*) FILTER (WHERE kinds & {1 << bit} <> 0 AND {but('kind')})" for bit in range(len(KINDS))]
    lows = (0, 5_000, 10_000, 20_000, 50_000, 2_147_483_647)
    counts += [
        f"count(*) FILTER (WHERE price >= {low} AND price < {high} AND {but('price')})" for low, high in pairwise(lows)
    ]
    counts += [f"count(*) FILTER (WHERE rating >= {low} AND {but('rating')})" for low in (400, 450, 480)]
    counts += [f"count(*) FILTER (WHERE {state} AND {but('open_now')})" for state in ("is_open", "NOT is_open")]
    return f"""
        WITH near AS MATERIALIZED (
            SELECT id, mask, kinds, price, rating, key, is_open{"".join(f", f_{name}" for name in given)} FROM (
                SELECT s.id, s.mask, s.kinds, s.price, s.rating, {key.removesuffix(" DESC")} AS key,
                    {is_open} AS is_open{flags}
                FROM {way.table} s WHERE {" AND ".join(hard)} OFFSET 0
            ) reached WHERE {one}
        )
        SELECT
            ARRAY(SELECT id FROM near WHERE {but("")} ORDER BY key{direction}, id {page}),
            ARRAY(SELECT ARRAY[mask, count(*)] FROM near WHERE {but("category")} GROUP BY mask),
            (SELECT ARRAY[{", ".join(counts)}] FROM near)
    """
