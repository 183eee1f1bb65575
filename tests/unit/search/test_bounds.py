"""The bounds that the engine is exact by, tried to be broken: the plane, the cells of a circle, and scores."""

from __future__ import annotations

import math
from random import Random

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.kernel.geo import Point, distance_m, distances_from
from chalicelib.search import leading, ranking, reach
from chalicelib.search.grid import HALF_TURN, MICRO, Circle, Grid, turned, unturned
from tests.builders import search as build
from tests.unit.search import rule

POINTS = 300
latitudes = st.one_of(st.floats(-80, 80), st.sampled_from((-80.0, 0.0, 80.0)))
longitudes = st.one_of(st.floats(-180, 180), st.sampled_from((-180.0, 180.0, 0.0)))
radii = st.one_of(st.floats(1, 50_000), st.sampled_from((1.0, 150.0, 3_000.0, 50_000.0)))
seeds = st.integers(0, 2**32)


def around(draw: Random, origin: Point, radius_m: float) -> list[tuple[int, int]]:
    """Places within about the radius, many of them at its edge, some due north, south, east or west."""
    found = []
    for _ in range(POINTS):
        far = radius_m * draw.choice((draw.random(), draw.uniform(0.999, 1.001), draw.uniform(0.9, 1.2)))
        turn = draw.choice((draw.uniform(0, math.tau), draw.randrange(4) * math.pi / 2))
        angle = far / 6_371_008.8
        here = math.radians(origin.lat)
        there = math.asin(math.sin(here) * math.cos(angle) + math.cos(here) * math.sin(angle) * math.cos(turn))
        east = math.atan2(
            math.sin(turn) * math.sin(angle) * math.cos(here), math.cos(angle) - math.sin(here) * math.sin(there)
        )
        lng = (round((origin.lng + math.degrees(east)) * MICRO) + HALF_TURN) % (2 * HALF_TURN) - HALF_TURN
        found.append((round(math.degrees(there) * MICRO), lng))
    return found


@settings(max_examples=150, deadline=None)
@given(latitudes, longitudes, radii, st.integers(-60_000_000, 60_000_000), seeds)
@example(80.0, 180.0, 50_000.0, 0, 1)
@example(-80.0, -180.0, 50_000.0, 0, 2)
@example(0.0, 0.0, 1.0, 0, 3)
def test_the_plane_errs_by_no_more_than_its_bound(
    lat: float, lng: float, radius_m: float, off_centre: int, seed: int
) -> None:
    """For every place that is in the circle by the plane or by the sphere; the rest is outside by both."""
    origin = Point(lat, lng)
    centre_lng = turned(round(lng * MICRO), off_centre)
    grid = Grid(centre_lng, 0, 0, 1, 1, 1, 1)
    circle = grid.circle(origin, radius_m)
    assert circle.planar
    places = around(build.chance(seed), origin, radius_m)
    lats = np.array([place[0] for place in places], np.int32)
    lngs = np.array([turned(place[1], centre_lng) for place in places], np.int32)
    planar = reach.in_plane(lats, lngs, circle).astype(np.float64)
    sphere = np.array([rule.metres(origin, Point(one / MICRO, two / MICRO)) for one, two in places])
    within = (planar <= radius_m) | (sphere <= radius_m)
    assert within.any()
    assert np.abs(planar - sphere)[within].max() <= circle.error_m
    # So small that it decides nearly all.
    assert circle.error_m <= 0.2 + radius_m * 0.001 / max(math.cos(math.radians(lat)), 0.1) ** 2


@settings(max_examples=150, deadline=None)
@given(st.floats(-90, 90), longitudes, radii, seeds)
@example(89.9, 10.0, 50_000.0, 1)
def test_every_place_in_a_circle_is_in_its_cells_and_all_of_its_inner_cells_are_in_it(
    lat: float, lng: float, radius_m: float, seed: int
) -> None:
    """Also near a pole, across the antimeridian, and for circles that leave the city's box."""
    draw = build.chance(seed)
    origin = Point(lat, lng)
    here = round(lat * MICRO), round(lng * MICRO)
    size = int(draw.choice((5_000, 200_000, 1_000_000)))
    middle = draw.randrange(-size, size + 1)
    box = (here[0] - draw.randrange(size), middle - size, here[0] + draw.randrange(size), middle + size)
    grid = Grid.of(here, box)
    circle = grid.circle(origin, radius_m)
    begin, inner, inner_end, end = reach.cells(grid, circle, inner=True)
    assert (np.diff([begin, inner, inner_end, end], axis=0) >= 0).all()
    low, high = reach.cells(grid, circle, inner=False)
    assert ((low <= begin) & (end <= high)).all()
    for place in around(draw, origin, radius_m):
        cell = grid.cell(*place)
        metres = rule.metres(origin, Point(place[0] / MICRO, place[1] / MICRO))
        if metres <= radius_m:
            assert ((begin <= cell) & (cell < end)).any()
        if ((inner <= cell) & (cell < inner_end)).any():
            assert metres <= radius_m
    whole = [cell for low, high in zip(inner.tolist(), inner_end.tolist(), strict=True) for cell in range(low, high)]
    for cell in draw.sample(whole, min(len(whole), 9)):
        row, column = divmod(cell, grid.columns)
        for up, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            south = grid.south + row * grid.cell_lat + up * (grid.cell_lat - 1)
            west = grid.west + column * grid.cell_lng + right * (grid.cell_lng - 1)
            corner = Point(south / MICRO, unturned(west, grid.centre_lng) / MICRO)
            assert rule.metres(origin, corner) <= radius_m


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 50_000), st.floats(-1, 1), st.floats(0, 60), st.integers(0, 70_000))
@example(0.0, -1.0, 0.1, 70_000)
def test_a_score_errs_by_no_more_than_its_bound(metres: float, wrong: float, error_m: float, merit: int) -> None:
    """By distances that are wrong by as much as they may be."""
    taken = np.array([max(metres + wrong * error_m, 0)], np.float32)
    exact = -(merit + ranking.WEIGHTS.near * ranking.near(metres))
    found = leading.scores(np.array([merit], np.float32), taken)
    assert abs(float(found[0]) - exact) <= leading.slack_of(error_m)


@settings(max_examples=200, deadline=None)
@given(st.floats(-90, 90), longitudes, st.floats(-90, 90), longitudes)
def test_distances_from_a_point_are_distances_to_the_last_bit(a: float, b: float, c: float, d: float) -> None:
    """The engine's way and the contract's are one."""
    assert distances_from(Point(a, b))(c, d) == distance_m(Point(a, b), Point(c, d))


def test_a_circle_near_a_pole_is_not_asked_of_the_plane() -> None:
    """Nor one that reaches around to the other side of the city's half turn."""
    assert not Circle(89.9 * MICRO, 0, 50_000).planar
    assert not Circle(0, 179.9 * MICRO, 50_000).planar
    assert Circle(80 * MICRO, 0, 50_000).planar
