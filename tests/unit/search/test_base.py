"""A base file: what is none is told from what is one, and what was put in comes out."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kernel.errors import CursorInvalid
from chalicelib.search import building, cold
from chalicelib.search.base import FORMAT, HEADER_BYTES, BaseInvalid, Writer, open_base
from chalicelib.search.engine import Engine
from chalicelib.search.model import SORTS, Entry, SearchQuery
from tests.builders import search as build
from tests.builders.search import NOW

CITY = build.city()
_LEAD = struct.Struct("<8sII")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bases") / "base"
    building.build(path, CITY, 7, build.entries(50, 3), [], NOW)
    return path


def other(path: Path, folder: Path, data: bytes) -> Path:
    changed = folder / path.name
    changed.write_bytes(data)
    return changed


def with_header(data: bytes, **changes: object) -> bytes:
    """The file with another header, whose checksum is right."""
    _, length, _ = _LEAD.unpack_from(data)
    plain = json.loads(data[_LEAD.size : _LEAD.size + length])
    for name, value in changes.items():
        if value is None:
            del plain[name]
        else:
            plain[name] = value
    packed = json.dumps(plain).encode()
    head = _LEAD.pack(data[:8], len(packed), zlib.crc32(packed)) + packed
    return head.ljust(HEADER_BYTES, b"\0") + data[HEADER_BYTES:]


def test_a_file_opens_as_what_was_written(path: Path) -> None:
    """City, place in the log, number of shops and time of building stand in its header."""
    header = open_base(path).header
    assert (header.city, header.sequence, header.count, header.built_at) == (CITY.code, 7, 50, NOW)


@pytest.mark.parametrize("size", [0, 7, 16, 100, HEADER_BYTES, HEADER_BYTES + 1, -1])
def test_a_file_that_is_cut_short_is_invalid(path: Path, tmp_path: Path, size: int) -> None:
    """Wherever it ends."""
    with pytest.raises(BaseInvalid):
        open_base(other(path, tmp_path, path.read_bytes()[:size]))


def test_a_file_of_something_else_is_invalid(path: Path, tmp_path: Path) -> None:
    """By its first bytes, by the number of its format, or by a header that lacks something."""
    data = path.read_bytes()
    assert open_base(other(path, tmp_path, with_header(data))).header.count == 50
    for changed in (
        b"LINLICTX" + data[8:],
        with_header(data, format=FORMAT + 1),
        with_header(data, format=None),
        with_header(data, grid=None),
        with_header(data, grid={"rows": 3}),
        with_header(data, sections=7),
        with_header(data, kinds=None),
        b"\0" * len(data),
    ):
        with pytest.raises(BaseInvalid):
            open_base(other(path, tmp_path, changed))


def test_no_byte_of_the_header_can_change_unseen(path: Path, tmp_path: Path) -> None:
    """Nor of what stands before it."""
    data = path.read_bytes()
    _, length, _ = _LEAD.unpack_from(data)
    draw = build.chance(1)
    for place in (*range(_LEAD.size), *draw.sample(range(_LEAD.size, _LEAD.size + length), 60)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << draw.randrange(8)
        with pytest.raises(BaseInvalid):
            open_base(other(path, tmp_path, bytes(flipped)))


def test_a_build_that_fails_leaves_the_file_of_before(path: Path, tmp_path: Path) -> None:
    """And nothing beside it."""
    kept = other(path, tmp_path, path.read_bytes())
    twice = build.entries(3, 1) * 2
    with pytest.raises(ValueError, match="twice"):
        building.build(kept, build.city(), 8, twice, [], NOW)
    with pytest.raises(ValueError, match="no shop's id"):
        building.build(kept, build.city(), 8, [build.entry(build.chance(1), id="mch_1")], [], NOW)
    assert kept.read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [kept]


def test_a_header_that_does_not_fit_is_refused(path: Path, tmp_path: Path) -> None:
    """Its place is fixed, so that it can be read without knowing more."""
    header = open_base(path).header
    facts = {name: getattr(header, name) for name in ("city", "sequence", "count", "built_at", "grid", "kinds")}
    days = tuple((f"2026-01-{day:05}", 0, 1) for day in range(9_000))
    with Writer(tmp_path / "base") as writer, pytest.raises(ValueError, match="does not fit"):
        writer.finish(**facts, note_days=days)
    assert list(tmp_path.iterdir()) == []


locales = st.sampled_from(("zh-CN", "en", "\x1e", "\ud83d", "\ude00"))
words = st.text(st.characters() | st.sampled_from("\x1b\x1e\x1f\n012\ud83d\ude00"), max_size=9)
texts = st.dictionaries(locales, words | words.map(lambda text: text * 40))
numbers = st.sampled_from((0, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63, 2**64 - 1))
covers = st.builds(str.__add__, st.sampled_from(("", "https://example.com/", "//\ud83d/")), words)
shops = st.builds(
    dict, name=texts, address=texts, category=words, cover_url=covers.map(lambda url: url or None),
    rating_count=numbers, price_minor=numbers, sales=numbers, currency=st.sampled_from(("CNY", "JPY")),
)  # fmt: skip


def comes_back(path: Path, entries: Sequence[Entry]) -> None:
    """As cards from the engine, and whole from the pieces that a cold process reads."""
    building.build(path, CITY, 7, entries, [], NOW)
    data = path.read_bytes()
    pieces = cold._File(str(path), lambda begin, end: data[begin:end])
    found = list(pieces.entries(SearchQuery(bookable_on=build.TODAY), whole=True))
    engine = Engine(open_base(path))
    assert [engine.id_of(row) for row in range(len(entries))] == [entry.id for entry in found]
    assert [engine._card_of_base(row) for row in range(len(entries))] == [entry.card for entry in found]
    assert {entry.id: entry for entry in found} == {entry.id: replace(entry, names=()) for entry in entries}


@settings(max_examples=60, deadline=None)
@given(st.lists(shops, max_size=9), st.integers(0, 2**32))
def test_an_entry_comes_back_from_its_record(
    tmp_path_factory: pytest.TempPathFactory, given: list[dict[str, Any]], seed: int
) -> None:
    """Whatever its merchant wrote, separators and lone surrogates too, and however large its numbers are."""
    draw, entries = build.chance(seed), []
    for own in given:
        entry = build.entry(draw, draw.choice(build.CENTRES))
        kept = draw.sample([own["category"], *build.CATEGORIES], draw.randrange(3))
        entries.append(replace(entry, card=entry.card._replace(**own), categories=frozenset(kept)))
    comes_back(tmp_path_factory.mktemp("records") / "base", entries)


def test_what_records_share_may_be_more_than_a_byte_counts(tmp_path: Path) -> None:
    """Categories, locales, and the beginnings of covers' URLs; one shop of many locales and long texts among them."""
    draw, entries = build.chance(5), []
    for number in range(1_200):
        entry = build.entry(draw)
        card = entry.card._replace(
            name={f"n{number % 300}": "一", "en": "One"},
            category=f"c{number % 290}",
            cover_url=f"https://{number % 310}.example/{number}.jpg",
        )
        entries.append(replace(entry, card=card, categories=frozenset({card.category, f"d{number % 7}"})))
    long = {f"l{number}": "长" * number for number in range(300)}
    entries[0] = replace(entries[0], card=entries[0].card._replace(address=long, cover_url="/" * 70_000))
    comes_back(tmp_path / "base", entries)
    shared = json.loads(open_base(tmp_path / "base").whole("shared"))
    assert len(shared["covers"]) == 256
    assert min(len(shared[table]) for table in ("groups", "categories", "locales")) > 256


SHOP = "shp_" + "0" * 26
DAY = NOW.ms // 86_400_000 * 86_400_000
HOSTILE = (
    "", "x", "null", "{}", "[]", "[1]", "[[[[", "[" * 10_000, "1e999", '"shp"',
    f'[{DAY},1,"nobody"]', f'[{DAY},1,"shp_"]', f'[{DAY},"1","{SHOP}"]', f'[{DAY},true,"{SHOP}"]',
    f'[{DAY},NaN,"{SHOP}"]', f'[{DAY},Infinity,"{SHOP}"]', f'[{DAY},-1e999,"{SHOP}"]', f'[{DAY},null,"{SHOP}"]',
    f'[{DAY + 1},1,"{SHOP}"]', f'[-86400000,1,"{SHOP}"]', f'[{DAY}.0,1,"{SHOP}"]', f'[{10**30},1,"{SHOP}"]',
    f'[{DAY},1,"{SHOP}",7,8]', f'[{DAY},1,"{SHOP}",{{}}]', f'[{DAY},1,"{SHOP}",{{}},{{}},{{}}]',
    f'[{DAY},1,"{SHOP}",{{"hair":1001}},{{}}]', f'[{DAY},1,"{SHOP}",{{"hair":-1}},{{}}]',
    f'[{DAY},1,"{SHOP}",{{"hair":1.5}},{{}}]', f'[{DAY},1,["{SHOP}"]]',
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(path: Path) -> Engine:
    return Engine(open_base(path))


@pytest.mark.parametrize("key", HOSTILE)
def test_a_key_that_no_page_gave_is_refused(engine: Engine, key: str) -> None:
    """Whatever is sorted by."""
    for sort in SORTS:
        with pytest.raises(CursorInvalid):
            engine.find(SearchQuery(origin=build.CENTRES[0], sort=sort, after=key), NOW)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from((0, -0.0, 2**31, -(2**31), 2**32 - 1, 2**32, 5e-324, 1e308)),
    ),
    st.sampled_from(SORTS),
    st.booleans(),
)
def test_a_key_of_any_number_is_answered_with_what_comes_after_it(
    engine: Engine, order: float, sort: str, placed: bool
) -> None:
    """Beyond every order there is, too: what comes after is decided as Python compares numbers."""
    query = SearchQuery(origin=build.CENTRES[0] if placed else None, radius_m=50_000, sort=sort, limit=100)
    every = engine.find(query, NOW).hits
    found = engine.find(replace(query, after=json.dumps([DAY, order, SHOP])), NOW).hits
    assert [hit.card.id for hit in found] == [hit.card.id for hit in every if (hit.order, hit.card.id) > (order, SHOP)]
