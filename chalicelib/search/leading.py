"""Which rows of a search come first, in the exact order of `ranking`.

Orders by distance and by recommendation are looked for in rings: circles that grow until what is outside of one cannot
be among the first. Scores are first taken from distances in the plane, with the error that follows from theirs; the
few that may be among the first are worked out in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from chalicelib.search import ranking
from chalicelib.search.asking import Asking
from chalicelib.search.columns import prefix_of
from chalicelib.search.grid import METRES, Circle
from chalicelib.search.rows import Array, Flags, Rows
from chalicelib.search.selection import smallest, tied

_FIRST_RING_M = 150.0
_AROUND = 1  # cell each way, in which shops are counted to guess it
# So many rows a ring that is looked at first should hold: one ring is then enough in most searches.
_NEAREST_ROWS = 400
_RECOMMENDED_ROWS, _RECOMMENDED_ROWS_LATER = 1_600, 3_600
_AMONG_ROWS = 20_000  # of more the first ones are found sooner in rings
_SCORE_ERROR = 1.0  # of float32, by far
_NEAR = ranking.WEIGHTS.near
_AFFINITY = ranking.WEIGHTS.affinity

First = list[tuple[float, int]]
"""(order, row) of the first ones after the page before, in order."""


def first(asking: Asking, count: int, passing: Rows | None = None) -> First:
    """`passing` are all rows that pass, where they have been counted anyway."""
    if asking.query.tokens is None:
        return []
    leading = Leading(asking)
    return leading.first(count) if passing is None or len(passing) > _AMONG_ROWS else leading.among(passing, count)


class Leading:
    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.engine = asking.engine
        self.columns = asking.columns
        self.place = asking.place

    def first(self, count: int) -> First:
        asking, circle = self.asking, self.asking.circle
        order = asking.query.order
        if circle is not None and order == ranking.DISTANCE:
            return self._nearest(circle, count)
        if circle is not None and order == ranking.RECOMMENDED:
            return self._recommended(circle, count)
        # Of those that may be in the circle, only what comes first is looked at more closely.
        reached, chosen = asking.passing(asking.near(circle))
        if order == ranking.RECOMMENDED:
            return self._best_anywhere(reached.rows, chosen, count)
        return self._by_column(reached.rows, order, chosen, count, circle)

    def among(self, rows: Rows, count: int) -> First:
        """Of rows that pass, all of them in the circle."""
        circle, order = self.asking.circle, self.asking.query.order
        if order not in (ranking.DISTANCE, ranking.RECOMMENDED):
            return self._by_column(rows, order, None, count, None)
        if circle is None:
            return self._best_anywhere(rows, None, count)
        metres, error = self.asking.metres(rows, circle)
        if order == ranking.DISTANCE:
            return self._best(rows, metres, error, None, count, self.asking.exact)
        return self._best(rows, scores(self._merits(rows), metres), slack_of(error), None, count, self._exact_orders)

    # By one column

    def _by_column(self, rows: Rows, order: str, chosen: Flags | None, count: int, circle: Circle | None) -> First:
        """Of rows that may be in the circle; without one all of them are."""
        keys, offset = self._whole_keys(rows, order)
        if self.place.after is not None:
            chosen = self._after_whole(rows, keys, offset, chosen)
        wanted = count if circle is None else 2 * count  # a box is not much larger than its circle
        while True:
            places = smallest(keys, chosen, wanted)
            complete = circle is None or len(places) < wanted
            if circle is not None:
                places = places[self.asking.inside(Rows(single=rows.at(places)), circle)]
            if complete or len(places) >= count:
                break
            wanted *= 4
        orders = keys.take(places).astype(np.int64) + offset
        return self._sorted(rows.at(places), orders, count)

    def _whole_keys(self, rows: Rows, order: str) -> tuple[Array, int]:
        """Unsigned keys, and what must be added to them to be the order of `ranking`."""
        if order == ranking.PRICE:
            return rows.of(self.columns.price), 0
        column = rows.of(self.columns.rating if order == ranking.RATING else self.columns.sales)
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

    def _sorted(self, rows: Array, orders: Array, count: int) -> First:
        """The first ones of a few rows by their exact orders, and by id."""
        prefixes = self.columns.prefix.take(rows)
        places = tied(orders, prefixes, count)
        found = sorted(
            zip(orders[places].tolist(), prefixes[places].tolist(), rows[places].tolist(), strict=True),
        )
        if any(one[:2] == other[:2] for one, other in pairwise(found)):
            found.sort(key=lambda each: (each[0], self.engine.id_of(each[2])))
        return [(order, row) for order, _, row in found[:count]]

    # In rings

    def _rings(
        self, whole: Circle, rows: int, beyond_m: float = 0.0
    ) -> Iterator[tuple[Circle, Callable[[float], None]]]:
        """Circles that grow up to the radius, each with a way to say how far the next one must reach. The first one has
        about so many rows farther than `beyond_m`."""
        wanted = 0.0

        def ask(radius_m: float) -> None:
            nonlocal wanted
            wanted = radius_m

        query = self.asking.query
        if whole.planar and not query.tokens and query.category is None:
            radius = math.hypot(self._first_radius(whole, rows), beyond_m)
            while radius < whole.radius_m * 0.8:
                yield Circle(whole.lat, whole.lng, radius), ask
                radius = max(wanted, radius * 1.25)
        yield whole, ask

    def _first_radius(self, whole: Circle, wanted: int) -> float:
        """A radius that probably holds about so many rows."""
        grid, cells = self.engine.grid, self.columns.cells
        row, column = grid.row(whole.lat), grid.column(whole.lng)
        south, north = max(row - _AROUND, 0), min(row + _AROUND + 1, grid.rows)
        west, east = max(column - _AROUND, 0), min(column + _AROUND + 1, grid.columns)
        rows = sum(
            int(cells[start + east]) - int(cells[start + west])
            for start in range(south * grid.columns, north * grid.columns, grid.columns)
        )
        side = (2 * _AROUND + 1) * grid.cell_lat * METRES
        return max(side * math.sqrt(wanted / (math.pi * (rows + 1))), _FIRST_RING_M)

    def _ring(self, circle: Circle, whole: Circle) -> tuple[Rows, Array, float, Flags]:
        """Rows that may be in the circle, their distances, by how much these may be wrong, and which of the rows pass
        and are in it. Those of a ring are in it for certain; at the edge of the whole circle it is decided exactly."""
        reached, chosen = self.asking.passing(self.asking.near(circle))
        rows = reached.rows
        metres, error = self.asking.metres(rows, circle)
        if circle is whole:
            fits = self.asking.within(rows, metres, error, whole.radius_m)
        else:
            fits = metres <= circle.radius_m - error
        return rows, metres, error, fits if chosen is None else fits & chosen

    def _nearest(self, whole: Circle, count: int) -> First:
        beyond_m = min(max(self.place.after[0], 0.0), whole.radius_m) if self.place.after else 0.0
        for circle, ask in self._rings(whole, _NEAREST_ROWS, beyond_m):
            rows, metres, error, chosen = self._ring(circle, whole)
            if self.place.after is not None:
                chosen = self._after(rows, metres, error, chosen, self.asking.exact)
            # So many are nearer for certain than all that is not chosen: that is farther than radius − 2·error.
            passed = np.count_nonzero(chosen & (metres <= circle.radius_m - 3 * error))
            if passed >= count or circle is whole:
                found = rows.at(smallest(metres, chosen, count, 2 * error))
                return self._sorted(found, self.asking.exact(found), count)
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

    def _recommended(self, whole: Circle, count: int) -> First:
        most = self.columns.most_worth + self._most_affinity()
        for circle, ask in self._rings(whole, _RECOMMENDED_ROWS_LATER if self.place.after else _RECOMMENDED_ROWS):
            rows, metres, error, chosen = self._ring(circle, whole)
            keys = scores(self._merits(rows), metres)
            slack = slack_of(error)
            if circle is whole:
                return self._best(rows, keys, slack, chosen, count, self._exact_orders)
            if self.place.after is not None:
                chosen = self._after(rows, keys, slack, chosen, self._exact_orders)
            passed = np.count_nonzero(chosen)
            if passed < count:
                ask(circle.radius_m * min(math.sqrt(2 * count / (passed + 1)), 8))
                continue
            places = smallest(keys, chosen, count, 2 * slack)
            # None of the first ones has a lower score than this, and what is farther away than `far` has.
            least = -float(np.partition(keys.take(places), count - 1)[count - 1]) - slack
            far = _reach(least - most)
            if far < circle.radius_m - 2 * error:
                found = rows.at(places)
                return self._sorted(found, self._exact_orders(found), count)
            ask(1.01 * (far + 2 * error))
        return []

    def _best(
        self,
        rows: Rows,
        keys: Array,
        slack: float,
        chosen: Flags | None,
        count: int,
        exact: Callable[[Array], Array],
    ) -> First:
        """By keys that may be wrong by `slack`; `exact` says what they should be."""
        if self.place.after is not None:
            chosen = np.ones(len(keys), np.bool_) if chosen is None else chosen
            chosen = self._after(rows, keys, slack, chosen, exact)
        found = rows.at(smallest(keys, chosen, count, 2 * slack))
        return self._sorted(found, exact(found), count)

    def _best_anywhere(self, rows: Rows, chosen: Flags | None, count: int) -> First:
        """By recommendation without a position."""
        keys = self._merits(rows)
        np.negative(keys, out=keys)
        return self._best(rows, keys, 0, chosen, count, self._exact_orders)

    # By recommendation

    def _merits(self, rows: Rows) -> Array:
        """What scores have besides nearness, as float32; whole numbers, and exact."""
        merits = self.columns.worth_on(rows, self.place.as_of_day).astype(np.float32)
        if self.place.affinity is not None:
            merits += np.float32(_AFFINITY) * self._affinities(rows, self.place.affinity)
        return merits

    def _affinities(self, rows: Rows, affinity: ranking.Affinity) -> Array:
        parts = self.engine.groups.best(affinity.categories).take(rows.of(self.columns.group))
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
        scores = self._merits(Rows(single=rows)).astype(np.int64)
        if self.asking.circle is not None:
            near = ranking.near
            scores += np.array([_NEAR * near(metres) for metres in self.asking.exact(rows).tolist()], np.int64)
        return -scores


def scores(merits: Array, metres: Array) -> Array:
    """Scores in float32, negative, so that the best come first; nearness lies in the middle of what it may be."""
    near = metres + np.float32(1_000)
    np.divide(np.float32(_NEAR * 1_000_000), near, out=near)
    keys = merits + near
    keys -= np.float32(_NEAR / 2)
    np.negative(keys, out=keys)
    return keys.astype(np.float32, copy=False)


def slack_of(error_m: float) -> float:
    """By how much `scores` may be wrong, by distances that may be wrong by so much: nearness is cut to a whole number,
    and changes by one in a metre at most."""
    return _NEAR * (0.5 + error_m) + _SCORE_ERROR


def _reach(points: float) -> float:
    """How far away nearness still adds so many points to a score."""
    return math.inf if points <= 0 else _NEAR * 1_000_000 / points - 1_000
