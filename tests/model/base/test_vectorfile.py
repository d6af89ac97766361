"""Protects tables with geometries: every format holds the same rows, and a GeoPackage is one that GDAL accepts."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference
from landloom.model.base.vectorfile import MOST_COLUMNS, features_of, write_table
from osgeo import gdal, ogr, osr

CRS = spatial_reference("EPSG:32738").ExportToWkt()


def point(x, y):
    geometry = ogr.Geometry(ogr.wkbPoint)
    geometry.AddPoint_2D(x, y)
    return bytes(geometry.ExportToWkb())


def columns(n):
    return {
        "id": np.arange(n, dtype=np.int64) + 2**40,
        "small": np.arange(n, dtype=np.int32),
        "value": np.where(np.arange(n) % 3 == 0, np.nan, np.arange(n) / 2),
        "flag": np.arange(n) % 2 == 0,
        'nom "é"': [f"n{i}" if i % 4 else None for i in range(n)],
    }


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb"])
def test_every_format_holds_the_rows(tmp_path, suffix):
    n = 4500
    path = tmp_path / f"été{suffix}"
    write_table(path, "points", CRS, ogr.wkbPoint, (point(5e5 + i, 8e6 - i) for i in range(n)), columns(n), Progress())
    dataset = gdal.OpenEx(str(path))
    layer = dataset.GetLayer(0)
    assert layer.GetFeatureCount() == n
    if suffix != ".geojson":  # which is always in degrees
        assert layer.GetSpatialRef().IsSame(spatial_reference("EPSG:32738"))
        assert layer.GetExtent() == (5e5, 5e5 + n - 1, 8e6 - n + 1, 8e6)
    rows = {feature.GetField("id"): feature for feature in layer}
    first, second, fourth = (rows[2**40 + i] for i in (0, 1, 4))
    assert first.GetField("value") is None and second.GetField("value") == 0.5 and second.GetField("small") == 1
    assert bool(first.GetField("flag")) and not second.GetField("flag")
    assert fourth.GetField(4) is None and second.GetField(4) == "n1"
    if suffix == ".gpkg":
        layer.SetSpatialFilterRect(5e5 + 9.5, 8e6 - 12.5, 5e5 + 12.5, 8e6 - 9.5)
        assert layer.GetFeatureCount() == 3
        assert layer.TestCapability(ogr.OLCFastSpatialFilter)
        assert second.GetGeometryRef().GetX() == 5e5 + 1


def test_nothing_is_left_when_it_fails_or_is_cancelled(tmp_path):
    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        write_table(tmp_path / "a.gpkg", "a", CRS, ogr.wkbPoint, [point(0, 0)], {"a": [1]}, Stopped())
    many = {f"c{i}": np.zeros(1) for i in range(MOST_COLUMNS + 1)}
    with pytest.raises(LandloomError, match=r"1,991 columns; a table holds 1,990\. Ask for fewer"):
        write_table(tmp_path / "a.gpkg", "a", CRS, ogr.wkbPoint, [point(0, 0)], many, Progress())
    with pytest.raises(LandloomError, match="unknown format"):
        write_table(tmp_path / "a.xyz", "a", CRS, ogr.wkbPoint, [point(0, 0)], {"a": [1]}, Progress())
    assert not list(tmp_path.iterdir())


@pytest.fixture(params=[False, True], ids=["quiet", "exceptions"])
def gdal_exceptions(request):
    """Both ways GDAL may be set by other plugins; put back in the order that its stack of handlers asks for."""
    modules = [one for one in (gdal, ogr, osr) if bool(one.GetUseExceptions()) != request.param]
    for module in modules if request.param else reversed(modules):
        module.UseExceptions() if request.param else module.DontUseExceptions()
    yield
    for module in reversed(modules) if request.param else modules:
        module.DontUseExceptions() if request.param else module.UseExceptions()


@pytest.mark.usefixtures("gdal_exceptions")
def test_a_layer_that_breaks_off_is_not_taken_for_a_short_one(tmp_path):
    """Without exceptions GDAL ends the layer at the damage, and half of the polygons would be gone in silence."""
    n = 100
    path = tmp_path / "points.fgb"
    write_table(path, "points", CRS, ogr.wkbPoint, (point(i, i) for i in range(n)), {"id": range(n)}, Progress())
    dataset = gdal.OpenEx(str(path))
    assert len(list(features_of(dataset.GetLayer(0), "points"))) == n
    del dataset
    damaged = tmp_path / "damaged.fgb"
    damaged.write_bytes(path.read_bytes()[:-200])
    dataset = gdal.OpenEx(str(damaged))
    with pytest.raises(LandloomError, match=r"The layer damaged\.fgb cannot be read to its end \("):
        list(features_of(dataset.GetLayer(0), "damaged.fgb"))
