"""What must be known of a source raster before it can join a stack."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
from osgeo import gdal, gdal_array

from ..base.errors import LandloomError, NoAnswerError
from ..base.language import tr
from ..base.raster import is_remote, open_raster, shown
from .grid import Grid
from .jp2 import is_cut
from .stac.http import is_refused, is_there

PAUSES = (0.5, 1.0, 2.0)
"""Seconds to wait before a server is asked again."""


@dataclass(frozen=True)
class RasterInfo:
    """Place, type and bands of one raster.

    Attributes:
        path: absolute path.
        grid: its own pixels.
        dtypes: numpy type name of each band.
        nodata: declared no-data value of each band, or None.
        descriptions: band names, empty text where there is none.
        tags: metadata of the default domain.
        size: bytes.
        time: time of the last change, seconds.
    """

    path: str
    grid: Grid
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    descriptions: tuple[str, ...]
    tags: dict[str, str]
    size: int
    time: float


def inspect(path: str | os.PathLike[str]) -> RasterInfo:
    """Open a raster and check that it can join a stack.

    Raises:
        LandloomError: if it is missing, not a raster, truncated, rotated, of complex numbers or has no CRS.
    """
    name = absolute(path)
    if not is_remote(name):
        return _inspect(name)
    for pause in PAUSES:
        try:
            return _inspect(name)
        except LandloomError:
            if is_refused(name):
                raise
        gdal.VSICurlClearCache()  # which remembers failures
        time.sleep(pause)
    try:
        return _inspect(name)
    except LandloomError as error:
        if is_there(name):
            raise
        raise NoAnswerError(
            tr("{shown} cannot be read: {error} Check the connection, then run the same again.").format(
                shown=shown(name), error=error
            )
        ) from error


def _inspect(name: str) -> RasterInfo:
    dataset = open_raster(name)
    transform = dataset.GetGeoTransform(can_return_null=True)
    crs = dataset.GetProjection()
    if not crs:
        raise LandloomError(
            tr("The raster {shown} has no CRS; give it one (in QGIS: Assign projection).").format(shown=shown(name))
        )
    if transform is None:
        raise LandloomError(
            tr("The raster {shown} is not georeferenced; give it a place (in QGIS: Georeferencer).").format(
                shown=shown(name)
            )
        )
    if transform[2] or transform[4] or transform[5] >= 0 or transform[1] <= 0:
        raise LandloomError(
            tr("The raster {shown} is rotated or south-up; warp it to a north-up grid first.").format(shown=shown(name))
        )
    bands = [dataset.GetRasterBand(index + 1) for index in range(dataset.RasterCount)]
    dtypes = []
    for band in bands:
        kind = gdal_array.GDALTypeCodeToNumericTypeCode(band.DataType)
        if kind is None or np.dtype(kind).kind == "c":
            raise LandloomError(
                tr("The raster {shown} holds complex numbers; convert it to real values first.").format(
                    shown=shown(name)
                )
            )
        dtypes.append(np.dtype(kind).name)
    size, time = size_and_time(name)
    _check_whole(dataset, name, size)
    return RasterInfo(
        name,
        Grid(crs, tuple(transform), dataset.RasterXSize, dataset.RasterYSize),
        tuple(dtypes),
        tuple(band.GetNoDataValue() for band in bands),
        tuple(band.GetDescription() or "" for band in bands),
        dict(dataset.GetMetadata() or {}),
        size,
        time,
    )


def absolute(path: str | os.PathLike[str]) -> str:
    """The absolute path; GDAL's virtual paths stay as they are."""
    name = os.fspath(path)
    return name if name.startswith("/vsi") else os.path.abspath(name)


def size_and_time(path: str) -> tuple[int, float]:
    """Bytes and time of the last change of a file.

    Raises:
        LandloomError: if it does not exist.
    """
    if path.startswith("/vsi"):
        status = gdal.VSIStatL(path)
        if status is None:
            raise LandloomError(tr("The raster {path} does not exist; check the path.").format(path=path))
        return int(status.size), float(status.mtime)
    try:
        status = os.stat(path)
    except OSError as error:
        raise LandloomError(
            tr("The raster {path} cannot be found ({reason}); check the path.").format(path=path, reason=error.strerror)
        ) from error
    return status.st_size, round(status.st_mtime, 3)


def _check_whole(dataset: gdal.Dataset, name: str, size: int) -> None:
    """Refuse a GeoTIFF whose last blocks lie behind the end of the file (a download cut short)."""
    if dataset.GetDriver().ShortName.startswith("JP2") and not is_remote(name) and is_cut(name, size):
        raise LandloomError(
            tr("The raster {name} is truncated (its image data end too early); get it again.").format(name=name)
        )
    if dataset.GetDriver().ShortName != "GTiff":
        return
    for index in range(1, dataset.RasterCount + 1):
        band = dataset.GetRasterBand(index)
        width, height = band.GetBlockSize()
        row = (dataset.RasterYSize - 1) // height
        for column in range((dataset.RasterXSize - 1) // width + 1):
            offset = band.GetMetadataItem(f"BLOCK_OFFSET_{column}_{row}", "TIFF")
            length = band.GetMetadataItem(f"BLOCK_SIZE_{column}_{row}", "TIFF")
            if offset and length and int(offset) + int(length) > size:
                raise LandloomError(
                    tr("The raster {name} is truncated (its last rows are missing); get it again.").format(name=name)
                )
