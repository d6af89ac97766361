"""Opening and writing rasters."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import (
    gdal_options,
    open_raster,
    quiet_gdal,
    read_array,
    spatial_reference,
    write_raster,
)
from osgeo import gdal, ogr, osr

PLACE = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


@contextlib.contextmanager
def gdal_exceptions(wanted: bool):
    """Switch the exceptions of GDAL's three modules, which QGIS's own plugins switch on, and put them back."""
    modules = (osr, ogr, gdal)
    before = [module.GetUseExceptions() for module in modules]
    for module in modules:
        module.DontUseExceptions()
    if wanted:
        gdal.UseExceptions()
    try:
        yield
    finally:
        gdal.DontUseExceptions()
        for module, was in zip(reversed(modules), reversed(before), strict=True):
            if was:
                module.UseExceptions()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("exceptions", [False, True])
def test_what_is_written_is_read(tmp_path, dtype, exceptions):
    values = (np.arange(2 * 5 * 7).reshape(2, 5, 7) % 120).astype(dtype)
    wkt = spatial_reference("EPSG:32738").ExportToWkt()
    with gdal_exceptions(exceptions):
        path = write_raster(tmp_path / "dossier é" / "r.tif", values, PLACE, wkt, nodata=0, names=["B4", "B8"])
        dataset = open_raster(path)
        np.testing.assert_array_equal(read_array(dataset), values)
        np.testing.assert_array_equal(read_array(dataset, (2, 1, 3, 4), [2]), values[1:, 1:5, 2:5])
        with pytest.raises(LandloomError, match=r"r\.tif"):
            read_array(dataset, (5, 5, 30, 30))
        with pytest.raises(LandloomError, match=r"none\.tif does not exist"):
            open_raster(tmp_path / "none.tif")
        (tmp_path / "text.tif").write_text("no raster")
        with pytest.raises(LandloomError, match=r"Cannot open the raster .*text\.tif"):
            open_raster(tmp_path / "text.tif")
        with pytest.raises(LandloomError, match="CRS"):
            spatial_reference("EPSG:nonsense")
    assert dataset.GetRasterBand(2).GetDescription() == "B8" and dataset.GetRasterBand(1).GetNoDataValue() == 0
    assert dataset.GetGeoTransform() == PLACE
    assert [entry.name for entry in path.parent.iterdir()] == ["r.tif"]


def test_an_output_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LandloomError, match="Cannot write"):
        write_raster(tmp_path / "file" / "r.tif", np.zeros((2, 2)), PLACE, "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_options_are_those_of_one_thread():
    seen = []
    with gdal_options(LANDLOOM_TEST="YES"):
        thread = threading.Thread(target=lambda: seen.append(gdal.GetConfigOption("LANDLOOM_TEST")))
        thread.start()
        thread.join()
        assert gdal.GetConfigOption("LANDLOOM_TEST") == "YES"
    assert seen == [None] and gdal.GetConfigOption("LANDLOOM_TEST") is None


def test_messages_are_collected():
    with quiet_gdal() as messages:
        gdal.Error(gdal.CE_Warning, 1, "careful")
    assert messages == ["careful"]
