"""What of a city's rows a circle reaches, and how far they are. `grid` says why, and by how much it may err."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chalicelib.kernel.geo import EARTH_RADIUS_M
from chalicelib.search.grid import METRES, RADIANS, Circle, Grid
from chalicelib.search.rows import Array, filled

_FEW = 12  # rows of cells
SPHERE_ERROR_M = 1e-5  # of float64, by far


class Spans(NamedTuple):
    """Stretches of sorted rows, in order: those that are in the circle with all their rows, and others that may be."""

    inner: Array
    outer: Array


def cells(grid: Grid, circle: Circle, *, inner: bool) -> Array:
    """`grid.runs` as an array of four rows: begin, inner, inner_end and end of each run; of two, begin and end, when
    the `inner` ones are not asked for: of a few runs the box around them."""
    angle = circle.angle / RADIANS
    first, last = grid.row(circle.lat - angle - 1), grid.row(circle.lat + angle + 1)
    rows = np.arange(first, last + 1)
    starts = rows * grid.columns
    found = np.empty((4 if inner else 2, len(rows)), np.int64)
    if not circle.planar:
        found[:-1] = starts
        found[-1] = starts + grid.columns
        return found
    outer = angle * (1 + circle.spread) + 1
    least = math.cos((abs(circle.lat) + outer / 2) * RADIANS)
    x, cell_lng, most_column = circle.lng - grid.west, grid.cell_lng, grid.columns - 1
    if len(rows) <= _FEW and not inner:
        # A box around it holds not many more, and is found sooner.
        wide = outer / least + 1
        found[0] = starts + grid.column(circle.lng - wide)
        found[1] = starts + (grid.column(circle.lng + wide) + 1)
        return found
    low = (grid.south - circle.lat) + rows * grid.cell_lat
    high = low + grid.cell_lat
    nearest = np.maximum(np.maximum(low, -high), 0.0)
    if first == 0 and low[0] > 0:
        nearest[0] = 0.0
    if last == grid.rows - 1 and high[-1] < 0:
        nearest[-1] = 0.0
    width = np.sqrt(np.maximum(outer * outer - nearest * nearest, 0.0))
    width /= least * cell_lng
    width += 1 / cell_lng
    column = x / cell_lng
    found[0] = np.minimum(np.maximum(column - width, 0), most_column)
    found[-1] = np.minimum(np.maximum(column + width, 0), most_column)
    found[-1] += 1
    found += starts
    if inner:
        found[1] = found[2] = found[0]
        _inner(grid, circle, found[1:3], rows, np.maximum(-low, high))
    return found


def _inner(grid: Grid, circle: Circle, found: Array, rows: Array, farthest: Array) -> None:
    reach = max((circle.radius_m - circle.error_m) / METRES - 1, 0)
    most = math.cos(max(abs(circle.lat) - (circle.angle / RADIANS * (1 + circle.spread) + 1) / 2, 0) * RADIANS)
    width = np.sqrt(np.maximum(reach * reach - farthest * farthest, 0.0))
    width /= most * grid.cell_lng
    width -= 1 / grid.cell_lng
    column = (circle.lng - grid.west) / grid.cell_lng
    left = np.maximum(np.ceil(column - width), 1)
    right = np.minimum(np.floor(column + width), grid.columns - 1)
    within = np.flatnonzero((farthest < reach) & (rows > 0) & (rows < grid.rows - 1) & (left < right))
    starts = rows[within] * grid.columns
    found[0, within] = starts + left[within]
    found[1, within] = starts + right[within]


def spans(grid: Grid, circle: Circle, starts: Array) -> Spans:
    """`starts` are the rows at which cells begin."""
    bounds = starts.take(cells(grid, circle, inner=True)).astype(np.int64)
    return Spans(filled(bounds[1:3].T), filled(bounds.T.reshape(-1, 2)))


def all_spans(grid: Grid, circle: Circle, starts: Array) -> Array:
    """The stretches that may be in the circle."""
    return filled(starts.take(cells(grid, circle, inner=False)).astype(np.int64).T)


def in_plane(lat: Array, lng: Array, circle: Circle) -> Array:
    """Metres in the plane, in float32, wrong by `circle.error_m` at most."""
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
    return north


def on_sphere(lat: Array, lng: Array, circle: Circle) -> Array:
    """Metres by haversine in float64, wrong by SPHERE_ERROR_M at most."""
    here = circle.lat * RADIANS
    there = lat * RADIANS
    half_lat = np.sin((there - here) / 2) ** 2
    half_lng = np.sin((lng - circle.lng) * RADIANS / 2) ** 2
    chord: Array = half_lat + math.cos(here) * np.cos(there) * half_lng
    found: Any = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return np.asarray(found)
