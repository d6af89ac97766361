"""Protects stacks that span UTM zones: products of two zones with CRS given become one grid, masks included."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference
from landloom.model.stack.grid import Window
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from landloom.model.stack.reader import StackReader
from osgeo import osr

DATE = "20210105"


@pytest.fixture
def zones(tmp_path, write_product):
    """Tiles of 24 x 24 pixels of one date, side by side across the meridian between the zones 38 and 39."""
    change = osr.CoordinateTransformation(spatial_reference("EPSG:32738"), spatial_reference("EPSG:32739"))
    x, y = 818000.0, 7999800.0
    cloud = np.zeros((24, 24), np.uint8)
    cloud[:8, :8] = 1
    values = {"B8": np.full((24, 24), 3000, np.int16)}
    write_product.theia(tmp_path / "in", DATE, tile="T38KPE", corner=(x, y), values=values, cloud=cloud)
    east, north = change.TransformPoint(x + 200, y)[:2]
    corner = (10 * round(east / 10), 10 * round(north / 10))
    values = {"B8": np.full((24, 24), 4000, np.int16)}
    write_product.theia(tmp_path / "in", DATE, tile="T39KTV", corner=corner, epsg=32739, values=values)
    return tmp_path / "in", corner


@pytest.mark.parametrize("crs", ["EPSG:32738", "EPSG:32739"])
def test_tiles_of_two_zones_are_one_stack(zones, tmp_path, crs):
    folder, _ = zones
    settings = PrepareSettings(crs=crs, resolution=10.0)
    prepare_stack(folder, tmp_path / "stack.json", settings, None, Progress(), lambda prepared: None)
    with StackReader(tmp_path / "stack.json") as reader:
        grid = reader.stack.grid
        acquisition = reader.stack.sensors["S2"].acquisitions[0]
        series = reader.read(Window(0, 0, grid.width, grid.height))["S2"]
    assert spatial_reference(grid.crs_wkt).GetAuthorityCode(None) == crs[-5:]
    assert len(acquisition.parts) == 2
    band = series.values[0, 0, reader.specs["S2"].bands.index("B8")]
    valid = series.mask[0, 0]
    west, east = ((band == value) & valid for value in (3000, 4000))
    assert set(np.unique(band[valid])) <= {3000, 4000}
    # both tiles are there in whole: of the first all but its cloud, of the second all beside the first
    assert 24 * 24 - 64 - 40 < west.sum() <= 24 * 24 - 64 + 40
    assert east.sum() > 24 * 18
    columns = np.arange(grid.width)
    assert (west.sum(axis=0) * columns).sum() / west.sum() < (east.sum(axis=0) * columns).sum() / east.sum()
    # the cloud lies in the north-west of the first tile and nowhere else
    rows, places = np.nonzero(west)
    inside = ~valid[rows.min() : rows.max() + 1, places.min() : places.max() + 1]
    assert inside[:10, :10].sum() > 40 and inside[12:-2, 12:-2].sum() == 0
