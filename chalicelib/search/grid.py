"""A city cut into cells, and what of it a circle can reach. No library is needed for it.

Positions are whole millionths of a degree. Longitudes count from the city's centre, so that no city has the
antimeridian in its midst. Cells are numbered row by row from the south-west; what lies outside the box belongs to the
outermost cells. Shops are kept in the order of their cells: a circle is then a few stretches of neighbours.

Distances on the sphere are compared with distances in a plane. For two points let u and w be half their differences in
latitude and longitude, m the latitude in the middle, δ the angle between them and p = 2·√(u² + cos²m·w²). Then

    sin²(δ/2) = sin²u·cos²w + cos²m·sin²w          since cos a·cos b = cos²m − sin²u

and sin x ≤ x, sin²x ≥ x²(1 − x²/3), cos²x ≥ 1 − x² give

    p·√(1 − u²/3 − w²) ≤ δ ≤ 2·asin(p/2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from chalicelib.kernel.geo import EARTH_RADIUS_M, Point

CELL_M = 250
MAX_CELLS = 2**20

MICRO = 1_000_000
HALF_TURN = 180 * MICRO
TURN = 2 * HALF_TURN
RADIANS = math.pi / HALF_TURN  # of one millionth of a degree
METRES = EARTH_RADIUS_M * RADIANS  # of one millionth of a degree of latitude

# Half a millionth of a degree each way: how far the origin may lie from where it is taken to be.
_ROUNDED_M = 0.5 * METRES * math.sqrt(2)
# Far more than float64 can be wrong by at these distances.
_SLACK_M = 0.001
# Sixteen roundings of float32; `Circle.error_m` counts eleven.
_FLOAT32 = 16 * 2.0**-24


def turned(lng: int, by: int) -> int:
    """A longitude counted from another one, from −180° up to but not 180°."""
    return (lng - by + HALF_TURN) % TURN - HALF_TURN


def unturned(relative: int, by: int) -> int:
    """The longitude again, above −180° up to 180°."""
    lng = (relative + by) % TURN
    return lng - TURN if lng > HALF_TURN else lng


class Run(NamedTuple):
    """Neighbouring cells of one row of the grid, from `begin` up to `end`; those from `inner` up to `inner_end` lie in
    the circle with all their points."""

    begin: int
    inner: int
    inner_end: int
    end: int


class Circle:
    """A circle around (lat, lng), in millionths of a degree, the longitude counted from the city's centre.

    `planar` says whether the plane may be asked; near a pole, and where the circle leaves the half turn on either side
    of the centre, it may not. `slope` is by how much the cosine of the middle latitude changes with a millionth of a
    degree of the other point. Where the circle is planar

    `half_width` is half the greatest difference in longitude, in radians, to any point in it, on the sphere or in the
    plane;
    `spread` is by how much δ and p differ at most, as a part of either, for what is in the circle by one of them;
    `error_m` is by how much the distance in the plane, worked out in float32 as `reach` does, differs at most from
    that on the sphere, for a point that is in the circle by either: `spread`; the origin is rounded; cos m is taken as
    cos φ − u·sin φ, wrong by cos φ·u²/2 + |sin φ|·u³/6 at most; and float32: differences of whole numbers are rounded
    once, cos m (it does not fall below half of cos φ, so that nothing cancels) is wrong by 7 roundings, the longitude's
    part by 9, the sum of squares by 20, its root by 11.
    """

    __slots__ = ("angle", "cos", "error_m", "half_width", "lat", "lng", "planar", "radius_m", "slope", "spread")

    def __init__(self, lat: float, lng: float, radius_m: float) -> None:
        self.lat, self.lng, self.radius_m = lat, lng, radius_m
        self.angle = angle = (radius_m + _ROUNDED_M + _SLACK_M) / EARTH_RADIUS_M
        self.cos = cos = math.cos(round(lat) * RADIANS)
        self.slope = -math.sin(round(lat) * RADIANS) * RADIANS / 2
        self.half_width = self.spread = self.error_m = math.inf
        narrow = cos - abs(self.slope) * angle * 1.1 / RADIANS
        if narrow >= cos / 2 and math.sin(angle) < cos:
            self.half_width = max(math.asin(math.sin(angle) / cos), 1.1 * angle / narrow) / 2
        self.planar = self.half_width < 0.25 and abs(lng) * RADIANS + 2 * self.half_width < math.pi
        if self.planar:
            u, w = angle * 0.55, self.half_width
            self.spread = max(1 / math.sqrt(1 - u * u / 3 - w * w), math.asin(u) / u) - 1
            bent = 2 * w * (cos * u * u / 2 + u**3 / 6)
            relative = self.spread + _FLOAT32
            self.error_m = EARTH_RADIUS_M * (1.05 * angle * relative + bent) + _ROUNDED_M + _SLACK_M


@dataclass(frozen=True)
class Grid:
    """`centre_lng` is where longitudes count from; all numbers are millionths of a degree, or count cells."""

    centre_lng: int
    south: int
    west: int
    cell_lat: int
    cell_lng: int
    rows: int
    columns: int

    @classmethod
    def of(cls, centre: tuple[int, int], box: tuple[int, int, int, int]) -> Grid:
        """`box` is the south, west, north and east that it must hold, longitudes counted from the centre."""
        south, west, north, east = box
        lat = CELL_M / METRES
        lng = lat / max(math.cos(centre[0] * RADIANS), 0.001)
        while True:
            cell_lat, cell_lng = math.ceil(lat), math.ceil(min(lng, TURN))
            rows, columns = (north - south) // cell_lat + 1, (east - west) // cell_lng + 1
            if rows * columns <= MAX_CELLS:
                return cls(centre[1], south, west, cell_lat, cell_lng, rows, columns)
            lat, lng = lat * 1.25, lng * 1.25

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    def row(self, lat: float) -> int:
        return min(max(int((lat - self.south) // self.cell_lat), 0), self.rows - 1)

    def column(self, relative: float) -> int:
        return min(max(int((relative - self.west) // self.cell_lng), 0), self.columns - 1)

    def cell(self, lat: int, lng: int) -> int:
        return self.row(lat) * self.columns + self.column(turned(lng, self.centre_lng))

    def circle(self, origin: Point, radius_m: float) -> Circle:
        lng = (origin.lng * MICRO - self.centre_lng + HALF_TURN) % TURN - HALF_TURN
        return Circle(origin.lat * MICRO, lng, radius_m)

    def runs(self, circle: Circle) -> list[Run]:
        """The cells that may hold a point of the circle, from south to north."""
        angle = circle.angle / RADIANS
        first, last = self.row(circle.lat - angle - 1), self.row(circle.lat + angle + 1)
        columns, cell_lng = self.columns, self.cell_lng
        if not circle.planar:
            return [
                Run(row * columns, row * columns, row * columns, (row + 1) * columns) for row in range(first, last + 1)
            ]
        outer = angle * (1 + circle.spread) + 1
        inner = max((circle.radius_m - circle.error_m) / METRES - 1, 0)
        # The cosine of the latitude in the middle between the origin and a point of the circle, at least and at most.
        least = math.cos((abs(circle.lat) + outer / 2) * RADIANS)
        most = math.cos(max(abs(circle.lat) - outer / 2, 0) * RADIANS)
        x = circle.lng - self.west
        found: list[Run] = []
        for row in range(first, last + 1):
            low = self.south + row * self.cell_lat - circle.lat
            high = low + self.cell_lat
            start = row * columns
            # What lies outside the box is in the outermost rows and columns: they reach as far as need be.
            outermost = (row == 0 and low > 0) or (row == self.rows - 1 and high < 0)
            nearest = 0.0 if outermost else max(low, -high, 0.0)
            width = math.sqrt(max(outer * outer - nearest * nearest, 0.0)) / least + 1
            begin = start + min(max(int((x - width) // cell_lng), 0), columns - 1)
            end = start + min(max(int((x + width) // cell_lng), 0), columns - 1) + 1
            farthest = max(-low, high)
            left, right = begin, begin
            if farthest < inner and 0 < row < self.rows - 1:
                width = math.sqrt(inner * inner - farthest * farthest) / most - 1
                left = start + max(math.ceil((x - width) / cell_lng), 1)
                right = start + min(math.floor((x + width) / cell_lng), columns - 1)
                if left >= right:
                    left, right = begin, begin
            found.append(Run(begin, left, right, end))
        return found
