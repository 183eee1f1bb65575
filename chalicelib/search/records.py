"""An entry as a short record of the base file: text, deflated with a dictionary that the city's records share.

No library is needed to read one. A record holds everything but the names, which stand in a section of their own, and
the calendar, of which it holds the number.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable

from chalicelib.catalog.model import Text
from chalicelib.search.calendar import Calendar
from chalicelib.search.cards import Card
from chalicelib.search.model import Entry

PREFIX = "shp_"
ID_LETTERS = 26
DICTIONARY_BYTES = 8 * 1024

_FIELD, _PART, _ESCAPE = "\x1f", "\x1e", "\x1b"
_SHOWN = 12  # fields are what a card has
_DIGITS = re.compile(rb"[0-9]+")
_WORTH_IT = 4  # a shorter stretch costs as much to point at
_WBITS = -15  # a bare stream: a header and a checksum would cost six bytes a record


def pack(entry: Entry, calendar: int) -> bytes:
    """The record before it is deflated."""
    card = entry.card
    fields = [
        card.id.removeprefix(PREFIX),
        _escaped(card.category),
        str(card.rating_centi),
        str(card.rating_count),
        str(card.price_minor),
        card.currency,
        str(card.sales),
        str(card.lat),
        str(card.lng),
        _escaped(card.cover_url or ""),
        _of_parts(part for pair in card.name.items() for part in pair),
        _of_parts(part for pair in card.address.items() for part in pair),
        _of_parts(sorted(entry.categories)),
        _of_parts(sorted(entry.kinds)),
        str(entry.born_day),
        str(calendar),
    ]
    return _FIELD.join(fields).encode("utf-8", "surrogatepass")


def card_of(record: bytes) -> Card:
    text = _text(record)
    return _card(text.split(_FIELD, _SHOWN), escaped=_ESCAPE in text)


def entry_of(record: bytes, calendar: Callable[[int], Calendar], names: tuple[str, ...] = ()) -> Entry:
    """The entry again; `calendar` knows the calendars by number."""
    text = _text(record)
    fields = text.split(_FIELD)
    return Entry(
        card=_card(fields, escaped=_ESCAPE in text),
        names=names,
        categories=frozenset(_parts(fields[12])),
        kinds=frozenset(_parts(fields[13])),
        born_day=int(fields[14]),
        calendar=calendar(int(fields[15])),
    )


def id_of(record: bytes) -> str:
    """Of a record that is not deflated."""
    return PREFIX + record[:ID_LETTERS].decode("ascii")


def _text(record: bytes) -> str:
    return record.decode("utf-8", "surrogatepass")


def _card(fields: list[str], *, escaped: bool) -> Card:
    letters, category, rating, ratings, price, currency, sales, lat, lng, cover, name, address = fields[:_SHOWN]
    if escaped:
        category, cover = _unescaped(category), _unescaped(cover)
    return Card(
        PREFIX + letters,
        _pairs(name, escaped=escaped),
        category,
        int(rating),
        int(ratings),
        int(price),
        currency,
        int(sales),
        _pairs(address, escaped=escaped),
        int(lat),
        int(lng),
        cover or None,
    )


def _pairs(field: str, *, escaped: bool) -> Text:
    if escaped or field.count(_PART) != 4:
        parts = _parts(field)
        return dict(zip(parts[::2], parts[1::2], strict=True))
    one, first, other, second, _ = field.split(_PART)
    return {one: first, other: second}


def _of_parts(parts: Iterable[str]) -> str:
    return "".join(_escaped(part) + _PART for part in parts)


def _parts(field: str) -> list[str]:
    parts = field.split(_PART)
    parts.pop()
    return [_unescaped(part) for part in parts] if _ESCAPE in field else parts


def _escaped(part: str) -> str:
    """Names are a merchant's own words: what separates here may stand in them."""
    if part.isprintable():
        return part
    return part.replace(_ESCAPE, _ESCAPE + "0").replace(_PART, _ESCAPE + "1").replace(_FIELD, _ESCAPE + "2")


def _unescaped(part: str) -> str:
    if _ESCAPE not in part:
        return part
    return part.replace(_ESCAPE + "2", _FIELD).replace(_ESCAPE + "1", _PART).replace(_ESCAPE + "0", _ESCAPE)


def deflated(record: bytes, dictionary: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _WBITS, 9, zdict=dictionary)
    return packer.compress(record) + packer.flush()


def inflated(data: bytes, dictionary: bytes) -> bytes:
    """Raises zlib.error for bytes that are none."""
    return zlib.decompressobj(_WBITS, zdict=dictionary).decompress(data)


def dictionary_of(records: Iterable[bytes]) -> bytes:
    """What many records have in common: the stretches without digits that save most, the best ones last, where a
    reference to them is shortest."""
    seen: Counter[bytes] = Counter()
    for record in records:
        seen.update({piece for piece in _DIGITS.split(record[ID_LETTERS:]) if len(piece) >= _WORTH_IT})
    common = [piece for piece, count in seen.items() if count > 2]
    common.sort(key=lambda piece: (seen[piece] * len(piece), piece), reverse=True)
    kept: list[bytes] = []
    size = 0
    for piece in common:
        size += len(piece)
        if size > DICTIONARY_BYTES:
            break
        kept.append(piece)
    return b"".join(reversed(kept)) or _FIELD.encode()
