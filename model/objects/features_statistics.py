"""Statistics of the pixels of objects, all objects at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .features_coverage import Coverage

STATISTICS = ("mean", "std")


def percentile_name(percent: float) -> str:
    """Such as ``p10``."""
    return f"p{percent:g}"


def sums(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Sums over runs along the last axis: ``[..., e]`` -> ``[..., n]``; 0 for an empty run."""
    result = np.zeros((*values.shape[:-1], len(start) - 1), np.float64)
    filled = np.flatnonzero(np.diff(start))
    if len(filled):
        result[..., filled] = np.add.reduceat(values, start[filled], axis=-1, dtype=np.float64)
    return result


def measure(
    values: np.ndarray,
    valid: np.ndarray | None,
    coverage: Coverage,
    statistics: Sequence[str],
    percentiles: Sequence[float] = (),
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Statistics of layers that share their valid pixels.

    Means and standard deviations are weighted by the share of each pixel in the object; the deviation is that of the
    population, as QGIS's zonal statistics give it. A percentile is the smallest value at or below which that share of
    the object's valid area lies.

    Args:
        values: ``[L, P]`` of a window's pixels.
        valid: ``[P]`` bool; None where all are.
        coverage: pixels of the objects.
        statistics: of :data:`STATISTICS`.
        percentiles: 0 to 100.

    Returns:
        name of the statistic -> ``[L, n]`` float64, NaN for an object without a valid pixel; valid pixels of each
        object, ``[n]``, counted by their share.
    """
    start, pixel, weight = coverage
    if valid is not None:
        kept = valid[pixel]
        if not kept.all():
            start = np.r_[0, np.cumsum(kept)][start]
            pixel, weight = pixel[kept], weight[kept]
    whole = len(weight) == 0 or weight.min() == 1.0
    total = np.diff(start).astype(np.float64) if whole else sums(weight, start)
    found = np.empty((len(values), len(pixel)), np.float64)
    for layer, plane in enumerate(values):  # one plane stays in the cache while its pixels are picked
        found[layer] = plane.take(pixel)
    divisor = np.where(total > 0, total, np.nan)
    result: dict[str, np.ndarray] = {}
    mean = sums(found if whole else found * weight, start) / divisor
    if "mean" in statistics:
        result["mean"] = mean
    if percentiles:
        result |= _percentiles(found, weight, start, total, percentiles)
    if "std" in statistics:
        found -= np.repeat(mean, np.diff(start), axis=1)
        np.square(found, out=found)
        result["std"] = np.sqrt(sums(found if whole else found * weight, start) / divisor)
    return result, total


def _percentiles(
    found: np.ndarray, weight: np.ndarray, start: np.ndarray, total: np.ndarray, percentiles: Sequence[float]
) -> dict[str, np.ndarray]:
    owner = np.repeat(np.arange(len(start) - 1), np.diff(start))
    filled = np.flatnonzero(total > 0)
    result = {percentile_name(percent): np.full((len(found), len(total)), np.nan) for percent in percentiles}
    before = np.r_[0.0, np.cumsum(weight)][start[:-1]]  # the same for every layer: entries stay with their owner
    for layer, values in enumerate(found):
        order = np.lexsort((values, owner))
        reached = np.cumsum(weight[order])
        for percent in percentiles:
            wanted = before[filled] + total[filled] * percent / 100.0
            # a rounding error of the sums must not take the next value
            place = np.searchsorted(reached, wanted - 1e-9 * np.maximum(wanted, 1.0))
            place = np.clip(place, start[filled], start[filled + 1] - 1)
            result[percentile_name(percent)][layer, filled] = values[order[place]]
    return result
