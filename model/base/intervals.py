"""Intervals and tests of accuracy figures: the paired bootstrap of groups, and the corrected resampled t-test.

Pixels of a field are alike, so a field (a group) is what is drawn, never a pixel. Two classifiers are compared on the
same draws: what is hard in a draw is hard for both, and only their difference remains.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from .metrics import confusion_matrix, score_arrays
from .progress import Progress

#: The scores of a whole classification, in the order in which they are told.
SCORES = ("overall_accuracy", "kappa", "macro_f1", "weighted_f1")
BOOTSTRAP, CORRECTED_T, BOTH = "bootstrap of groups", "corrected resampled t", "the more cautious of both"
REPLICATES = 2000
LEVEL = 0.95
_CELLS = 500_000  # numbers at work at once
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """A figure with the interval that covers its true value in a share ``level`` of all samplings.

    Attributes:
        estimate: the figure, or the difference of two.
        low, high: the ends of the interval; NaN where it cannot be told.
        p: for a difference, the two-sided chance of one as large if there were none; else NaN.
        n: groups drawn from, or the number of splits.
        method: :data:`BOOTSTRAP`, :data:`CORRECTED_T` or :data:`BOTH`.
        level: 0..1.
        undefined: share of the draws in which the figure is undefined; they are left out.
    """

    estimate: float
    low: float
    high: float
    p: float = float("nan")
    n: int = 0
    method: str = ""
    level: float = LEVEL
    undefined: float = 0.0

    @property
    def significant(self) -> bool:
        """Whether a difference is told from 0 at this level."""
        return bool(np.isfinite(self.p) and self.p < 1 - self.level)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; NaN becomes None."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in content.items()}


@dataclass
class GroupBootstrap:
    """Scores of several classifications over the same draws of groups (Efron & Tibshirani 1993, chapters 8 and 13).

    Made by :func:`bootstrap_groups`. Rows are classifications, and several rows may be runs of one classifier: their
    scores are then averaged within each draw.

    Attributes:
        groups: ``[P]``, how many groups each row was judged on.
        observed: score -> ``[P]``; ``f1`` is ``[P, K]``.
        draws: score -> ``[P, B]``; ``f1`` is ``[P, B, K]``.
    """

    groups: np.ndarray
    observed: dict[str, np.ndarray]
    draws: dict[str, np.ndarray] = field(repr=False)

    def interval(self, rows: Sequence[int], score: str, level: float = LEVEL) -> Interval:
        """The interval of the mean score of some rows, the runs of one classifier.

        Its ends are NaN where all draws have the same score, such as 1: what no group shows cannot be drawn.
        """
        observed, draws = self._mean(rows, score)
        low, high, undefined = _spread_of(observed, draws, level, self._n(rows))
        return Interval(observed, low, high, n=self._n(rows), method=BOOTSTRAP, level=level, undefined=undefined)

    def difference(self, rows: Sequence[int], others: Sequence[int], score: str, level: float = LEVEL) -> Interval:
        """The gain of one classifier over another: mean of ``rows`` minus mean of ``others``, on the same draws."""
        mine, my_draws = self._mean(rows, score)
        theirs, their_draws = self._mean(others, score)
        gain = mine - theirs
        n = min(self._n(rows), self._n(others))
        low, high, p, undefined = _percentiles(gain, my_draws - their_draws, level, n)
        return Interval(gain, low, high, p, n, BOOTSTRAP, level, undefined)

    def by_class(self, rows: Sequence[int], level: float = LEVEL) -> list[Interval]:
        """The intervals of the classes' F1, as :meth:`interval` gives them."""
        result = []
        for k in range(self.observed["f1"].shape[1]):
            observed, draws = _mean(self.observed["f1"][rows, k]), _mean(self.draws["f1"][rows, :, k])
            low, high, undefined = _spread_of(float(observed), draws, level, self._n(rows))
            result.append(
                Interval(float(observed), low, high, float("nan"), self._n(rows), BOOTSTRAP, level, undefined)
            )
        return result

    def _mean(self, rows: Sequence[int], score: str) -> tuple[float, np.ndarray]:
        rows = list(rows)
        return float(_mean(self.observed[score][rows])), _mean(self.draws[score][rows])

    def _n(self, rows: Sequence[int]) -> int:
        return int(self.groups[list(rows)].min())


def bootstrap_groups(
    reference: np.ndarray,
    predictions: Sequence[np.ndarray] | np.ndarray,
    groups: np.ndarray,
    classes: int,
    replicates: int = REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> GroupBootstrap:
    """Draw whole groups with replacement, as many as there are, and score each classification on each draw.

    Args:
        reference: ``[N]`` class indices.
        predictions: ``[P, N]`` class indices of P classifications of the same samples; -1 where one did not judge.
        groups: ``[N]``, what is independent of one another: the groups (or blocks) that were never split.
        classes: number of classes K.
        replicates: draws B.
        seed: the same seed draws alike.
        progress: asked whether to stop.

    Raises:
        ValueError: if lengths differ or nothing was judged.
    """
    reference, predictions = np.asarray(reference), np.asarray(predictions)
    progress = progress or Progress()
    if predictions.ndim != 2 or predictions.shape[1] != len(reference) or len(groups) != len(reference):
        raise ValueError("reference, predictions and groups differ in length")
    if not (predictions >= 0).any():
        raise ValueError("there is nothing to judge")
    used = (predictions >= 0).any(axis=0)
    if not used.all():
        reference, predictions, groups = reference[used], predictions[:, used], np.asarray(groups)[used]
    _, group = np.unique(groups, return_inverse=True)
    group = group.reshape(-1).astype(np.int32)
    n_groups = int(group.max()) + 1
    counts = [_group_cells(reference, row, group, classes) for row in predictions]
    matrices = [confusion_matrix(reference[row >= 0], row[row >= 0], classes) for row in predictions]
    observed = _kept(score_arrays(np.stack(matrices)))
    judged = np.array([np.count_nonzero(np.bincount(group, row >= 0)) for row in predictions])
    random = np.random.default_rng(seed)
    found: list[list[dict[str, np.ndarray]]] = [[] for _ in predictions]
    at_once = max(1, _CELLS // max(n_groups, classes**2, *(len(cells[2]) for cells in counts)))
    for first in range(0, replicates, at_once):
        progress.check()
        size = min(at_once, replicates - first)
        weights = np.stack(
            [np.bincount(random.integers(0, n_groups, n_groups), minlength=n_groups) for _ in range(size)]
        )
        for row, cells in enumerate(counts):
            found[row].append(_kept(score_arrays(_weighted(weights, cells, classes))))
    draws = {name: np.stack([np.concatenate([part[name] for part in parts]) for parts in found]) for name in observed}
    return GroupBootstrap(judged, observed, draws)


def corrected_t(
    differences: Sequence[float] | np.ndarray,
    test_to_training: float,
    estimate: float | None = None,
    level: float = LEVEL,
) -> Interval:
    """The corrected resampled t-test (Nadeau & Bengio 2003, Machine Learning 52, 239-281).

    Random splits of one data set share samples, so that the variance over splits is too small for that of the mean. It
    is multiplied by ``1/n + n_test/n_train`` in place of ``1/n``. For r times k folds n is r * k and the ratio
    1 / (k - 1) (Bouckaert & Frank 2004).

    Args:
        differences: ``[n]``, one a split; undefined ones are left out.
        test_to_training: size of the test part over that of the training part.
        estimate: the difference to be judged where it is not their mean: that of the scores of all out-of-fold
            predictions together, which differ from the mean of the folds' for all scores but overall accuracy.
        level: of the interval.

    Returns:
        difference, interval and p; NaN with fewer than two splits. Where the differences do not vary, p is 1 for a
        difference of 0, else 0.
    """
    values = np.asarray(differences, dtype=np.float64)
    undefined = float(np.mean(~np.isfinite(values))) if values.size else 0.0
    values = values[np.isfinite(values)]
    n = len(values)
    if n < 2:
        mean = float(values.mean()) if n else float("nan")
        mean = mean if estimate is None else estimate
        return Interval(mean, float("nan"), float("nan"), n=n, method=CORRECTED_T, level=level, undefined=undefined)
    mean = float(values.mean()) if estimate is None else estimate
    error = float(np.sqrt(values.var(ddof=1) * (1 / n + test_to_training)))
    half = student_quantile((1 + level) / 2, n - 1) * error
    p = 2 * student_cdf(-abs(mean) / error, n - 1) if error > 0 else float(mean == 0)
    return Interval(mean, mean - half, mean + half, p, n, CORRECTED_T, level, undefined)


def cautious(bootstrap: Interval, corrected: Interval) -> Interval:
    """One answer about a gain from both methods: the larger p, and the interval that covers both.

    The bootstrap knows the chance of the test groups but takes the trained models as they are, so that it finds too
    much with few groups; the corrected t-test knows both, by a rule of thumb. Where the latter is undefined (one
    split), the bootstrap's stands.
    """
    if not np.isfinite(corrected.p):
        return bootstrap
    if not np.isfinite(bootstrap.p):
        return corrected
    return replace(
        bootstrap,
        low=min(bootstrap.low, corrected.low),
        high=max(bootstrap.high, corrected.high),
        p=max(bootstrap.p, corrected.p),
        method=BOTH,
    )


def student_cdf(t: float, freedom: int) -> float:
    """Student's distribution for whole degrees of freedom (Abramowitz & Stegun 1972, 26.7.3 and 26.7.4).

    Written out, since not every QGIS has scipy; from 10,000 degrees of freedom on the normal distribution stands in.
    """
    if freedom >= 10_000 or not np.isfinite(t):
        return _NORMAL.cdf(t) if np.isfinite(t) else float(t > 0)
    angle = float(np.arctan(t / np.sqrt(freedom)))
    sine, cosine = float(np.sin(angle)), float(np.cos(angle))
    odd = freedom % 2
    steps = np.arange(1, (freedom - 2 - odd) // 2 + 1)
    factors = (2 * steps / (2 * steps + 1) if odd else (2 * steps - 1) / (2 * steps)) * cosine**2
    series = 1.0 + float(np.cumprod(factors).sum())
    if odd:
        angle += sine * cosine * series if freedom > 1 else 0.0
        return float(0.5 + angle / np.pi)
    return float((1 + sine * series) / 2)


@functools.cache
def student_quantile(share: float, freedom: int) -> float:
    """The value below which a share of Student's distribution lies, by bisection."""
    low, high = -1.0, 1.0
    while student_cdf(low, freedom) > share:
        low *= 2
    while student_cdf(high, freedom) < share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if student_cdf(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def holm(p_values: Mapping[Any, float]) -> dict[Any, float]:
    """P values corrected for the number of tests (Holm 1979); undefined ones are no tests and stay so."""
    known = sorted(((p, key) for key, p in p_values.items() if np.isfinite(p)), key=lambda pair: pair[0])
    corrected, highest = dict(p_values), 0.0
    for place, (p, key) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - place) * p))
        corrected[key] = highest
    return corrected


def spread(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Lowest, mean and highest of the runs, undefined ones left out; a spread, not an interval."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return (float("nan"),) * 3
    return float(known.min()), float(known.mean()), float(known.max())


# ---------------------------------------------------------------------- parts


def _group_cells(
    reference: np.ndarray, predicted: np.ndarray, group: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells of the confusion matrix that occur, where each begins, and group and count of their parts, by cell."""
    own = predicted >= 0
    groups = int(group.max(initial=0)) + 1
    part = (reference[own].astype(np.int64) * classes + predicted[own]) * groups + group[own]
    parts, count = np.unique(part, return_counts=True)
    cells, group_of = np.divmod(parts, groups)
    return cells, group_of, count


def _weighted(weights: np.ndarray, cells: tuple[np.ndarray, np.ndarray, np.ndarray], classes: int) -> np.ndarray:
    """Confusion matrices ``[B, K, K]`` of draws ``[B, G]`` of groups."""
    cell, group, count = cells
    matrices = np.zeros((len(weights), classes**2))
    if len(cell):
        occurring, first = np.unique(cell, return_index=True)
        matrices[:, occurring] = np.add.reduceat(weights[:, group] * count, first, axis=1)
    return matrices.reshape(-1, classes, classes)


def _kept(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: found[name] for name in (*SCORES, "f1")}


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean of the first axis without undefined values; NaN where all are."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / count


def _percentiles(estimate: float, draws: np.ndarray, level: float, n: int) -> tuple[float, float, float, float]:
    """Percentile interval corrected for bias and few groups, two-sided p by inverting it, share of undefined draws.

    Scores that are means over classes come out lower in the draws than they are, since rare classes lose groups: the
    percentiles are moved by that bias (Efron & Tibshirani 1993, section 14.3, without acceleration). Draws of n groups
    vary too little, by (n - 1) / n, and know no t distribution: the percentiles are moved outwards by both (Hesterberg
    2015, The American Statistician 69, 371-386, section 5.2).
    """
    known = draws[np.isfinite(draws)]
    undefined = 1 - len(known) / len(draws)
    if not len(known) or not np.isfinite(estimate) or n < 2:
        return float("nan"), float("nan"), float("nan"), undefined
    wider = np.sqrt(n / (n - 1))
    bias = _NORMAL.inv_cdf(_share_below(known, estimate))
    ends = [
        _NORMAL.cdf(2 * bias + wider * student_quantile(share, n - 1)) for share in ((1 - level) / 2, (1 + level) / 2)
    ]
    low, high = np.quantile(known, ends)
    one_sided = student_cdf((_NORMAL.inv_cdf(_share_below(known, 0.0)) - 2 * bias) / wider, n - 1)
    return float(low), float(high), min(1.0, 2 * min(one_sided, 1 - one_sided)), undefined


def _spread_of(estimate: float, draws: np.ndarray, level: float, n: int) -> tuple[float, float, float]:
    """The interval of a score, and the share of undefined draws; no interval where the draws do not differ."""
    low, high, _, undefined = _percentiles(estimate, draws, level, n)
    known = draws[np.isfinite(draws)]
    if len(known) and np.ptp(known) < 1e-12:
        return float("nan"), float("nan"), undefined
    return low, high, undefined


def _share_below(draws: np.ndarray, value: float) -> float:
    """Share of the draws below a value, those equal counting half; never 0 or 1 (Davison & Hinkley 1997)."""
    # Sums of the same numbers in another order differ in their last digits.
    close = np.isclose(draws, value, rtol=0, atol=1e-12)
    below = float(np.sum((draws < value) & ~close) + 0.5 * np.sum(close))
    return (below + 0.5) / (len(draws) + 1)
