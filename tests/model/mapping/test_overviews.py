"""Overviews are made in little memory, whatever the size of the raster and of GDAL's cache."""

from __future__ import annotations

import numpy as np
from landloom.model.base.progress import Progress
from landloom.model.base.raster import write_raster
from landloom.model.mapping.overviews import optimise
from osgeo import gdal


class CacheWatch(Progress):
    """Notes the size of GDAL's cache."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def percent(self, value: float) -> None:
        self.sizes.append(gdal.GetCacheUsed())


def test_the_cache_of_gdal_hardly_grows_while_overviews_are_made(tmp_path):
    values = np.kron(np.arange(2048 * 1024, dtype=np.int32).reshape(2048, 1024) % 7, np.ones((2, 4), np.int32))
    path = write_raster(tmp_path / "map.tif", values, (0, 1, 0, 0, 0, -1), "")
    before, usual, watch = gdal.GetCacheUsed(), gdal.GetCacheMax(), CacheWatch()
    optimise(path, True, watch)
    assert len(watch.sizes) > 10
    assert max(watch.sizes) - before <= 8 * 2**20  # of 64
    assert gdal.GetCacheMax() == usual
    made = gdal.Open(str(path))
    overview = made.GetRasterBand(1).GetOverview(0)
    assert (overview.XSize, overview.YSize) == (2048, 2048)
