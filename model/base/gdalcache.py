"""How much GDAL's cache of blocks may grow while a step runs.

The cache takes 5 % of the machine's memory by default, belongs to the whole program and is left as it is: who reads a
large raster piece by piece lets go of its blocks when they have become too many.
"""

from __future__ import annotations

from collections.abc import Callable

from osgeo import gdal

from .freedmemory import give_back_freed_memory
from .raster import open_raster


class CacheRoom:
    """Lets go of blocks when the cache has grown by more than some megabytes since this was made.

    Args:
        megabytes: that it may grow.
        let_go: each frees the blocks of one raster, and must not keep one open that is to be closed before this goes.
    """

    def __init__(self, megabytes: float, *let_go: Callable[[], object]) -> None:
        self._allowed = gdal.GetCacheUsed() + int(megabytes * 2**20)
        self._let_go = let_go

    def check(self, *let_go: Callable[[], object]) -> None:
        """To be called after each piece that is read or written, with more rasters to let go of than those known."""
        if gdal.GetCacheUsed() > self._allowed:
            for free in (*self._let_go, *let_go):
                free()
            give_back_freed_memory()  # GDAL's blocks are small pieces of the heap


def without_blocks(dataset: gdal.Dataset) -> gdal.Dataset:
    """The same raster, open for reading, with no blocks in the cache.

    A virtual one only lets go of the blocks of its files when it is closed; one that lies in memory alone is kept.
    """
    dataset.FlushCache()
    name = dataset.GetDescription()
    if dataset.GetDriver().ShortName != "VRT" or not name:
        return dataset
    return open_raster(name)
