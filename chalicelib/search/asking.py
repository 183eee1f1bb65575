"""One search in a city's columns: which rows it reaches, and which of them pass. `leading` says which come first.

Distances are first taken in the plane, in float32, with a proven bound of their error (`grid.Circle.error_m`); only
what lies within the bound of a border is worked out as `geo.distance_m` does. numpy decides nothing that Python could
decide otherwise: their sines differ in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from chalicelib.kernel.geo import distances_from
from chalicelib.kernel.instant import Instant
from chalicelib.search import reach
from chalicelib.search.columns import Columns
from chalicelib.search.grid import MICRO, Circle, unturned
from chalicelib.search.model import SearchQuery
from chalicelib.search.postings import Found
from chalicelib.search.ranking import Place
from chalicelib.search.rows import Array, Flags, Rows, filled

if TYPE_CHECKING:
    from chalicelib.search.engine import Engine

Test = Callable[[Rows], Flags]

_MEASURED_ROWS = 20_000


@dataclass(frozen=True)
class Reached:
    """Rows that a search reaches, by everything but its tests. `found` is there when it has words: its rows are the
    `single` ones of `rows`, and there are no others. `listed` is when all are of the category asked for."""

    rows: Rows
    found: Found | None = None
    listed: bool = False

    def only(self, chosen: Flags) -> Reached:
        if self.found is not None:
            found = self.found.only(chosen)
            return Reached(Rows(single=found.rows), found, self.listed)
        return Reached(self.rows.only(chosen), None, self.listed)


class Asking:
    """A query at a moment. Reads the engine and changes nothing of it but what it remembers of calendars."""

    def __init__(self, engine: Engine, query: SearchQuery, now: Instant, place: Place) -> None:
        self.engine = engine
        self.columns: Columns = engine.columns
        self.query = query
        self.now = now
        self.place = place
        self.circle = None if query.origin is None else engine.grid.circle(query.origin, query.radius_m)
        self._metres: dict[int, float] = {}

    # What is reached

    def reached(self, *, by_category: bool) -> Reached:
        """All rows in the circle, exactly, that have the words asked for, with doubts. With `by_category` those of
        other categories may be left out."""
        columns, circle = self.columns, self.circle
        if self.query.tokens or (by_category and self.query.category is not None):
            near = self._near_whole
            return near if circle is None else near.only(self.inside(near.rows, circle))
        if circle is None:
            return Reached(Rows(filled(np.array([[0, columns.count]]))))
        rows = Rows(self._with_tail(reach.all_spans(self.engine.grid, circle, columns.cells)))
        if len(rows) <= _MEASURED_ROWS:
            return Reached(rows.only(self.inside(rows, circle)))
        # Of so many, what lies in the midst of the circle is not measured.
        spans = reach.spans(self.engine.grid, circle, columns.cells)
        edge = Rows(self._with_tail(spans.outer))
        inside = edge.at(np.flatnonzero(self.inside(edge, circle)))
        return Reached(Rows(spans.inner, inside))

    def near(self, circle: Circle | None) -> Reached:
        """The same by category, with some rows around the circle."""
        return self._near_whole if circle is self.circle else self._near(circle)

    @cached_property
    def _near_whole(self) -> Reached:
        near, query = self._near(self.circle), self.query
        if near.found is None or near.found.is_exact or not (query.facets or query.total):
            return near
        # Asked for twice: names are read once.
        return self.verified(near if self.circle is None else near.only(self.inside(near.rows, self.circle)))

    def _near(self, circle: Circle | None) -> Reached:
        columns = self.columns
        spans: Array
        if circle is None:
            spans = filled(np.array([[0, columns.sorted]]))
        else:
            spans = reach.all_spans(self.engine.grid, circle, columns.cells)
        if self.query.tokens:
            return self._with_words(spans)
        if self.query.category is not None:
            return Reached(self._with_category(spans, self.query.category), listed=True)
        return Reached(Rows(self._with_tail(spans)))

    def _with_tail(self, spans: Array) -> Array:
        columns = self.columns
        if columns.sorted == columns.count:
            return spans
        return np.concatenate([spans, [[columns.sorted, columns.count]]])

    def _with_words(self, spans: Array) -> Reached:
        tokens = self.query.tokens or ()
        found = self.engine.postings.every(tokens, spans)
        late = self.engine.tail_with(tokens)
        if len(late):
            none = np.zeros(len(late), np.bool_)
            unsure = tuple((token, np.concatenate([flags, none])) for token, flags in found.unsure)
            found = Found(np.concatenate([found.rows, late]), unsure)
        return Reached(Rows(single=found.rows), found)

    def _with_category(self, spans: Array, category: str) -> Rows:
        columns = self.columns
        late: Array = np.arange(columns.sorted, columns.count)
        if len(late):
            late = late[self.engine.groups.having(category).take(columns.group[columns.sorted : columns.count])]
        number = self.engine.categories.get(category)
        if number is None:
            return Rows(single=late)
        listed = columns.of_category(number, spans)
        return Rows(single=np.concatenate([listed, late]) if len(late) else listed)

    # Distances

    def metres(self, rows: Rows, circle: Circle) -> tuple[Array, float]:
        """The distance of each row, and by how much it may be wrong where it matters: in the circle and at its edge."""
        lat, lng = rows.of(self.columns.lat), rows.of(self.columns.lng)
        if circle.planar:
            return reach.in_plane(lat, lng, circle), circle.error_m
        return reach.on_sphere(lat, lng, circle), reach.SPHERE_ERROR_M

    def inside(self, rows: Rows, circle: Circle) -> Flags:
        metres, error = self.metres(rows, circle)
        return self.within(rows, metres, error, circle.radius_m)

    def within(self, rows: Rows, metres: Array, error: float, radius_m: float) -> Flags:
        """Which rows are within a radius, exactly, by distances that may be wrong."""
        inside: Flags = metres <= radius_m - error
        unsure = np.flatnonzero((metres <= radius_m + error) ^ inside)
        if len(unsure):
            inside[unsure] = self.exact(rows.at(unsure)) <= radius_m
        return inside

    def exact(self, rows: Array) -> Array:
        """`geo.distance_m` of rows; of many shops in one place once."""
        lats, lngs = self.columns.lat.take(rows).tolist(), self.columns.lng.take(rows).tolist()
        known, centre, found = self._metres, self.engine.grid.centre_lng, []
        for lat, lng in zip(lats, lngs, strict=True):
            key = (lat << 32) + lng
            metres = known.get(key)
            if metres is None:
                metres = known[key] = self._distance(lat / MICRO, unturned(lng, centre) / MICRO)
            found.append(metres)
        return np.array(found, np.float64)

    @cached_property
    def _distance(self) -> Callable[[float, float], float]:
        if self.query.origin is None:
            raise ValueError("a search without a position has no distances")
        return distances_from(self.query.origin)

    # Tests

    def tests(self) -> Iterator[Test]:
        """What a row must pass that is not asked for by facets, cheapest first."""
        columns, query = self.columns, self.query
        if columns.gone:
            yield lambda rows: rows.of(columns.kinds) != 0
        if query.has_voucher:
            bit = self.engine.kinds.get("voucher", 0)
            yield lambda rows: (rows.of(columns.kinds) & bit) != 0
        if query.bookable_on is not None:
            day = query.bookable_on
            yield lambda rows: self._bookable(rows, day)

    def filters(self) -> dict[str, Test]:
        """The filters that were given of those that facets leave out by turns, cheapest first."""
        columns, query, engine = self.columns, self.query, self.engine
        found: dict[str, Test] = {}
        if query.rating_min_centi is not None:
            least = query.rating_min_centi
            found["rating"] = lambda rows: rows.of(columns.rating) >= least
        if query.price_min_minor is not None or query.price_max_minor is not None:
            found["price"] = self._priced
        if query.kind is not None:
            bit = engine.kinds.get(query.kind, 0)
            found["kind"] = lambda rows: (rows.of(columns.kinds) & bit) != 0
        if query.category is not None:
            has = engine.groups.having(query.category)
            found["category"] = lambda rows: has.take(rows.of(columns.group))
        if query.open_now:
            found["open_now"] = self.open_now
        return found

    def open_now(self, rows: Rows) -> Flags:
        return self.engine.openings.are_open(rows.of(self.columns.calendar), self.now)

    def _priced(self, rows: Rows) -> Flags:
        price, low, high = rows.of(self.columns.price), self.query.price_min_minor, self.query.price_max_minor
        if high is None:
            return _at_least(price, low or 0)
        fits = ~_at_least(price, high + 1)
        return fits & _at_least(price, low) if low else fits

    def _bookable(self, rows: Rows, day: date) -> Flags:
        until = self.engine.openings.until(rows.of(self.columns.calendar), day, self.now)
        possible = np.flatnonzero(until >= self.now.ms)
        fits = np.zeros(len(until), np.bool_)
        bounded = self.engine.notes.bound(day, rows.at(possible), until[possible])
        fits[possible[bounded >= self.now.ms]] = True
        return fits

    def passing(self, reached: Reached) -> tuple[Reached, Flags | None]:
        """What passes everything, as rows and which of them; None when all do."""
        chosen: Flags | None = None
        filters = self.filters()
        if reached.listed:
            filters.pop("category", None)
        for test in (*self.tests(), *filters.values()):
            fits = test(reached.rows)
            chosen = fits if chosen is None else chosen & fits
            if np.count_nonzero(chosen) * 4 < len(chosen):
                reached, chosen = reached.only(chosen), None
        if reached.found is not None and not reached.found.is_exact:
            if chosen is not None:
                reached, chosen = reached.only(chosen), None
            reached = self.verified(reached)
        return reached, chosen

    def verified(self, reached: Reached) -> Reached:
        """Only what has the words for certain: reads names."""
        if reached.found is None or reached.found.is_exact:
            return reached
        held = self.engine.postings.holds(reached.found, self.engine.names)
        return Reached(Rows(single=reached.found.rows[held]))


def _at_least(column: Array, least: int) -> Flags:
    if least > np.iinfo(column.dtype).max:
        return np.zeros(len(column), np.bool_)
    found: Flags = column >= column.dtype.type(max(least, 0))
    return found
