"""Protects the sets of pixels of objects: which pixels they are, whatever memory or company, and batches of them."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.base.vectorfile import write_table
from landloom.model.networks.registry import GEOMETRY
from landloom.model.objects.features_coverage import entries
from landloom.model.objects.features_segments import open_segments
from landloom.model.objects.pixelsets import SetPool, SetSource, draw, geometry_features, picked_tiles, read_sets
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from osgeo import ogr

UTM = spatial_reference("EPSG:32738").ExportToWkt()
SIDE = 40
CLASSES = Nomenclature((LandCoverClass(1, "a", "#112233"), LandCoverClass(2, "b", "#445566")))


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    """Values that tell sensor, date, band, row and column; a cloud in one date."""
    random = np.random.default_rng(0)
    place = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    values = np.stack([np.stack([place + 2000 * (2 * date + band) for band in range(2)]) for date in range(3)])
    mask = np.ones((3, SIDE, SIDE), bool)
    mask[1, 5:15, 5:30] = False
    radar = random.gamma(4, 0.05, (2, 2, SIDE, SIDE)).astype(np.float32)
    folder = tmp_path_factory.mktemp("pixels à lire")
    path = make_stack(
        folder,
        {
            "S2": {"values": values.astype(np.int32), "mask": mask, "bands": ["B4", "B8"],
                   "dates": ["2021-01-05", "2021-02-04", "2021-03-06"]},
            "S1_ASC": {"values": radar, "bands": ["VV", "VH"], "dates": ["2021-01-08", "2021-02-07"], "kind": "radar"},
        },
    )  # fmt: skip
    return Stack.read(path), values, mask, radar


def polygon(column, row, width, height):
    x, y = 500000 + column * 10, 8000000 - row * 10
    a, b = x + width * 10, y - height * 10
    return bytes(ogr.CreateGeometryFromWkt(f"POLYGON(({x} {y},{a} {y},{a} {b},{x} {b},{x} {y}))").ExportToWkb())


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    """Fields of 20, 1, 4 and 900 pixels, one smaller than a pixel, and one outside the images."""
    path = tmp_path_factory.mktemp("segments") / "s.gpkg"
    shapes = [(2, 3, 5, 4), (10, 10, 1, 1), (12.2, 20.3, 2, 2), (5, 5, 30, 30), (30.6, 2.6, 0.3, 0.3), (90, 0, 5, 5)]
    numbers = {"n": np.arange(len(shapes))}
    write_table(path, "s", UTM, ogr.wkbPolygon, [polygon(*one) for one in shapes], numbers, Progress())
    return open_segments(path, Progress())


def picked(stack, segments, **more):
    source = SetSource(stack[0], (), (), 64)
    found = list(picked_tiles(segments, source, np.arange(len(segments)), **more))
    source.close()
    return found


def sets_of(found):
    """Object -> the S2 values of its pixels, sorted."""
    result = {}
    for one in found:
        for place, own in enumerate(one.objects.tolist()):
            part = slice(one.start[place], one.start[place + 1])
            result[own] = sorted(one.values["S2"][part, 0, 0].tolist())
    return result


def test_a_pixel_belongs_where_its_centre_is(stack, segments):
    found = picked(stack, segments, most=2000)
    place = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    sets = sets_of(found)
    assert sets[0] == place[3:7, 2:7].ravel().tolist() and sets[1] == [place[10, 10]]
    assert sets[2] == place[20:22, 12:14].ravel().tolist() and len(sets[3]) == 900
    assert sets[4] == [place[2, 30]] and sets[5] == []  # without a centre: what it touches
    sizes = np.concatenate([one.pixels for one in found])[np.argsort(np.concatenate([one.objects for one in found]))]
    np.testing.assert_allclose(sizes, [20, 1, 4, 900, 0.09, 0], atol=1e-6)


def test_all_dates_bands_and_masks_come_along(stack, segments):
    _stack, values, mask, radar = stack
    for one in picked(stack, segments, most=2000):
        rows = one.values["S2"][:, 0, 0]
        row, column = rows // SIDE, rows % SIDE
        np.testing.assert_array_equal(one.masks["S2"], mask[:, row, column].T)
        expected = np.where(mask[:, None, row, column], values[:, :, row, column], 0).transpose(2, 0, 1)
        np.testing.assert_array_equal(one.values["S2"], expected)
        np.testing.assert_array_equal(one.values["S1_ASC"], radar[:, :, row, column].transpose(2, 0, 1))


def test_the_draw_depends_on_object_place_and_seed_alone(stack, segments, tmp_path):
    """Not on memory, so on tiles, nor on the other objects; of large objects as many as asked for, spread over them."""
    sets = sets_of(picked(stack, segments, most=16))
    assert len(sets[3]) == 16 and len(set(sets[3])) == 16 and len(sets[0]) == 16 and len(sets[2]) == 4
    rows = np.array(sets[3]) // SIDE
    assert rows.min() < 15 and rows.max() > 24
    few = picked(stack, segments, most=16, memory_mb=0.19)
    assert len(few) > 1 and sets_of(few) == sets
    assert sets_of(picked(stack, segments, most=16, seed=1))[3] != sets[3]
    source = SetSource(stack[0], (), (), 64)
    assert sets_of(picked_tiles(segments, source, np.array([3]), most=16))[3] == sets[3]


def test_a_large_object_is_read_on_a_lattice(stack, segments):
    [own] = [one for one in picked(stack, segments, most=16, memory_mb=0.05) if one.objects.tolist() == [3]]
    rows = own.values["S2"][:, 0, 0]
    assert len(rows) == 16 and own.pixels[0] == pytest.approx(900, rel=0.2)
    assert len(np.unique((rows // SIDE - 5) % 2)) == 1  # every second row or fewer
    assert ((rows // SIDE >= 5) & (rows // SIDE < 35) & (rows % SIDE >= 5) & (rows % SIDE < 35)).all()


def test_objects_that_lie_on_each_other_stay_within_memory(stack, tmp_path):
    """Together their sets take more than their window: they are read in parts, with the same pixels."""
    wkbs = [polygon(5 + k % 3, 5, 25, 25) for k in range(30)]
    write_table(tmp_path / "s.gpkg", "s", UTM, ogr.wkbPolygon, wkbs, {"n": np.arange(30)}, Progress())
    overlapping = open_segments(tmp_path / "s.gpkg", Progress())
    whole, parts = picked(stack, overlapping), picked(stack, overlapping, memory_mb=0.19)
    assert len(whole) == 1 and len(parts) > 1 and sets_of(parts) == sets_of(whole)
    assert sorted(np.concatenate([one.objects for one in parts]).tolist()) == list(range(30))


def test_draws_are_even():
    """Every pixel of an object is as likely: over many objects the hash has no favourite place."""
    objects = 2000
    coverage = entries(
        np.repeat(np.arange(objects), 25), np.tile(np.arange(25), objects), np.ones(25 * objects), objects
    )
    found = draw(coverage, Window(0, 0, 5, 5), 1, np.arange(objects), 5, 3)
    assert (np.diff(found.start) == 5).all()
    count = np.bincount(found.pixel, minlength=25)
    assert abs(count - 400).max() < 5 * np.sqrt(400 * 0.8)


def test_labels_finer_than_pixels_have_what_they_touch(stack, tmp_path):
    labels = np.zeros((4 * SIDE, 4 * SIDE), np.int32)
    labels[:8, :8] = 7  # 2 x 2 pixels
    labels[40, 40] = 9  # a corner of pixel 10, 10: no centre
    path = write_raster(tmp_path / "labels.tif", labels, (500000.0, 2.5, 0.0, 8000000.0, 0.0, -2.5), UTM, 0)
    sets = sets_of(picked(stack, open_segments(path, Progress())))
    assert sets == {0: [0, 1, SIDE, SIDE + 1], 1: [10 * SIDE + 10]}


def test_batches_hold_a_row_of_pixels_each_and_mask_the_rest(stack, segments):
    objects = np.array([0, 1, 2, 4])
    source = SetSource(stack[0], (), (), 64)
    labels, groups = np.array([0, 1, 0, 1]), np.array([5, 6, 7, 8])
    store, pixels = read_sets(segments, source, objects, labels, groups, CLASSES, True, 16, 0, 0.2, Progress())
    assert store.side == 16 and pixels == pytest.approx([20, 1, 4, 0.09]) and store.season[0] == "01-01"
    batch = store.batch([2, 0])
    assert batch["S2"].values.shape == (2, 3, 2, 1, 16) and batch["S2"].mask.shape == (2, 3, 1, 16)
    assert batch["S2"].mask[0, 0, 0].sum() == 4 and (batch["S2"].values[0][..., 4:] == 0).all()
    place = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    assert set(batch["S2"].values[0, 0, 0, 0, :4]) == set(place[20:22, 12:14].ravel())
    shape = batch[GEOMETRY].values[0, 0, :, 0, 0]
    np.testing.assert_allclose(shape, geometry_features(np.array([[0.04, 80, np.pi / 4, 1]]))[0], rtol=1e-5)
    pool = SetPool([store])
    assert pool.labels.tolist() == [0, 1, 0, 1]
    assert [len(one) for one in pool.batches(np.arange(4), 32)] == [2, 2]  # 32 pixels are two sets
    with pytest.raises(ValueError, match="no context"):
        store.batch([0], halo=1)


def test_bad_sensors_and_cancelling(stack, segments):
    with pytest.raises(LandloomError, match="S3"):
        SetSource(stack[0], ["S3"], (), 64)
    with pytest.raises(LandloomError, match="MAGIC"):
        SetSource(stack[0], (), ("MAGIC",), 64)

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        picked(stack, segments, progress=Stopped())
