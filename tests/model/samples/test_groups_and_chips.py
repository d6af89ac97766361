"""Groups of near polygons, and the windows that hold labelled pixels."""

from __future__ import annotations

import numpy as np
import pytest
import samples_scene
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.samples.chips import LARGEST, bounding_window, plan_chips, reading_order
from landloom.model.samples.groups import group_features
from landloom.model.samples.reference import Feature
from osgeo import ogr


def features(wkts, groups=None):
    result = []
    for fid, wkt in enumerate(wkts):
        geometry = ogr.CreateGeometryFromWkt(wkt)
        group = groups[fid] if groups else None
        result.append(Feature(fid, "a", bytes(geometry.ExportToWkb()), geometry.GetEnvelope(), group))
    return result


SQUARES = [samples_scene.square(*at, 3) for at in ((0, 0), (5, 0), (10, 0), (30, 0), (30, 3))]


def test_each_polygon_is_a_group():
    assert group_features(features(SQUARES), 0, Progress()).tolist() == [0, 1, 2, 3, 4]


def test_near_polygons_are_joined_through_each_other():
    # Gaps of 20 m between the first three; the last two touch.
    assert group_features(features(SQUARES), 20.1, Progress()).tolist() == [0, 0, 0, 1, 1]
    assert group_features(features(SQUARES), 20, Progress()).tolist() == [0, 1, 2, 3, 3]
    assert group_features(features(SQUARES), 1, Progress()).tolist() == [0, 1, 2, 3, 3]
    # In units of half a metre the gaps are 10 m.
    assert group_features(features(SQUARES), 10.1, Progress(), (0.5, 0.5)).tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(LandloomError, match="GROUP_DISTANCE"):
        group_features(features(SQUARES), -1, Progress())


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 50)), min_size=1, max_size=25), st.integers(1, 150))
def test_groups_equal_connected_components(corners, distance):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    from scipy.sparse.csgraph import connected_components

    wkts = [samples_scene.square(c, r, 2) for c, r in corners]
    c, r = np.array(corners).T * 10.0
    gap = np.hypot(np.maximum(np.abs(c[:, None] - c) - 20, 0), np.maximum(np.abs(r[:, None] - r) - 20, 0))
    _, expected = connected_components(scipy_sparse.csr_matrix(gap < distance))
    got = group_features(features(wkts), distance, Progress())
    pairs = np.unique(np.stack([expected, got], 1), axis=0)
    assert len(pairs) == len(np.unique(expected)) == len(np.unique(got))


def test_group_field():
    groups = group_features(features(SQUARES, ["x", None, "y", "x", None]), 500, Progress(), by_field=True)
    assert groups.tolist() == [0, 1, 2, 0, 3]


pixels = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 3)), min_size=1, max_size=80)


@given(pixels, st.integers(0, 3))
def test_every_sample_lies_in_its_chip(pixels, halo):
    rows, columns, groups = np.array(pixels).T
    windows, chip = plan_chips(rows, columns, groups, halo)
    left, top, width, height = windows[chip].T
    assert np.all((columns - halo >= left) & (columns + halo < left + width))
    assert np.all((rows - halo >= top) & (rows + halo < top + height))
    assert windows[:, 2:].max() <= LARGEST + 2 * halo
    for number in range(len(windows)):
        assert len(np.unique(groups[chip == number])) == 1
    # Never more than a patch for each pixel.
    patches = len(np.unique(np.array(pixels), axis=0)) * (2 * halo + 1) ** 2
    assert (windows[:, 2] * windows[:, 3]).sum() <= patches / 0.9**10


def test_a_compact_field_is_one_chip_and_scattered_pixels_are_many():
    rows, columns = (a.ravel() for a in np.mgrid[10:24, 30:44])
    windows, _ = plan_chips(rows, columns, np.zeros(len(rows), int), 2)
    assert windows.tolist() == [[28, 8, 18, 18]]
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 1000, (2, 200))
    windows, _ = plan_chips(rows, columns, np.zeros(200, int), 2)
    assert (windows[:, 2] * windows[:, 3]).sum() <= 200 * 25


def test_reading_order_visits_each_tile_once():
    rng = np.random.default_rng(0)
    windows = np.stack([*rng.integers(0, 1000, (2, 300)), *rng.integers(5, 20, (2, 300))], 1)
    order, tiles = reading_order(windows, 256, 128)
    assert sorted(order) == list(range(300))
    assert np.array_equal(np.concatenate(tiles), order)
    places = [set(zip(windows[t, 0] // 256, windows[t, 1] // 128, strict=True)) for t in tiles]
    assert all(len(place) == 1 for place in places)
    assert len(set.union(*places)) == len(tiles)
    window = bounding_window(windows[tiles[0]])
    assert window.width <= 256 + 20 and window.height <= 128 + 20
