"""Rasters of what a series holds: the number of valid dates and the longest gap, a band for each sensor."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.files import whole_file
from ..base.progress import Progress
from ..base.raster import gdal_options, quiet_gdal, writing_raster_failed
from .grid import Grid, Window
from .manifest import Stack
from .reader import StackReader

NO_DATE = 65535
"""Longest gap of a pixel that is never valid."""

_BLOCK = 512


def longest_gap(mask: np.ndarray, days: np.ndarray) -> np.ndarray:
    """The longest time without a valid date, from the first to the last date of the series.

    Args:
        mask: ``[T, H, W]``, True where valid.
        days: ``[T]``, in order.

    Returns:
        ``[H, W]`` uint16, days; :data:`NO_DATE` where no date is valid.
    """
    before = np.full(mask.shape[1:], days[0], np.int32)
    longest = np.zeros(mask.shape[1:], np.int32)
    for valid, day in zip(mask, days, strict=True):
        longest = np.where(valid, np.maximum(longest, day - before), longest)
        before = np.where(valid, day, before)
    longest = np.maximum(longest, days[-1] - before)
    return np.where(mask.any(axis=0), np.minimum(longest, NO_DATE - 1), NO_DATE).astype(np.uint16)


def write_validity(
    stack: Stack,
    count_path: str | os.PathLike[str] | None,
    gap_path: str | os.PathLike[str] | None,
    progress: Progress | None = None,
) -> None:
    """Write VALID_COUNT and LONGEST_GAP, each UInt16 with a band for each sensor; whole or not at all.

    Raises:
        LandloomError: if they cannot be written.
    """
    if not count_path and not gap_path:
        return
    progress = progress or Progress()
    progress.text("Counting valid dates")
    names = list(stack.sensors)
    bands = {name: sensor.bands[:1] for name, sensor in stack.sensors.items()}
    grid = stack.grid
    with StackReader(stack, bands=bands, as_stored=True) as reader:
        for path, gap in ((count_path, False), (gap_path, True)):
            if not path:
                continue
            with whole_file(path) as temporary, gdal_options(GDAL_PAM_ENABLED="NO"), quiet_gdal() as messages:
                target = _create(temporary, grid, names, NO_DATE if gap else None)
                blocks = [
                    Window(column, row, min(_BLOCK, grid.width - column), min(_BLOCK, grid.height - row))
                    for row in range(0, grid.height, _BLOCK)
                    for column in range(0, grid.width, _BLOCK)
                ]
                for index, window in enumerate(blocks):
                    for band, name in enumerate(names, start=1):
                        progress.check()
                        series = reader.read_dates(name, window, range(len(reader.specs[name].dates)))
                        mask = series.mask[0]
                        values = longest_gap(mask, series.days) if gap else mask.sum(axis=0).astype(np.uint16)
                        target.GetRasterBand(band).WriteArray(values, window.column, window.row)
                    reader.let_go()
                    progress.percent(100 * (index + 1) / len(blocks))
                target.FlushCache()
                target = None
                if any("rite" in message for message in messages):
                    raise writing_raster_failed(path, messages)


def _create(path: Path, grid: Grid, names: list[str], nodata: float | None) -> gdal.Dataset:
    options = ["TILED=YES", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]
    try:
        target = gdal.GetDriverByName("GTiff").Create(
            str(path), grid.width, grid.height, len(names), gdal.GDT_UInt16, options=options
        )
    except RuntimeError as error:
        raise LandloomError(f"Cannot write {path}: {error}. Choose another output.") from error
    if target is None:
        raise LandloomError(f"Cannot write {path}; choose another output.")
    target.SetGeoTransform(list(grid.transform))
    target.SetProjection(grid.crs_wkt)
    for index, name in enumerate(names, start=1):
        band = target.GetRasterBand(index)
        band.SetDescription(name)
        if nodata is not None:
            band.SetNoDataValue(nodata)
    return target
