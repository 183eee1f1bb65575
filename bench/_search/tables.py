"""The city as PostGIS has it: on a plane, in one table with everything that a hit shows, and in slim copies by hand.

Shops lie in the plane of a stereographic projection of the sphere about the city's centre: it is conformal, so that
with the scale at the asker's place a circle of metres is a circle of the plane, to some millimetres in three
kilometres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from bench._search.brute import Brute
from bench._search.city import CENTRE, CURRENCY, Array, City, address_of, cover_of, name_of, offers_of
from bench._search.vocabulary import TRADES

_RADIUS_M = 6_371_008.8

EXTENSIONS = ("postgis", "btree_gist", "btree_gin", "pg_trgm", "pg_prewarm", "pg_buffercache")

RAW = """
CREATE UNLOGGED TABLE raw (lat float8, lng float8, x float8, y float8, mask int8, n int4, price int4, standing int4,
    sales int4, rating_count int4, rating int2, kinds int2, hours int2, categories int2[], id text COLLATE "C",
    category text, currency text, name_zh text, name_en text, address_zh text, address_en text, cover_url text,
    names text)
"""

TABLES = """
CREATE UNLOGGED TABLE shop (lat float8, lng float8, mask int8, n int4, price int4, standing int4, sales int4,
    rating_count int4, rating int2, kinds int2, hours int2, geom geometry(Point), categories int2[],
    id text COLLATE "C", category text, currency text, name_zh text, name_en text, address_zh text, address_en text,
    cover_url text, names text);
ALTER TABLE shop ALTER geom SET STORAGE PLAIN, ALTER categories SET STORAGE PLAIN;
INSERT INTO shop SELECT lat, lng, mask, n, price, standing, sales, rating_count, rating, kinds, hours,
    ST_MakePoint(x, y), categories, id, category, currency, name_zh, name_en, address_zh, address_en, cover_url, names
    FROM raw ORDER BY ST_MakePoint(x, y);
DROP TABLE raw;
CREATE UNLOGGED TABLE slim (x float8, y float8, mask int8, n int4, price int4, standing int4, sales int4, rating int2,
    kinds int2, hours int2, geom geometry(Point), categories int2[], id text COLLATE "C");
ALTER TABLE slim ALTER geom SET STORAGE PLAIN, ALTER categories SET STORAGE PLAIN;
INSERT INTO slim SELECT ST_X(geom), ST_Y(geom), mask, n, price, standing, sales, rating, kinds, hours, geom,
    categories, id FROM shop;
CREATE UNLOGGED TABLE named (LIKE slim INCLUDING STORAGE);
ALTER TABLE named ADD names text;
INSERT INTO named SELECT ST_X(geom), ST_Y(geom), mask, n, price, standing, sales, rating, kinds, hours, geom,
    categories, id, names FROM shop;
CREATE UNLOGGED TABLE listing (LIKE slim INCLUDING STORAGE);
ALTER TABLE listing ADD category int2;
INSERT INTO listing SELECT slim.*, c FROM slim, LATERAL unnest(categories) AS c ORDER BY c, geom;
ALTER TABLE shop ADD PRIMARY KEY (n);
"""
"""`shop` is the one table with what a hit shows; `slim` and `named` answer in ids alone, and `listing` has a row for
each category of a shop. `ORDER BY` a geometry is along a Hilbert curve: neighbours lie on the same pages, in the copies
too. Numbers stand first and the long texts last; a geometry that is stored PLAIN need not be unpacked."""

INDEXES = """
CREATE INDEX ON shop USING gin (names gin_trgm_ops);
CREATE INDEX ON named USING gin (names gin_trgm_ops);
CREATE INDEX ON shop USING gin (categories, price, rating);
CREATE INDEX ON slim USING gin (categories, price, rating);
CREATE INDEX ON shop USING gist (geom, price, rating);
CREATE INDEX ON slim USING gist (geom, price, rating);
CREATE INDEX ON named USING gist (geom);
CREATE INDEX ON listing USING gist (category, geom);
CREATE INDEX ON listing USING gist (category, geom, price, rating);
CREATE INDEX ON shop (price, id);
CREATE INDEX ON shop (rating DESC, id);
CREATE INDEX ON shop (sales DESC, id);
CREATE INDEX ON slim (price, id);
CREATE INDEX ON slim (rating DESC, id);
CREATE INDEX ON slim (sales DESC, id);
CREATE INDEX ON listing (category, price, id);
CREATE INDEX ON shop USING gist (geom);
CREATE INDEX ON slim USING gist (geom);
"""
"""Those that take long first: they are made side by side. Of indexes that seem to cost the same the planner takes the
one that was made last: for a circle without further conditions that of the geometry alone is the quicker."""

WARM = """
SELECT sum(pg_prewarm(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
    AND relname NOT LIKE 'spatial%'
"""
HELD = """
SELECT count(*) FROM pg_buffercache b JOIN pg_class c ON b.relfilenode = pg_relation_filenode(c.oid)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i') AND c.relname NOT LIKE 'spatial%'
    AND b.relforknumber = 0 AND b.reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
APART = """
SELECT coalesce(sum(pg_relation_size(reltoastrelid)), 0) FROM pg_class
    WHERE relname IN ('shop', 'slim', 'named', 'listing') AND reltoastrelid <> 0
"""
"""Pages that are there, pages of them in shared_buffers, bytes of values that did not fit into their row (TOAST)."""


def projected(lat: Array, lng: Array) -> tuple[Array, Array, Array]:
    """Metres east and north of the centre, and the scale, of degrees."""
    here, there, turn = math.radians(CENTRE.lat), np.radians(lat), np.radians(lng - CENTRE.lng)
    sin, cos = math.sin(here), math.cos(here)
    scale = 2 / (1 + sin * np.sin(there) + cos * np.cos(there) * np.cos(turn))
    x = scale * _RADIUS_M * np.cos(there) * np.sin(turn)
    y = scale * _RADIUS_M * (cos * np.sin(there) - sin * np.cos(there) * np.cos(turn))
    return x, y, scale


def lines(city: City, brute: Brute) -> Iterator[bytes]:
    """What COPY reads, in the order of RAW. `names` are the Chinese ones: keywords are compared with those."""
    east, north, _ = projected(city.columns["lat"], city.columns["lng"])
    numbers = zip(east.tolist(), north.tolist(), brute.standing.tolist(), strict=True)
    for number, (row, (x, y, standing)) in enumerate(zip(city.rows(), numbers, strict=True)):
        name, address, menu = name_of(row), address_of(row), city.menus[row.menu]
        offers = offers_of(row, len(menu.kinds))
        categories = sorted({row.trade, row.second_trade})
        values = (
            *(repr(each) for each in (row.lat, row.lng, x, y)),
            str(sum(1 << each for each in categories)),
            *(str(each) for each in (number, row.price, standing, row.sales, row.rating_count, row.rating)),
            str(int(city.menu_kinds[row.menu])),
            str(row.hours),
            f"{{{','.join(map(str, categories))}}}",
            row.id,
            TRADES[row.trade].code,
            CURRENCY,
            *(text[locale] for text in (name, address) for locale in ("zh-CN", "en")),
            cover_of(row) or "\\N",
            "\\n".join([name["zh-CN"], *(each["zh-CN"] for each in offers)]),
        )
        yield ("\t".join(values) + "\n").encode()
