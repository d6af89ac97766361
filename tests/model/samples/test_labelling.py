"""Which pixels belong to which polygon: against GDAL's rasteriser, by hand, and the limits."""

from __future__ import annotations

import numpy as np
import pytest
import samples_scene
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.samples import coverage, labelling
from landloom.model.samples.coverage import pixel_shares
from landloom.model.samples.labelling import label_pixels, limit, lowest_keys, pixel_keys
from landloom.model.samples.reference import Feature
from landloom.model.stack.grid import Grid
from osgeo import gdal, ogr

GRID = Grid("", (*samples_scene.ORIGIN[:1], 10.0, 0.0, samples_scene.ORIGIN[1], 0.0, -10.0), 60, 50)


def feature(wkt, fid=1, value="a"):
    geometry = ogr.CreateGeometryFromWkt(wkt)
    return Feature(fid, value, bytes(geometry.ExportToWkb()), geometry.GetEnvelope())


def label(wkts, classes, grid=GRID, **options):
    features = [feature(wkt, number) for number, wkt in enumerate(wkts)]
    return label_pixels(features, np.array(classes), grid, Progress(), **options)


def shares(wkt, grid=GRID):
    result = np.zeros((grid.height, grid.width))
    for rows, columns, share in pixel_shares(ogr.CreateGeometryFromWkt(wkt), grid.transform, grid.width, grid.height):
        result[rows, columns] = share
    return result


def burnt_by_gdal(wkt, grid=GRID):
    """Shares from GDAL's own rasteriser on the four times finer grid."""
    driver = ogr.GetDriverByName("Memory") or ogr.GetDriverByName("MEM")
    source = driver.CreateDataSource("x")
    layer = source.CreateLayer("x")
    one = ogr.Feature(layer.GetLayerDefn())
    one.SetGeometry(ogr.CreateGeometryFromWkt(wkt))
    layer.CreateFeature(one)
    fine = gdal.GetDriverByName("MEM").Create("", grid.width * 4, grid.height * 4)
    x, dx, _, y, _, dy = grid.transform
    fine.SetGeoTransform((x, dx / 4, 0, y, 0, dy / 4))
    gdal.RasterizeLayer(fine, [1], layer, burn_values=[1])
    return fine.ReadAsArray().reshape(grid.height, 4, grid.width, 4).mean(axis=(1, 3))


coordinate = st.tuples(st.floats(-50, 650), st.floats(-550, 50))


@given(st.lists(coordinate, min_size=3, max_size=8, unique=True))
def test_shares_equal_gdals(points):
    centre = np.mean(points, axis=0)
    points.sort(key=lambda p: np.arctan2(p[1] - centre[1], p[0] - centre[0]))
    # Irregular offsets keep vertices and edges off the centres of fine cells, where a side is a matter of convention.
    ring = [(x + samples_scene.ORIGIN[0] + 0.0137, y + samples_scene.ORIGIN[1] + 0.0211) for x, y in points]
    wkt = f"POLYGON(({', '.join(f'{x:.6f} {y:.6f}' for x, y in [*ring, ring[0]])}))"
    if ogr.CreateGeometryFromWkt(wkt).GetArea() < 1:
        return
    difference = np.abs(shares(wkt) - burnt_by_gdal(wkt))
    assert difference.max() <= 1 / 16 and (difference > 0).sum() <= 2


def test_a_hole_is_outside():
    outer, inner = samples_scene.square(5, 5, 10), samples_scene.square(8, 8, 2.5)
    result = shares(f"{outer[:-1]}, {inner[len('POLYGON(') :]}")
    assert result.sum() == 100 - 6.25
    assert result[8, 8] == 0 and result[10, 10] == 0.75 and result[5, 5] == 1


def test_large_polygons_come_in_pieces(monkeypatch):
    wkt = samples_scene.square(3, 4, 40, 41)
    whole = shares(wkt)
    monkeypatch.setattr(coverage, "MOST_CELLS", 5000)
    pieces = list(pixel_shares(ogr.CreateGeometryFromWkt(wkt), GRID.transform, GRID.width, GRID.height))
    assert len(pieces) > 4
    assert np.array_equal(shares(wkt), whole)


def test_min_share():
    wkt = samples_scene.square(5.25, 5, 3)  # covers 75 % of column 5, 25 % of column 8
    assert sorted(set(label([wkt], [0], min_share=0.5).columns)) == [5, 6, 7]
    assert sorted(set(label([wkt], [0], min_share=0.25).columns)) == [5, 6, 7, 8]
    assert sorted(set(label([wkt], [0], min_share=0.8).columns)) == [6, 7]
    with pytest.raises(LandloomError, match="MIN_SHARE"):
        label([wkt], [0], min_share=1.5)


def test_a_tiny_polygon_keeps_the_pixel_it_covers_most():
    result = label([samples_scene.square(10.6, 20.6, 0.5, 0.3), samples_scene.square(30.51, 30.51, 0.02)], [0, 1])
    assert list(zip(result.rows, result.columns, strict=True)) == [(20, 10), (30, 30)]
    assert result.thin == 2 and not result.lost


def test_inner_buffer():
    result = label([samples_scene.square(10, 10, 6), samples_scene.square(30, 30, 2)], [0, 1], inner_buffer=10.0)
    first = result.owner == 0
    assert sorted(set(result.rows[first])) == [11, 12, 13, 14] and first.sum() == 16
    assert (result.owner == 1).sum() == 1 and result.shrunk == 1


def test_overlaps_of_two_classes_are_left_out():
    wkts = [samples_scene.square(10, 10, 10), samples_scene.square(15, 10, 10), samples_scene.square(22, 10, 10)]
    result = label(wkts, [0, 1, 1])
    assert result.disputed == 50 and result.overlapping == 2
    assert not np.any((result.columns >= 15) & (result.columns < 20))
    # The last two share 30 pixels of one class, which the first of them keeps.
    assert result.pixels.tolist() == [50, 50, 70]
    assert len(result.rows) == 170


def test_a_polygon_within_another_class_is_lost():
    result = label([samples_scene.square(10, 10, 10), samples_scene.square(12, 12, 3)], [0, 1])
    assert result.lost == [1] and result.disputed == 9 and result.pixels.tolist() == [91, 0]


def test_points_take_their_pixel():
    x, y = samples_scene.ORIGIN
    wkts = [f"POINT({x + 105} {y - 201})", f"MULTIPOINT({x + 1} {y - 1},{x + 11} {y - 1})", f"POINT({x - 1} {y - 5})"]
    result = label(wkts, [0, 1, 1])
    assert list(zip(result.rows, result.columns, result.owner, strict=True)) == [(0, 0, 1), (0, 1, 1), (20, 10, 0)]
    assert result.lost == [2]


def test_tiles_give_the_same_pixels(monkeypatch):
    wkts = [samples_scene.square(c + 0.3, r + 0.2, 12.5, 9) for r in (0, 7, 20, 33) for c in (0, 10, 30, 45)]
    classes = [i % 3 for i in range(len(wkts))]
    whole = label(wkts, classes)
    monkeypatch.setattr(labelling, "TILE", 8)
    tiled = label(wkts, classes)
    for name in ("rows", "columns", "owner", "pixels", "disputed", "overlapping"):
        assert np.array_equal(getattr(whole, name), getattr(tiled, name)), name
    assert whole.disputed > 0
    few = label(wkts, classes, max_per_feature=7, seed=5)
    assert np.bincount(few.owner).max() == 7
    assert set(zip(few.rows, few.columns, strict=True)) <= set(zip(whole.rows, whole.columns, strict=True))


@given(st.integers(0, 50), st.integers(1, 20), st.integers(0, 3))
def test_lowest_keys(n, cap, seed):
    rng = np.random.default_rng(seed)
    owner, keys = rng.integers(0, 4, n), pixel_keys(np.arange(n), seed)
    chosen = lowest_keys(owner, keys, cap)
    for one in range(4):
        own = np.flatnonzero(owner == one)
        assert set(np.flatnonzero(chosen & (owner == one))) == set(own[np.argsort(keys[own])[:cap]])


def test_limits_take_from_large_groups_first():
    labels = np.repeat([0, 0, 0, 1], [300, 10, 5, 40])
    groups = np.repeat([7, 8, 9, 9], [300, 10, 5, 40])
    keys = pixel_keys(np.arange(len(labels)), 0)
    keep = limit(labels, groups, keys, 50, 30)
    assert [int((keep & (groups == g) & (labels == 0)).sum()) for g in (7, 8, 9)] == [15, 10, 5]
    assert int((keep & (labels == 1)).sum()) == 30
    assert limit(labels, groups, keys, 0, 0).all()
    assert int(limit(labels, groups, keys, 50, 0)[groups == 7].sum()) == 50


def test_cancel():
    from landloom.model.base.errors import Cancelled

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        label_pixels([feature(samples_scene.square(1, 1, 5))], np.array([0]), GRID, Stopped())
