"""Protects how maps of others are read: their names, colours, no data, and what is no map of classes."""

from __future__ import annotations

import accuracy_data as data
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.accuracy.mapreading import CategoricalMap, counted
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.mapping.style import classes_qml
from osgeo import gdal


def counts(source, memory=64):
    return {value: one.pixels for value, one in source.count(memory, Progress()).values.items()}


def test_a_map_of_landloom(tmp_path):
    array = np.array([[0, 1, 2], [2, 2, 300]], np.uint16)
    path = data.write_map(tmp_path / "map.tif", array, {1: "maize", 2: "fôret", 300: "eau"}, nodata=0)
    source = CategoricalMap(path)
    assert source.names == {1: "maize", 2: "fôret", 300: "eau"}
    found = source.count(64, Progress())
    assert {v: one.pixels for v, one in found.values.items()} == {1: 1, 2: 3, 300: 1}
    assert found.no_data.pixels == 1 and found.hectares == pytest.approx(0.05)


def test_a_map_of_iota2_without_names(tmp_path):
    """0 is no data though nothing says so."""
    path = data.write_map(tmp_path / "Classif_Seed_0.tif", np.array([[0, 11], [12, 12]], np.uint8))
    source = CategoricalMap(path)
    assert counts(source) == {11: 1, 12: 2} and source.name_of(11) == "11"


def test_names_and_colours_of_a_style_beside(tmp_path):
    """sits and others leave their legend in a style."""
    path = data.write_map(tmp_path / "sits.tif", np.array([[1, 2], [255, 2]], np.uint8), nodata=255)
    path.with_suffix(".qml").write_text(classes_qml([1, 2], ["Forêt <&>", "Soja"], ["#112233", "#445566"]), "utf-8")
    source = CategoricalMap(path)
    assert source.names == {1: "Forêt <&>", 2: "Soja"} and source.colors == {1: "#112233", 2: "#445566"}
    assert counts(source) == {1: 1, 2: 2}


def test_a_broken_style_is_no_fault_of_the_map(tmp_path):
    path = data.write_map(tmp_path / "map.tif", np.ones((2, 2), np.uint8))
    path.with_suffix(".qml").write_text("<qgis><broken")
    assert CategoricalMap(path).names == {}


def test_attribute_tables_name_values_too(tmp_path):
    path = data.write_map(tmp_path / "map.tif", np.array([[4, 5]], np.uint8))
    dataset = gdal.Open(str(path), gdal.GA_Update)
    table = gdal.RasterAttributeTable()
    table.CreateColumn("Value", gdal.GFT_Integer, gdal.GFU_MinMax)
    table.CreateColumn("Class", gdal.GFT_String, gdal.GFU_Name)
    for row, (value, name) in enumerate(((4, "rice"), (5, "water"))):
        table.SetValueAsInt(row, 0, value)
        table.SetValueAsString(row, 1, name)
    dataset.GetRasterBand(1).SetDefaultRAT(table)
    dataset = None
    assert CategoricalMap(path).names == {4: "rice", 5: "water"}


def test_zero_may_be_a_class(tmp_path):
    path = data.write_map(tmp_path / "forest.tif", np.array([[0, 1], [0, 0]], np.uint8))
    source = CategoricalMap(path)
    assert counts(source) == {1: 1}
    source.use_zero()
    assert counts(source) == {0: 3, 1: 1}
    named = data.write_map(tmp_path / "named.tif", np.array([[0, 1]], np.uint8), {0: "bare", 1: "forest"})
    assert counts(CategoricalMap(named)) == {0: 1, 1: 1}
    declared = CategoricalMap(data.write_map(tmp_path / "declared.tif", np.array([[0, 1]], np.uint8), nodata=0))
    declared.use_zero()
    assert counts(declared) == {1: 1}


def test_whole_numbers_in_a_map_of_floats(tmp_path):
    array = np.array([[1, 2], [np.nan, 2]], np.float32)
    assert counts(CategoricalMap(data.write_map(tmp_path / "map.tif", array))) == {1: 1, 2: 2}


@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_counts_and_values_are_those_of_numpy(tmp_path_factory, height, width, seed):
    """Also with so little memory that a strip is a row, and in pixels asked for in any order."""
    random = np.random.default_rng(seed)
    array = random.integers(1, 5, (height, width)).astype(random.choice(["uint8", "int16", "int32"]))
    source = CategoricalMap(data.write_map(tmp_path_factory.mktemp("maps") / "map.tif", array))
    values, expected = np.unique(array, return_counts=True)
    for memory in (1000, 0.001):
        assert counts(source, memory) == dict(zip(values.tolist(), expected.tolist(), strict=True))
    rows, columns = random.integers(0, height, 30), random.integers(0, width, 30)
    np.testing.assert_array_equal(source.values_at(rows, columns, Progress()), array[rows, columns])


def test_counting_weighs_each_pixel_with_its_area():
    values = np.array([[1, 1], [2, 1]])
    assert counted(values, np.array([[0.5], [2.0]])) == [(1, 3, 3.0), (2, 1, 2.0)]
    assert counted(np.array([[-5, 2_000_000_000]]), 1.0) == [(-5, 1, 1.0), (2_000_000_000, 1, 1.0)]


def test_refuses_what_is_no_map(tmp_path):
    transform, crs = (5e5, 10.0, 0, 8e6, 0, -10.0), spatial_reference("EPSG:32738").ExportToWkt()
    write_raster(tmp_path / "image.tif", np.ones((3, 4, 4), np.uint8), transform, crs)
    write_raster(tmp_path / "nowhere.tif", np.ones((4, 4), np.uint8), transform, "")
    data.write_map(tmp_path / "share.tif", np.full((4, 4), 0.5, np.float32))
    data.write_map(tmp_path / "many.tif", np.arange(1, 2602, dtype=np.int32).reshape(51, 51))
    data.write_map(tmp_path / "empty.tif", np.zeros((4, 4), np.uint8))
    for name, message in (
        ("image.tif", "3 bands"),
        ("nowhere.tif", "no CRS"),
        ("share.tif", "fractions such as 0.5"),
        ("many.tif", "more than 2000 values"),
        ("empty.tif", "every pixel is no data"),
        ("missing.tif", "cannot be found|does not exist"),
    ):
        with pytest.raises(LandloomError, match=message):
            CategoricalMap(tmp_path / name).count(64, Progress())
