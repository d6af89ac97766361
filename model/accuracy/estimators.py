"""Accuracy and area of classes from a probability sample: stratified and unequal-probability estimators.

Every figure is a ratio of two weighted sums over the sample, R = sum(w a y) / sum(w a x), where w is the inverse of a
unit's inclusion probability and a its area. Its variance is that of the linearised sum of z = w a (y - R x), drawn
without replacement inside strata (Stehman 2014, equations 25 to 28; Cochran 1977, 6.13). Where strata are the map's own
classes this is what Olofsson et al. (2014), equations 5 to 10, give, apart from the finite population correction.

Where all units are right, or none is of a class, that variance is 0, which would promise certainty. The interval then
is the exact one of the binomial distribution (Clopper & Pearson 1934, Biometrika 26, 404-413) for as many units as have
the same variance with equal weights (Kish 1965, 11.7).

References: P. Olofsson, G. M. Foody, M. Herold, S. V. Stehman, C. E. Woodcock, M. A. Wulder, 2014, Good practices for
estimating area and assessing accuracy of land change, Remote Sensing of Environment 148, 42-57. S. V. Stehman, 2014,
Estimating area and map accuracy for stratified random sampling when the strata are different from the map classes,
International Journal of Remote Sensing 35, 4923-4939.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its standard error; NaN where undefined.

    Attributes:
        value: the estimate.
        error: its standard error.
        upper: the largest value that makes sense, which cuts the interval.
        unseen: where all units drawn are alike, so that the error is 0, how far the truth may still be away, as a
            share of ``upper``; else 0.
    """

    value: float
    error: float
    upper: float = 1.0
    unseen: float = 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, cut at 0 and ``upper``."""
        half = max(Z95 * self.error, self.unseen * self.upper)
        return max(self.value - half, 0.0), min(self.value + half, self.upper)

    def scaled(self, factor: float) -> Estimate:
        """The estimate in another unit, such as hectares."""
        return Estimate(self.value * factor, self.error * factor, self.upper * factor, self.unseen)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; NaN becomes None."""
        low, high = self.interval
        content = {"value": self.value, "standard_error": self.error, "low": low, "high": high}
        return {key: float(one) if np.isfinite(one) else None for key, one in content.items()}


@dataclass(frozen=True)
class Stratum:
    """What is known of one stratum.

    Attributes:
        name: as people read it.
        size: units (pixels) in it.
        drawn: units drawn that were judged.
        clusters: of them, those that were drawn independently (the same unless units were drawn in groups).
    """

    name: str
    size: float
    drawn: int
    clusters: int


@dataclass(frozen=True)
class Estimates:
    """Accuracy and area from a probability sample of N units and K classes.

    Attributes:
        overall: share of the area whose class is right.
        users: by class, share of the mapped area that is right (precision).
        producers: by class, share of the true area that is mapped so (recall).
        f1: by class.
        shares: by class, share of the area by the reference.
        matrix: ``[K, K]`` shares of the area, rows the reference, columns the map; sums to 1.
        total: the area that the sample stands for, in units of ``areas``.
        counts: ``[K, K]`` units.
        strata: those that were used.
        alone: names of strata with a single unit, in which no variance can be told; they add none.
    """

    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    f1: tuple[Estimate, ...]
    shares: tuple[Estimate, ...]
    matrix: np.ndarray
    total: float
    counts: np.ndarray
    strata: tuple[Stratum, ...]
    alone: tuple[str, ...] = field(default=())


def estimate(
    reference: np.ndarray,
    mapped: np.ndarray,
    classes: int,
    strata: np.ndarray,
    sizes: np.ndarray,
    probabilities: np.ndarray | None = None,
    areas: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    names: tuple[str, ...] = (),
) -> Estimates:
    """Estimate accuracy and area.

    Args:
        reference: ``[N]`` class indices; -1 for a unit outside what is assessed, which counts as drawn.
        mapped: ``[N]`` class indices; -1 likewise, such as a pixel without data.
        classes: number of classes K.
        strata: ``[N]`` indices 0..H-1; the strata may be other than the map's classes.
        sizes: ``[H]`` units (pixels) in each stratum, of which N were drawn without replacement.
        probabilities: ``[N]`` inclusion probabilities; by default units drawn over units there, by stratum.
        areas: ``[N]`` area of each unit, 1 by default; units of a map in degrees are not alike.
        clusters: ``[N]`` units with the same number were drawn together, as one; by default each by itself. With
            them no correction is made for a finite population.
        names: of the strata.

    Raises:
        ValueError: if there is no unit, an index is out of range, or a probability is not in (0, 1].
    """
    reference, mapped, strata = (np.asarray(one, np.int64) for one in (reference, mapped, strata))
    sizes = np.asarray(sizes, np.float64)
    if not len(reference) or len(reference) != len(mapped) or len(reference) != len(strata):
        raise ValueError("reference, map and strata must be of the same length, and not empty")
    for values, least, most in ((reference, -1, classes), (mapped, -1, classes), (strata, 0, len(sizes))):
        if values.min() < least or values.max() >= most:
            raise ValueError("a class or stratum is out of range")
    inside = (reference >= 0) & (mapped >= 0)
    if not inside.any():
        raise ValueError("no unit has a class of reference and map")
    drawn = np.bincount(strata, minlength=len(sizes))
    if probabilities is None:
        if (drawn[strata] > sizes[strata] * (1 + 1e-9)).any():
            raise ValueError("more units were drawn from a stratum than it has")
        weights = (sizes / np.maximum(drawn, 1))[strata]
    else:
        probabilities = np.asarray(probabilities, np.float64)
        if not ((probabilities > 0) & (probabilities <= 1)).all():
            raise ValueError("inclusion probabilities must be above 0 and at most 1")
        weights = 1 / probabilities
    weights = weights if areas is None else weights * np.asarray(areas, np.float64)
    own = np.arange(len(reference)) if clusters is None else np.asarray(clusters)
    pairs, unit = np.unique(np.stack([strata, own], axis=1), axis=0, return_inverse=True)
    sample = _Sample(weights, unit.reshape(-1), pairs[:, 0], sizes, drawn if clusters is None else np.zeros_like(drawn))
    right = inside & (reference == mapped)
    is_reference = inside[:, None] & (reference[:, None] == np.arange(classes))
    is_mapped = inside[:, None] & (mapped[:, None] == np.arange(classes))
    both = is_reference & is_mapped
    everywhere = inside.astype(np.float64)
    cell = (reference * classes + mapped)[inside]
    matrix = np.bincount(cell, weights[inside], classes**2).reshape(classes, classes)
    counts = np.bincount(cell, minlength=classes**2).reshape(classes, classes)
    used = np.flatnonzero(drawn)
    labels = names or tuple(str(h) for h in range(len(sizes)))
    independent = np.bincount(pairs[:, 0], minlength=len(sizes))
    return Estimates(
        overall=sample.ratio(right, everywhere),
        users=tuple(sample.ratio(both[:, k], is_mapped[:, k]) for k in range(classes)),
        producers=tuple(sample.ratio(both[:, k], is_reference[:, k]) for k in range(classes)),
        f1=tuple(_f1(sample, both[:, k], is_reference[:, k], is_mapped[:, k]) for k in range(classes)),
        shares=tuple(sample.ratio(is_reference[:, k], everywhere) for k in range(classes)),
        matrix=matrix / matrix.sum(),
        total=float(matrix.sum()),
        counts=counts,
        strata=tuple(Stratum(labels[h], float(sizes[h]), int(drawn[h]), int(independent[h])) for h in used),
        alone=tuple(labels[h] for h in used if independent[h] == 1 and sizes[h] > drawn[h]),
    )


def _f1(sample: _Sample, both: np.ndarray, is_reference: np.ndarray, is_mapped: np.ndarray) -> Estimate:
    """F1 of a class of the reference: 2 TP / (reference + map); undefined where the reference has none of it."""
    if not is_reference.any():
        return Estimate(float("nan"), float("nan"))
    return sample.ratio(2.0 * both, is_reference.astype(float) + is_mapped)


class _Sample:
    """Weights and structure of the sample.

    Args:
        weights: ``[N]`` expansion weights, times area.
        unit: ``[N]`` index of the independent draw 0..U-1 that each pixel belongs to.
        stratum: ``[U]``.
        sizes: ``[H]``.
        drawn: ``[H]``.
    """

    def __init__(
        self, weights: np.ndarray, unit: np.ndarray, stratum: np.ndarray, sizes: np.ndarray, drawn: np.ndarray
    ) -> None:
        self._weights, self._unit, self._stratum = weights, unit, stratum
        self._count = np.bincount(stratum, minlength=len(sizes)).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._left = np.where(sizes > 0, np.clip(1 - drawn / sizes, 0, 1), 0.0)  # finite population correction

    def ratio(self, y: np.ndarray, x: np.ndarray) -> Estimate:
        """Ratio of two totals, with the standard error of its linearised form."""
        total = float(self._weights @ x)
        if total <= 0:
            return Estimate(float("nan"), float("nan"))
        value = float(self._weights @ y) / total
        residual = np.bincount(self._unit, self._weights * (y - value * x), len(self._stratum))
        mean = np.bincount(self._stratum, residual, len(self._count)) / np.maximum(self._count, 1)
        spread = np.bincount(self._stratum, (residual - mean[self._stratum]) ** 2, len(self._count))
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(self._count > 1, self._count / (self._count - 1), 0.0)
        variance = float((self._left * factor * spread).sum()) / total**2
        if (self._left[self._count > 0] > 0).any() and self._count.max() < 2:
            return Estimate(value, float("nan"))  # one unit a stratum everywhere: no variance at all
        unseen = 0.0 if variance else self._unseen(x)
        return Estimate(value, float(np.sqrt(variance)), unseen=unseen)

    def _unseen(self, x: np.ndarray) -> float:
        """How large a share of a total the sample may have missed, at 95 % two-sided, if it has seen nothing of it."""
        shares = np.bincount(self._unit, self._weights * x, len(self._stratum))
        open_ones = shares[self._left[self._stratum] > 0]  # strata that were drawn whole hide nothing
        if not open_ones.any():
            return 0.0
        alike = open_ones.sum() ** 2 / (open_ones**2).sum()
        return float((1 - 0.025 ** (1 / alike)) * open_ones.sum() / shares.sum())
