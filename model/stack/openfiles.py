"""The files a reader holds open: each thread has its own data sets, since GDAL's are not safe to share."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.freedmemory import give_back_freed_memory
from ..base.raster import open_raster, quiet_gdal, reading_failed
from .grid import Window

MAX_OPEN = 600
"""Data sets kept open by all threads of a reader together; fewer where the system allows a process few files."""

REMOTE_ATTEMPTS = 3
"""How often a window is read whose files lie behind addresses, before the reader gives up."""

Result = TypeVar("Result")


def max_open() -> int:
    """How many data sets a reader may keep open: half of the files that the process may open, or :data:`MAX_OPEN`."""
    try:
        import resource
    except ImportError:  # Windows
        return MAX_OPEN
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_OPEN if allowed < 0 else min(MAX_OPEN, allowed // 2)


class OpenFiles:
    """A bounded number of open data sets.

    Args:
        remote: whether any file lies behind an address: then what fails is tried again after a short while.
    """

    def __init__(self, remote: bool = False) -> None:
        self._remote = remote
        self.limit = max_open()
        self.pools: dict[int, dict[str, gdal.Dataset]] = {}
        self._lock = threading.Lock()
        self._scratch = threading.local()
        self._allowed: int | None = None

    def close(self) -> None:
        """Close every data set; no thread may be reading."""
        with self._lock:
            self.pools.clear()

    def close_own(self) -> None:
        """Close the calling thread's data sets."""
        with self._lock:
            self.pools.pop(threading.get_ident(), None)

    def let_go(self) -> None:
        """Free the blocks that GDAL has cached for the calling thread's data sets.

        Virtual rasters are closed, for only then GDAL lets go what it holds of their sources, which is more with every
        source that comes into view. Opening one again takes a small part of what reading from it takes; not so where
        files lie behind addresses: there they stay open.
        """
        for dataset in list(self._own().values()):
            dataset.FlushCache()
        if not self._remote:
            self._close_virtual()

    def _own(self) -> dict[str, gdal.Dataset]:
        """What the calling thread has open."""
        return self.pools.get(threading.get_ident(), {})

    def _close_virtual(self) -> None:
        pool = self._own()
        for path in [path for path in pool if path.endswith(".vrt")]:
            del pool[path]

    def bound(self, room: int) -> None:
        """From now on GDAL's cache may grow by so many bytes; what it holds then is let go, file by file.

        The sources of virtual rasters are in nobody's reach but GDAL's: their blocks go when the raster is closed.
        """
        self._allowed = gdal.GetCacheUsed() + room

    def _shrink(self) -> None:
        """Let go what GDAL holds for the calling thread, if it is more than allowed."""
        if self._allowed is None or gdal.GetCacheUsed() <= self._allowed:
            return
        self.let_go()
        self._close_virtual()
        give_back_freed_memory()  # GDAL's blocks are small pieces of the heap

    def get(self, path: str) -> gdal.Dataset:
        """The calling thread's data set of a file.

        Raises:
            LandloomError: naming the file, if it cannot be opened.
        """
        return self._patiently(path, lambda: self._open(path))

    def read(self, path: str, bands: list[int], box: Window, target: np.ndarray) -> None:
        """Read bands of a rectangle of a file's pixels into ``target`` [C, H, W].

        Raises:
            LandloomError: naming the file.
        """
        self._read(path, bands, box, target)
        self._shrink()

    def read_once(self, path: str, bands: list[int], box: Window, target: np.ndarray) -> None:
        """As :meth:`read`, for blocks that are not needed again: they leave GDAL's cache at once, see :meth:`let_go`.

        Raises:
            LandloomError: naming the file.
        """
        self._read(path, bands, box, target)
        if path.endswith(".vrt") and not self._remote:
            self._own().pop(path, None)
        else:
            self.get(path).FlushCache()
        self._shrink()

    def _read(self, path: str, bands: list[int], box: Window, target: np.ndarray) -> None:
        self._patiently(path, lambda: _read_into(self._open(path), path, bands, box, target))

    def scratch(self, use: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Memory of the calling thread that is used again and again; it holds nothing after the next call."""
        size = math.prod(shape) * dtype.itemsize
        buffer = getattr(self._scratch, use, None)
        if buffer is None or buffer.nbytes < size:
            buffer = np.empty(size, np.uint8)
            setattr(self._scratch, use, buffer)
        return buffer[:size].view(dtype).reshape(shape)

    def _open(self, path: str) -> gdal.Dataset:
        """The one opened last is closed when there are too many."""
        thread = threading.get_ident()
        pool = self.pools.get(thread)
        if pool is None:
            with self._lock:
                pool = self.pools.setdefault(thread, {})
        dataset = pool.get(path)
        if dataset is not None:
            return dataset
        limit = max(16, self.limit // max(1, len(self.pools)))
        while len(pool) >= limit:
            # windows go through all dates again and again: closing the oldest would close each just before its turn
            pool.popitem()
        dataset = open_raster(path)
        pool[path] = dataset
        return dataset

    def _patiently(self, path: str, action: Callable[[], Result]) -> Result:
        """Do something with a file; where files lie behind addresses, again after a short while when it fails."""
        for attempt in range(1, REMOTE_ATTEMPTS):
            try:
                return action()
            except LandloomError:
                if not self._remote:
                    raise
            self._own().pop(path, None)
            gdal.VSICurlClearCache()  # which remembers failures
            time.sleep(0.5 * attempt)
        return action()


def within(inner: Window, outer: Window) -> tuple[slice, slice]:
    """The rows and columns of ``outer`` that ``inner`` takes."""
    top, left = inner.row - outer.row, inner.column - outer.column
    return slice(top, top + inner.height), slice(left, left + inner.width)


def _read_into(dataset: gdal.Dataset, path: str, bands: list[int], box: Window, target: np.ndarray) -> None:
    with quiet_gdal() as messages:
        try:
            result = dataset.ReadAsArray(*box, buf_obj=target, band_list=bands)
        except RuntimeError as error:
            messages.append(str(error))
            result = None
    if result is None:
        raise reading_failed(path, messages)
