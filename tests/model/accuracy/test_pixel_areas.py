"""Protects hectares: pixels in degrees are pieces of the ellipsoid, and stretched projections are measured."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.accuracy.pixelareas import PixelAreas
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import spatial_reference
from landloom.model.stack.grid import Grid
from osgeo import ogr, osr


def grid(epsg, transform, width, height):
    return Grid(spatial_reference(f"EPSG:{epsg}").ExportToWkt(), transform, width, height)


def equal_area(epsg, transform, row, column):
    """Hectares of a pixel by its outline, made dense and brought to an equal-area projection."""
    x0, dx, _, y0, _, dy = transform
    left, right, top, bottom = x0 + column * dx, x0 + (column + 1) * dx, y0 + row * dy, y0 + (row + 1) * dy
    ring = ogr.CreateGeometryFromWkt(
        f"POLYGON (({left} {top}, {right} {top}, {right} {bottom}, {left} {bottom}, {left} {top}))"
    )
    ring.Segmentize(abs(dx) / 100)
    ring.Transform(osr.CoordinateTransformation(spatial_reference(f"EPSG:{epsg}"), spatial_reference("EPSG:6933")))
    return ring.GetArea() / 10_000


def test_the_whole_earth():
    """510,065,622 km2 (WGS 84, the figure in textbooks of geodesy)."""
    areas = PixelAreas(grid(4326, (-180.0, 1.0, 0.0, 90.0, 0.0, -1.0), 360, 180))
    assert areas.kind == "ellipsoid" and areas.constant is None
    total = np.broadcast_to(areas.window(0, 0, 180, 360), (180, 360)).sum() / 100
    assert total == pytest.approx(510_065_622, rel=1e-8)


@pytest.mark.parametrize("row", [0, 300, 599])
def test_degrees_against_an_equal_area_projection(row):
    transform = (45.0, 0.01, 0.0, -14.0, 0.0, -0.01)
    areas = PixelAreas(grid(4326, transform, 200, 600))
    assert areas.of(np.array(row), np.array(7)) == pytest.approx(equal_area(4326, transform, row, 7), rel=1e-7)


def test_metres_are_width_times_height():
    areas = PixelAreas(grid(32738, (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), 1000, 1000))
    assert areas.kind == "projected" and areas.constant == 0.01
    assert areas.stretch < 0.001
    np.testing.assert_array_equal(areas.of(np.array([0, 5]), np.array([1, 2])), 0.01)


def test_feet_are_feet():
    """California zone 3 in US survey feet."""
    areas = PixelAreas(grid(2227, (6_000_000.0, 100.0, 0.0, 2_100_000.0, 0.0, -100.0), 50, 50))
    assert areas.constant == pytest.approx((100 * 1200 / 3937) ** 2 / 10_000)


def test_web_mercator_is_measured_on_the_ground():
    """At 45 degrees it shows areas twice as large as they are."""
    transform = (300_000.0, 10.0, 0.0, 5_700_000.0, 0.0, -10.0)
    areas = PixelAreas(grid(3857, transform, 4000, 3000))
    assert areas.kind == "stretched" and areas.stretch > 0.4
    for row, column in ((0, 0), (1499, 2000), (2999, 3999)):
        found = areas.of(np.array([row]), np.array([column]))[0]
        assert found == pytest.approx(equal_area(3857, transform, row, column), rel=1e-5)
        assert found == areas.window(row, column, 1, 1)[0, 0]


def test_refuses_a_map_beyond_the_pole():
    with pytest.raises(LandloomError, match="beyond a pole"):
        PixelAreas(grid(4326, (0.0, 1.0, 0.0, 200.0, 0.0, -1.0), 10, 10))
