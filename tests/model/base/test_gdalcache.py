"""GDAL's cache is let go of when it has grown too much, also that of the files behind a virtual raster."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.gdalcache import CacheRoom, small_cache, without_blocks
from landloom.model.base.raster import open_raster, read_array, write_raster
from osgeo import gdal


@pytest.mark.parametrize("virtual", [False, True])
def test_blocks_go_and_the_raster_is_read_on(tmp_path, virtual):
    values = np.arange(1024 * 1024, dtype=np.int32).reshape(1024, 1024)
    path = write_raster(tmp_path / "a.tif", values, (0, 1, 0, 0, 0, -1), "")
    if virtual:
        path = tmp_path / "a.vrt"
        gdal.Translate(str(path), str(tmp_path / "a.tif"), format="VRT").FlushCache()
    dataset = open_raster(path)
    before = gdal.GetCacheUsed()
    assert np.array_equal(read_array(dataset)[0], values)
    assert gdal.GetCacheUsed() > before + 3 * 2**20
    dataset = without_blocks(dataset)
    assert gdal.GetCacheUsed() < before + 2**20
    assert np.array_equal(read_array(dataset)[0], values)


def test_only_too_many_blocks_are_let_go(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.zeros((1024, 1024), np.int32), (0, 1, 0, 0, 0, -1), "")
    dataset, freed = open_raster(path), []
    small, large = CacheRoom(1, lambda: freed.append("small")), CacheRoom(64, lambda: freed.append("large"))
    small.check()
    assert not freed
    read_array(dataset)
    small.check()
    large.check()
    assert freed == ["small"]


def test_a_small_cache_is_set_back_by_the_last_who_asked_for_it(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.zeros((2048, 2048), np.int32), (0, 1, 0, 0, 0, -1), "")
    usual, used = gdal.GetCacheMax(), gdal.GetCacheUsed()
    with small_cache(2):
        with pytest.raises(ZeroDivisionError), small_cache(1):
            raise ZeroDivisionError
        assert gdal.GetCacheMax() == used + 2 * 2**20
        read_array(open_raster(path))
        assert gdal.GetCacheUsed() <= used + 2 * 2**20
    assert gdal.GetCacheMax() == usual


def test_a_small_cache_is_never_larger_than_the_usual_one():
    usual = gdal.GetCacheMax()
    with small_cache(usual / 2**20 + 1):
        assert gdal.GetCacheMax() <= usual
    assert gdal.GetCacheMax() == usual
