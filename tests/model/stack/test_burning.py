"""Polygons burnt window by window give what one call for the whole raster gives."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.raster import spatial_reference
from landloom.model.stack.burning import burnt
from landloom.model.stack.grid import Grid, Window
from osgeo import gdal, ogr

UTM = str(spatial_reference("EPSG:32738").ExportToWkt())
GRID = Grid(UTM, (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), 90, 70)


@pytest.fixture
def layer():
    """Overlapping rectangles with numbers; what comes later lies on top."""
    random = np.random.default_rng(1)
    memory = ogr.GetDriverByName("Memory").CreateDataSource("x")
    layer = memory.CreateLayer("x", spatial_reference(UTM), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("number", ogr.OFTInteger))
    for number in range(1, 41):
        x, y = 500000 + random.uniform(-50, 850), 8000000 - random.uniform(-50, 650)
        width, height = random.uniform(5, 400, 2)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("number", number)
        ring = f"{x} {y}, {x + width} {y}, {x + width} {y - height}, {x} {y - height}, {x} {y}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
        layer.CreateFeature(feature)
    yield layer
    del memory


@pytest.mark.parametrize("whole", [False, True])
def test_windows_are_parts_of_the_whole(layer, whole):
    target = gdal.GetDriverByName("MEM").Create("", 90, 70, 1, gdal.GDT_UInt16)
    target.SetGeoTransform(GRID.transform)
    target.SetProjection(UTM)
    gdal.RasterizeLayer(target, [1], layer, options=["ATTRIBUTE=number"])
    expected = target.ReadAsArray()
    assert len(np.unique(expected)) > 20 and (expected == 0).any()
    for window in (Window(0, 0, 90, 33), Window(0, 33, 90, 37), Window(17, 20, 40, 1)):
        part = expected[window.row : window.row + window.height, window.column : window.column + window.width]
        found = burnt(layer, GRID.crop(window), "uint16", "number", whole=whole)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, part)
        np.testing.assert_array_equal(burnt(layer, GRID.crop(window)), part > 0)
