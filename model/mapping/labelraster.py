"""A temporary raster of numbers on disk: what regions or objects have as numbers before they are final."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.files import PARTIAL
from ..base.lock import Lock, lock_path, tidy
from ..base.raster import gdal_cannot_write, quiet_gdal, read_array
from ..stack.grid import Window

_HELD = 16_000_000  # pixels read or written before GDAL's blocks of them are let go, at most


class LabelRaster:
    """A temporary raster of numbers, read and written by windows."""

    def __init__(self, path: Path, width: int, height: int, memory_mb: float = 1024) -> None:
        self._path = path
        self._most = min(_HELD, int(memory_mb * 2**20 / 8 / 4))
        options = ["TILED=YES", "BIGTIFF=IF_SAFER", "SPARSE_OK=TRUE"]
        with quiet_gdal() as messages:
            try:
                self._dataset = gdal.GetDriverByName("GTiff").Create(
                    str(path), width, height, 1, gdal.GDT_UInt32, options
                )
            except RuntimeError as error:
                messages.append(str(error))
                self._dataset = None
        if self._dataset is None:
            raise gdal_cannot_write(path, messages)
        self._band = self._dataset.GetRasterBand(1)
        self._held = 0

    def read(self, window: Window) -> np.ndarray:
        """``[H, W]`` uint32."""
        values = read_array(self._dataset, (*window,))[0]
        self._used(values.size)
        return values

    def write(self, values: np.ndarray, column: int, row: int) -> None:
        """Write ``[H, W]``."""
        with quiet_gdal() as messages:
            try:
                failed = self._band.WriteArray(values, column, row) != 0
            except RuntimeError as error:
                failed = True
                messages.append(str(error))
        if failed:
            raise gdal_cannot_write(self._path, messages)
        self._used(values.size)

    def _used(self, pixels: int) -> None:
        """GDAL keeps blocks up to 5 % of the machine's memory, whatever MEMORY_MB: let go of them now and then."""
        self._held += pixels
        if self._held > self._most:
            self.flush()

    def flush(self) -> None:
        """Write what is held back and free GDAL's cache of it."""
        self._held = 0
        with quiet_gdal() as messages:
            self._dataset.FlushCache()
        if any("rite" in message or "space" in message for message in messages):
            raise gdal_cannot_write(self._path, messages)

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._band = self._dataset = None


@contextlib.contextmanager
def label_raster(beside: Path, width: int, height: int, memory_mb: float = 1024) -> Iterator[LabelRaster]:
    """A temporary :class:`LabelRaster` in the folder of an output; removed at the end.

    Args:
        beside: the output.
        width: columns.
        height: rows.
        memory_mb: an eighth of it is for GDAL's blocks of the raster.

    Raises:
        LandloomError: if it cannot be written, or another run is writing the output.
    """
    path = beside.with_name(f"{beside.name}.{uuid.uuid4().hex[:8]}{PARTIAL}.tif")
    with Lock(lock_path(beside), beside) as lock:
        if not lock.again:
            tidy(beside)
        try:
            raster = LabelRaster(path, width, height, memory_mb)
            yield raster
            raster.close()
        finally:
            raster = None  # type: ignore[assignment]
            for suffix in ("", ".aux.xml"):
                with contextlib.suppress(OSError):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
