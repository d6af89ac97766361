"""Small pictures of the dates of a stack, where they cost little: to see haze and clouds that no mask has found."""

from __future__ import annotations

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.raster import is_remote, open_raster, quiet_gdal
from .manifest import Acquisition, Part, Sensor, Stack
from .sensors import RADAR
from .smallview import has_small_views

CHEAP = 4_000_000
"""Pixels of a grid that are read quickly even where files hold no reduced sizes of themselves."""

_CHOICES = (("B4", "B3", "B2"), ("B8", "B4", "B3"))
_LOW, _HIGH = 2.0, 98.0  # percentiles between which values are stretched


def picture_bands(sensor: Sensor) -> tuple[str, ...]:
    """Three bands for red, green and blue, or one for grey."""
    for choice in _CHOICES:
        if all(band in sensor.bands for band in choice):
            return choice
    return sensor.bands[:3] if len(sensor.bands) >= 3 and sensor.kind != RADAR else sensor.bands[:1]


def is_cheap(stack: Stack, sensor: Sensor, acquisition: Acquisition) -> bool:
    """Whether a picture of a date takes a fraction of a second: local, and small or with reduced sizes."""
    paths = [source.path for part in acquisition.parts for source in part.sources]
    if any(is_remote(path) for path in paths):
        return False
    return stack.grid.width * stack.grid.height <= CHEAP or has_small_views(sensor, acquisition)


def thumbnail(stack: Stack, sensor: Sensor, acquisition: Acquisition, side: int = 96) -> np.ndarray | None:
    """A picture of a date.

    Args:
        stack: of the date.
        sensor: its sensor.
        acquisition: the date.
        side: pixels of the longer edge.

    Returns:
        uint8 ``[H, W, 3]``, black where there is no data; None where it would not be cheap.

    Raises:
        LandloomError: naming a file that cannot be read.
    """
    if not is_cheap(stack, sensor, acquisition):
        return None
    step = max(stack.grid.width, stack.grid.height) / side
    width, height = (max(1, round(size / step)) for size in (stack.grid.width, stack.grid.height))
    bands = picture_bands(sensor)
    merged = np.full((len(bands), height, width), np.nan)
    for part in acquisition.parts:
        if not all(band in part.bands for band in bands):
            continue
        values = _read(part, bands, width, height, sensor.nodata)
        missing = np.isnan(merged)
        merged[missing] = values[missing]
    if sensor.kind == RADAR:
        merged = 10 * np.log10(np.where(merged > 0, merged, np.nan))
    return _stretched(merged)


def _read(part: Part, bands: tuple[str, ...], width: int, height: int, nodata: float | None) -> np.ndarray:
    if not part.data:
        raise LandloomError(tr("{product} has no virtual raster: make the stack again.").format(product=part.product))
    names = list(part.bands)
    with quiet_gdal():
        dataset = open_raster(part.data)
        try:
            values = np.stack(
                [
                    dataset.GetRasterBand(names.index(band) + 1).ReadAsArray(buf_xsize=width, buf_ysize=height)
                    for band in bands
                ]
            ).astype(np.float64)
        except (RuntimeError, TypeError, ValueError) as error:
            raise LandloomError(
                tr("Cannot read {data}: {error}. Make the stack again.").format(data=part.data, error=error)
            ) from error
    declared = dataset.GetRasterBand(1).GetNoDataValue()
    for one in (nodata, declared):
        if one is not None:
            values[values == one] = np.nan
    return values


def _stretched(values: np.ndarray) -> np.ndarray:
    """Bands stretched together, so that a hazy date looks pale and colours stay true: ``[C, H, W]`` to uint8."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [_LOW, _HIGH]) if finite.size else (0.0, 1.0)
    scaled = (values - low) / max(high - low, 1e-12) * 254 + 1
    shown = np.where(np.isfinite(scaled), np.clip(scaled, 1, 255), 0).astype(np.uint8)
    return np.repeat(shown, 3, axis=0).transpose(1, 2, 0) if len(shown) == 1 else shown.transpose(1, 2, 0)
