"""Datums against published points, round trips everywhere, and distances where the globe is awkward."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.kernel import geo
from chalicelib.kernel.geo import DATUMS, Point, distance_m

# (WGS-84, GCJ-02, BD-09) of places from Shanghai to the corners of China, as longitude and latitude:
# github.com/hujiulong/gcoord, test/fixtures/china-cities.json at fa43556.
CITIES = {
    "Shanghai": ((121.4691633, 31.2323443), (121.4737061, 31.2304194), (121.4802435, 31.2363541)),
    "Beijing": ((116.4011517, 39.9028057), (116.4074002, 39.9042136), (116.4137852, 39.9105355)),
    "Guangzhou": ((113.2590543, 23.131788), (113.2643859, 23.1291146), (113.2708188, 23.135343)),
    "Sansha": ((112.3337959, 16.8334801), (112.3387036, 16.8318454), (112.3451951, 16.8380363)),
    "Sanya": ((109.507813, 18.2545417), (109.5119135, 18.2528524), (109.5184703, 18.2585878)),
    "Lhasa": ((91.1706414, 29.655277), (91.1721167, 29.6524954), (91.1786184, 29.6585294)),
    "Urumqi": ((87.6140048, 43.824388), (87.6168579, 43.8255962), (87.6232918, 43.8317719)),
    "Kashgar": ((75.9868089, 39.470184), (75.9897602, 39.4704064), (75.9962502, 39.4764048)),
    "Da Hinggan Ling": ((124.7038236, 52.3338635), (124.7115324, 52.3352664), (124.7180582, 52.3412419)),
    "Jiamusi": ((130.3111063, 46.7975722), (130.3188843, 46.7997822), (130.3252439, 46.8061724)),
}

# (WGS-84, GCJ-02) as latitude and longitude: github.com/googollee/eviltransform, go/transform_test.go at 03ba58d.
EXACT = (
    ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
    ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
    ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
)

BOX = ((0.8293, 55.8271), (72.004, 137.8347))

RIMS = [
    Point(lat + step * dlat, lng + step * dlng)
    for step in (-0.06, -0.05, -0.01, -1e-4, -1e-9, 0.0, 1e-9, 1e-4, 0.01, 0.05, 0.06)
    for lat, lng, dlat, dlng in (
        *((lat, lng, 1, 0) for lat in BOX[0] for lng in (72.01, 90.3, 104.9, 121.5, 131.16, 137.83)),
        *((lat, lng, 0, 1) for lng in BOX[1] for lat in (0.83, 12.2, 31.2, 47.5, 55.82)),
    )
]


def points(lat: float = 90.0, lng: float = 180.0) -> st.SearchStrategy[Point]:
    return st.builds(Point, st.floats(-lat, lat), st.floats(-lng, lng))


@pytest.mark.parametrize("name", CITIES)
def test_published_places_agree_to_a_metre(name: str) -> None:
    """In each direction, and from Baidu's datum straight to WGS-84."""
    wgs84, gcj02, bd09 = (Point(lat, lng) for lng, lat in CITIES[name])
    assert distance_m(geo.to_gcj02(wgs84), gcj02) < 1
    assert distance_m(geo.from_gcj02(gcj02), wgs84) < 1
    assert distance_m(geo.to_bd09(gcj02), bd09) < 0.02
    assert distance_m(geo.to_wgs84(bd09, geo.BD09), wgs84) < 1


@pytest.mark.parametrize(("wgs84", "gcj02"), EXACT)
def test_the_formula_is_the_published_one_to_the_last_digit(
    wgs84: tuple[float, float], gcj02: tuple[float, float]
) -> None:
    assert distance_m(geo.to_gcj02(Point(*wgs84)), Point(*gcj02)) < 1e-6


@given(points())
@example(Point(90.0, 0.0))
@example(Point(-90.0, 180.0))
@example(Point(0.0, 180.0))
@example(Point(0.0, -180.0))
def test_there_and_back_ends_where_it_began(point: Point) -> None:
    """Anywhere on the globe; in fact to a millimetre."""
    assert distance_m(geo.from_gcj02(geo.to_gcj02(point)), point) < 0.001


@given(st.builds(Point, st.floats(*BOX[0]), st.floats(*BOX[1])))
def test_there_and_back_inside_the_box_too(point: Point) -> None:
    """Through both of China's datums."""
    gcj02 = geo.to_gcj02(point)
    assert distance_m(geo.from_gcj02(gcj02), point) < 0.001
    assert distance_m(geo.to_wgs84(geo.to_bd09(gcj02), geo.BD09), point) < 0.001


@pytest.mark.parametrize("rim", RIMS, ids=lambda rim: f"{rim.lat:.9f},{rim.lng:.9f}")
def test_there_and_back_over_the_rim_of_the_box(rim: Point) -> None:
    """Where the published formulas jump by hundreds of metres; and neighbours stay neighbours."""
    assert distance_m(geo.from_gcj02(geo.to_gcj02(rim)), rim) < 0.001
    beside = Point(rim.lat + 1e-7, rim.lng + 1e-7)
    assert distance_m(geo.to_gcj02(rim), geo.to_gcj02(beside)) < 0.05


@given(points(lat=89.9, lng=179.9))
@example(Point(0.0, 0.0))
@example(Point(0.006, 0.0065))
@example(Point(-1e-12, -179.9))
def test_baidus_datum_has_its_inverse_everywhere(gcj02: Point) -> None:
    back = geo._gcj02_of_bd09(geo.to_bd09(gcj02))
    assert distance_m(back, gcj02) < 0.001


@pytest.mark.parametrize("point", [Point(90, 0), Point(-90, 0), Point(0, 180), Point(0, -180)], ids=str)
@pytest.mark.parametrize("datum", DATUMS)
def test_a_pole_and_the_date_line_are_places_or_refused(point: Point, datum: str) -> None:
    """A ValueError at the most, never a wrong place: Baidu's datum ends a hundredth of a degree before the globe."""
    try:
        found = geo.to_wgs84(point, datum)
    except ValueError:
        assert datum == geo.BD09
    else:
        assert distance_m(found, point) < 1_000


@given(points())
def test_answers_say_a_place_to_the_nearest_sixth_decimal(place: Point) -> None:
    said, meant = geo.shown_gcj02(place), geo.to_gcj02(place)
    for degrees, exact in zip(said, (meant.lat, meant.lng), strict=True):
        assert degrees == float(f"{degrees:.6f}")
        assert abs(degrees - exact) <= 0.500_001e-6


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_place(wrong: float) -> None:
    for lat, lng in ((wrong, 0.0), (0.0, wrong), (wrong, wrong)):
        with pytest.raises(ValueError, match="finite"):
            Point(lat, lng)


@pytest.mark.parametrize(("lat", "lng"), [(90.0001, 0), (-91, 0), (0, 180.0001), (0, -400)])
def test_a_place_off_the_globe_is_none(lat: float, lng: float) -> None:
    with pytest.raises(ValueError, match="range"):
        Point(lat, lng)


def test_an_unknown_datum_is_refused() -> None:
    with pytest.raises(ValueError, match="mars"):
        geo.to_wgs84(Point(31.2, 121.5), "mars")


def test_distances_hold_at_the_poles_and_over_the_date_line() -> None:
    """A degree of the mean sphere is 111.195 km wherever one walks along a great circle."""
    degree = math.pi / 180 * geo.EARTH_RADIUS_M
    assert distance_m(Point(90, 0), Point(90, 137)) < 1e-6
    assert math.isclose(distance_m(Point(89.5, 10), Point(89.5, -170)), degree, rel_tol=1e-9)
    assert distance_m(Point(12, 180), Point(12, -180)) < 1e-6
    assert math.isclose(distance_m(Point(0, 179.5), Point(0, -179.5)), degree, rel_tol=1e-9)
    assert math.isclose(distance_m(Point(0, 0), Point(0, 180)), math.pi * geo.EARTH_RADIUS_M, rel_tol=1e-12)


@given(points(), points(), points())
def test_distance_is_a_metric(a: Point, b: Point, c: Point) -> None:
    assert distance_m(a, b) == distance_m(b, a)
    assert distance_m(a, a) == 0
    assert distance_m(a, c) <= distance_m(a, b) + distance_m(b, c) + 0.1
