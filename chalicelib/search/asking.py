"""One search in a city's columns: which rows it reaches, which pass, and which of them come first.

Distances are first taken in the plane, in float32, with a proven bound of their error (`grid.Circle.error_m`), and
scores from them; only what lies within the bound of a border is worked out by `geo.distance_m`. numpy decides nothing
that Python could decide otherwise: their sines differ in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chalicelib.kernel.geo import EARTH_RADIUS_M, distance_m
from chalicelib.kernel.instant import Instant
from chalicelib.search import ranking
from chalicelib.search.columns import Array, Columns, Flags, Rows, prefix_of
from chalicelib.search.grid import METRES, RADIANS, Circle, unturned
from chalicelib.search.model import SearchQuery, of_micro
from chalicelib.search.postings import Found
from chalicelib.search.ranking import Place
from chalicelib.search.selection import smallest, tied

if TYPE_CHECKING:
    from chalicelib.search.engine import Engine

_FIRST_RING_M = 150.0
_AROUND = 1  # cell each way, in which shops are counted to guess it
_FIRST_ROWS = 400  # of a ring that is looked at first
_SPHERE_ERROR_M = 1e-5  # of float64, by far
_SCORE_ERROR = 1.0  # of float32, by far
_NEAR = ranking.WEIGHTS["near"]
_AFFINITY = ranking.WEIGHTS["affinity"]

Test = Callable[[Rows], Flags]


@dataclass(frozen=True)
class Reached:
    """Rows that a search reaches, by everything but its tests. `found` is there when it has words: its rows are the
    `single` ones of `rows`, and there are no others."""

    rows: Rows
    found: Found | None = None

    def only(self, chosen: Flags) -> Reached:
        if self.found is not None:
            found = self.found.only(chosen)
            return Reached(Rows(single=found.rows), found)
        return Reached(Rows(single=self.rows.at(np.flatnonzero(chosen))))


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

    def reached(self, circle: Circle | None, *, by_category: bool) -> Reached:
        """All rows in the circle, exactly, that have the words asked for, for certain. With `by_category` those of
        other categories may be left out."""
        inner, outer = self._stretches(circle)
        tokens = self.query.tokens
        if tokens:
            whole = self._with_words(Rows.of_stretches(sorted([*inner, *outer])))
        elif by_category and self.query.category is not None:
            whole = Reached(self._with_category(Rows.of_stretches(sorted([*inner, *outer]))))
        elif circle is None:
            return Reached(Rows.of_stretches(inner))
        else:
            edge = Rows.of_stretches(outer)
            inside = edge.at(np.flatnonzero(self._inside(edge, circle)))
            return Reached(Rows(Rows.of_stretches(inner).stretches, inside))
        return whole if circle is None else whole.only(self._inside(whole.rows, circle))

    def _stretches(self, circle: Circle | None) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Stretches of rows that are in the circle, and others that may be; of these the tail is the last."""
        columns = self.columns
        if circle is None:
            return [(0, columns.count)], []
        runs = self.engine.grid.runs(circle)
        starts = columns.cells.take(np.array(runs).reshape(-1)).tolist()
        inner, outer = [], []
        for begin, within, beyond, end in zip(*(starts[place::4] for place in range(4)), strict=True):
            if within < beyond:
                inner.append((within, beyond))
                outer += [(begin, within), (beyond, end)]
            else:
                outer.append((begin, end))
        outer.append((columns.sorted, columns.count))
        return inner, outer

    def _with_words(self, rows: Rows) -> Reached:
        tokens = self.query.tokens or ()
        of_base, tail = self._split(rows)
        begin, end = (of_base.stretches[0][0], of_base.stretches[-1][1]) if of_base.stretches else (0, 0)
        found = self.engine.postings.every(tokens, begin, end)
        places = of_base.within(found.rows)
        found = Found(found.rows[places], tuple((token, flags[places]) for token, flags in found.unsure))
        late = self.engine.tail_with(tokens) if tail else np.zeros(0, np.int64)
        if len(late):
            none = np.zeros(len(late), np.bool_)
            unsure = tuple((token, np.concatenate([flags, none])) for token, flags in found.unsure)
            found = Found(np.concatenate([found.rows, late]), unsure)
        return Reached(Rows(single=found.rows), found)

    def _with_category(self, rows: Rows) -> Rows:
        of_base, tail = self._split(rows)
        late = np.arange(*tail) if tail else np.zeros(0, np.int64)
        number = self.engine.categories.get(self.query.category or "")
        if number is None or not of_base.stretches:
            return Rows(single=late)
        listed = self.columns.of_category(number, of_base.stretches[0][0], of_base.stretches[-1][1])
        return Rows(single=np.concatenate([listed[of_base.within(listed)], late]))

    def _split(self, rows: Rows) -> tuple[Rows, tuple[int, int] | None]:
        """The sorted rows, and the tail when there is one. The tail is always among the rows, and always last."""
        columns = self.columns
        if columns.sorted == columns.count:
            return rows, None
        stretches = [(begin, min(end, columns.sorted)) for begin, end in rows.stretches]
        return Rows.of_stretches(stretches), (columns.sorted, columns.count)

    # Distances

    def metres(self, rows: Rows, circle: Circle) -> tuple[Array, float]:
        """The distance of each row, and by how much it may be wrong where it matters: in the circle and at its edge."""
        lat, lng = rows.of(self.columns.lat), rows.of(self.columns.lng)
        if not circle.planar:
            return _on_sphere(lat, lng, circle), _SPHERE_ERROR_M
        north = np.subtract(lat, np.int32(round(circle.lat))).astype(np.float32)
        east = np.subtract(lng, np.int32(round(circle.lng))).astype(np.float32)
        width = north * np.float32(circle.slope)
        width += np.float32(circle.cos)
        east *= width
        east *= east
        north *= north
        north += east
        np.sqrt(north, out=north)
        north *= np.float32(METRES)
        return north, circle.error_m

    def _inside(self, rows: Rows, circle: Circle) -> Flags:
        metres, error = self.metres(rows, circle)
        inside = metres <= circle.radius_m - error
        unsure = np.flatnonzero(~inside & (metres <= circle.radius_m + error))
        if len(unsure):
            inside[unsure] = self.exact(rows.at(unsure)) <= circle.radius_m
        return inside

    def exact(self, rows: Array) -> Array:
        """`geo.distance_m` of rows; of many shops in one place once."""
        lat, lng = self.columns.lat.take(rows), self.columns.lng.take(rows)
        return np.array([self._exact(*each) for each in zip(lat.tolist(), lng.tolist(), strict=True)], np.float64)

    def _exact(self, lat: int, lng: int) -> float:
        origin = self.query.origin
        assert origin is not None  # noqa: S101
        key = (lat << 32) + lng
        found = self._metres.get(key)
        if found is None:
            point = of_micro(lat, unturned(lng, self.engine.grid.centre_lng))
            found = self._metres[key] = distance_m(origin, point)
        return found

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
            yield self._bookable

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
            has = engine.groups_with(query.category)
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

    def _bookable(self, rows: Rows) -> Flags:
        day = self.query.bookable_on
        assert day is not None  # noqa: S101
        until = self.engine.openings.until(rows.of(self.columns.calendar), day, self.now)
        possible = np.flatnonzero(until >= self.now.ms)
        fits = np.zeros(len(until), np.bool_)
        bounded = self.engine.notes.bound(day, rows.at(possible), until[possible])
        fits[possible[bounded >= self.now.ms]] = True
        return fits

    def passing(self, reached: Reached) -> tuple[Reached, Flags | None]:
        """What passes everything, as rows and which of them; None when all do."""
        chosen: Flags | None = None
        for test in (*self.tests(), *self.filters().values()):
            fits = test(reached.rows)
            chosen = fits if chosen is None else chosen & fits
            passed = np.count_nonzero(chosen)
            if passed * 4 < len(chosen):
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

    # The first ones

    def first(self, count: int) -> list[tuple[float, str, int]]:
        """(key, id, row) of the first `count` after the page before, in order."""
        if self.query.tokens is None:
            return []
        if self.query.order == ranking.DISTANCE:
            return self._nearest(count)
        if self.query.order == ranking.RECOMMENDED:
            return self._recommended(count)
        reached, chosen = self.passing(self.reached(self.circle, by_category=True))
        keys, offset = self._whole_keys(reached.rows)
        if self.place.after is not None:
            chosen = self._after_whole(reached.rows, keys, offset, chosen)
        places = smallest(keys, chosen, count)
        orders = keys.take(places).astype(np.int64) + offset
        return self._sorted(reached.rows.at(places), orders, count)

    def _whole_keys(self, rows: Rows) -> tuple[Array, int]:
        """Unsigned keys, and what must be added to them to be the order of `ranking`."""
        columns, order = self.columns, self.query.order
        if order == ranking.PRICE:
            return rows.of(columns.price), 0
        column = rows.of(columns.rating if order == ranking.RATING else columns.sales)
        return np.invert(column), -int(np.iinfo(column.dtype).max)

    def _after_whole(self, rows: Rows, keys: Array, offset: int, chosen: Flags | None) -> Flags:
        order, shop_id = self.place.after or (0, "")
        least = math.floor(order) - offset
        most = int(np.iinfo(keys.dtype).max)
        if least < 0:
            return np.ones(len(keys), np.bool_) if chosen is None else chosen
        if least > most:
            return np.zeros(len(keys), np.bool_)
        later: Flags = keys > keys.dtype.type(least)
        if math.floor(order) == order:
            same = keys == keys.dtype.type(least)
            places = np.flatnonzero(same if chosen is None else same & chosen)
            later[places] = self._later_ids(rows.at(places), shop_id)
        return later if chosen is None else later & chosen

    def _later_ids(self, rows: Array, shop_id: str) -> Flags:
        """Which rows have an id that sorts behind this one."""
        prefix = prefix_of(shop_id)
        prefixes = self.columns.prefix.take(rows)
        later: Flags = prefixes > prefix
        for place in np.flatnonzero(prefixes == prefix).tolist():
            later[place] = self.engine.id_of(int(rows[place])) > shop_id
        return later

    def _sorted(self, rows: Array, orders: Array, count: int) -> list[tuple[float, str, int]]:
        """The first ones of a few rows by their exact orders, and by id."""
        places = tied(orders, self.columns.prefix.take(rows), count)
        found = [
            (order, self.engine.id_of(row), row)
            for order, row in zip(orders[places].tolist(), rows[places].tolist(), strict=True)
        ]
        found.sort()
        return found[:count]

    def _rings(self) -> Iterator[tuple[Circle, Callable[[float], None]]]:
        """Circles that grow up to the radius, each with a way to say how far the next one must reach."""
        assert self.circle is not None  # noqa: S101
        whole, wanted = self.circle, 0.0

        def ask(radius_m: float) -> None:
            nonlocal wanted
            wanted = radius_m

        if not whole.planar or self.query.tokens or self.query.category is not None:
            yield whole, ask
            return
        radius = self._first_radius()
        while radius < whole.radius_m * 0.8:
            yield Circle(whole.lat, whole.lng, radius), ask
            radius = max(wanted, radius * 1.25)
        yield whole, ask

    def _first_radius(self) -> float:
        """A radius that probably holds some hundred rows."""
        assert self.circle is not None  # noqa: S101
        grid, cells, rows = self.engine.grid, self.columns.cells, 0
        row, column = grid.row(self.circle.lat), grid.column(self.circle.lng)
        around = range(max(row - _AROUND, 0), min(row + _AROUND + 1, grid.rows))
        for start in (each * grid.columns for each in around):
            rows += int(cells[start + min(column + _AROUND + 1, grid.columns)]) - int(
                cells[start + max(column - _AROUND, 0)]
            )
        side = (2 * _AROUND + 1) * grid.cell_lat * METRES
        return max(side * math.sqrt(_FIRST_ROWS / (math.pi * (rows + 1))), _FIRST_RING_M)

    def _ring(self, circle: Circle) -> tuple[Rows, Array, float, Flags]:
        """Rows that may be in the circle, their distances, by how much these may be wrong, and which of the rows pass
        and are in it. Those of a ring are in it for certain; at the edge of the whole circle it is decided exactly."""
        assert self.circle is not None  # noqa: S101
        inner, outer = self._stretches(circle)
        stretches = sorted([*inner, *outer])
        if self.query.tokens:
            reached = self._with_words(Rows.of_stretches(stretches))
        elif self.query.category is not None:
            reached = Reached(self._with_category(Rows.of_stretches(stretches)))
        else:
            reached = Reached(Rows.of_stretches(stretches))
        reached, chosen = self.passing(reached)
        metres, error = self.metres(reached.rows, circle)
        fits = metres <= circle.radius_m - error
        if circle.radius_m >= self.circle.radius_m:
            near = np.flatnonzero(~fits & (metres <= circle.radius_m + error))
            if len(near):
                fits[near] = self.exact(reached.rows.at(near)) <= circle.radius_m
        return reached.rows, metres, error, fits if chosen is None else fits & chosen

    def _nearest(self, count: int) -> list[tuple[float, str, int]]:
        assert self.circle is not None  # noqa: S101
        for circle, ask in self._rings():
            rows, metres, error, chosen = self._ring(circle)
            if self.place.after is not None:
                chosen = self._after(rows, metres, error, chosen, self.exact)
            # So many are nearer for certain than all that is not chosen: that is farther than radius − 2·error.
            passed = np.count_nonzero(chosen & (metres <= circle.radius_m - 3 * error))
            if passed >= count or circle.radius_m >= self.circle.radius_m:
                places = smallest(metres, chosen, count, 2 * error)
                found = rows.at(places)
                return self._sorted(found, self.exact(found), count)
            ask(circle.radius_m * min(math.sqrt(2 * count / (passed + 1)), 8))
        return []

    def _after(self, rows: Rows, keys: Array, error: float, chosen: Flags, exact: Callable[[Array], Array]) -> Flags:
        """Those of the chosen that come after the page before, by keys that may be wrong."""
        order, shop_id = self.place.after or (0, "")
        if not abs(order) < 2**31:  # beyond every key there is
            return chosen if order < 0 else np.zeros(len(keys), np.bool_)
        later: Flags = keys > order + error
        near = np.flatnonzero(~later & chosen & (keys >= order - error))
        if len(near):
            places = rows.at(near)
            orders = exact(places)
            fits = orders > order
            same = np.flatnonzero(orders == order)
            fits[same] = self._later_ids(places[same], shop_id)
            later[near] = fits
        return later & chosen

    def _recommended(self, count: int) -> list[tuple[float, str, int]]:
        if self.circle is None:
            reached, chosen = self.passing(self.reached(None, by_category=True))
            keys = self._merits(reached.rows)
            np.negative(keys, out=keys)
            return self._best(reached.rows, keys, 0, chosen, count)
        most = self.columns.most_worth + self._most_affinity()
        for circle, ask in self._rings():
            rows, metres, error, chosen = self._ring(circle)
            keys = self._scores(rows, metres)
            # Nearness is cut to a whole number, and changes by one in a metre at most.
            slack = _NEAR * (0.5 + error) + _SCORE_ERROR
            if circle.radius_m >= self.circle.radius_m:
                return self._best(rows, keys, slack, chosen, count)
            if self.place.after is not None:
                chosen = self._after(rows, keys, slack, chosen, self._exact_orders)
            passed = np.count_nonzero(chosen)
            if passed < count:
                ask(circle.radius_m * min(math.sqrt(2 * count / (passed + 1)), 8))
                continue
            places = smallest(keys, chosen, count, 2 * slack)
            # None of the first ones has a lower score than this, and what is farther away than `reach` has.
            least = -float(np.partition(keys.take(places), count - 1)[count - 1]) - slack
            reach = _reach(least - most)
            if reach < circle.radius_m - 2 * error:
                found = rows.at(places)
                return self._sorted(found, self._exact_orders(found), count)
            ask(1.01 * (reach + 2 * error))
        return []

    def _best(
        self, rows: Rows, keys: Array, slack: float, chosen: Flags | None, count: int
    ) -> list[tuple[float, str, int]]:
        if self.place.after is not None:
            chosen = np.ones(len(keys), np.bool_) if chosen is None else chosen
            chosen = self._after(rows, keys, slack, chosen, self._exact_orders)
        found = rows.at(smallest(keys, chosen, count, 2 * slack))
        return self._sorted(found, self._exact_orders(found), count)

    def _merits(self, rows: Rows) -> Array:
        """What scores have besides nearness, as float32; whole numbers, and exact."""
        merits = self.columns.worth_on(rows, self.place.as_of_day).astype(np.float32)
        if self.place.affinity is not None:
            merits += np.float32(_AFFINITY) * self._affinities(rows)
        return merits

    def _scores(self, rows: Rows, metres: Array) -> Array:
        """Scores, negative, so that the best come first; nearness lies in the middle of what it may be."""
        keys = self._merits(rows)
        near = metres + np.float32(1_000)
        np.divide(np.float32(_NEAR * 1_000_000), near, out=near)
        keys += near
        keys -= np.float32(_NEAR / 2)
        np.negative(keys, out=keys)
        return keys.astype(np.float32, copy=False)

    def _affinities(self, rows: Rows) -> Array:
        affinity = self.place.affinity
        assert affinity is not None  # noqa: S101
        parts = self.engine.best_of_groups(affinity.categories).take(rows.of(self.columns.group))
        if affinity.shops:
            prefixes = rows.of(self.columns.prefix)
            maybe = np.zeros(1 << 16, np.bool_)
            maybe[[prefix_of(shop_id) & 0xFFFF for shop_id in affinity.shops]] = True
            places = np.flatnonzero(maybe.take(prefixes & np.uint32(0xFFFF)))
            for place, row in zip(places.tolist(), rows.at(places).tolist(), strict=True):
                if self.columns.kinds[row]:
                    own_part = affinity.shops.get(self.engine.id_of(row), 0)
                    parts[place] = min(int(parts[place]) + own_part, ranking.FULL)
        return parts

    def _most_affinity(self) -> int:
        affinity = self.place.affinity
        if affinity is None:
            return 0
        most = max(affinity.categories.values(), default=0) + max(affinity.shops.values(), default=0)
        return _AFFINITY * min(most, ranking.FULL)

    def _exact_orders(self, rows: Array) -> Array:
        """Negative scores as `ranking` has them."""
        some = Rows(single=rows)
        scores = self._merits(some).astype(np.int64)
        if self.circle is not None:
            scores += np.array([_NEAR * ranking.near(metres) for metres in self.exact(rows).tolist()], np.int64)
        return -scores


def _reach(points: float) -> float:
    """How far away nearness still adds so many points to a score."""
    return math.inf if points <= 0 else _NEAR * 1_000_000 / points - 1_000


def _at_least(column: Array, least: int) -> Flags:
    if least > np.iinfo(column.dtype).max:
        return np.zeros(len(column), np.bool_)
    found: Flags = column >= column.dtype.type(max(least, 0))
    return found


def _on_sphere(lat: Array, lng: Array, circle: Circle) -> Array:
    """Metres by haversine in float64."""
    here = circle.lat * RADIANS
    there = lat * RADIANS
    half_lat = np.sin((there - here) / 2) ** 2
    half_lng = np.sin((lng - circle.lng) * RADIANS / 2) ** 2
    chord: Array = half_lat + math.cos(here) * np.cos(there) * half_lng
    found: Any = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return np.asarray(found)
