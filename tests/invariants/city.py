"""The log of each city against what is listed and noted there, and its base against the log and the file store."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from chalicelib.booking import model as booking
from chalicelib.catalog import changes, schedule
from chalicelib.catalog.model import ShopPage
from chalicelib.catalog.packing import to_page
from chalicelib.catalog.tables import CatalogRow, LogRow
from chalicelib.kernel.instant import Instant
from chalicelib.search import news
from chalicelib.search.tables import BaseRow, DoubtRow, NoteRow
from tests.invariants.reading import Seen


def the_log_has_no_gap(seen: Seen) -> list[str]:
    """The entries of a city are numbered one after the other, up to the number that the city says. Old ones go."""
    numbers: dict[str, list[int]] = defaultdict(list)
    latest: dict[str, int] = {}
    for row in _rows(seen, LogRow):
        city, _, is_entry = row.pk.partition("#")
        if is_entry:
            numbers[city].append(int(row.sk))
        else:
            latest[city] = int(row.number)
    faults = []
    for city in sorted(numbers.keys() | latest.keys()):
        found, last = sorted(numbers[city]), latest.get(city, 0)
        if found != list(range(last - len(found) + 1, last + 1)):
            faults.append(f"{city}: {found[:3]}…{found[-3:]} for a city at {last}")
    return faults


def the_log_ends_with_what_is_listed(seen: Seen) -> list[str]:
    """Whoever follows the log to its end has each shop as it is listed; of shops that it does not name it says
    nothing."""
    told: dict[tuple[str, str], tuple[int, ShopPage | None]] = {}
    for row in _rows(seen, LogRow):
        if row.sk == "-":
            continue
        change = changes.unpack(int(row.sk), row.content)
        shop_id = change.page.shop.id if change.page is not None else change.gone
        city = row.pk.partition("#")[0]
        if shop_id and told.get((city, shop_id), (0, None))[0] < change.sequence:
            told[city, shop_id] = (change.sequence, change.page)
    listed = {
        (row.pk.removeprefix("city#"), row.sk): to_page(row.content)
        for row in _rows(seen, CatalogRow)
        if row.pk.startswith("city#") and row.sk != "-"
    }
    return [
        f"{shop_id} in {city}: entry {number} says otherwise than its listing"
        for (city, shop_id), (number, page) in sorted(told.items(), key=lambda item: item[0])
        if listed.get((city, shop_id)) != page
    ]


def notes_are_the_newest_told(seen: Seen) -> list[str]:
    """What is noted of a shop's day is what the log told of it in its highest revision; only that is the day as it
    is."""
    told: dict[tuple[str, str], Any] = {}
    for row in _rows(seen, LogRow):
        change = changes.unpack(int(row.sk), row.content) if row.sk != "-" else None
        if change is not None and change.told is not None and "shop" in change.told:
            day, shop_id, note = news.unpack(change.told)
            key = (f"{row.pk.partition('#')[0]}#{day:%Y%m%d}", shop_id)
            if key not in told or told[key].revision < note.revision:
                told[key] = note
    noted = _noted(seen)
    return [
        f"{shop_id} on {day}: {noted.get((day, shop_id))} stands, and {note} was told"
        for (day, shop_id), note in sorted(told.items(), key=lambda item: item[0])
        if noted.get((day, shop_id)) != note
    ]


def the_base_is_there(seen: Seen) -> list[str]:
    """The file that a city's pointer names is in the store, and of an entry of the log that came before the
    pointer's own."""
    latest = {row.pk: int(row.number) for row in _rows(seen, LogRow) if row.sk == "-"}
    faults = []
    for row in _of_search(seen, BaseRow, "base#"):
        city = row.pk.removeprefix("base#")
        if row.content["key"] not in seen.files:
            faults.append(f"{city}: version {row.version} names {row.content['key']}, which is not there")
        if not row.content["sequence"] < latest.get(city, 0):
            faults.append(f"{city}: a base of entry {row.content['sequence']}, and the log ends at {latest.get(city)}")
    return faults


def search_knows_each_day(seen: Seen) -> list[str]:
    """What is noted of a listed shop's day, or what its listing says where nothing is, is until when the calendar lets
    it be booked. A day in doubt is looked at again a minute later."""
    listed = {
        row.sk: to_page(row.content) for row in _rows(seen, CatalogRow) if row.pk.startswith("city#") and row.sk != "-"
    }
    taken: dict[tuple[str, date], dict[str, frozenset[int]]] = defaultdict(dict)
    for (shop_id, day, who), quanta in seen.quanta.items():
        taken[shop_id, day][who] = quanta
    noted = _noted(seen)
    doubted = {(row.shop_id, day) for row in _of_search(seen, DoubtRow, "doubt#") for day in row.days}
    faults = []
    for shop_id, day in sorted(taken):
        page = listed.get(shop_id)
        if page is not None and (shop_id, day.isoformat()) not in doubted:
            around = [day + timedelta(days=days) for days in (-1, 0, 1)]
            free = booking.bookable_until(page, day, {one: taken.get((shop_id, one), {}) for one in around})
            note = noted.get((f"{page.shop.city}#{day:%Y%m%d}", shop_id))
            known = note.bookable_until if note else schedule.bookable_until(page, day)
            if known != free:
                faults.append(f"{shop_id} on {day}: free until {free}, and search knows {known} by {note}")
    return faults


def _noted(seen: Seen) -> dict[tuple[str, str], news.Note]:
    """By city and day, and shop."""
    rows = [row for row in _of_search(seen, NoteRow, "") if not row.pk.startswith(("base#", "doubt#"))]
    return {(row.pk, row.sk): _note(row) for row in rows}


def _of_search(seen: Seen, kind: Any, begins: str) -> list[Any]:
    """Rows of several kinds stand in the table."""
    raw = seen.raw.get(kind.Meta.table_name, ())
    return [kind.from_raw_data(item) for item in raw if item["pk"]["S"].startswith(begins)]


def _note(row: Any) -> news.Note:
    return news.Note(None if row.until is None else Instant(row.until), row.revision)


def _rows(seen: Seen, kind: Any) -> list[Any]:
    """None in a reading of some shops: a log is a whole city's."""
    return [kind.from_raw_data(item) for item in seen.raw.get(kind.Meta.table_name, ())]


ALWAYS = (
    the_log_has_no_gap,
    the_log_ends_with_what_is_listed,
    notes_are_the_newest_told,
    the_base_is_there,
)
AFTER_A_SWEEP = (search_knows_each_day,)
