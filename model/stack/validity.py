"""Rasters of what a series holds: the number of valid dates and the longest gap, a band for each sensor."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
from osgeo import gdal

from ..base.files import whole_file
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import gdal_cannot_write, gdal_options, quiet_gdal
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

    A pixel is valid at a date as in training: by the masks and by the no data of every band.

    Raises:
        LandloomError: if they cannot be written.
    """
    if not count_path and not gap_path:
        return
    progress = progress or Progress()
    progress.text(tr("Counting valid dates"))
    names = list(stack.sensors)
    grid = stack.grid
    with contextlib.ExitStack() as files, StackReader(stack, as_stored=True) as reader:
        messages: list[str] = []
        count = _open(files, count_path, grid, names, None, messages)
        gap = _open(files, gap_path, grid, names, NO_DATE, messages)
        blocks = [
            Window(column, row, min(_BLOCK, grid.width - column), min(_BLOCK, grid.height - row))
            for row in range(0, grid.height, _BLOCK)
            for column in range(0, grid.width, _BLOCK)
        ]
        for index, window in enumerate(blocks):
            for band, name in enumerate(names, start=1):
                days = np.array(reader.specs[name].days, np.int32)
                mask = np.empty((len(days), window.height, window.width), bool)
                for place in range(len(days)):
                    progress.check()
                    mask[place] = reader.read_dates(name, window, [place]).mask[0, 0]
                with quiet_gdal() as said:
                    if count is not None:
                        valid = mask.sum(axis=0).astype(np.uint16)
                        count.GetRasterBand(band).WriteArray(valid, window.column, window.row)
                    if gap is not None:
                        gap.GetRasterBand(band).WriteArray(longest_gap(mask, days), window.column, window.row)
                messages += said
            reader.let_go()
            progress.percent(100 * (index + 1) / len(blocks))
        with quiet_gdal() as said:
            for target in (count, gap):
                if target is not None:
                    target.FlushCache()
            count = gap = target = None
        messages += said
        if any("rite" in message for message in messages):
            raise gdal_cannot_write(count_path or gap_path or "", messages)


def _open(
    files: contextlib.ExitStack,
    path: str | os.PathLike[str] | None,
    grid: Grid,
    names: list[str],
    nodata: float | None,
    messages: list[str],
) -> gdal.Dataset | None:
    """A raster that gets its name when ``files`` is left without an error."""
    if not path:
        return None
    temporary = files.enter_context(whole_file(path))
    with gdal_options(GDAL_PAM_ENABLED="NO"), quiet_gdal() as said:
        target = _create(temporary, grid, names, nodata)
    messages += said
    return target


def _create(path: Path, grid: Grid, names: list[str], nodata: float | None) -> gdal.Dataset:
    options = ["TILED=YES", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]
    try:
        target = gdal.GetDriverByName("GTiff").Create(
            str(path), grid.width, grid.height, len(names), gdal.GDT_UInt16, options=options
        )
    except RuntimeError as error:
        raise gdal_cannot_write(path, [str(error)]) from error
    if target is None:
        raise gdal_cannot_write(path, [])
    target.SetGeoTransform(list(grid.transform))
    target.SetProjection(grid.crs_wkt)
    for index, name in enumerate(names, start=1):
        band = target.GetRasterBand(index)
        band.SetDescription(name)
        if nodata is not None:
            band.SetNoDataValue(nodata)
    return target
