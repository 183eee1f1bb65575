"""The statements with which PostGIS is asked: for each kind of question every way we know, of which the quickest is
chosen by trying. The tables stand in `bench._search.tables`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np

from bench._search.city import KINDS
from bench._search.questions import Question
from bench._search.shown import COLUMNS, Shown
from bench._search.tables import projected
from bench._search.vocabulary import TRADES
from chalicelib.kernel.geo import Point
from chalicelib.search.model import SearchQuery

_INDEXED = ("price", "rating", "sales")
_CODES = [trade.code for trade in TRADES]


@dataclass
class _Values:
    """Collects what the placeholders of a statement stand for."""

    sent: list[bytes] = field(default_factory=list)

    def add(self, value: object, kind: str) -> str:
        self.sent.append(value if isinstance(value, bytes) else str(value).encode())
        return f"${len(self.sent)}::{kind}"


CIRCLE, WHOLE_MANUAL, MANUAL, HANDMADE = "circle", "whole_manual", "manual", "handmade"
LEVELS = {CIRCLE: {CIRCLE}, WHOLE_MANUAL: {CIRCLE, WHOLE_MANUAL}, MANUAL: {MANUAL}, HANDMADE: {MANUAL, HANDMADE}}
"""How far PostGIS is tuned, and the levels of the ways that may be taken. Whole hits from the one table: the circle by
`ST_DWithin` and the indexes of place and columns, then sorted; with what else the manual tells, the nearest first by
`<->` and the order of a B-tree. Ids alone from slim tables: with all of that; with tables and statements made by hand
for one kind of question."""


@dataclass(frozen=True)
class Way:
    """One way to ask: in which table, how the circle is looked for, how the distance is reckoned."""

    name: str
    table: str
    circle: str  # `dwithin`, `box`: in the index of the geometry; `checked`, `plain`: by none; `knn`: nearest first
    distance: str  # `knn`: PostGIS's operator; `plain`: arithmetic
    level: str  # the first to which it belongs
    after: bool = False  # the page is chosen before what its hits show is read
    bare: bool = False  # categories and names are compared in a manner for which no index is looked at

    @property
    def whole(self) -> bool:
        """Whether it answers with all that a hit shows, not in ids alone."""
        return self.table == "shop"


def _variants(name: str, table: str, circle: str, level: str) -> list[Way]:
    """With and without other indexes than the place's; of whole hits also the page first and what it shows after."""
    return [
        Way(name + ", rows after" * after + ", by no other index" * bare, table, circle, "knn", level, after, bare)
        for after, bare in product((False, True)[: 1 + (table == "shop")], (False, True))
    ]


WAYS = (
    *_variants("ST_DWithin", "shop", "dwithin", CIRCLE),
    *_variants("in the order of an index", "shop", "checked", WHOLE_MANUAL),
    *_variants("nearest first", "shop", "knn", WHOLE_MANUAL),
    *_variants("ST_DWithin", "slim", "dwithin", MANUAL),
    *_variants("in the order of an index", "slim", "checked", MANUAL),
    *_variants("nearest first", "slim", "knn", MANUAL),
    *_variants("ST_DWithin, names in the same row", "named", "dwithin", MANUAL),
    Way("ST_DWithin, plain distance", "slim", "dwithin", "plain", HANDMADE),
    Way("box and plain distance", "slim", "box", "plain", HANDMADE),
    Way("in the order of an index, plain distance", "slim", "plain", "plain", HANDMADE),
    Way("category's listing, nearest first", "listing", "knn", "knn", HANDMADE),
    Way("category's listing, ST_DWithin", "listing", "dwithin", "knn", HANDMADE),
    Way("category's listing, box", "listing", "box", "plain", HANDMADE),
    Way("category's listing in order", "listing", "plain", "plain", HANDMADE),
    Way("names in the same row, box", "named", "box", "plain", HANDMADE),
    Way("names in the same row, box, by no other index", "named", "box", "plain", HANDMADE, bare=True),
)


def ways_for(query: SearchQuery) -> list[Way]:
    """Those that can answer it, without those that would be the same. The order of an index helps only where the order
    has one."""
    tables = {"named"} if query.q else {"slim", "listing"} if query.category and not query.facets else {"slim"}
    circles = {"dwithin", "box"}
    if not query.facets:
        circles |= {"knn"} if query.sort == "distance" else {"plain", "checked"} if query.sort in _INDEXED else set()
    others = bool(query.q or (query.category and not query.facets))
    return [
        way
        for way in WAYS
        if way.table in {"shop", *tables}
        and way.circle in circles
        and not (way.after and query.facets)
        and not (way.bare and not others)
    ]


Statement = tuple[str, list[bytes]]


def statement(way: Way, question: Question, open_bits: bytes) -> Statement:
    """SQL with its values. Rows are what a hit shows (`shown.Shown`), or (id). With facets there are two more columns,
    categories and other counts, of which a row before the hits has the values; ids are an array in that row."""
    query, values = question.query, _Values()
    assert query.origin is not None  # noqa: S101
    measured = way.whole or query.sort in ("distance", "recommended")
    circle, distance = _geometry(way, query.origin, query.radius_m, values, measured)
    hard = [circle, *_keyword(way, query, values)]
    soft = _filters(way, query, values, open_bits)
    shows = _shows(query, distance, values, open_bits) if way.whole else ""
    key, turn = _key(query, distance)
    if way.level == CIRCLE:
        key = f"({key}) + 0"  # no B-tree has this order: what is in the circle is sorted
    page = f"LIMIT {query.limit} OFFSET {(question.page - 1) * query.limit}"
    if query.facets:
        return _with_facets(way, hard, soft, (key, turn, page), shows, values, open_bits), values.sent
    passing = " AND ".join([*hard, *(each for each in soft.values() if each != "true")])
    if way.circle == "knn":
        return _nearest(way, passing, distance, question, shows, values), values.sent
    if way.after:
        first = f"SELECT s.n, s.id, {key} AS key FROM shop s WHERE {passing} ORDER BY {key}{turn}, s.id {page}"
        return _rows_of(first, turn, shows), values.sent
    asked = shows or "s.id"
    return f"SELECT {asked} FROM {way.table} s WHERE {passing} ORDER BY {key}{turn}, s.id {page}", values.sent


def _shows(query: SearchQuery, distance: str, values: _Values, open_bits: bytes) -> str:
    columns = ", ".join(f"s.{name}" for name in COLUMNS)
    scale = values.add(repr(_reach(query) / query.radius_m), "float8")
    return f"{columns}, (({distance}) / {scale})::int4 AS metres, {_is_open(values, open_bits)} AS is_open"


def _rows_of(page: str, turn: str, shows: str) -> str:
    """What the hits of a page of (n, id, key) show."""
    return f"SELECT {shows} FROM ({page}) page JOIN shop s ON s.n = page.n ORDER BY page.key{turn}, page.id"


def _nearest(way: Way, passing: str, distance: str, question: Question, shows: str, values: _Values) -> str:
    """The index of the geometry gives the nearest first. With ties, because of a mall's shops the first by id count;
    and within the box of the circle, so that a rare category is not looked for in the whole city."""
    wanted = question.page * question.query.limit
    reach = values.add(repr(_reach(question.query)), "float8")
    columns = "s.*" if way.whole and not way.after else "s.n, s.id"
    near = f"""
        SELECT {columns}, {distance} AS key FROM {way.table} s WHERE {passing}
        ORDER BY {distance} FETCH FIRST {wanted} ROWS WITH TIES
    """
    page = f"LIMIT {question.query.limit} OFFSET {wanted - question.query.limit}"
    if way.after:
        first = f"SELECT n, id, key FROM ({near}) near WHERE key <= {reach} ORDER BY key, id {page}"
        return _rows_of(first, "", shows)
    return f"SELECT {shows or 's.id'} FROM ({near}) s WHERE s.key <= {reach} ORDER BY s.key, s.id {page}"


def _reach(query: SearchQuery) -> float:
    assert query.origin is not None  # noqa: S101
    return float(query.radius_m * projected(np.array(query.origin.lat), np.array(query.origin.lng))[2])


def _geometry(way: Way, origin: Point, radius_m: int, values: _Values, measured: bool) -> tuple[str, str]:
    """The circle's condition, and the distance in metres where it is `measured`."""
    x, y, scale = (float(each) for each in projected(np.array(origin.lat), np.array(origin.lng)))
    reach = radius_m * scale
    point = ""
    if way.circle in ("dwithin", "checked") or (measured and way.distance == "knn"):
        point = values.add(struct.pack("<BIdd", 1, 1, x, y).hex(), "geometry")
    plain = ""
    if way.circle in ("box", "plain") or (measured and way.distance == "plain"):
        east, north = values.add(repr(x), "float8"), values.add(repr(y), "float8")
        plain = f"((s.x - {east}) * (s.x - {east}) + (s.y - {north}) * (s.y - {north}))"
    if way.circle == "knn":
        circle = f"s.geom && {values.add(_box(x, y, reach), 'geometry')}"
    elif way.circle == "dwithin":
        circle = f"ST_DWithin(s.geom, {point}, {values.add(repr(reach), 'float8')})"
    elif way.circle == "checked":
        circle = f"ST_Distance(s.geom, {point}) <= {values.add(repr(reach), 'float8')}"
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


def _keyword(way: Way, query: SearchQuery, values: _Values) -> list[str]:
    if not query.q:
        return []
    if way.bare:
        return [f"strpos(s.names, {values.add(query.q, 'text')}) > 0"]
    return [f"s.names LIKE {values.add(f'%{query.q}%', 'text')}"]


def _filters(way: Way, query: SearchQuery, values: _Values, open_bits: bytes) -> dict[str, str]:
    found = dict.fromkeys(("category", "kind", "price", "rating", "open_now"), "true")
    if query.category is not None:
        code = _CODES.index(query.category)
        if way.table == "listing":
            found["category"] = f"s.category = {values.add(code, 'int2')}"
        elif way.bare or query.facets or way.level == HANDMADE:
            found["category"] = f"s.mask & {values.add(1 << code, 'int8')} <> 0"
        else:
            found["category"] = f"s.categories @> ARRAY[{values.add(code, 'int2')}]"
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


def _key(query: SearchQuery, distance: str) -> tuple[str, str]:
    """What is ordered by, and ` DESC` where the most come first."""
    keys = {
        "price": ("s.price", ""),
        "rating": ("s.rating", " DESC"),
        "sales": ("s.sales", " DESC"),
        "distance": (distance, ""),
    }
    return keys.get(query.sort, (f"45 * floor(1000000 / (1000 + ({distance}))) + s.standing", " DESC"))


def _with_facets(
    way: Way,
    hard: list[str],
    soft: dict[str, str],
    order: tuple[str, str, str],
    shows: str,
    values: _Values,
    open_bits: bytes,
) -> str:
    """One pass over the circle; the page and all counts from what it has kept."""
    given = {name: condition for name, condition in soft.items() if condition != "true"}
    key, turn, limits = order
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
    page = f"SELECT n, id, key FROM near WHERE {but('')} ORDER BY key{turn}, id {limits}"
    near = f"""
        WITH near AS MATERIALIZED (
            SELECT n, id, mask, kinds, price, rating, key, is_open{"".join(f", f_{name}" for name in given)} FROM (
                SELECT s.n, s.id, s.mask, s.kinds, s.price, s.rating, {key} AS key, {is_open} AS is_open{flags}
                FROM {way.table} s WHERE {" AND ".join(hard)} OFFSET 0
            ) reached WHERE {one}
        )
    """
    counted = f"""
        ARRAY(SELECT ARRAY[mask, count(*)] FROM near WHERE {but("category")} GROUP BY mask),
        (SELECT ARRAY[{", ".join(counts)}] FROM near)
    """
    if not shows:
        return f"{near} SELECT ARRAY(SELECT id FROM ({page}) page), {counted}"
    nothing = ", ".join(["NULL"] * len(Shown._fields))
    rows = _rows_of(page, turn, shows)
    return f"{near} SELECT {nothing}, {counted} UNION ALL (SELECT *, NULL, NULL FROM ({rows}) hit)"
