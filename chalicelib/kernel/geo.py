"""Positions. Every stored point carries both datums; distances are haversine on WGS-84.

GCJ-02 is China's offset datum, BD-09 Baidu's offset of that. Their forward formulas are the published ones
(constants: Krasovsky 1940 ellipsoid); the inverses iterate to well under a metre. Outside the bounding box of
mainland China GCJ-02 is defined as WGS-84.

The published formulas jump at that box by up to 900 metres, so that near it two places share one GCJ-02 point and no
inverse can be right for both. Here the offset grows from nothing at the box to all of it 0.05 degrees inside, which
every point of China is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

EARTH_RADIUS_M = 6_371_008.8  # IUGG mean radius
_A = 6378245.0
_EE = 0.00669342162296594323
_X_PI = math.pi * 3000.0 / 180.0
_SOUTH, _NORTH, _WEST, _EAST = 0.8293, 55.8271, 72.004, 137.8347
_RIM = 0.05  # degrees
_STEPS = 16
_CLOSE = 1e-10  # degrees: a hundredth of a millimetre

WGS84, GCJ02, BD09 = "wgs84", "gcj02", "bd09"
DATUMS = (WGS84, GCJ02, BD09)


@dataclass(frozen=True)
class Point:
    """Degrees. Latitude −90…90, longitude −180…180."""

    lat: float
    lng: float

    def __post_init__(self) -> None:
        if -90 <= self.lat <= 90 and -180 <= self.lng <= 180:
            return
        finite = math.isfinite(self.lat) and math.isfinite(self.lng)
        raise ValueError("coordinates out of range" if finite else "coordinates must be finite")


def _offset(point: Point) -> tuple[float, float]:
    """GCJ-02 minus WGS-84 at a WGS-84 point, in degrees."""
    sin = math.sin
    inside = min(point.lat - _SOUTH, _NORTH - point.lat, point.lng - _WEST, _EAST - point.lng)
    if inside <= 0:
        return 0.0, 0.0
    part = min(inside / _RIM, 1.0)
    x, y = point.lng - 105.0, point.lat - 35.0
    pi_x, pi_y = x * math.pi, y * math.pi
    wave = 20.0 * sin(6.0 * pi_x) + 20.0 * sin(2.0 * pi_x)
    bend = 0.1 * math.sqrt(abs(x)) + 0.1 * x * y
    lat = wave + 20.0 * sin(pi_y) + 40.0 * sin(pi_y / 3.0) + 160.0 * sin(pi_y / 12.0) + 320.0 * sin(pi_y / 30.0)
    lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * math.sqrt(abs(x)) + bend + lat * 2.0 / 3.0
    lng = wave + 20.0 * sin(pi_x) + 40.0 * sin(pi_x / 3.0) + 150.0 * sin(pi_x / 12.0) + 300.0 * sin(pi_x / 30.0)
    lng = 300.0 + x + 2.0 * y + 0.1 * x * x + bend + lng * 2.0 / 3.0
    radians = math.radians(point.lat)
    magic = 1 - _EE * sin(radians) ** 2
    lat = lat * 180.0 / ((_A * (1 - _EE)) / (magic * math.sqrt(magic)) * math.pi)
    lng = lng * 180.0 / (_A / math.sqrt(magic) * math.cos(radians) * math.pi)
    return part * lat, part * lng


def to_gcj02(wgs84: Point) -> Point:
    lat, lng = _offset(wgs84)
    return Point(wgs84.lat + lat, wgs84.lng + lng)


def shown_gcj02(wgs84: Point) -> tuple[float, float]:
    """Latitude and longitude in GCJ-02 as answers say them, with six decimals."""
    lat, lng = _offset(wgs84)
    return round((wgs84.lat + lat) * 1e6) / 1e6, round((wgs84.lng + lng) * 1e6) / 1e6


def from_gcj02(gcj02: Point) -> Point:
    """Fixed-point iteration: neighbours' offsets differ by a thousandth of their distance, a third of it at the rim of
    the box, so it converges in three steps, there in a dozen."""
    guess = gcj02
    for _ in range(_STEPS):
        lat, lng = _offset(guess)
        nearer = Point(gcj02.lat - lat, gcj02.lng - lng)
        close = abs(nearer.lat - guess.lat) < _CLOSE and abs(nearer.lng - guess.lng) < _CLOSE
        guess = nearer
        if close:
            break
    return guess


def to_bd09(gcj02: Point) -> Point:
    """Raises ValueError where Baidu's offset leaves the globe, within a hundredth of a degree of its rims."""
    z = math.hypot(gcj02.lng, gcj02.lat) + 0.00002 * math.sin(gcj02.lat * _X_PI)
    theta = math.atan2(gcj02.lat, gcj02.lng) + 0.000003 * math.cos(gcj02.lng * _X_PI)
    return Point(z * math.sin(theta) + 0.006, z * math.cos(theta) + 0.0065)


def _gcj02_of_bd09(bd09: Point) -> Point:
    guess = Point(bd09.lat - 0.006, bd09.lng - 0.0065)
    for _ in range(8):
        error = to_bd09(guess)
        guess = Point(guess.lat + bd09.lat - error.lat, guess.lng + bd09.lng - error.lng)
    return guess


def to_wgs84(point: Point, datum: str) -> Point:
    """A point given in a datum, as WGS-84. Raises ValueError for an unknown datum, and for a point that it does not
    have."""
    if datum == WGS84:
        return point
    if datum == GCJ02:
        return from_gcj02(point)
    if datum == BD09:
        return from_gcj02(_gcj02_of_bd09(point))
    raise ValueError(f"unknown datum {datum!r}")


def distance_m(a: Point, b: Point) -> float:
    """Great-circle metres between two WGS-84 points; right at the poles and across the antimeridian."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half_lat = math.sin((lat_b - lat_a) / 2) ** 2
    half_lng = math.sin(math.radians(b.lng - a.lng) / 2) ** 2
    chord = half_lat + math.cos(lat_a) * math.cos(lat_b) * half_lng
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))


def distances_from(origin: Point) -> Callable[[float, float], float]:
    """`distance_m` from one point to many, each given in degrees: the same to the last bit, in half the time."""
    lat_a, lng_a = math.radians(origin.lat), origin.lng
    cos_a, radians, sin, cos = math.cos(lat_a), math.radians, math.sin, math.cos

    def distance(lat: float, lng: float) -> float:
        lat_b = radians(lat)
        half_lat = sin((lat_b - lat_a) / 2) ** 2
        half_lng = sin(radians(lng - lng_a) / 2) ** 2
        chord = half_lat + cos_a * cos(lat_b) * half_lng
        return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))

    return distance
