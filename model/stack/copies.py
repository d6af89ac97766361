"""The files of COPY: a GeoTIFF of all dates and bands of a sensor, and one of their masks.

``<SENSOR>.tif`` holds date after date, each with all bands; ``<SENSOR>_mask.tif`` a Byte band a date, 1 = valid. Tiles
of 128 x 128 pixels, a band each: windows anywhere decode little beside themselves (with tiles of 256, reading 256 x 256
pixels takes 1.6 times as long), and tiles of one place lie together in the file. ``<SENSOR>.json`` says what they were
made of. While they are made, ``<SENSOR>.parts/`` holds two files a date and a journal.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.files import PARTIAL, make_folder, write_json
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import DTYPES, gdal_cannot_write, gdal_options, open_raster, quiet_gdal, read_array
from .grid import Grid, Window

TILE = 128
FORMAT = "landloom-copy"
_INDEX_BYTES = 256 * 2**20
"""The tables of tiles are written again at each flush; a file is flushed so often that these stay below this sum."""


@dataclass(frozen=True)
class Place:
    """Where the pixels of one date are: a file of bands and its first one, a file of masks and its band."""

    data: Path
    first: int
    mask: Path
    band: int


@functools.lru_cache(maxsize=1)
def compression() -> tuple[str, ...]:
    """ZSTD, the quickest to read, or DEFLATE where this GDAL was built without it."""
    driver = gdal.GetDriverByName("GTiff")
    options = driver.GetMetadataItem("DMD_CREATIONOPTIONLIST") or ""
    return ("COMPRESS=ZSTD", "ZSTD_LEVEL=5") if "ZSTD" in options else ("COMPRESS=DEFLATE", "ZLEVEL=5")


def create(path: Path, grid: Grid, dtype: str, nodata: float | None, names: Sequence[str]) -> gdal.Dataset:
    """A new tiled GeoTIFF with a band a name.

    Raises:
        LandloomError: if it cannot be written.
    """
    predictor = {"f": "PREDICTOR=3", "i": "PREDICTOR=2", "u": "PREDICTOR=2"}[np.dtype(dtype).kind]
    options = [
        "TILED=YES", f"BLOCKXSIZE={TILE}", f"BLOCKYSIZE={TILE}", "INTERLEAVE=BAND", "BIGTIFF=IF_SAFER", predictor,
        *compression(),
    ]  # fmt: skip
    with quiet_gdal() as messages:
        try:
            dataset = gdal.GetDriverByName("GTiff").Create(
                str(path), grid.width, grid.height, len(names), DTYPES[dtype], options=options
            )
        except RuntimeError as error:
            messages.append(str(error))
            dataset = None
        if dataset is None:
            raise gdal_cannot_write(path, messages)
        dataset.SetGeoTransform(list(grid.transform))
        dataset.SetProjection(grid.crs_wkt)
        for number, name in enumerate(names, start=1):
            band = dataset.GetRasterBand(number)
            band.SetDescription(name)
            if nodata is not None:
                band.SetNoDataValue(nodata)
    return dataset


def write(dataset: gdal.Dataset, window: Window, values: np.ndarray, first: int = 1) -> None:
    """Write ``[C, H, W]`` into the bands from ``first`` on.

    Raises:
        LandloomError: if the disk is full.
    """
    with quiet_gdal() as messages:
        try:
            for number, band in enumerate(values, start=first):
                dataset.GetRasterBand(number).WriteArray(band, window.column, window.row)
        except RuntimeError as error:
            messages.append(str(error))
    _check_written(dataset, messages)


def close(dataset: gdal.Dataset) -> None:
    """Write what is left.

    Raises:
        LandloomError: if the disk is full.
    """
    with quiet_gdal() as messages:
        try:
            dataset.FlushCache()
        except RuntimeError as error:
            messages.append(str(error))
    _check_written(dataset, messages)


def _check_written(dataset: gdal.Dataset, messages: list[str]) -> None:
    if any("rite" in message or "space" in message for message in messages):
        raise gdal_cannot_write(dataset.GetDescription(), messages)


def tiles(grid: Grid) -> list[Window]:
    """All tiles, row by row."""
    return [
        Window(column, row, min(TILE, grid.width - column), min(TILE, grid.height - row))
        for row in range(0, grid.height, TILE)
        for column in range(0, grid.width, TILE)
    ]


def strips(grid: Grid, bytes_per_pixel: int, memory_mb: float) -> list[Window]:
    """Whole rows of tiles, or single tiles of rows too wide, that fit into memory."""
    rows = int(memory_mb * 2**20 / max(1, bytes_per_pixel * grid.width)) // TILE * TILE
    if rows == 0:
        return tiles(grid)
    rows = min(rows, 8 * TILE)
    return [Window(0, row, grid.width, min(rows, grid.height - row)) for row in range(0, grid.height, rows)]


def assemble(
    folder: Path,
    name: str,
    grid: Grid,
    dtype: str,
    nodata: float | None,
    bands: Sequence[str],
    places: dict[str, Place],
    content: dict[str, Any],
    progress: Progress,
) -> None:
    """Write the two files of a sensor and, last, what they were made of.

    Args:
        folder: of the copies.
        name: of the sensor.
        grid: of the stack.
        dtype: of the values.
        nodata: declared value of pixels that are not valid.
        bands: of the sensor.
        places: date -> where its pixels are now, in order.
        content: of ``<SENSOR>.json``.
        progress: gets percent.

    Raises:
        LandloomError: if they cannot be written.
    """
    data, mask = folder / f"{name}.tif", folder / f"{name}_mask.tif"
    new_data, new_mask = data.with_suffix(f"{PARTIAL}.tif"), mask.with_suffix(f"{PARTIAL}.tif")
    dates = [date or "static" for date in places]
    opened: dict[Path, gdal.Dataset] = {}
    windows = tiles(grid)
    every = max(1, -(-len(windows) * len(windows) * len(dates) * len(bands) * 16 // _INDEX_BYTES))
    try:
        with gdal_options(GDAL_PAM_ENABLED="NO"):
            target = create(new_data, grid, dtype, nodata, [f"{date} {band}" for date in dates for band in bands])
            masks = create(new_mask, grid, "uint8", None, dates)
            for index, window in enumerate(windows):
                for order, place in enumerate(places.values()):
                    progress.check()
                    numbers = range(place.first, place.first + len(bands))
                    values = read_array(_opened(opened, place.data), window, list(numbers))
                    write(target, window, values, 1 + order * len(bands))
                    write(masks, window, read_array(_opened(opened, place.mask), window, [place.band]), 1 + order)
                if (index + 1) % every == 0:
                    close(target)
                    close(masks)
                    for dataset in opened.values():
                        dataset.FlushCache()
                progress.percent(100 * (index + 1) / len(windows))
            close(target)
            close(masks)
            target = masks = None
        opened.clear()
        description = folder / f"{name}.json"
        description.unlink(missing_ok=True)
        os.replace(new_data, data)
        os.replace(new_mask, mask)
        write_json(description, content)
    finally:
        opened.clear()
        for path in (new_data, new_mask):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    remove_parts(folder, name)


def remove_parts(folder: Path, name: str) -> None:
    """Remove the dates of a sensor that lie in its copy by now."""
    shutil.rmtree(parts_folder(folder, name), ignore_errors=True)


def parts_folder(folder: Path, name: str) -> Path:
    """Where the dates of a sensor lie until all are there."""
    return folder / f"{name}.parts"


def check_folder(folder: Path, names: Sequence[str]) -> None:
    """Make the folder; refuse one where files of others would be overwritten.

    Raises:
        LandloomError: naming the file.
    """
    make_folder(folder)
    for name in names:
        ours = (folder / f"{name}.json").exists() or parts_folder(folder, name).exists()
        for path in (folder / f"{name}.tif", folder / f"{name}_mask.tif"):
            if path.exists() and not ours:
                raise LandloomError(
                    tr("{path} is there already and no copy of Landloom; choose another folder for COPY.").format(
                        path=path
                    )
                )


def _opened(opened: dict[Path, gdal.Dataset], path: Path, most: int = 200) -> gdal.Dataset:
    if path not in opened:
        while len(opened) >= most:
            opened.popitem()
        opened[path] = open_raster(path)
    return opened[path]
