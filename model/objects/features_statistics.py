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
    divisor = np.where(total > 0, total, np.nan)
    owner = np.repeat(np.arange(len(total)), np.diff(start))
    names = [*statistics, *(percentile_name(percent) for percent in percentiles)]
    result = {name: np.full((len(values), len(total)), np.nan) for name in names}
    ranks = _Ranks(owner, weight, start, total, percentiles) if percentiles else None
    for layer, plane in enumerate(values):  # a layer at a time: its pixels stay in the cache from step to step
        found = plane.take(pixel).astype(np.float64, copy=False)
        mean = sums(found if whole else found * weight, start) / divisor
        if "mean" in result:
            result["mean"][layer] = mean
        if ranks is not None:
            for name, one in ranks.percentiles(found).items():
                result[name][layer] = one
        if "std" in result:
            found -= mean.take(owner)
            np.square(found, out=found)
            if not whole:
                found *= weight
            result["std"][layer] = np.sqrt(sums(found, start) / divisor)
    return result, total


class _Ranks:
    """Where the percentiles of objects lie among their sorted values."""

    def __init__(
        self,
        owner: np.ndarray,
        weight: np.ndarray,
        start: np.ndarray,
        total: np.ndarray,
        percentiles: Sequence[float],
    ) -> None:
        self._owner, self._weight, self._percents = owner, weight, percentiles
        self._filled = np.flatnonzero(total > 0)
        self._objects = len(total)
        self._first, self._last = start[self._filled], start[self._filled + 1] - 1
        self._total = total[self._filled]
        self._before = np.r_[0.0, np.cumsum(weight)][self._first]  # the same for every layer

    def percentiles(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """``[n]`` of each percentile of the values of all objects, one object after another."""
        order = np.lexsort((values, self._owner))
        reached = np.cumsum(self._weight[order])
        result = {}
        for percent in self._percents:
            wanted = self._before + self._total * percent / 100.0
            # a rounding error of the sums must not take the next value
            place = np.searchsorted(reached, wanted - 1e-9 * np.maximum(wanted, 1.0))
            found = np.full(self._objects, np.nan)
            found[self._filled] = values[order[np.clip(place, self._first, self._last)]]
            result[percentile_name(percent)] = found
        return result
