"""How far confidence can be trusted: reliability, Brier score, temperature, and which confidence an error needs.

Everything here looks at samples that the model which predicted them had not learnt from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .errors import LandloomError
from .language import tr

BINS = 15
FEWEST_SAMPLES = 20
"""With fewer held-out samples there is neither a temperature nor a curve, and no threshold keeps fewer."""
FEWEST_GROUPS = 5
FEWEST_SHARE = 0.05
"""No threshold keeps a smaller share of the samples."""
FEW_GROUPS = 30
"""With fewer groups what is said of them is doubted."""
POINTS = 101
_STEP = 1e-5  # between thresholds
_FITTED = 50_000  # samples that a temperature is fitted on: more change its third digit
_Z = 1.6448536269514722  # one-sided 95 %


@dataclass(frozen=True)
class Calibration:
    """How well confidence foretells whether a pixel is right (Guo et al. 2017).

    Attributes:
        count: ``[B]`` samples by equal bins of confidence.
        confidence: ``[B]`` their mean confidence; NaN in an empty bin.
        accuracy: ``[B]`` share of them that is right; NaN in an empty bin.
        error: expected calibration error: the mean distance of the two, weighted by the counts, 0..1.
        brier: Brier score over all classes (Brier 1950), the mean of the summed squared distances of probabilities
            from 0 or 1, 0..2; 0 is best.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float
    brier: float

    @classmethod
    def of(
        cls, probabilities: np.ndarray, labels: np.ndarray, chosen: np.ndarray | None = None, bins: int = BINS
    ) -> Calibration:
        """Compare probabilities ``[n, K]`` with the classes ``[n]``.

        ``chosen`` are the classes mapped, if not the most probable ones.
        """
        labels = np.asarray(labels)
        chosen = probabilities.argmax(axis=1) if chosen is None else np.asarray(chosen)
        confidence = probabilities[np.arange(len(labels)), chosen].astype(np.float64)
        right = chosen == labels
        place = np.minimum((confidence * bins).astype(int), bins - 1)
        count = np.bincount(place, minlength=bins)
        with np.errstate(invalid="ignore"):
            mean = np.bincount(place, confidence, bins) / count
            accuracy = np.bincount(place, right.astype(float), bins) / count
        return cls(
            count, mean, accuracy, calibration_error(confidence, right, bins), brier_score(probabilities, labels)
        )

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; NaN becomes None."""
        return {
            "count": self.count.tolist(),
            "confidence": [_plain(value) for value in self.confidence],
            "accuracy": [_plain(value) for value in self.accuracy],
            "error": _plain(self.error),
            "brier": _plain(self.brier),
        }


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over equal bins, weighted by their size."""
    if not len(confidence):
        return float("nan")
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, right.astype(float), bins))
    return float(gap[count > 0].sum() / count.sum())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Brier score of ``[n, K]`` probabilities over all classes, 0..2 (Brier 1950); NaN without samples."""
    if not len(labels):
        return float("nan")
    squares = np.square(probabilities, dtype=np.float64).sum(axis=1)
    truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float((squares - 2 * truth + 1).mean())


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities from logits along the last axis."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    powers = np.exp(scaled)
    return powers / powers.sum(axis=-1, keepdims=True)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of an ensemble at another temperature.

    Args:
        probabilities: ``[M, n, K]`` of the members, at temperature 1.
        temperature: by which their logits are divided.

    Returns:
        ``[n, K]`` float32, the mean of the members.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities)  # logits but for a constant that a softmax does not see
    total = np.zeros(probabilities.shape[1:])
    for member in logs:
        total += softmax(member, temperature)
    return (total / len(logs)).astype(np.float32)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which an ensemble's probabilities fit best (Guo et al. 2017), found by golden section.

    Args:
        logits: ``[M, n, K]`` of the members, on samples that none has learnt from; logarithms of probabilities do.
        labels: ``[n]``.

    Returns:
        a value in 0.25..4; 1 with fewer than 20 samples.
    """
    if len(labels) < FEWEST_SAMPLES:
        return 1.0
    few = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), _FITTED)).round().astype(int))
    logits, labels = logits[:, few], labels[few]
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        mean = softmax(logits, float(np.exp(log_temperature))).mean(axis=0)
        return float(-np.log(np.maximum(mean[rows, labels], 1e-12)).mean())

    low, high = np.log(0.25), np.log(4.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(30):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


class Kept(NamedTuple):
    """What a threshold of confidence keeps of the held-out samples.

    Attributes:
        threshold: samples are kept whose confidence is at least this.
        pixels: so many are kept.
        wrong: of these.
        groups: groups (polygons, or polygons near each other) that they come from.
        upper_error: the error of the kept is below this with 95 % confidence, where groups were drawn like these.
    """

    threshold: float
    pixels: int
    wrong: int
    groups: int
    upper_error: float

    @property
    def error(self) -> float:
        """Share of the kept samples that is wrong."""
        return self.wrong / self.pixels


@dataclass(frozen=True)
class RiskCurve:
    """How many samples are kept, and how many of these are wrong, at rising thresholds of confidence.

    Attributes:
        points: those of at most 101 thresholds, the highest first; the last keeps every sample.
    """

    points: tuple[Kept, ...]

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray, groups: np.ndarray) -> RiskCurve | None:
        """The curve of held-out samples, ``[n]`` each; None where they are too few to say anything."""
        confidence = np.asarray(confidence, dtype=np.float32)
        known, owner = np.unique(groups, return_inverse=True)
        if len(confidence) < FEWEST_SAMPLES or len(known) < FEWEST_GROUPS:
            return None
        order = np.argsort(-confidence, kind="stable")
        ordered, wrong, owner = confidence[order], ~np.asarray(right, bool)[order], owner.reshape(-1)[order]
        kept, errors = np.zeros(len(known)), np.zeros(len(known))
        points, done = [], 0
        for place in np.unique(np.linspace(0, len(order) - 1, POINTS).round().astype(int)):
            # Rounded down, so that the last digits, which another processor may compute otherwise, do not count.
            threshold = math.floor(float(ordered[place]) / _STEP) * _STEP if place < len(order) - 1 else 0.0
            end = int(np.searchsorted(-ordered, -np.float32(threshold), side="right"))
            if end <= done:
                continue
            kept += np.bincount(owner[done:end], minlength=len(known))
            errors += np.bincount(owner[done:end], wrong[done:end], len(known))
            done = end
            bound = upper_error(kept, errors)
            points.append(
                Kept(threshold if end < len(order) else 0.0, end, int(errors.sum()), int((kept > 0).sum()), bound)
            )
        return cls(tuple(points))

    @property
    def whole(self) -> Kept:
        """Every sample kept."""
        return self.points[-1]

    def threshold(self, error: float) -> Kept | None:
        """The point that keeps most with at most this share wrong; None where no threshold does so."""
        fitting = [one for one in self._sound() if one.error <= error]
        return fitting[-1] if fitting else None

    def lowest_error(self) -> Kept:
        """The point with the smallest share wrong."""
        return min(self._sound(), key=lambda one: (one.error, -one.pixels))

    def _sound(self) -> list[Kept]:
        """The points that say something: the few most confident samples may be right by luck."""
        fewest = max(FEWEST_SAMPLES, FEWEST_SHARE * self.whole.pixels)
        return [one for one in self.points if one.pixels >= fewest and one.groups >= FEWEST_GROUPS]

    def to_json(self) -> dict[str, list[float]]:
        """A dictionary that JSON can hold: a list for each attribute of the points."""
        columns = zip(*self.points, strict=True)
        return {name: list(column) for name, column in zip(Kept._fields, columns, strict=True)}

    @classmethod
    def from_json(cls, content: Any) -> RiskCurve:
        """The inverse of :meth:`to_json`, for content that may come from anyone.

        Raises:
            LandloomError: if it is not what :meth:`to_json` gives.
        """
        damaged = LandloomError(tr("The model's curve of confidence and error is damaged: train the model again."))
        try:
            columns = [content[name] for name in Kept._fields]
            rows = [Kept(float(t), int(p), int(w), int(g), float(u)) for t, p, w, g, u in zip(*columns, strict=True)]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise damaged from error
        sound = 0 < len(rows) <= POINTS and rows[-1].threshold == 0
        pixels, thresholds = [one.pixels for one in rows], [one.threshold for one in rows]
        sound = sound and pixels == sorted(pixels) and thresholds == sorted(thresholds, reverse=True)
        sound = sound and all(0 <= r.threshold <= 1 and 0 <= r.wrong <= r.pixels and r.groups > 0 for r in rows)
        if not sound or rows[0].pixels < 1 or rows[-1].pixels < FEWEST_SAMPLES or rows[-1].groups < FEWEST_GROUPS:
            raise damaged
        return cls(tuple(rows))


def upper_error(kept: np.ndarray, wrong: np.ndarray) -> float:
    """Upper 95 % bound (one-sided) of the share of wrong pixels, which lie together in groups.

    Pixels of a group are right or wrong together, so they count for less than their number: the ratio's variance
    between groups (Cochran 1977, 2.11) gives the effective number of samples for Wilson's bound (Wilson 1927). Of
    under 30 groups that variance is a guess: each counts as one sample then.

    Args:
        kept: ``[G]`` pixels by group.
        wrong: ``[G]`` those of them that are wrong.
    """
    own = kept > 0
    kept, wrong = kept[own], wrong[own]
    total, count = kept.sum(), int(own.sum())
    share = wrong.sum() / total
    size = total**2 / np.square(kept).sum()  # as if each group were wholly right or wrong
    if count >= FEW_GROUPS and 0 < share < 1:
        variance = count / (count - 1) * np.square(wrong - share * kept).sum() / total**2
        if variance > 0:
            size = min(share * (1 - share) / variance, total)
    if count > 1:  # the variance is estimated itself (Korn & Graubard 1998); Student's quantile, expanded
        size *= (_Z / (_Z + (_Z**3 + _Z) / (4 * (count - 1)))) ** 2
    middle = share + _Z**2 / (2 * size)
    spread = _Z * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2))
    return float(min(1.0, (middle + spread) / (1 + _Z**2 / size)))


def curves_from_json(content: Mapping[str, Any]) -> dict[int, RiskCurve]:
    """Level -> curve of a model's header; empty where the model has none.

    Raises:
        LandloomError: if they are damaged.
    """
    levels = content.get("levels") or {}
    if not isinstance(levels, dict) or not all(str(level).isdecimal() for level in levels):
        raise LandloomError(tr("The model's curves of confidence and error are damaged: train the model again."))
    return {int(level): RiskCurve.from_json(curve) for level, curve in levels.items()}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
