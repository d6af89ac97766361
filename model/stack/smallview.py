"""Counting data and valid pixels of a large date on small pictures of its files.

JPEG 2000 files and cloud-optimised GeoTIFFs hold themselves at reduced sizes, which GDAL decodes many times quicker
than their pixels. Values come from these; masks never do, since a mean of classes is no class, unless they lie behind
an address.
"""

from __future__ import annotations

import math

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.progress import Progress
from ..base.raster import is_remote, open_raster, quiet_gdal, reading_failed
from .grid import Grid
from .manifest import Acquisition, Part, Sensor
from .maskrules import dilate, valid_values

LARGEST = 1_400
"""Pixels along the longer edge of the pictures."""

Counts = tuple[int, int, int]


def has_small_views(sensor: Sensor, acquisition: Acquisition) -> bool:
    """Whether the first band of every product of a date holds itself at reduced sizes."""
    for part in acquisition.parts:
        path, number = _first(sensor, part)
        try:
            dataset = open_raster(path)  # kept: a band lives no longer than its data set
            if dataset.GetRasterBand(number).GetOverviewCount() == 0:
                return False
        except LandloomError:
            return False  # said where its pixels are read
    return bool(acquisition.parts)


def count_small(grid: Grid, sensor: Sensor, acquisition: Acquisition, progress: Progress) -> tuple[int, Counts]:
    """Count the pixels of small pictures of a date on the grid, by its first band.

    Returns:
        how many there are; how many hold data, are valid, and are valid with a negative reflectance.

    Raises:
        LandloomError: naming the file that cannot be read.
    """
    step = max(1, math.ceil(max(grid.width, grid.height) / LARGEST))
    width, height = max(1, grid.width // step), max(1, grid.height // step)
    small = Grid(grid.crs_wkt, _stretched(grid, width, height), width, height)
    data = np.zeros((height, width), bool)
    valid, negative = data.copy(), data.copy()
    for part in acquisition.parts:
        progress.check()
        path, number = _first(sensor, part)
        source = next(source for source in part.sources if source.path == path)
        values, holds = _small(path, number, small, True)
        if source.nodata is not None:
            holds &= values != source.nodata
        holds &= np.isfinite(values)
        clear = holds.copy()
        for rule in part.masks:
            progress.check()
            told, covered = _small(rule.source.path, rule.band, small, is_remote(rule.source.path))
            told[~covered] = 0  # as the reader takes what lies outside of a mask
            own = valid_values(rule, told)
            if rule.buffer:
                metres = small.resolution[0] * grid.metres_per_unit
                own = ~dilate(~own, math.ceil(rule.buffer / metres - 0.5))
            clear &= own
        scale, offset = part.scales.get(sensor.bands[0], (sensor.scale, sensor.offset))
        negative |= clear & ~valid & (np.round(values.astype(np.float64) * scale + offset, 9) < 0)
        data |= holds
        valid |= clear
    return width * height, (int(data.sum()), int(valid.sum()), int(negative.sum()))


def _first(sensor: Sensor, part: Part) -> tuple[str, int]:
    """File and band of the sensor's first band that a product has."""
    name = next(band for band in sensor.bands if band in part.bands)
    index, number = part.bands[name]
    return part.sources[index].path, number


def _stretched(grid: Grid, width: int, height: int) -> tuple[float, float, float, float, float, float]:
    x, dx, _, y, _, dy = grid.transform
    return x, dx * grid.width / width, 0.0, y, 0.0, dy * grid.height / height


def _small(path: str, number: int, small: Grid, reduced: bool) -> tuple[np.ndarray, np.ndarray]:
    """The nearest values of a band on a coarse grid, and where the file has pixels, ``[H, W]`` each."""
    dataset = open_raster(path)
    xmin, ymin, xmax, ymax = small.bounds
    with quiet_gdal() as messages:
        gdal.ErrorReset()
        try:
            if dataset.RasterCount > 1:
                dataset = gdal.Translate("", dataset, format="VRT", bandList=[number])
            options = gdal.WarpOptions(
                format="MEM",
                dstSRS=small.crs_wkt,
                outputBounds=(xmin, ymin, xmax, ymax),
                width=small.width,
                height=small.height,
                resampleAlg="near",
                srcNodata="None",
                dstAlpha=True,
                overviewLevel="AUTO" if reduced else "NONE",
            )
            warped = gdal.Warp("", dataset, options=options)
            failed = warped is None or gdal.GetLastErrorType() >= gdal.CE_Failure
        except RuntimeError as error:
            messages.append(str(error))
            failed = True
        if failed:
            raise reading_failed(path, messages)
        values, covered = warped.ReadAsArray()
    kind = np.uint8 if warped.GetRasterBand(1).DataType == gdal.GDT_Byte else values.dtype
    return values.astype(kind), covered > 0
