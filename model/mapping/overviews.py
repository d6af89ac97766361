"""Overviews: a written raster becomes a cloud-optimised GeoTIFF, quick to look at, whole or through a network."""

from __future__ import annotations

from pathlib import Path

from osgeo import gdal

from ..base.files import whole_file
from ..base.freedmemory import give_back_freed_memory
from ..base.gdalcache import small_cache
from ..base.progress import Progress
from ..base.raster import gdal_cannot_write, gdal_options, open_raster, quiet_gdal

SMALLEST = 512
"""Rasters of no more pixels along an edge need no overview."""

BLOCK = 256
_CACHE_MB = 8
_CACHE_ROWS = 1.5
"""Rows of blocks in GDAL's cache while it makes overviews: with less than one it reads each block many times."""


def needs_overviews(width: int, height: int, bands: int) -> bool:
    """Whether a raster is large, and one that is looked at: of one band."""
    return bands == 1 and max(width, height) > SMALLEST


def optimise(path: Path, classes: bool, progress: Progress) -> None:
    """Write a GeoTIFF anew, cloud-optimised with overviews; its pixels and what lies beside it stay.

    Args:
        path: the raster.
        classes: overviews take the most frequent value of four, never a mean.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if it cannot be written; the raster stays as it was then.
        Cancelled: if the user asked to stop; likewise.
    """

    def told(share: float, _message: str, _data: object) -> int:
        progress.percent(100 * share)
        give_back_freed_memory()
        return 0 if progress.is_cancelled() else 1

    options = ["COMPRESS=DEFLATE", f"BLOCKSIZE={BLOCK}", "BIGTIFF=IF_SAFER"]
    options.append(f"OVERVIEW_RESAMPLING={'MODE' if classes else 'AVERAGE'}")
    source = open_raster(path)
    row_mb = source.RasterXSize * BLOCK * gdal.GetDataTypeSize(source.GetRasterBand(1).DataType) / 8 / 2**20
    cache = small_cache(max(_CACHE_MB, _CACHE_ROWS * row_mb))
    with whole_file(path) as temporary, gdal_options(GDAL_PAM_ENABLED="NO"), cache, quiet_gdal() as messages:
        try:
            made = gdal.GetDriverByName("COG").CreateCopy(str(temporary), source, 0, options, told)
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
            made = None
        progress.check()
        del made  # closed, so that what is read now is the file
        written = _checksums(temporary) if temporary.exists() else []
        if not written or written != _checksums(path):
            raise gdal_cannot_write(path, messages)
        source = None


def _checksums(path: Path) -> list[int]:
    """Of the pixels of a raster, piece by piece; empty if it cannot be read."""
    try:
        dataset = gdal.OpenEx(str(path), gdal.OF_RASTER)
        if dataset is None:
            return []
        band, width, height = dataset.GetRasterBand(1), dataset.RasterXSize, dataset.RasterYSize
        return [int(band.Checksum(0, row, width, min(BLOCK, height - row))) for row in range(0, height, BLOCK)]
    except RuntimeError:
        return []
