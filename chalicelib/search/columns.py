"""What is searched of a city's shops, as numpy columns.

Rows [0, `sorted`) stand by cell of the grid and then by id, as in the base file. Behind them is the tail: shops that
came or moved since. A row whose `kinds` is 0 is gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chalicelib.kernel import ids
from chalicelib.search import ranking
from chalicelib.search.base import Base
from chalicelib.search.lists import SEGMENT, SEGMENT_BITS, segments_of, within
from chalicelib.search.rows import Rows

PREFIX_LETTERS = 6
_SPARE_ROWS = 1_024
_BORN_LATELY = ranking.FRESH_DAYS + 1

Array = NDArray[Any]
Flags = NDArray[np.bool_]

NAMES = ("prefix", "lat", "lng", "price", "rating", "sales", "born", "kinds", "group", "calendar")

# The value of each letter of an id; ids sort like their values.
_VALUES = {letter: value for value, letter in enumerate(sorted(ids.ALPHABET))}
_LETTERS = np.array([_VALUES.get(chr(code), 0) for code in range(256)], np.uint32)


def prefixes(letters: Array) -> Array:
    """The first six letters of ids (of `S26`, without "shp_") as numbers: unequal ones sort as the ids do."""
    first = letters.view("u1").reshape(len(letters), letters.itemsize)[:, :PREFIX_LETTERS]
    found = np.zeros(len(letters), np.uint32)
    for place in range(PREFIX_LETTERS):
        found = (found << np.uint32(5)) | _LETTERS[first[:, place]]
    return found


def prefix_of(shop_id: str) -> int:
    """The same of one id, of whatever text."""
    found = 0
    for letter in shop_id.rpartition("_")[2][:PREFIX_LETTERS].ljust(PREFIX_LETTERS):
        found = found << 5 | _VALUES.get(letter, 0)
    return found


def narrowest(numbers: Array, least_bytes: int) -> Array:
    """Whole numbers in the narrowest unsigned type of at least so many bytes that holds them."""
    most = int(numbers.max(initial=0))
    size = next(size for size in (1, 2, 4, 8) if size >= least_bytes and most < 1 << 8 * size)
    return numbers.astype(f"u{size}")


class Columns:
    """The columns of a base, to be changed in place. `worth` is what a score has besides distance and affinity: it
    fits into sixteen bits, and follows the day."""

    prefix: Array
    lat: Array
    lng: Array
    price: Array
    rating: Array
    sales: Array
    born: Array
    kinds: Array
    group: Array
    calendar: Array

    def __init__(self, base: Base) -> None:
        self.sorted = self.count = base.header.count
        self.gone = 0
        self.cells = base.array("cells")
        self._category_rows = base.array("category_rows")
        self._category_starts = base.array("category_starts")
        for name in NAMES:
            setattr(self, name, self._copied(base.array(f"columns.{name}")))
        self.worth = self._copied(base.array("columns.merit"))
        self.day = 0  # at which `worth` stands; on day 0 nothing has been born yet, and all is as fresh as can be
        self.worth += np.uint16(ranking.WEIGHTS.fresh * ranking.FULL)
        self.most_worth = int(self.worth.max(initial=0))

    def _copied(self, of_base: Array) -> Array:
        column = np.empty(self.count + _SPARE_ROWS, of_base.dtype)
        column[: self.count] = of_base
        return column

    @property
    def nbytes(self) -> int:
        """Of everything here."""
        kept = (self.cells, self._category_rows, self._category_starts, self.worth)
        columns: list[Array] = [*kept, *(getattr(self, name) for name in NAMES)]
        return sum(column.nbytes for column in columns)

    def age(self, day: int) -> None:
        """Brings `worth` to a day."""
        if day == self.day:
            return
        born = self.born[: self.count]
        # Older ones are no longer fresh on either day.
        lately = np.flatnonzero(born.astype(np.int32) > min(day, self.day) - _BORN_LATELY)
        born = born[lately]
        self.worth[lately] += _fresh(born, day) - _fresh(born, self.day)  # modulo 2^16, and the sum is right again
        self.day = day
        self.most_worth = int(self.worth[: self.count].max(initial=0))

    def worth_on(self, rows: Rows, day: int) -> Array:
        """`worth` of rows as it is on any day."""
        worth = rows.of(self.worth)
        if day == self.day:
            return worth
        born = rows.of(self.born)
        return worth + _fresh(born, day) - _fresh(born, self.day)

    def fresh(self, rows: Array, day: int) -> Array:
        """What freshness adds to the scores of rows on a day; `worth` has that of `day`."""
        return _fresh(self.born.take(rows), day)

    def write(self, row: int, values: dict[str, int]) -> None:
        for name, value in values.items():
            column: Array = getattr(self, name)
            while value > np.iinfo(column.dtype).max:
                column = column.astype(f"u{column.itemsize * 2}")
                setattr(self, name, column)
            column[row] = value
        born = self.born[row : row + 1]
        worth = ranking.merit(int(self.rating[row]), int(self.sales[row])) + int(_fresh(born, self.day)[0])
        self.worth[row] = worth
        self.most_worth = max(self.most_worth, worth)

    def append(self, values: dict[str, int]) -> int:
        """A new row at the end of the tail."""
        row = self.count
        if row == len(self.worth):
            for name in (*NAMES, "worth"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.empty(self._room(), column.dtype)]))
        self.count += 1
        self.write(row, values)
        return row

    def _room(self) -> int:
        return max(_SPARE_ROWS, self.count - self.sorted)

    def drop(self, row: int) -> None:
        if self.kinds[row]:
            self.kinds[row] = 0
            self.gone += 1

    def in_cell(self, cell: int) -> tuple[int, int]:
        return int(self.cells[cell]), int(self.cells[cell + 1])

    def of_category(self, number: int, spans: Array) -> Array:
        """The sorted rows of some stretches that are of a category, by its number in the base."""
        segments = -(-self.sorted // SEGMENT)
        parts = []
        for segment in segments_of(spans, segments):
            place = number * segments + segment
            low, high = self._category_starts[place : place + 2].tolist()
            rows = self._category_rows[low:high]
            parts.append(rows.take(within(rows, segment, spans)).astype(np.int64) + (segment << SEGMENT_BITS))
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


_FRESHNESS = np.array(
    [ranking.WEIGHTS.fresh * ranking.fresh(0, age) for age in range(ranking.FRESH_DAYS + 1)], np.uint16
)


def _fresh(born: Array, day: int) -> Array:
    """What freshness adds to scores on a day."""
    age = np.minimum(np.maximum(day - born.astype(np.int32), 0), ranking.FRESH_DAYS)
    found: Array = _FRESHNESS.take(age)
    return found
