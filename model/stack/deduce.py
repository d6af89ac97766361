"""What values say of their unit, where nobody tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.language import tr
from ..base.raster import open_raster, read_array

_PROBES = 5
_SIZE = 128


def probe(examples: Sequence[tuple[str, Sequence[int]]], nodata: float | None) -> tuple[np.ndarray, bool]:
    """Up to 128 x 128 pixels from the middle of some of the rasters, and whether they are whole numbers.

    Args:
        examples: paths and their bands.
        nodata: left out, as NaN and infinite values are.

    Returns:
        values ``[n]`` float64.
    """
    chosen = [examples[index] for index in sorted(set(np.linspace(0, len(examples) - 1, _PROBES).astype(int)))]
    values, whole = [], True
    for path, bands in chosen:
        dataset = open_raster(path)
        width, height = min(_SIZE, dataset.RasterXSize), min(_SIZE, dataset.RasterYSize)
        window = ((dataset.RasterXSize - width) // 2, (dataset.RasterYSize - height) // 2, width, height)
        array = read_array(dataset, window, list(bands))
        whole &= array.dtype.kind in "iu"
        flat = array.ravel().astype(np.float64)
        flat = flat[np.isfinite(flat)]
        values.append(flat if nodata is None else flat[flat != nodata])
    return np.concatenate(values), whole


def deduce_radar_unit(
    examples: Sequence[tuple[str, Sequence[int]]], scale: float, offset: float, nodata: float | None
) -> tuple[str, str]:
    """``db``, ``power`` or ``amplitude``, and why.

    Backscatter of land lies at about -8 to -25 dB: power 0.003 to 0.15, amplitude 0.06 to 0.4.
    """
    values, whole = probe(examples, nodata)
    values = values * scale + offset
    if values.size == 0:
        return "power", tr("the files hold no valid value to judge by")
    if np.mean(values < 0) > 0.01:
        return "db", tr("{mean:.0f} % of the values are negative").format(mean=100 * np.mean(values < 0))
    positive = values[values > 0]
    if positive.size == 0:
        return "power", tr("the files hold no value above 0 to judge by")
    median = float(np.median(positive))
    if whole and scale == 1.0:
        return "amplitude", tr("the values are whole numbers above 0")
    if median > 0.13:
        return "amplitude", tr("no value is negative and the median is {median:.3g}, too bright for power").format(
            median=median
        )
    return "power", tr("no value is negative and the median is {median:.3g}").format(median=median)


def deduce_scale(examples: Sequence[tuple[str, Sequence[int]]], nodata: float | None) -> tuple[float, str]:
    """The factor to reflectance, and why."""
    values, whole = probe(examples, nodata)
    if values.size == 0:
        return (1e-4, tr("the files hold whole numbers")) if whole else (1.0, tr("the files hold decimal numbers"))
    high = float(np.percentile(values, 98))
    if high > 3 and (not whole or high > 255):
        return 1e-4, tr("98 % of the values are below {high:.0f}").format(high=high)
    if whole:
        return 1.0, tr("98 % of the values are below {high:.0f}, no reflectance times 10,000").format(high=high)
    return 1.0, tr("98 % of the values are below {high:.2g}").format(high=high)
