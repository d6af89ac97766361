"""How much GDAL's cache of blocks may grow while a step runs.

The cache takes 5 % of the machine's memory by default and belongs to the whole program: who reads a large raster piece
by piece leaves it as it is and lets go of its blocks when they have become too many. Only within one long call of GDAL,
where nobody can, is the cache itself kept small (:func:`small_cache`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from osgeo import gdal

from .freedmemory import give_back_freed_memory
from .raster import open_raster


class _Small:
    """How many calls want the cache small, and its size otherwise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = self._usual = 0

    def enter(self, megabytes: float) -> None:
        with self._lock:
            if not self._calls:
                self._usual = gdal.GetCacheMax()
                gdal.SetCacheMax(min(self._usual, gdal.GetCacheUsed() + int(megabytes * 2**20)))
            self._calls += 1

    def leave(self) -> None:
        with self._lock:
            self._calls -= 1
            if not self._calls:
                gdal.SetCacheMax(self._usual)


_small = _Small()


@contextlib.contextmanager
def small_cache(megabytes: float) -> Iterator[None]:
    """Let the cache grow by no more than some megabytes for the time of one call of GDAL.

    Blocks of others stay as long as they are used, and are read again otherwise. Of several calls at one time the first
    sets the size, and the last sets back what it was.
    """
    _small.enter(megabytes)
    try:
        yield
    finally:
        _small.leave()


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
