"""Protects the share of pixels in polygons: against GEOS's intersections, GDAL's rasterising and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.objects.features_coverage import (
    cover_labels,
    cover_polygons,
    ring_areas,
    rings_of,
    shape_sums,
)
from osgeo import gdal, ogr

WIDTH, HEIGHT = 14, 11


def shape(wkt):
    return bytes(ogr.CreateGeometryFromWkt(wkt).ExportToIsoWkb(ogr.wkbNDR))


def dense(coverage, owner, width=WIDTH, height=HEIGHT):
    result = np.zeros(width * height)
    part = slice(coverage.start[owner], coverage.start[owner + 1])
    result[coverage.pixel[part]] = coverage.weight[part]
    return result.reshape(height, width)


def by_geos(geometry):
    """Areas of intersection, pixel by pixel."""
    result = np.zeros((HEIGHT, WIDTH))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            pixel = ogr.CreateGeometryFromWkt(
                f"POLYGON(({column} {row},{column + 1} {row},{column + 1} {row + 1},{column} {row + 1},{column} {row}))"
            )
            result[row, column] = geometry.Intersection(pixel).GetArea()
    return result


def star(random, x, y, radius, points=9):
    angles = np.sort(random.uniform(0, 2 * np.pi, points))
    radii = radius * random.uniform(0.3, 1.0, points)
    corners = [(x + r * math.cos(a), y + r * math.sin(a)) for a, r in zip(angles, radii, strict=True)]
    return "(" + ",".join(f"{px} {py}" for px, py in [*corners, corners[0]]) + ")"


@given(st.integers(0, 10_000))
def test_any_polygon_has_the_areas_that_geos_gives(seed):
    random = np.random.default_rng(seed)
    outer = star(random, *random.uniform(-1, 13, 2), random.uniform(0.3, 8))
    geometry = ogr.CreateGeometryFromWkt(f"POLYGON({outer})")
    if not geometry.IsValid():
        geometry = geometry.MakeValid()
        if geometry.GetGeometryName() not in ("POLYGON", "MULTIPOLYGON"):
            return
    hole = geometry.Buffer(-0.4, 2)
    if hole is not None and not hole.IsEmpty():
        geometry = geometry.Difference(hole)
    if geometry.GetGeometryName() not in ("POLYGON", "MULTIPOLYGON"):
        return
    other = ogr.CreateGeometryFromWkt("POLYGON((2 2,5 2,5 4.5,2 4.5,2 2))")
    shapes = [bytes(one.ExportToIsoWkb(ogr.wkbNDR)) for one in (other, geometry)]
    coverage = cover_polygons(rings_of(shapes), 2, WIDTH, HEIGHT)
    np.testing.assert_allclose(dense(coverage, 1), by_geos(geometry), atol=3e-6)
    np.testing.assert_allclose(dense(coverage, 0), by_geos(other), atol=1e-9)
    sums = shape_sums(rings_of(shapes), 2)
    np.testing.assert_allclose(sums["area"][1], geometry.GetArea(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sums["perimeter"][1], geometry.Boundary().Length(), rtol=1e-9)


@given(st.integers(0, 10_000))
def test_centres_are_gdals_pixels(seed):
    random = np.random.default_rng(seed)
    geometry = ogr.CreateGeometryFromWkt(f"POLYGON({star(random, *random.uniform(1, 11, 2), random.uniform(2, 8))})")
    if not geometry.IsValid():
        return
    raster = gdal.GetDriverByName("MEM").Create("", WIDTH, HEIGHT, 1, gdal.GDT_Byte)
    raster.SetGeoTransform((0, 1, 0, 0, 0, 1))
    source = ogr.GetDriverByName("Memory").CreateDataSource("m")
    layer = source.CreateLayer("m")
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometry(geometry)
    layer.CreateFeature(feature)
    gdal.RasterizeLayer(raster, [1], layer, burn_values=[1])
    expected = raster.ReadAsArray()
    coverage = cover_polygons(rings_of([bytes(geometry.ExportToIsoWkb(ogr.wkbNDR))]), 1, WIDTH, HEIGHT, partial=False)
    if expected.any():
        np.testing.assert_array_equal(dense(coverage, 0), expected)


def test_without_a_centre_a_polygon_is_weighed():
    small, normal = shape("POLYGON((2.6 2.6,2.9 2.6,2.9 2.9,2.6 2.9,2.6 2.6))"), shape("POLYGON((1 1,4 1,4 3,1 3,1 1))")
    coverage = cover_polygons(rings_of([small, normal]), 2, WIDTH, HEIGHT, partial=False)
    assert dense(coverage, 0)[2, 2] == pytest.approx(0.09) and dense(coverage, 0).sum() == pytest.approx(0.09)
    assert dense(coverage, 1).sum() == 6


def test_multipolygons_holes_and_orientation():
    wkt = "MULTIPOLYGON(((1 1,1 5,5 5,5 1,1 1),(2 2,4 2,4 4,2 4,2 2)),((7 7,9 7,9 8,7 8,7 7)))"
    rings = rings_of([shape(wkt)])
    assert len(rings.owner) == 3 and rings.hole.tolist() == [False, True, False]
    np.testing.assert_allclose(np.abs(ring_areas(rings)), [16, 4, 2])
    found = dense(cover_polygons(rings, 1, WIDTH, HEIGHT), 0)
    assert found.sum() == pytest.approx(14) and found[2, 2] == 0 and found[7, 8] == 1
    sums = shape_sums(rings_of([shape("POLYGON((100 0,106 0,106 2,100 2,100 0))")]), 1)
    assert sums["area"][0] == pytest.approx(12) and sums["perimeter"][0] == pytest.approx(16)
    assert sums["xx"][0] == pytest.approx(36 / 12) and sums["yy"][0] == pytest.approx(4 / 12)
    assert sums["xy"][0] == pytest.approx(0)


def test_labels_on_finer_points_are_shares():
    labels = np.full((4, 6), -1)
    labels[:3, :3] = 1
    labels[0, 5] = 0
    coverage = cover_labels(labels, 2, 3)
    assert coverage.start.tolist() == [0, 1, 5, 5]
    found = np.zeros(6)
    found[coverage.pixel[1:]] = coverage.weight[1:]
    np.testing.assert_allclose(found, [1, 0.5, 0, 0.5, 0.25, 0])
    assert coverage.pixel[0] == 2 and coverage.weight[0] == 0.25
    np.testing.assert_array_equal(cover_labels(labels, 1, 2).weight, np.ones(10))


def test_other_geometries_are_an_error():
    with pytest.raises(ValueError, match="not a polygon"):
        rings_of([shape("POINT(1 1)")])
