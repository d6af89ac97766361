"""Protects the scoring of maps made elsewhere: read at the samples, matched by name or code, on the same groups."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.accuracy.compare import compare
from landloom.model.accuracy.comparemaps import match_classes, read_maps
from landloom.model.accuracy.comparesettings import CompareSettings
from landloom.model.accuracy.comparetables import map_gains, to_json
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference
from landloom.model.training.pool import SamplePool
from osgeo import gdal

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import training_samples

WEST, NORTH = 500000.0, 8e6
CHIPS = 24


class Warnings(Progress):
    def __init__(self):
        self.lines: list[str] = []

    def warning(self, message):
        self.lines.append(message)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from landloom.model.samples.store import SampleStore

    return SampleStore.open(training_samples.write_folder(tmp_path_factory.mktemp("maps") / "samples"))


def true_map() -> np.ndarray:
    """Codes of the chips of ``write_folder``: chip after chip from west to east, 7 pixels each."""
    side = training_samples.SIDE
    return np.kron(1 + np.arange(CHIPS) % 3, np.ones((side, side))).astype(np.uint8).reshape(side, side * CHIPS)


def write_map(path, values, names=(), epsg=32736, nodata=0, west=WEST - 5, north=NORTH + 5):
    """The samples' x and y are the middles of pixels of 10 m."""
    driver = gdal.GetDriverByName("GTiff").Create(str(path), values.shape[1], values.shape[0], 1, gdal.GDT_Byte)
    driver.SetGeoTransform((west, 10, 0, north, 0, -10))
    driver.SetProjection(spatial_reference(f"EPSG:{epsg}").ExportToWkt())
    band = driver.GetRasterBand(1)
    if nodata is not None:
        band.SetNoDataValue(nodata)
    if names:
        band.SetCategoryNames(list(names))
    band.WriteArray(values)
    driver = band = None
    return path


def read(path, store, progress=None):
    return read_maps([path], SamplePool([store]), progress or Progress())[0]


def test_a_perfect_map_is_read_as_the_truth(store, tmp_path):
    found = read(write_map(tmp_path / "Classif_Seed_0.tif", true_map()), store)
    np.testing.assert_array_equal(found.predicted, store.labels)
    assert found.key == "Classif_Seed_0.tif" and found.missing == 0 and not found.unknown
    assert {value: how for value, (_, how) in found.matched.items()} == dict.fromkeys((1, 2, 3), "code")


def test_names_of_the_map_come_before_codes(store, tmp_path):
    """The same classes under other codes: the samples' 1 mil, 2 forêt, 3 eau."""
    codes = np.array([0, 3, 1, 2], np.uint8)[true_map()]
    found = read(write_map(tmp_path / "a.tif", codes, ["", "Forêt", "eau", "MIL"]), store)
    np.testing.assert_array_equal(found.predicted, store.labels)
    assert found.matched[3] == (0, "name")


def test_a_map_in_another_crs(store, tmp_path):
    plain = write_map(tmp_path / "a.tif", true_map())
    warped = gdal.Warp(
        str(tmp_path / "b.tif"), str(plain), dstSRS="EPSG:4326", resampleAlg="near", xRes=2e-5, yRes=2e-5
    )
    assert warped is not None
    del warped  # written whole when it is closed
    found = read(tmp_path / "b.tif", store)
    assert np.mean(found.predicted == store.labels) > 0.99


def test_samples_without_data_are_left_out_and_other_codes_are_wrong(store, tmp_path):
    values = true_map()
    values[:, : 7 * 4] = 0
    values[:, 7 * 20 :] = 77
    told = Warnings()
    found = read(write_map(tmp_path / "a.tif", values), store, told)
    assert found.missing == 4 * 9 and found.unknown == {77: 4 * 9}
    assert (found.predicted == -1).sum() == 36 and (found.predicted == 3).sum() == 36
    assert any("77" in line and "wrong" in line for line in told.lines)
    assert any("36 of 216" in line for line in told.lines)


def test_maps_that_do_not_do_are_refused(store, tmp_path):
    with pytest.raises(LandloomError, match="does not lie"):
        read(write_map(tmp_path / "far.tif", true_map(), west=WEST + 1e5), store)
    with pytest.raises(LandloomError, match="no class"):
        read(write_map(tmp_path / "other.tif", true_map() + 100), store)
    with pytest.raises(LandloomError, match="no data"):
        read(write_map(tmp_path / "empty.tif", true_map() * 0), store)
    with pytest.raises(LandloomError, match=r"missing\.tif"):
        read(tmp_path / "missing.tif", store)
    with pytest.raises(LandloomError, match="coordinates"):
        read(write_map(tmp_path / "a.tif", true_map()), training_samples.make_store())


def test_matching_by_hand(store):
    nomenclature = store.nomenclature
    assert match_classes([1, 9], {}, nomenclature) == {1: (0, "code")}
    assert match_classes([9], {9: " EAU "}, nomenclature) == {9: (2, "name")}
    assert match_classes([3], {3: "ville"}, nomenclature) == {3: (2, "code")}


def test_a_map_is_scored_on_the_held_out_groups_of_every_run(store, tmp_path):
    """Two wrong fields of 24 and four without data; each run judges what its test holds, in pairs with the forest."""
    values = true_map()
    values[:, 0:7], values[:, 7:14] = 2, 3
    values[:, 7 * 20 :] = 0
    path = write_map(tmp_path / "a.tif", values)
    (tmp_path / "b").mkdir()
    other = write_map(tmp_path / "b" / "a.tif", true_map())
    settings = CompareSettings(networks=(), runs=2, folds=3, device="cpu", sensor_sets=(("S2",),))
    result = compare([store], settings, tmp_path / "parts", [path, other])
    assert [one.key for one in result.maps] == ["a.tif (1)", "a.tif (2)"]
    judged = result.map_levels["a.tif (1)"]
    assert judged["pixel"].mean("a.tif (1)", "overall_accuracy") == pytest.approx(18 / 20)
    assert judged["polygon"].mean("a.tif (1)", "overall_accuracy") == pytest.approx(18 / 20)
    assert (judged["pixel"].runs["a.tif (1)"][0] >= 0).sum() == 20 * 9
    forest = judged["pixel"].runs["randomforest S2"][0]
    assert (forest >= 0).sum() == 20 * 9  # in pairs: where the map has data
    assert result.map_levels["a.tif (2)"]["pixel"].mean("a.tif (2)", "macro_f1") == 1
    gain = next(one for one, _ in map_gains(result) if one.of == "a.tif (2)" and one.score == "macro_f1")
    assert gain.over.startswith("randomforest") and gain.told.estimate >= 0
    content = to_json(result)["maps"][0]
    assert content["samples_without_data"] == 36 and content["matched"]["1"] == {"code": 1, "by": "code"}


def test_a_map_is_judged_on_the_test_part_alone_with_the_samples_own_split(store, tmp_path):
    """Right where it may have learnt, wrong where it is judged."""
    values = true_map()
    from landloom.model.samples.splits import TEST

    for chip in range(CHIPS):
        if store.split[store.groups == chip][0] == TEST:
            values[:, 7 * chip : 7 * chip + 7] = 1 + (chip + 1) % 3
    path = write_map(tmp_path / "a.tif", values)
    settings = CompareSettings(networks=(), runs=1, evaluation="split", device="cpu", sensor_sets=(("S2",),))
    result = compare([store], settings, tmp_path / "parts", [path])
    assert result.map_levels["a.tif"]["pixel"].mean("a.tif", "overall_accuracy") == 0
